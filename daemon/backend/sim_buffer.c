// SPDX-License-Identifier: MIT
/*
 * Simulated buffers: from the request to the fd, and what can be asked about them.
 *
 * An allocation checks the request, works out what the named devices have in common (coherence,
 * and the narrowest mask of those that no IOMMU helps), gets the memory, and last of all opens the
 * description that leaves. From then on the buffer belongs to whoever holds fds and mappings of
 * it; sim_watch.c ends it.
 *
 * `coherent` and `writecombine` memory is the memfd itself, for the CPU and for every device. The
 * cached kind, where each side has a view of its own until a sync, is refused for now.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/backend/sim.h"
#include "proto/cleanup.h"

/* What a set of devices asks of memory. */
struct needs {
	bool any_coherent;
	bool any_noncoherent;
	bool any_direct; /* some have no IOMMU */
	unsigned int mask_bits; /* the narrowest of those */
};

static void needs_add(struct needs *needs, const struct backend_device *info)
{
	unsigned int bits = backend_device_bits(info);

	if (info->flags & WIRE_DEVICE_SYSTEM)
		return;
	if (info->flags & WIRE_DEVICE_COHERENT)
		needs->any_coherent = true;
	else
		needs->any_noncoherent = true;
	if (info->flags & WIRE_DEVICE_IOMMU)
		return;
	needs->any_direct = true;
	if (bits < needs->mask_bits)
		needs->mask_bits = bits;
}

static int needs_of(struct sim *sim, const struct backend_alloc *alloc, struct needs *ret,
		    struct backend_failure *failure)
{
	struct needs needs = { .mask_bits = SIM_PHYS_BITS };
	unsigned int i;

	for (i = 0; i < alloc->nr_devices; i++) {
		struct sim_device *device = sim_device_get(sim, alloc->devices[i]);

		if (!device)
			return backend_fail(failure, WIRE_REASON_UNKNOWN_DEVICE, 0,
					    alloc->devices[i], false,
					    "there is no device with id %u; see the list of "
					    "devices",
					    alloc->devices[i]);
		needs_add(&needs, &device->info);
	}
	if (needs.any_coherent && needs.any_noncoherent)
		return backend_fail(failure, WIRE_REASON_MIXED_COHERENCE, 0, alloc->kind, false,
				    "%s memory serves devices that snoop the CPU caches or devices "
				    "that do not, and both were named; use kind noncoherent, which "
				    "is synced",
				    wire_kind_name(alloc->kind));
	*ret = needs;
	return 0;
}

static int memory_get(struct sim *sim, struct sim_buffer *buffer, struct backend_failure *failure)
{
	uint64_t most_bytes;
	int r;

	r = sim_memory_take(&sim->memory, buffer->size_bytes, &most_bytes);
	if (r == -EMFILE || r == -ENFILE)
		return backend_fail_files(failure, "another buffer");
	if (r == -ENOMEM)
		return backend_fail(failure, WIRE_REASON_NO_MEMORY, most_bytes, buffer->size_bytes,
				    true,
				    "%llu bytes were asked for and the machine can spare %llu now; "
				    "ask for less or free something",
				    (unsigned long long)buffer->size_bytes,
				    (unsigned long long)most_bytes);
	if (r < 0)
		return backend_fail(failure, WIRE_REASON_BACKEND_FAILED, 0, 0, false,
				    "how much memory is left cannot be read from /proc: %s",
				    strerror(-r));
	r = sim_memfd_new(buffer->size_bytes, &buffer->fd);
	if (r == -EMFILE || r == -ENFILE)
		return backend_fail_files(failure, "another buffer");
	if (r == -ENOMEM || r == -ENOSPC)
		return backend_fail(failure, WIRE_REASON_NO_MEMORY, 0, buffer->size_bytes, true,
				    "the machine has no %llu bytes left; ask for less or free "
				    "something",
				    (unsigned long long)buffer->size_bytes);
	if (r < 0)
		return backend_fail(failure, WIRE_REASON_BACKEND_FAILED, 0, buffer->size_bytes,
				    false, "no memfd could be made: %s", strerror(-r));
	return 0;
}

/* Enter the buffer where its fds and its events are looked up. */
static int identity_get(struct sim *sim, struct sim_buffer *buffer, struct backend_failure *failure)
{
	struct stat st;
	int r;

	if (fstat(buffer->fd, &st) < 0)
		return backend_fail(failure, WIRE_REASON_BACKEND_FAILED, 0, 0, false,
				    "a new memfd cannot be examined: %s", strerror(errno));
	sim->memfd_device = st.st_dev; /* the same for all memfds */
	buffer->inode = st.st_ino;
	HASH_ADD(of_inodes, sim->by_inode, inode, sizeof(buffer->inode), buffer);
	if (!buffer->of_inodes.tbl)
		return backend_fail(failure, WIRE_REASON_NO_MEMORY, 0, 0, true,
				    "the broker itself is out of memory");
	r = sim_watch_add(sim, buffer);
	if (r == -ENOSPC)
		return backend_fail(failure, WIRE_REASON_NO_FILES, 0, 0, true,
				    "the broker's uid has used up its inotify watches; an "
				    "administrator raises sysctl fs.inotify.max_user_watches");
	if (r < 0)
		return backend_fail(failure, WIRE_REASON_NO_MEMORY, 0, 0, true,
				    "a new buffer cannot be watched: %s", strerror(-r));
	return 0;
}

static int cookie_replace(struct sim_buffer *buffer, const uint8_t *cookie)
{
	size_t bytes = BACKEND_COOKIE_SIZE;
	uint8_t *copy = NULL;
	uint64_t last;

	/* Most of a cookie is often zero, and each handing over of a buffer comes by here. */
	while (bytes) {
		memcpy(&last, cookie + bytes - sizeof(last), sizeof(last));
		if (last)
			break;
		bytes -= sizeof(last);
	}
	if (bytes) {
		copy = malloc(bytes);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, cookie, bytes);
	}
	free(buffer->cookie);
	buffer->cookie = copy;
	buffer->cookie_bytes = (uint16_t)bytes;
	return 0;
}

/* For nobody in particular: what all devices agree on, else what is cached. */
static bool default_coherence(const struct sim *sim)
{
	unsigned int i, nr_noncoherent = 0;

	for (i = 1; i < sim->nr_devices; i++)
		if (!(sim->devices[i].info.flags & WIRE_DEVICE_COHERENT))
			nr_noncoherent++;
	return !nr_noncoherent || nr_noncoherent < sim->nr_devices - 1;
}

static struct sim_buffer *buffer_new(const struct sim *sim, const struct backend_alloc *alloc,
				     uint64_t size_bytes, const struct needs *needs)
{
	struct sim_buffer *buffer = calloc(1, sizeof(*buffer));
	bool coherent;

	if (!buffer)
		return NULL;
	if (needs->any_coherent || needs->any_noncoherent)
		coherent = needs->any_coherent;
	else
		coherent = default_coherence(sim);
	buffer->size_bytes = size_bytes;
	buffer->fd = -1;
	buffer->watch = -1;
	LIST_INIT(&buffer->mappings);
	buffer->attributes = (uint16_t)alloc->attributes;
	buffer->kind = (uint8_t)alloc->kind;
	buffer->effective_kind = (uint8_t)(coherent ? WIRE_KIND_COHERENT : alloc->kind);
	buffer->direction = (uint8_t)alloc->direction;
	buffer->phys_mask_bits = (uint8_t)needs->mask_bits;
	buffer->coherent = coherent;
	if (cookie_replace(buffer, alloc->cookie) < 0) {
		free(buffer);
		return NULL;
	}
	return buffer;
}

void sim_buffer_free(struct sim *sim, struct sim_buffer *buffer)
{
	if (buffer->id)
		sim_table_remove(&sim->buffers, buffer->id);
	sim_watch_remove(sim, buffer);
	if (buffer->of_inodes.tbl)
		HASH_DELETE(of_inodes, sim->by_inode, buffer);
	sim_phys_free(sim, buffer->phys);
	if (buffer->fd >= 0)
		sim_memfd_empty(buffer->fd, buffer->size_bytes);
	fd_close(buffer->fd);
	free(buffer->cookie);
	free(buffer);
}

static void buffer_describe(const struct sim *sim, const struct sim_buffer *buffer,
			    struct backend_buffer *ret)
{
	*ret = (struct backend_buffer){
		.id = buffer->id,
		.size_bytes = buffer->size_bytes,
		.attributes = buffer->attributes,
		.alignment_bytes = sim->page_bytes,
		.syncs_done = buffer->syncs_done,
		.syncs_saved = buffer->syncs_saved,
		.nr_mappings = buffer->nr_mappings,
		.kind = buffer->kind,
		.effective_kind = buffer->effective_kind,
		.contiguous = sim_phys_contiguous(sim, buffer),
		.region = "memfd",
	};
	if (buffer->phys && ret->contiguous)
		ret->alignment_bytes = buffer->phys->range.start & -buffer->phys->range.start;
	if (buffer->cookie_bytes)
		memcpy(ret->cookie, buffer->cookie, buffer->cookie_bytes);
}

/* The steps of an allocation after the request was found good. The caller frees on failure. */
static int buffer_fill(struct sim *sim, struct sim_buffer *buffer, bool place_now, int *ret_fd,
		       struct backend_failure *failure)
{
	int r;

	if (sim_table_reserve(&sim->buffers) < 0)
		return backend_fail(failure, WIRE_REASON_NO_MEMORY, 0, 0, true,
				    "the broker itself is out of memory");
	if (place_now) {
		r = sim_phys_place(sim, buffer, failure);
		if (r < 0)
			return r;
	}
	r = memory_get(sim, buffer, failure);
	if (r < 0)
		return r;
	r = identity_get(sim, buffer, failure);
	if (r < 0)
		return r;
	r = sim_memfd_reopen(buffer->fd, O_RDWR, ret_fd);
	if (r < 0)
		return backend_fail_files(failure, "another buffer");
	buffer->id = ++sim->last_buffer_id;
	sim_table_add(&sim->buffers, buffer->id, buffer);
	return 0;
}

int sim_buffer_alloc(struct backend *backend, const struct backend_alloc *alloc,
		     struct backend_buffer *ret, int *ret_fd, struct backend_failure *failure)
{
	struct sim *sim = sim_of(backend);
	struct sim_buffer *buffer;
	uint64_t size_bytes;
	struct needs needs = {};
	int r;

	r = backend_check_alloc(alloc, sim->page_bytes, &size_bytes, failure);
	if (r < 0)
		return r;
	if (alloc->kind == WIRE_KIND_NONCOHERENT)
		return backend_fail(failure, WIRE_REASON_BACKEND_CANNOT, 0, alloc->kind, false,
				    "the sim backend has no noncoherent memory yet; use coherent "
				    "or writecombine, with devices of one coherence");
	r = needs_of(sim, alloc, &needs, failure);
	if (r < 0)
		return r;
	buffer = buffer_new(sim, alloc, size_bytes, &needs);
	if (!buffer)
		return backend_fail(failure, WIRE_REASON_NO_MEMORY, 0, 0, true,
				    "the broker itself is out of memory");
	r = buffer_fill(sim, buffer,
			needs.any_direct || (alloc->attributes & WIRE_ATTR_FORCE_CONTIGUOUS),
			ret_fd, failure);
	if (r < 0) {
		sim_buffer_free(sim, buffer);
		return r;
	}
	buffer_describe(sim, buffer, ret);
	return 0;
}

int sim_buffer_open(struct backend *backend, uint64_t id, bool read_only, int *ret_fd,
		    struct backend_failure *failure)
{
	struct sim *sim = sim_of(backend);
	struct sim_buffer *buffer = sim_table_get(&sim->buffers, id);
	int r;

	if (!buffer)
		return backend_fail(failure, WIRE_REASON_UNKNOWN_BUFFER, 0, id, false,
				    "there is no buffer %llu (any more)", (unsigned long long)id);
	r = sim_memfd_reopen(buffer->fd, read_only ? O_RDONLY : O_RDWR, ret_fd);
	if (r == -EMFILE || r == -ENFILE)
		return backend_fail_files(failure, "another fd of a buffer");
	if (r < 0)
		return backend_fail(failure, WIRE_REASON_BACKEND_FAILED, 0, id, false,
				    "buffer %llu cannot be opened again: %s",
				    (unsigned long long)id, strerror(-r));
	return 0;
}

/*
 * All memfds live on one file system that never uses an inode number twice, so device and inode
 * name the buffer. An O_PATH fd shows them too and grants nothing; a write-only one was not made
 * by us.
 */
int sim_buffer_query(struct backend *backend, int fd, uint64_t *ret_id, bool *ret_read_only)
{
	struct sim *sim = sim_of(backend);
	struct sim_buffer *buffer;
	struct stat st;
	uint64_t inode;
	int flags;

	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_dev != sim->memfd_device)
		return -EBADF;
	inode = st.st_ino;
	HASH_FIND(of_inodes, sim->by_inode, &inode, sizeof(inode), buffer);
	if (!buffer)
		return -EBADF;
	*ret_id = buffer->id;
	*ret_read_only = (flags & O_ACCMODE) == O_RDONLY;
	return 0;
}

int sim_buffer_get(struct backend *backend, uint64_t id, struct backend_buffer *ret)
{
	struct sim *sim = sim_of(backend);
	struct sim_buffer *buffer = sim_table_get(&sim->buffers, id);

	if (!buffer)
		return -ENOENT;
	buffer_describe(sim, buffer, ret);
	return 0;
}

int sim_buffer_next(struct backend *backend, uint64_t after_id, struct backend_buffer *ret)
{
	struct sim *sim = sim_of(backend);
	struct sim_buffer *buffer = sim_table_next(&sim->buffers, after_id);

	if (!buffer)
		return -ENOENT;
	buffer_describe(sim, buffer, ret);
	return 0;
}

int sim_buffer_set_cookie(struct backend *backend, uint64_t id,
			  const uint8_t cookie[static BACKEND_COOKIE_SIZE])
{
	struct sim *sim = sim_of(backend);
	struct sim_buffer *buffer = sim_table_get(&sim->buffers, id);

	if (!buffer)
		return -ENOENT;
	return cookie_replace(buffer, cookie);
}
