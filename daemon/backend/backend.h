/* SPDX-License-Identifier: MIT */
/*
 * Where memory and mappings come from. A backend is an ops table in the named list that
 * backend_open() walks. It knows fds, ids, devices and bytes; it knows nothing of clients, quotas
 * or the wire. It has no event loop of its own: the daemon watches get_fd() and calls dispatch(),
 * which reports through struct backend_sink what ended since.
 *
 * No op blocks for longer than the kernel needs to do the work, and every op leaves nothing behind
 * when it fails. Ops return 0 or -errno with the meanings that proto/PROTOCOL.md gives them, and
 * describe the failure in struct backend_failure when one is passed.
 */
#ifndef DMABROKER_BACKEND_H
#define DMABROKER_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/wire.h"

#define BACKEND_COOKIE_SIZE 256

struct backend;

/* Why an op failed, for the refusal that a client reads. Filled only on failure. */
struct backend_failure {
	enum wire_reason reason;
	uint64_t limit; /* what stood in the way, 0 if nothing has a number */
	uint64_t value;
	bool retry; /* the same request can succeed later */
	char text[256]; /* what happened and what to do */
};

/*
 * A device as the backend sees it. @streaming_mask_bits and friends as in struct wire_device; the
 * ALLOWED flag is policy and never set here.
 */
struct backend_device {
	uint32_t id; /* never used again; 1 is "system" */
	uint32_t flags; /* WIRE_DEVICE_* */
	uint32_t streaming_mask_bits;
	uint32_t coherent_mask_bits;
	uint64_t max_segment_bytes;
	char bus[16];
	char name[WIRE_DEVICE_NAME_SIZE];
	char reason[WIRE_SENTENCE_SIZE];
};

struct backend_alloc {
	uint64_t size_bytes;
	enum wire_kind kind;
	enum wire_direction direction;
	uint64_t attributes;
	const uint32_t *devices;
	unsigned int nr_devices;
	uint8_t cookie[BACKEND_COOKIE_SIZE];
};

/* What was obtained, or what a list says of a live buffer. */
struct backend_buffer {
	uint64_t id;
	uint64_t size_bytes; /* charged: rounded up to pages */
	uint64_t attributes; /* that took effect */
	uint64_t alignment_bytes;
	uint64_t syncs_done;
	uint64_t syncs_saved;
	uint32_t nr_mappings;
	enum wire_kind kind;
	enum wire_kind effective_kind;
	bool contiguous;
	char region[WIRE_REGION_SIZE];
	uint8_t cookie[BACKEND_COOKIE_SIZE];
};

struct backend_map {
	uint64_t buffer_id;
	uint32_t device_id;
	enum wire_direction direction;
	uint64_t attributes;
	uint32_t mask_bits; /* 0: the device's own */
	bool read_only; /* the asker holds it read-only: to-device only */
	uint64_t account; /* who uses the device; not 0, stable over restarts */
};

struct backend_mapping {
	uint64_t id;
	uint64_t buffer_id;
	uint32_t device_id;
	enum wire_direction direction;
	uint64_t attributes;
	uint64_t size_bytes;
	uint32_t flags; /* WIRE_MAPPING_* */
	uint32_t nr_segments;
	uint64_t account;
};

/*
 * What the daemon learns from dispatch(). Called once per buffer or mapping, after the memory is
 * back (buffer_freed) or the device can no longer reach it (mapping_freed, mapping_ended).
 */
struct backend_sink {
	void (*buffer_freed)(void *userdata, uint64_t id);
	void (*mapping_freed)(void *userdata, uint64_t id);
	void (*mapping_ended)(void *userdata, uint64_t id); /* device gone, the fd still exists */
	void (*device_changed)(void *userdata, uint32_t id); /* added, or other mask or flags */
	void (*device_removed)(void *userdata, uint32_t id);
	void (*resync)(void *userdata); /* events were lost: list again */
};

struct backend_config {
	/* sim: simulated devices, "N bits MASK segment BYTES iommu coherent" */
	const char *const *sim_devices;
	unsigned int nr_sim_devices;
	/* 256 bytes for a sentence on why an op open() failed, or NULL; backend_open() sets it */
	char *ret_error;
};

/**
 * struct backend_ops - what every backend does
 * @name:           "kmod", "sim", ...
 * @probe:          could it work here? 0, or -errno with a sentence in ret_reason that tells an
 *                  administrator what is missing. Leaves nothing open
 * @open:           start it. @sink is called from dispatch() only
 * @close:          stop it; buffers that clients hold live on where the kernel keeps them
 * @get_fd:         readable when dispatch() has something to do. Borrowed
 * @dispatch:       read all that happened since and tell the sink. Cheap when nothing did: the
 *                  daemon calls it before it refuses for a quota
 * @device_next:    the device with the lowest id above @after_id; -ENOENT at the end
 * @device_get:     one device by id; -ENODEV
 * @buffer_alloc:   a zeroed buffer and its fd (close-on-exec, the caller owns it)
 * @buffer_open:    another fd of a live buffer, read-only or not
 * @buffer_query:   which live buffer is this fd, and is it read-only; -EBADF for any other fd
 * @buffer_get:     one live buffer by id; -ENOENT
 * @buffer_next:    the live buffer with the lowest id above @after_id; -ENOENT at the end
 * @buffer_set_cookie: replace the bytes kept with a buffer
 * @map:            let a device reach a buffer; the fd's last close unmaps. The caller owns it
 * @mapping_get:    one live mapping by id; -ENOENT
 * @mapping_next:   of @buffer_id (0: of all), the lowest id above @after_id; -ENOENT at the end
 * @segments:       up to @capacity segments from number @first; ret_total says how many there are
 * @sync:           move ownership of a range; -EOPNOTSUPP where the mapping's fd does it
 * @owned_by:       who owns the contents now
 * @sim_dma:        the simulated DMA engine; NULL on backends with real devices
 */
struct backend_ops {
	const char *name;
	int (*probe)(char ret_reason[static 256]);
	int (*open)(struct backend **ret, const struct backend_config *config,
		    const struct backend_sink *sink, void *userdata);
	void (*close)(struct backend *backend);
	int (*get_fd)(struct backend *backend);
	int (*dispatch)(struct backend *backend);
	int (*device_next)(struct backend *backend, uint32_t after_id, struct backend_device *ret);
	int (*device_get)(struct backend *backend, uint32_t id, struct backend_device *ret);
	int (*buffer_alloc)(struct backend *backend, const struct backend_alloc *alloc,
			    struct backend_buffer *ret, int *ret_fd,
			    struct backend_failure *failure);
	int (*buffer_open)(struct backend *backend, uint64_t id, bool read_only, int *ret_fd,
			   struct backend_failure *failure);
	int (*buffer_query)(struct backend *backend, int fd, uint64_t *ret_id, bool *ret_read_only);
	int (*buffer_get)(struct backend *backend, uint64_t id, struct backend_buffer *ret);
	int (*buffer_next)(struct backend *backend, uint64_t after_id, struct backend_buffer *ret);
	int (*buffer_set_cookie)(struct backend *backend, uint64_t id,
				 const uint8_t cookie[static BACKEND_COOKIE_SIZE]);
	int (*map)(struct backend *backend, const struct backend_map *map,
		   struct backend_mapping *ret, int *ret_fd, struct backend_failure *failure);
	int (*mapping_get)(struct backend *backend, uint64_t id, struct backend_mapping *ret);
	int (*mapping_next)(struct backend *backend, uint64_t buffer_id, uint64_t after_id,
			    struct backend_mapping *ret);
	int (*segments)(struct backend *backend, uint64_t mapping_id, uint64_t first,
			struct wire_segment *ret, unsigned int capacity, unsigned int *ret_count,
			uint64_t *ret_total);
	int (*sync)(struct backend *backend, const struct wire_sync *sync,
		    struct backend_failure *failure);
	int (*owned_by)(struct backend *backend, uint64_t buffer_id, enum wire_owned_by *ret);
	int (*sim_dma)(struct backend *backend, const struct wire_sim_dma *dma,
		       struct backend_failure *failure);
};

/* First member of every backend's own struct. */
struct backend {
	const struct backend_ops *ops;
	const struct backend_sink *sink;
	void *userdata;
};

extern const struct backend_ops backend_kmod_ops;
extern const struct backend_ops backend_sim_ops;

/**
 * backend_table() - all backends, best first, ended by NULL
 *
 * "auto" takes the first whose probe succeeds; sim is never taken by "auto" unless
 * @allow_sim of backend_open() says so, because a broker that silently simulates helps nobody.
 */
const struct backend_ops *const *backend_table(void);

/**
 * backend_check_name() - is there a backend of that name, or is it "auto"
 * @name:    as somebody wrote it
 * @ret_why: a sentence that names those there are, filled on failure
 *
 * Return: 0, -ENOENT.
 */
int backend_check_name(const char *name, char ret_why[static 512]);

/**
 * backend_check_sim_devices() - could the sim backend start with these devices
 * @lines:     as for struct backend_config
 * @nr_lines:  how many
 * @ret_error: a sentence on what is wrong, filled on failure
 *
 * Return: 0, -EINVAL.
 */
int backend_check_sim_devices(const char *const *lines, unsigned int nr_lines,
			      char ret_error[static 256]);

/**
 * backend_open() - open one by name, or the best
 * @ret:       the backend
 * @name:      a name of the table, or "auto"
 * @allow_sim: "auto" may end at sim
 * @config:    for whichever it becomes
 * @sink:      borrowed, must outlive the backend
 * @userdata:  for the sink
 * @ret_why:   a sentence on what was taken and why, or why none works. Filled either way
 *
 * Return: 0; -ENOENT: no backend of that name; -ENODEV: none works here.
 */
int backend_open(struct backend **ret, const char *name, bool allow_sim,
		 const struct backend_config *config, const struct backend_sink *sink,
		 void *userdata, char ret_why[static 512]);

#endif /* DMABROKER_BACKEND_H */
