/* SPDX-License-Identifier: MIT */
/*
 * Asking the broker what there is: its own state, devices, buffers, mappings, clients, accounts,
 * and what stands in the way. One query, one list; each kind of entry has its own getter.
 */
#ifndef DMABROKER_QUERY_H
#define DMABROKER_QUERY_H

#include "types.h"
#include "request.h"
#include "buffer.h"
#include "mapping.h"

#ifdef __cplusplus
extern "C" {
#endif

/** enum dmabroker_query_type - what to ask for */
enum dmabroker_query_type {
	DMABROKER_QUERY_STATUS = 1, /* one struct dmabroker_status, the asker's own account in it */
	DMABROKER_QUERY_DEVICES = 2, /* @name: only that one, -ENODEV without */
	DMABROKER_QUERY_BUFFERS = 3, /* @id: only that one, -ENOENT without */
	DMABROKER_QUERY_MAPPINGS = 4, /* @id: only of that buffer */
	DMABROKER_QUERY_SEGMENTS = 5, /* @id: of that mapping */
	DMABROKER_QUERY_CLIENTS = 6,
	DMABROKER_QUERY_ACCOUNTS = 7,
	DMABROKER_QUERY_DOCTOR = 8, /* findings: why is it as it is */
};

/* Of every account, not only the asker's; administrators only (-EPERM). */
#define DMABROKER_QUERY_ALL (1u << 0)

/**
 * struct dmabroker_query_params - what to ask for
 * @struct_size: DMABROKER_QUERY_PARAMS_INIT sets it
 * @type:        enum dmabroker_query_type
 * @flags:       DMABROKER_QUERY_ALL or 0
 * @id:          as @type says, else 0
 * @name:        as @type says, else NULL
 */
struct dmabroker_query_params {
	size_t struct_size;
	uint32_t type;
	uint32_t flags;
	uint64_t id;
	const char *name;
};

#define DMABROKER_QUERY_PARAMS_INIT DMABROKER_PARAMS_INIT(dmabroker_query_params)

/**
 * dmabroker_query() - ask
 * @broker:   the connection
 * @params:   for what
 * @ret_list: the answer. A long one is fetched in parts, so it is no snapshot: an entry that
 *            comes or goes meanwhile may be in it or not
 *
 * Ownership: the caller's; release it with dmabroker_list_free().
 * Blocking:  until the broker has answered.
 * Threads:   any.
 *
 * Return: 0, -EINVAL (no such type, or @name or @id that does not go with it), -E2BIG (unknown
 *         fields are set), -ENODEV, -ENOENT, -EPERM, -ETIMEDOUT, -ECONNRESET, -ENOTCONN, -EPROTO,
 *         -ENOMEM, -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_query(struct dmabroker *broker,
				  const struct dmabroker_query_params *params,
				  struct dmabroker_list **ret_list);

/**
 * dmabroker_query_start() - dmabroker_query() without waiting
 * @broker:      the connection
 * @params:      for what
 * @async:       NULL: the timeout as deadline and no callback
 * @ret_request: take with dmabroker_request_take_list(). May be NULL
 *
 * Ownership: the caller owns one reference of the request.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, -EINVAL, -E2BIG, -ENOTCONN, -ENOMEM, -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_query_start(struct dmabroker *broker,
					const struct dmabroker_query_params *params,
					const struct dmabroker_async *async,
					struct dmabroker_request **ret_request);

/**
 * dmabroker_list_free() - release an answer
 * @list: a list, or NULL
 *
 * Ownership: consumes it, and every entry with it.
 * Blocking:  never.
 * Threads:   any, one at a time.
 *
 * Return: NULL.
 * Since: 0.1
 */
DMABROKER_API struct dmabroker_list *dmabroker_list_free(struct dmabroker_list *list);

/**
 * dmabroker_list_count() - how many entries
 * @list: a list
 *
 * Ownership: unchanged.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: the number; 0 is an answer too.
 * Since: 0.1
 */
DMABROKER_API size_t dmabroker_list_count(const struct dmabroker_list *list);

/**
 * struct dmabroker_status - the broker and the asker
 * @backend:             "kmod", "sim", ...
 * @broker_version:      such as "0.1.0"
 * @uptime_ms:           since it started
 * @nr_clients:          connections
 * @nr_buffers:          live, of all accounts
 * @nr_mappings:         live, of all accounts
 * @nr_devices:          known
 * @charged_bytes:       to all accounts together
 * @machine_limit_bytes: what they may have together
 * @nr_requests:         answered
 * @nr_refusals:         of them
 * @nr_dropped_peers:    connections ended for broken framing
 * @nr_lost_logs:        log messages that found no room
 * @uid:                 the asker's
 * @pid:                 the asker's
 * @unit:                the asker's unit: with the uid its account
 * @own_bytes:           charged to the asker's account
 * @own_bytes_limit:     what it may have
 * @own_buffers:         likewise
 * @own_buffers_limit:   likewise
 * @own_mappings:        likewise
 * @own_mappings_limit:  likewise
 */
struct dmabroker_status {
	const char *backend;
	const char *broker_version;
	uint64_t uptime_ms;
	uint64_t nr_clients;
	uint64_t nr_buffers;
	uint64_t nr_mappings;
	uint64_t nr_devices;
	uint64_t charged_bytes;
	uint64_t machine_limit_bytes;
	uint64_t nr_requests;
	uint64_t nr_refusals;
	uint64_t nr_dropped_peers;
	uint64_t nr_lost_logs;
	uint32_t uid;
	uint32_t pid;
	const char *unit;
	uint64_t own_bytes;
	uint64_t own_bytes_limit;
	uint64_t own_buffers;
	uint64_t own_buffers_limit;
	uint64_t own_mappings;
	uint64_t own_mappings_limit;
};

#define DMABROKER_DEVICE_COHERENT (1u << 0) /* sees the CPU's caches */
#define DMABROKER_DEVICE_IOMMU	  (1u << 1) /* behind an IOMMU that translates */
#define DMABROKER_DEVICE_USABLE	  (1u << 2)
#define DMABROKER_DEVICE_ALLOWED  (1u << 3) /* the asker may map to it */
#define DMABROKER_DEVICE_SYSTEM	  (1u << 4) /* no particular device; nothing maps to it */
#define DMABROKER_DEVICE_SHARED	  (1u << 5) /* IOMMU group shared with devices not the broker's */

/**
 * struct dmabroker_device_info - a device
 * @id:                  never used again
 * @flags:               DMABROKER_DEVICE_*
 * @streaming_mask_bits: address bits it drives for mappings
 * @coherent_mask_bits:  address bits it drives for coherent memory
 * @max_segment_bytes:   longest segment it takes
 * @nr_mappings:         live
 * @bus:                 "pci", "platform", "sim", ...
 * @name:                "pci:0000:00:03.0"
 * @reason:              why it is not usable, else ""
 */
struct dmabroker_device_info {
	uint32_t id;
	uint32_t flags;
	uint32_t streaming_mask_bits;
	uint32_t coherent_mask_bits;
	uint64_t max_segment_bytes;
	uint64_t nr_mappings;
	const char *bus;
	const char *name;
	const char *reason;
};

/**
 * struct dmabroker_client_info - a connection
 * @id:           of this connection
 * @nr_buffers:   it holds
 * @nr_requests:  it made
 * @connected_ms: for how long it has been there
 * @uid:          of the process
 * @pid:          of the process
 * @name:         as it calls itself
 * @unit:         of the process
 */
struct dmabroker_client_info {
	uint64_t id;
	uint64_t nr_buffers;
	uint64_t nr_requests;
	uint64_t connected_ms;
	uint32_t uid;
	uint32_t pid;
	const char *name;
	const char *unit;
};

/**
 * struct dmabroker_account_info - who is charged: a uid in a unit
 * @uid:            the user
 * @nr_clients:     connections
 * @bytes:          charged
 * @bytes_limit:    what it may have
 * @buffers:        likewise
 * @buffers_limit:  likewise
 * @mappings:       likewise
 * @mappings_limit: likewise
 * @unit:           the unit
 */
struct dmabroker_account_info {
	uint32_t uid;
	uint32_t nr_clients;
	uint64_t bytes;
	uint64_t bytes_limit;
	uint64_t buffers;
	uint64_t buffers_limit;
	uint64_t mappings;
	uint64_t mappings_limit;
	const char *unit;
};

enum dmabroker_doctor_level {
	DMABROKER_DOCTOR_FINE = 0,
	DMABROKER_DOCTOR_NOTE = 1, /* worth knowing */
	DMABROKER_DOCTOR_OBSTACLE = 2, /* stands in the way */
};

/**
 * struct dmabroker_doctor_line - a finding
 * @level: enum dmabroker_doctor_level
 * @text:  a sentence
 */
struct dmabroker_doctor_line {
	uint32_t level;
	const char *text;
};

/**
 * dmabroker_list_status() - an entry of a DMABROKER_QUERY_STATUS
 * @list:  a list
 * @index: from 0
 *
 * What follows holds for the other getters of entries too.
 *
 * Ownership: the list's.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: NULL past the end, and for a list of something else.
 * Since: 0.1
 */
DMABROKER_API const struct dmabroker_status *
dmabroker_list_status(const struct dmabroker_list *list, size_t index);

/**
 * dmabroker_list_device() - an entry of a DMABROKER_QUERY_DEVICES
 * @list:  a list
 * @index: from 0
 *
 * Ownership: the list's.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: NULL past the end, and for a list of something else.
 * Since: 0.1
 */
DMABROKER_API const struct dmabroker_device_info *
dmabroker_list_device(const struct dmabroker_list *list, size_t index);

/**
 * dmabroker_list_buffer() - an entry of a DMABROKER_QUERY_BUFFERS
 * @list:  a list
 * @index: from 0
 *
 * Ownership: the list's.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: NULL past the end, and for a list of something else.
 * Since: 0.1
 */
DMABROKER_API const struct dmabroker_buffer_info *
dmabroker_list_buffer(const struct dmabroker_list *list, size_t index);

/**
 * dmabroker_list_mapping() - an entry of a DMABROKER_QUERY_MAPPINGS
 * @list:  a list
 * @index: from 0
 *
 * Ownership: the list's.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: NULL past the end, and for a list of something else.
 * Since: 0.1
 */
DMABROKER_API const struct dmabroker_mapping_info *
dmabroker_list_mapping(const struct dmabroker_list *list, size_t index);

/**
 * dmabroker_list_segment() - an entry of a DMABROKER_QUERY_SEGMENTS
 * @list:  a list
 * @index: from 0
 *
 * Ownership: the list's.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: NULL past the end, and for a list of something else.
 * Since: 0.1
 */
DMABROKER_API const struct dmabroker_segment *
dmabroker_list_segment(const struct dmabroker_list *list, size_t index);

/**
 * dmabroker_list_client() - an entry of a DMABROKER_QUERY_CLIENTS
 * @list:  a list
 * @index: from 0
 *
 * Ownership: the list's.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: NULL past the end, and for a list of something else.
 * Since: 0.1
 */
DMABROKER_API const struct dmabroker_client_info *
dmabroker_list_client(const struct dmabroker_list *list, size_t index);

/**
 * dmabroker_list_account() - an entry of a DMABROKER_QUERY_ACCOUNTS
 * @list:  a list
 * @index: from 0
 *
 * Ownership: the list's.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: NULL past the end, and for a list of something else.
 * Since: 0.1
 */
DMABROKER_API const struct dmabroker_account_info *
dmabroker_list_account(const struct dmabroker_list *list, size_t index);

/**
 * dmabroker_list_doctor() - an entry of a DMABROKER_QUERY_DOCTOR
 * @list:  a list
 * @index: from 0
 *
 * Ownership: the list's.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: NULL past the end, and for a list of something else.
 * Since: 0.1
 */
DMABROKER_API const struct dmabroker_doctor_line *
dmabroker_list_doctor(const struct dmabroker_list *list, size_t index);

#ifdef __cplusplus
}
#endif

#endif /* DMABROKER_QUERY_H */
