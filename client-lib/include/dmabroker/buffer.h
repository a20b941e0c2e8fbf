/* SPDX-License-Identifier: MIT */
/*
 * Buffers: memory that devices can reach, held as a file descriptor (a dma-buf; a memfd on the
 * sim backend). Allocating, sharing, and the CPU's access to it.
 *
 * The memory lives as long as anything uses it: a file descriptor, an mmap, a device, here or in
 * another process. dmabroker_free() gives up this program's file descriptor and nothing else; as
 * long as the program keeps an mmap the memory stays, and stays charged to the account.
 */
#ifndef DMABROKER_BUFFER_H
#define DMABROKER_BUFFER_H

#include "types.h"
#include "request.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DMABROKER_PLANES_MAX  4
#define DMABROKER_BUFFERS_MAX 253
#define DMABROKER_DEVICES_MAX 16

/**
 * struct dmabroker_layout - the image inside a buffer, kept with it for whoever receives it
 * @fourcc:    DRM_FORMAT_*
 * @width:     in pixels
 * @height:    in pixels
 * @nr_planes: 1 to DMABROKER_PLANES_MAX
 * @modifier:  DRM_FORMAT_MOD_*
 * @planes:    where each starts, and the distance of its lines
 *
 * This struct never grows.
 */
struct dmabroker_layout {
	uint32_t fourcc;
	uint32_t width;
	uint32_t height;
	uint32_t nr_planes;
	uint64_t modifier;
	struct {
		uint64_t offset_bytes;
		uint64_t pitch_bytes;
	} planes[DMABROKER_PLANES_MAX];
};

/**
 * struct dmabroker_alloc_params - what memory is wanted
 * @struct_size: DMABROKER_ALLOC_PARAMS_INIT sets it
 * @size_bytes:  of each buffer; rounded up to pages
 * @count:       how many buffers, 1 to DMABROKER_BUFFERS_MAX, all or none. The one field whose
 *               zero is no default but refused: see dmabroker_alloc()
 * @kind:        enum dmabroker_kind; 0: coherent
 * @attributes:  enum dmabroker_attribute bits
 * @direction:   enum dmabroker_direction; the default is bidirectional
 * @nr_devices:  how many in @devices, 0 to DMABROKER_DEVICES_MAX
 * @devices:     names of the devices that will use it: they decide mask, coherence and
 *               contiguity. None: no particular device
 * @name:        shown in listings, up to 31 printable ASCII characters; NULL: none
 * @layout:      NULL: just bytes
 */
struct dmabroker_alloc_params {
	size_t struct_size;
	uint64_t size_bytes;
	uint32_t count;
	uint32_t kind;
	uint64_t attributes;
	uint32_t direction;
	uint32_t nr_devices;
	const char *const *devices;
	const char *name;
	const struct dmabroker_layout *layout;
};

#define DMABROKER_ALLOC_PARAMS_INIT DMABROKER_PARAMS_INIT(dmabroker_alloc_params)

/**
 * dmabroker_alloc() - get memory
 * @broker:      the connection
 * @params:      what is wanted
 * @ret_buffers: an array with room for params->count pointers; for one buffer the address of a
 *               pointer
 *
 * The memory is zeroed and belongs to this program's account. What was really obtained is in
 * dmabroker_buffer_get_info().
 *
 * Ownership: the caller's; free each with dmabroker_free().
 * Blocking:  until the broker has answered.
 * Threads:   any.
 *
 * Return: 0, -EINVAL (a value in @params; the refusal says which), -E2BIG (unknown fields are
 *         set), -ENODEV (no such device), -EACCES (policy does not give this device), -EXDEV
 *         (devices of both coherences and a kind that cannot serve both), -EDQUOT (a quota),
 *         -ENOMEM (memory, or contiguous memory), -ERANGE (no memory below the devices' mask),
 *         -EOPNOTSUPP (the backend cannot), -EMFILE, -ETIMEDOUT, -ECONNRESET, -ENOTCONN,
 *         -EPROTO, -ECHILD (after fork). Nothing is allocated then.
 * Since: 0.1
 */
DMABROKER_API int dmabroker_alloc(struct dmabroker *broker,
				  const struct dmabroker_alloc_params *params,
				  struct dmabroker_buffer **ret_buffers);

/**
 * dmabroker_alloc_start() - dmabroker_alloc() without waiting
 * @broker:      the connection
 * @params:      what is wanted; copied
 * @async:       NULL: the timeout as deadline and no callback
 * @ret_request: take with dmabroker_request_take_buffers(). May be NULL
 *
 * Ownership: the caller owns one reference of the request.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, -EINVAL, -E2BIG, -ENODEV (a name no device can have), -ENOTCONN, -ENOMEM,
 *         -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_alloc_start(struct dmabroker *broker,
					const struct dmabroker_alloc_params *params,
					const struct dmabroker_async *async,
					struct dmabroker_request **ret_request);

/**
 * dmabroker_free() - give up a buffer
 * @buffer: a buffer, or NULL
 *
 * Closes its file descriptor and, where somebody else may go on using the memory, tells the
 * broker, without waiting for an answer. Tokens end with the last buffer that this connection has
 * of the same memory. The memory goes when nothing uses it any more: mmaps, mappings to devices and
 * other holders keep it, and keep it charged.
 *
 * Ownership: consumes it; what dmabroker_buffer_get_fd() and _get_info() gave is gone.
 * Blocking:  never.
 * Threads:   any, when no other call on it is under way.
 *
 * Return: NULL.
 * Since: 0.1
 */
DMABROKER_API struct dmabroker_buffer *dmabroker_free(struct dmabroker_buffer *buffer);

#define DMABROKER_BUFFER_CONTIGUOUS (1u << 0) /* physically */
#define DMABROKER_BUFFER_READ_ONLY  (1u << 1) /* as this program holds it */
#define DMABROKER_BUFFER_HELD	    (1u << 2) /* this connection holds it */

/** enum dmabroker_owned_by - who may touch the contents now */
enum dmabroker_owned_by {
	DMABROKER_OWNED_BY_BOTH = 0, /* coherent memory */
	DMABROKER_OWNED_BY_CPU = 1,
	DMABROKER_OWNED_BY_DEVICE = 2,
};

/**
 * struct dmabroker_buffer_info - a buffer
 * @id:              in listings; grants nothing
 * @size_bytes:      as charged, a multiple of the page
 * @attributes:      that took effect
 * @alignment_bytes: of its memory
 * @syncs_done:      CPU cache syncs so far
 * @syncs_saved:     that another device's sync made superfluous
 * @kind:            as asked for
 * @effective_kind:  as obtained: on a machine where it makes no difference, another
 * @flags:           DMABROKER_BUFFER_*
 * @direction:       as asked for
 * @nr_mappings:     live
 * @owner_uid:       who is charged
 * @owner_pid:       who is charged
 * @owned_by:        enum dmabroker_owned_by
 * @name:            as given at allocation
 * @region:          where the memory is from
 * @owner_unit:      who is charged; "" where the broker was not asked
 * @layout:          NULL: just bytes
 */
struct dmabroker_buffer_info {
	uint64_t id;
	uint64_t size_bytes;
	uint64_t attributes;
	uint64_t alignment_bytes;
	uint64_t syncs_done;
	uint64_t syncs_saved;
	uint32_t kind;
	uint32_t effective_kind;
	uint32_t flags;
	uint32_t direction;
	uint32_t nr_mappings;
	uint32_t owner_uid;
	uint32_t owner_pid;
	uint32_t owned_by;
	const char *name;
	const char *region;
	const char *owner_unit;
	const struct dmabroker_layout *layout;
};

/**
 * dmabroker_buffer_get_info() - what this buffer is
 * @buffer: a buffer
 *
 * As it was when this program obtained it: counters, mappings and ownership move on; ask with
 * DMABROKER_QUERY_BUFFERS for what they are now.
 *
 * Ownership: the buffer's.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: never NULL.
 * Since: 0.1
 */
DMABROKER_API const struct dmabroker_buffer_info *
dmabroker_buffer_get_info(const struct dmabroker_buffer *buffer);

/**
 * dmabroker_buffer_get_fd() - the file descriptor
 * @buffer: a buffer
 *
 * For anything that takes a dma-buf: V4L2, DRM, another process. Sending it to another process
 * shares the buffer with the rights it is held with. Close-on-exec.
 *
 * Ownership: the buffer's; dup() it to keep it longer.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: the fd.
 * Since: 0.1
 */
DMABROKER_API int dmabroker_buffer_get_fd(const struct dmabroker_buffer *buffer);

#define DMABROKER_CPU_READ  (1u << 0)
#define DMABROKER_CPU_WRITE (1u << 1)

/**
 * dmabroker_mmap() - let the CPU reach a buffer
 * @buffer:      a buffer
 * @access:      DMABROKER_CPU_READ and DMABROKER_CPU_WRITE bits; 0: all the buffer allows
 * @ret_address: where it is; size_bytes of its info long, shared
 *
 * Put the accesses between dmabroker_begin_cpu_access() and dmabroker_end_cpu_access().
 *
 * Ownership: the caller's. Undo with dmabroker_munmap(), or munmap(2) once the buffer is freed;
 *            until then the memory stays, and stays charged.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, -EACCES (to be written but held read-only), -EINVAL (@access), -ENOMEM, -ENODEV
 *         (the buffer was revoked), -EOVERFLOW (larger than this process's address space).
 * Since: 0.1
 * Source: mmap(2) of the dma-buf
 */
DMABROKER_API int dmabroker_mmap(struct dmabroker_buffer *buffer, uint32_t access,
				 void **ret_address);

/**
 * dmabroker_munmap() - undo dmabroker_mmap()
 * @buffer:  the same buffer
 * @address: what dmabroker_mmap() gave
 *
 * Ownership: nobody has @address any more.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, or -EINVAL (@address was never the start of a page).
 * Since: 0.1
 * Source: munmap(2)
 */
DMABROKER_API int dmabroker_munmap(struct dmabroker_buffer *buffer, void *address);

/**
 * dmabroker_begin_cpu_access() - before the CPU touches a buffer
 * @buffer: a buffer
 * @access: DMABROKER_CPU_READ and DMABROKER_CPU_WRITE bits, at least one
 *
 * Makes what devices wrote visible. On the sim backend it does nothing, there the mapping's sync
 * functions are the only way.
 *
 * Ownership: the contents are the CPU's until dmabroker_end_cpu_access().
 * Blocking:  for cache maintenance, and until drivers that attached fences have finished; to
 *            wait without blocking, poll() the buffer's fd first.
 * Threads:   any.
 *
 * Return: 0, -EINVAL (@access), -EACCES (to be written but held read-only).
 * Since: 0.1
 * Source: DMA_BUF_IOCTL_SYNC
 */
DMABROKER_API int dmabroker_begin_cpu_access(struct dmabroker_buffer *buffer, uint32_t access);

/**
 * dmabroker_end_cpu_access() - after the CPU has touched a buffer
 * @buffer: a buffer
 * @access: as begun
 *
 * Makes what the CPU wrote visible to devices. On the sim backend it does nothing.
 *
 * Ownership: the contents are the devices' again.
 * Blocking:  for cache maintenance.
 * Threads:   any.
 *
 * Return: 0, -EINVAL (@access), -EACCES (to be written but held read-only).
 * Since: 0.1
 * Source: DMA_BUF_IOCTL_SYNC
 */
DMABROKER_API int dmabroker_end_cpu_access(struct dmabroker_buffer *buffer, uint32_t access);

/**
 * struct dmabroker_token - opens a buffer for whoever knows it
 * @bytes: 128 random bits
 *
 * Pass it on over a channel of your own; treat it like a password. This struct never grows.
 */
struct dmabroker_token {
	uint8_t bytes[16];
};

/* With the NUL. */
#define DMABROKER_TOKEN_TEXT_SIZE 33

#define DMABROKER_SHARE_READ_ONLY (1u << 0)

/**
 * dmabroker_share() - make a token
 * @buffer:    a buffer
 * @flags:     DMABROKER_SHARE_READ_ONLY: who opens it can only read; or 0
 * @ret_token: good for any number of dmabroker_open() by any user, until @buffer (and whatever else
 *             this connection opened of the same memory) is freed, or this connection ends
 *
 * Ownership: unchanged.
 * Blocking:  until the broker has answered.
 * Threads:   any.
 *
 * Return: 0, -EINVAL (@flags), -EACCES (held read-only, and @flags are not), -EDQUOT (too many
 *         tokens), -EOPNOTSUPP (the backend cannot), -ETIMEDOUT, -ECONNRESET, -ENOTCONN, -EPROTO,
 *         -ENOMEM, -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_share(struct dmabroker_buffer *buffer, uint32_t flags,
				  struct dmabroker_token *ret_token);

/**
 * dmabroker_share_start() - dmabroker_share() without waiting
 * @buffer:      a buffer; may be freed before the request has ended, which then fails
 * @flags:       as for dmabroker_share()
 * @async:       NULL: the timeout as deadline and no callback
 * @ret_request: take with dmabroker_request_take_token(). May be NULL
 *
 * Ownership: the caller owns one reference of the request.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, -E2BIG, -EINVAL (@async), -ENOTCONN, -ENOMEM, -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_share_start(struct dmabroker_buffer *buffer, uint32_t flags,
					const struct dmabroker_async *async,
					struct dmabroker_request **ret_request);

/**
 * dmabroker_token_to_text() - write a token as 32 hexadecimal digits
 * @token:    a token
 * @ret_text: with a NUL
 *
 * Ownership: plain copies.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: nothing.
 * Since: 0.1
 */
DMABROKER_API void dmabroker_token_to_text(const struct dmabroker_token *token,
					   char ret_text[DMABROKER_TOKEN_TEXT_SIZE]);

/**
 * dmabroker_token_from_text() - read what dmabroker_token_to_text() wrote
 * @text:      exactly 32 hexadecimal digits, of either case
 * @ret_token: the token
 *
 * Ownership: @text is borrowed for the call.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, or -EINVAL (anything else).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_token_from_text(const char *text, struct dmabroker_token *ret_token);

/**
 * dmabroker_open() - open what another has shared
 * @broker:     the connection
 * @token:      from dmabroker_share() in whatever process
 * @ret_buffer: the same memory, with the rights of the token
 *
 * Moves no charge: the account that allocated it stays charged.
 *
 * Ownership: the caller's; free with dmabroker_free().
 * Blocking:  until the broker has answered.
 * Threads:   any.
 *
 * Return: 0, -ENOENT (no such token, or no longer), -EDQUOT (a quota), -EMFILE, -ETIMEDOUT,
 *         -ECONNRESET, -ENOTCONN, -EPROTO, -ENOMEM, -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_open(struct dmabroker *broker, const struct dmabroker_token *token,
				 struct dmabroker_buffer **ret_buffer);

/**
 * dmabroker_open_start() - dmabroker_open() without waiting
 * @broker:      the connection
 * @token:       copied
 * @async:       NULL: the timeout as deadline and no callback
 * @ret_request: take with dmabroker_request_take_buffers(), one. May be NULL
 *
 * Ownership: the caller owns one reference of the request.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, -E2BIG, -EINVAL (@async), -ENOTCONN, -ENOMEM, -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_open_start(struct dmabroker *broker,
				       const struct dmabroker_token *token,
				       const struct dmabroker_async *async,
				       struct dmabroker_request **ret_request);

/**
 * dmabroker_from_fd() - make a buffer of a file descriptor that another process sent
 * @broker:     the connection
 * @fd:         of a buffer of this broker, read-only or not
 * @ret_buffer: the same memory, with the rights of @fd
 *
 * Moves no charge: the account that allocated it stays charged.
 *
 * Ownership: @fd stays the caller's and may be closed at once; the buffer is the caller's, free
 *            with dmabroker_free().
 * Blocking:  until the broker has answered.
 * Threads:   any.
 *
 * Return: 0, -EBADF (no fd, or not of a buffer of this broker), -EDQUOT (a quota), -EMFILE,
 *         -ETOOMANYREFS (too many fds of this user under way in sockets), -ETIMEDOUT,
 *         -ECONNRESET, -ENOTCONN, -EPROTO, -ENOMEM, -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_from_fd(struct dmabroker *broker, int fd,
				    struct dmabroker_buffer **ret_buffer);

/**
 * dmabroker_from_fd_start() - dmabroker_from_fd() without waiting
 * @broker:      the connection
 * @fd:          may be closed at once
 * @async:       NULL: the timeout as deadline and no callback
 * @ret_request: take with dmabroker_request_take_buffers(), one. May be NULL
 *
 * Ownership: the caller owns one reference of the request.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, -EBADF, -EMFILE, -E2BIG, -EINVAL (@async), -ENOTCONN, -ENOMEM, -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_from_fd_start(struct dmabroker *broker, int fd,
					  const struct dmabroker_async *async,
					  struct dmabroker_request **ret_request);

#ifdef __cplusplus
}
#endif

#endif /* DMABROKER_BUFFER_H */
