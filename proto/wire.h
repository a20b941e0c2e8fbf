/* SPDX-License-Identifier: MIT */
/*
 * The wire format between dmabrokerd and its clients; PROTOCOL.md is the same in prose.
 *
 * AF_UNIX SOCK_SEQPACKET, one message is one packet of at most WIRE_MESSAGE_MAX bytes. Every
 * message starts with struct wire_header. A client's first message is HELLO. Integers are in
 * the machine's own byte order: both ends run on one kernel.
 *
 * Growth: a peer that knows fewer fields sends a shorter struct, and the missing tail is zero. A
 * peer that knows more sends a longer one; bytes past what this end knows must be zero, else the
 * request is refused with WIRE_REASON_UNKNOWN_TAIL. Reserved fields must be zero.
 *
 * Framing faults (see wire_check_request()) end the connection; everything else that cannot be
 * done gets exactly one refusal (struct wire_refusal) and the connection lives.
 */
#ifndef DMABROKER_WIRE_H
#define DMABROKER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION	      1
#define WIRE_MESSAGE_MAX      4096
#define WIRE_FDS_MAX	      253
#define WIRE_DEVICES_MAX      16
#define WIRE_NAME_SIZE	      32 /* of a client or a buffer, NUL included */
#define WIRE_DEVICE_NAME_SIZE 64
#define WIRE_UNIT_SIZE	      128
#define WIRE_REGION_SIZE      32
#define WIRE_SENTENCE_SIZE    96
#define WIRE_TOKEN_SIZE	      16
#define WIRE_PLANES_MAX	      4
#define WIRE_SOCKET_PATH      "/run/dmabroker/dmabroker.sock"

/* What a buffer's memory is. The same numbers in the public header and in the module's ABI. */
enum wire_kind {
	WIRE_KIND_COHERENT = 1,
	WIRE_KIND_WRITECOMBINE = 2,
	WIRE_KIND_NONCOHERENT = 3,
	WIRE_KIND_IMPORTED = 4,
};

enum wire_direction {
	WIRE_DIR_BIDIRECTIONAL = 0,
	WIRE_DIR_TO_DEVICE = 1,
	WIRE_DIR_FROM_DEVICE = 2,
	WIRE_DIR_NONE = 3,
};

/* Attributes, with their names in text: wire_attribute_names() and its inverse use this list. */
#define WIRE_ATTRIBUTES(X)                             \
	X(FORCE_CONTIGUOUS, 0, "force-contiguous")     \
	X(NO_KERNEL_MAPPING, 1, "no-kernel-mapping")   \
	X(WEAK_ORDERING, 2, "weak-ordering")           \
	X(ALLOC_SINGLE_PAGES, 3, "alloc-single-pages") \
	X(NO_WARN, 4, "no-warn")                       \
	X(SKIP_CPU_SYNC, 5, "skip-cpu-sync")

enum wire_attribute {
#define X(name, bit, text) WIRE_ATTR_##name = 1 << bit,
	WIRE_ATTRIBUTES(X)
#undef X
};

/* All of them, and those that mean something for a mapping. */
enum wire_attributes {
#define X(name, bit, text) +(1 << bit)
	WIRE_ATTRIBUTES_KNOWN = WIRE_ATTRIBUTES(X),
#undef X
	WIRE_ATTRIBUTES_OF_MAPPINGS = WIRE_ATTR_SKIP_CPU_SYNC + WIRE_ATTR_WEAK_ORDERING,
};

/*
 * Why a request was refused. The numbers are ABI: append, never renumber.
 * X(NAME, number, errno it comes with, "name in text")
 */
#define WIRE_REASONS(X)                                                  \
	X(NONE, 0, 0, "none")                                            \
	X(BAD_ARGUMENT, 1, EINVAL, "bad-argument")                       \
	X(UNKNOWN_OP, 2, ENOSYS, "unknown-op")                           \
	X(UNKNOWN_TAIL, 3, E2BIG, "unknown-tail")                        \
	X(RESERVED_NOT_ZERO, 4, EINVAL, "reserved-not-zero")             \
	X(WRONG_FD_COUNT, 5, EINVAL, "wrong-fd-count")                   \
	X(WRONG_FD_KIND, 6, EBADF, "wrong-fd-kind")                      \
	X(HELLO_FIRST, 7, EPROTO, "hello-first")                         \
	X(VERSION, 8, EPROTONOSUPPORT, "version")                        \
	X(UNKNOWN_KIND, 9, EINVAL, "unknown-kind")                       \
	X(UNKNOWN_ATTRIBUTE, 10, EINVAL, "unknown-attribute")            \
	X(UNKNOWN_DIRECTION, 11, EINVAL, "unknown-direction")            \
	X(DIRECTION_NONE, 12, EINVAL, "direction-none")                  \
	X(SIZE, 13, EINVAL, "size")                                      \
	X(COUNT, 14, EINVAL, "count")                                    \
	X(UNKNOWN_DEVICE, 15, ENODEV, "unknown-device")                  \
	X(UNKNOWN_BUFFER, 16, ENOENT, "unknown-buffer")                  \
	X(UNKNOWN_MAPPING, 17, ENOENT, "unknown-mapping")                \
	X(UNKNOWN_TOKEN, 18, ENOENT, "unknown-token")                    \
	X(DEVICE_NOT_ALLOWED, 19, EACCES, "device-not-allowed")          \
	X(DEVICE_UNPROTECTED, 20, EACCES, "device-unprotected")          \
	X(DEVICE_UNUSABLE, 21, ENODEV, "device-unusable")                \
	X(DEVICE_SYSTEM, 22, EINVAL, "device-system")                    \
	X(DEVICE_OF_OTHER_ACCOUNT, 23, EPERM, "device-of-other-account") \
	X(MIXED_COHERENCE, 24, EXDEV, "mixed-coherence")                 \
	X(READ_ONLY, 25, EACCES, "read-only")                            \
	X(QUOTA_BYTES, 26, EDQUOT, "quota-bytes")                        \
	X(QUOTA_BUFFERS, 27, EDQUOT, "quota-buffers")                    \
	X(QUOTA_MAPPINGS, 28, EDQUOT, "quota-mappings")                  \
	X(QUOTA_CLIENTS, 29, EDQUOT, "quota-clients")                    \
	X(QUOTA_FDS, 30, EDQUOT, "quota-fds")                            \
	X(QUOTA_TOKENS, 31, EDQUOT, "quota-tokens")                      \
	X(MACHINE_TOTAL, 32, EDQUOT, "machine-total")                    \
	X(NO_MEMORY, 33, ENOMEM, "no-memory")                            \
	X(NO_CONTIGUOUS_MEMORY, 34, ENOMEM, "no-contiguous-memory")      \
	X(BEYOND_MASK, 35, ERANGE, "beyond-mask")                        \
	X(DEVICE_ADDRESS_SPACE, 36, ENOSPC, "device-address-space")      \
	X(SEGMENTS, 37, ENOSPC, "segments")                              \
	X(BACKEND_CANNOT, 38, EOPNOTSUPP, "backend-cannot")              \
	X(NOT_ADMINISTRATOR, 39, EPERM, "not-administrator")             \
	X(NO_FILES, 40, EMFILE, "no-files")                              \
	X(DEVICE_GONE, 41, ENODEV, "device-gone")                        \
	X(DMA_FAULT, 42, EFAULT, "dma-fault")                            \
	X(ACCOUNT_NOT_ALLOWED, 43, EACCES, "account-not-allowed")        \
	X(BACKEND_FAILED, 44, EIO, "backend-failed")                     \
	X(QUOTA_CONTIGUOUS_BYTES, 45, EDQUOT, "quota-contiguous-bytes")  \
	X(DEVICE_BUSY, 46, EBUSY, "device-busy")                         \
	X(COMBINATION, 47, EINVAL, "combination")

enum wire_reason {
#define X(name, number, err, text) WIRE_REASON_##name = number,
	WIRE_REASONS(X)
#undef X
};

#define WIRE_FLAG_REPLY	   (1u << 0) /* daemon to client: answers the request with this serial */
#define WIRE_FLAG_REFUSAL  (1u << 1) /* with REPLY: the body is struct wire_refusal */
#define WIRE_FLAG_EVENT	   (1u << 2) /* daemon to client, unasked; serial is 0 */
#define WIRE_FLAG_NO_REPLY (1u << 3) /* client to daemon: send no reply, not even a refusal */

/**
 * struct wire_header - the first 16 bytes of every message
 * @size:     of the whole message, this header included; equals the packet's length
 * @op:       enum wire_op, or for an event enum wire_event
 * @flags:    WIRE_FLAG_*; a client may set NO_REPLY only
 * @serial:   chosen by the client, not 0; the reply carries the same
 * @reserved: 0
 */
struct wire_header {
	uint32_t size;
	uint16_t op;
	uint16_t flags;
	uint32_t serial;
	uint32_t reserved;
};

/*
 * The ops. X(NAME, number, request struct, minimum request body bytes, request fds,
 *            reply struct, reply fds, who)
 *
 * "minimum" is the size in version 1: a shorter body is a framing fault. Request fds are exact.
 * Reply fds: -1 means "as many as the reply's count says", else exact. A reply may be followed
 * by entries where its struct says so. who: ANY, or ADMIN (uid 0).
 */
#define WIRE_OPS(X)                                                            \
	X(HELLO, 1, wire_hello, 48, 0, wire_hello_reply, 0, ANY)               \
	X(STATUS, 2, wire_empty, 0, 0, wire_status_reply, 0, ANY)              \
	X(DEVICE_LIST, 3, wire_list, 24, 0, wire_list_reply, 0, ANY)           \
	X(DEVICE_FIND, 4, wire_device_find, 64, 0, wire_device, 0, ANY)        \
	X(ALLOC, 5, wire_alloc, 272, 0, wire_alloc_reply, -1, ANY)             \
	X(BUFFER_RELEASE, 6, wire_id, 8, 0, wire_empty, 0, ANY)                \
	X(BUFFER_SHOW, 7, wire_id, 8, 0, wire_buffer, 0, ANY)                  \
	X(BUFFER_LIST, 8, wire_list, 24, 0, wire_list_reply, 0, ANY)           \
	X(BUFFER_SHARE, 9, wire_share, 16, 0, wire_token, 0, ANY)              \
	X(BUFFER_OPEN, 10, wire_token, 16, 0, wire_buffer, 1, ANY)             \
	X(BUFFER_HOLD, 11, wire_empty, 0, 1, wire_buffer, 0, ANY)              \
	X(MAP, 12, wire_map, 32, 0, wire_map_reply, 1, ANY)                    \
	X(MAPPING_LIST, 13, wire_list, 24, 0, wire_list_reply, 0, ANY)         \
	X(MAPPING_SEGMENTS, 14, wire_segments, 16, 0, wire_list_reply, 0, ANY) \
	X(MAPPING_SYNC, 15, wire_sync, 32, 0, wire_empty, 0, ANY)              \
	X(CLIENT_LIST, 16, wire_list, 24, 0, wire_list_reply, 0, ANY)          \
	X(ACCOUNT_LIST, 17, wire_list, 24, 0, wire_list_reply, 0, ANY)         \
	X(DOCTOR, 18, wire_list, 24, 0, wire_list_reply, 0, ANY)               \
	X(SIM_DMA, 19, wire_sim_dma, 40, 0, wire_empty, 0, ANY)

enum wire_op {
#define X(name, number, req, min, fds, rep, rfds, who) WIRE_OP_##name = number,
	WIRE_OPS(X)
#undef X
};

enum wire_event {
	WIRE_EVENT_DEVICE_ADDED = 1, /* body: struct wire_device */
	WIRE_EVENT_DEVICE_REMOVED = 2, /* body: struct wire_device */
	WIRE_EVENT_MAPPING_ENDED =
		3, /* body: struct wire_id: a mapping of this client lost its device */
};

/* Where the body is nothing. */
struct wire_empty {
	uint8_t nothing[0];
};

/**
 * struct wire_refusal - the body of a reply with WIRE_FLAG_REFUSAL
 * @error:       errno, positive
 * @reason:      enum wire_reason
 * @limit:       the limit that stood in the way, 0 where there is none
 * @value:       what would have been (for a quota: in use + asked for), or the bad value
 * @retry:       1 if the same request can succeed later without anybody changing the policy
 * @text_bytes:  length of @text, NUL not included
 * @text:        a sentence: what happened and what to do. NUL-terminated
 */
struct wire_refusal {
	uint32_t error;
	uint32_t reason;
	uint64_t limit;
	uint64_t value;
	uint32_t retry;
	uint32_t text_bytes;
	char text[480];
};

struct wire_hello {
	uint32_t version_min;
	uint32_t version_max;
	uint64_t reserved;
	char name[WIRE_NAME_SIZE]; /* the client's own idea of its name, shown to administrators */
};

struct wire_hello_reply {
	uint32_t version; /* what both speak from now on */
	uint32_t fds_max; /* most buffers in one ALLOC */
	uint64_t client_id;
	uint64_t page_size;
	char backend[16];
	char daemon_version[32];
};

struct wire_status_reply {
	char backend[16];
	char daemon_version[32];
	uint64_t uptime_ms;
	uint64_t nr_clients;
	uint64_t nr_buffers;
	uint64_t nr_mappings;
	uint64_t nr_devices;
	uint64_t charged_bytes;
	uint64_t machine_limit_bytes;
	uint64_t requests;
	uint64_t refusals;
	uint64_t dropped_peers;
	uint64_t lost_log_messages;
	/* the asker */
	uint32_t uid;
	uint32_t pid;
	char unit[WIRE_UNIT_SIZE];
	uint64_t own_bytes;
	uint64_t own_bytes_limit;
	uint64_t own_buffers;
	uint64_t own_buffers_limit;
	uint64_t own_mappings;
	uint64_t own_mappings_limit;
};

#define WIRE_LIST_ALL (1u << 0) /* of every account; administrators only */

/* Lists are paged: ask with cursor 0, go on with the cursor of the reply until that is 0. */
struct wire_list {
	uint64_t cursor;
	uint64_t of_id; /* MAPPING_LIST: of which buffer; other lists: 0 */
	uint32_t flags; /* WIRE_LIST_* */
	uint32_t reserved;
};

/*
 * Followed by @count entries of @entry_bytes each: struct wire_device, wire_buffer,
 * wire_mapping, wire_segment, wire_client, wire_account or wire_doctor_line, as the op says.
 * A reader takes min(entry_bytes, what it knows) of each.
 */
struct wire_list_reply {
	uint64_t cursor; /* 0: that was all */
	uint32_t count;
	uint32_t entry_bytes;
	uint64_t total; /* where known without walking (segments), else 0 */
};

#define WIRE_DEVICE_COHERENT (1u << 0)
#define WIRE_DEVICE_IOMMU    (1u << 1)
#define WIRE_DEVICE_USABLE   (1u << 2)
#define WIRE_DEVICE_ALLOWED  (1u << 3) /* policy lets the asker map to it */
#define WIRE_DEVICE_SYSTEM   (1u << 4)
#define WIRE_DEVICE_SHARED   (1u << 5) /* IOMMU group shared with a device that is not the broker's */

struct wire_device {
	uint32_t id;
	uint32_t flags;
	uint32_t streaming_mask_bits;
	uint32_t coherent_mask_bits;
	uint64_t max_segment_bytes;
	uint64_t nr_mappings;
	char bus[16];
	char name[WIRE_DEVICE_NAME_SIZE];
	char reason[WIRE_SENTENCE_SIZE]; /* why it is not usable */
};

struct wire_device_find {
	char name[WIRE_DEVICE_NAME_SIZE];
};

/* An image inside a buffer, kept with it for whoever receives it; fourcc 0 means "just bytes". */
struct wire_layout {
	uint32_t fourcc; /* DRM_FORMAT_* */
	uint32_t width;
	uint32_t height;
	uint32_t nr_planes;
	uint64_t modifier;
	struct {
		uint64_t offset_bytes;
		uint64_t pitch_bytes;
	} planes[WIRE_PLANES_MAX];
};

struct wire_alloc {
	uint64_t size_bytes; /* of each */
	uint32_t count; /* 1 to WIRE_FDS_MAX */
	uint32_t kind;
	uint64_t attributes;
	uint32_t direction;
	uint32_t nr_devices; /* 0: system */
	uint32_t devices[WIRE_DEVICES_MAX];
	char name[WIRE_NAME_SIZE];
	struct wire_layout layout;
	uint64_t reserved[7];
};

/* Carries @count fds, the buffers, in the order of the ids that follow (uint64_t each). */
struct wire_alloc_reply {
	uint64_t size_bytes; /* what each is charged: rounded up to pages */
	uint64_t attributes; /* that took effect */
	uint64_t alignment_bytes;
	uint32_t effective_kind;
	uint32_t contiguous;
	uint32_t count;
	uint32_t reserved;
	char region[WIRE_REGION_SIZE];
	uint8_t secret[16]; /* with a buffer's fd it re-claims any of these after a restart */
};

struct wire_id {
	uint64_t id;
};

#define WIRE_BUFFER_CONTIGUOUS (1u << 0)
#define WIRE_BUFFER_READ_ONLY  (1u << 1) /* as the asker holds it */
#define WIRE_BUFFER_HELD       (1u << 2) /* the asker holds it */

struct wire_buffer {
	uint64_t id;
	uint64_t size_bytes;
	uint64_t attributes;
	uint64_t alignment_bytes;
	uint64_t syncs_done;
	uint64_t syncs_saved;
	uint32_t kind;
	uint32_t effective_kind;
	uint32_t flags; /* WIRE_BUFFER_* */
	uint32_t direction;
	uint32_t nr_mappings;
	uint32_t owner_uid;
	uint32_t owner_pid;
	uint32_t owned_by; /* enum wire_owned_by */
	char name[WIRE_NAME_SIZE];
	char region[WIRE_REGION_SIZE];
	char owner_unit[WIRE_UNIT_SIZE];
	struct wire_layout layout;
};

/* Who owns the contents now: the CPU, a device, or nobody needs to care (coherent memory). */
enum wire_owned_by {
	WIRE_OWNED_BY_BOTH = 0,
	WIRE_OWNED_BY_CPU = 1,
	WIRE_OWNED_BY_DEVICE = 2,
};

#define WIRE_SHARE_READ_ONLY (1u << 0)

struct wire_share {
	uint64_t id;
	uint32_t flags; /* WIRE_SHARE_* */
	uint32_t reserved;
};

/* Good for any number of BUFFER_OPENs until its maker releases the buffer or disconnects. */
struct wire_token {
	uint8_t token[WIRE_TOKEN_SIZE];
};

struct wire_map {
	uint64_t buffer_id;
	uint64_t attributes; /* skip-cpu-sync, weak-ordering */
	uint32_t device_id;
	uint32_t direction;
	uint32_t mask_bits; /* narrower than the device's own; 0: its own */
	uint32_t reserved;
};

#define WIRE_MAPPING_SKIP_CPU_SYNC (1u << 0)
#define WIRE_MAPPING_BOUNCES	   (1u << 1)
#define WIRE_MAPPING_SYNC_BY_FD	   (1u << 2) /* the fd does the syncs, else MAPPING_SYNC does */
#define WIRE_MAPPING_DEVICE_GONE   (1u << 3)

struct wire_mapping {
	uint64_t id;
	uint64_t buffer_id;
	uint64_t attributes;
	uint64_t size_bytes;
	uint32_t device_id;
	uint32_t direction;
	uint32_t flags; /* WIRE_MAPPING_* */
	uint32_t nr_segments;
};

/* Carries one fd, the mapping: its last close unmaps. */
struct wire_map_reply {
	struct wire_mapping mapping;
};

struct wire_segments {
	uint64_t mapping_id;
	uint64_t first;
};

struct wire_segment {
	uint64_t dma_address;
	uint64_t length_bytes;
};

#define WIRE_SYNC_FOR_CPU    (1u << 0)
#define WIRE_SYNC_FOR_DEVICE (1u << 1)

struct wire_sync {
	uint64_t mapping_id;
	uint64_t offset_bytes;
	uint64_t size_bytes; /* 0: to the end */
	uint32_t flags; /* exactly one of WIRE_SYNC_* */
	uint32_t reserved;
};

struct wire_client {
	uint64_t id;
	uint64_t nr_buffers;
	uint64_t nr_requests;
	uint64_t connected_ms;
	uint32_t uid;
	uint32_t pid;
	char name[WIRE_NAME_SIZE];
	char unit[WIRE_UNIT_SIZE];
};

struct wire_account {
	uint32_t uid;
	uint32_t nr_clients;
	uint64_t bytes;
	uint64_t bytes_limit;
	uint64_t buffers;
	uint64_t buffers_limit;
	uint64_t mappings;
	uint64_t mappings_limit;
	char unit[WIRE_UNIT_SIZE];
};

struct wire_doctor_line {
	uint32_t level; /* 0 fine, 1 worth knowing, 2 stands in the way */
	uint32_t reserved;
	char text[504];
};

enum wire_sim_dma_command {
	WIRE_SIM_DMA_COPY =
		1, /* @length bytes from DMA address @source to DMA address @destination */
};

/* The simulated device's DMA engine; on other backends refused with BACKEND_CANNOT. */
struct wire_sim_dma {
	uint32_t device_id;
	uint32_t command; /* enum wire_sim_dma_command */
	uint64_t source;
	uint64_t destination;
	uint64_t length_bytes; /* 1 to 1 MiB */
	uint64_t reserved;
};

/* This struct stays in the process: it may have padding, which tests/abi forbids on the wire. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpadded"

/* What is known of an op; ops that do not exist have none. */
struct wire_op_info {
	uint16_t op;
	const char *name;
	uint16_t request_min; /* body bytes, header not counted */
	uint16_t request_known;
	uint16_t request_fds;
	uint16_t reply_known;
	int16_t reply_fds; /* -1: as many as the reply's count */
	bool admin;
};

#pragma GCC diagnostic pop

enum wire_verdict {
	WIRE_OK, /* hand it to the op */
	WIRE_REFUSE, /* answer with the reason, keep the connection */
	WIRE_DROP, /* framing is broken: end the connection */
};

struct wire_check {
	enum wire_verdict verdict;
	enum wire_reason reason;
	const struct wire_op_info *op; /* NULL unless the op exists */
	uint64_t limit; /* for the refusal: what was expected */
	uint64_t value; /* for the refusal: what came */
};

/**
 * wire_op_info() - look an op up
 * @op: number from a header
 *
 * Return: a static description, or NULL when there is no such op.
 */
const struct wire_op_info *wire_op_info(uint16_t op);

/**
 * wire_check_request() - is this packet a request that an op handler may look at
 * @packet:       the bytes as received
 * @packet_bytes: how many
 * @nr_fds:       how many fds came with it
 * @truncated:    the kernel cut the packet or its fds (MSG_TRUNC, MSG_CTRUNC)
 *
 * Pure: looks at its arguments only, touches no byte past @packet_bytes. DROP for: truncation,
 * a packet shorter than a header or longer than WIRE_MESSAGE_MAX, a header size other than the
 * packet's length, serial 0, a flag only the daemon sends, header's reserved not zero, a body
 * shorter than the op's minimum. REFUSE for: unknown op or flag, wrong fd count, non-zero bytes
 * past what this end knows. Reserved fields inside a body are the handlers' to check.
 *
 * Return: the verdict with what a refusal needs.
 */
struct wire_check wire_check_request(const void *packet, size_t packet_bytes, unsigned int nr_fds,
				     bool truncated);

/**
 * wire_check_reply() - the same for the client's side
 * @op:           what was asked; 0 accepts events only
 * @packet:       the bytes as received
 * @packet_bytes: how many
 * @nr_fds:       how many fds came with it
 * @truncated:    as in wire_check_request()
 *
 * Return: WIRE_OK or WIRE_DROP.
 */
enum wire_verdict wire_check_reply(uint16_t op, const void *packet, size_t packet_bytes,
				   unsigned int nr_fds, bool truncated);

/**
 * wire_body_copy() - copy a body of any acceptable length into the struct this end knows
 * @dst:          the struct; what the peer did not send is zeroed
 * @dst_bytes:    its size
 * @packet:       a packet that passed a check
 * @packet_bytes: its length, header included
 */
void wire_body_copy(void *dst, size_t dst_bytes, const void *packet, size_t packet_bytes);

/**
 * wire_text_ok() - is a fixed-size text field NUL-terminated and printable UTF-8-safe ASCII
 * @text:  the field
 * @bytes: its size
 */
bool wire_text_ok(const char *text, size_t bytes);

/* Names in text for codes and back; NULL, or -EINVAL, for what does not exist. */
const char *wire_kind_name(uint32_t kind);
const char *wire_direction_name(uint32_t direction);
const char *wire_attribute_name(uint64_t one_bit);
const char *wire_reason_name(uint32_t reason);
int wire_reason_errno(uint32_t reason);
int wire_kind_parse(const char *text, uint32_t *ret_kind);
int wire_direction_parse(const char *text, uint32_t *ret_direction);
int wire_attribute_parse(const char *text, uint64_t *ret_bit);

#endif /* DMABROKER_WIRE_H */
