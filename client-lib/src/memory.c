/* SPDX-License-Identifier: MIT */
/*
 * The CPU's access to a buffer: mmap, and the brackets around it. No message goes to the broker,
 * the fd is enough; so all of this works without a connection and in a forked child.
 *
 * The brackets are DMA_BUF_IOCTL_SYNC where the fd is a dma-buf. The sim backend's memfds answer
 * ENOTTY, which a dma-buf never does, and need none: there the CPU's view is the memory itself.
 */
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "client-lib/src/buffer.h"

#define ACCESS_ALL (DMABROKER_CPU_READ | DMABROKER_CPU_WRITE)

static int access_check(const struct dmabroker_buffer *buffer, uint32_t access)
{
	if (access == 0 || (access & ~ACCESS_ALL))
		return fail_with(-EINVAL, DMABROKER_REASON_BAD_ARGUMENT, ACCESS_ALL, access,
				 "The access is DMABROKER_CPU_READ, DMABROKER_CPU_WRITE or both.");
	if ((access & DMABROKER_CPU_WRITE) && (buffer->info.flags & DMABROKER_BUFFER_READ_ONLY))
		return fail_with(-EACCES, DMABROKER_REASON_READ_ONLY, 0, access,
				 "This buffer was shared read-only; ask its owner for a token "
				 "that is not.");
	return 0;
}

int dmabroker_mmap(struct dmabroker_buffer *buffer, uint32_t access, void **ret_address)
{
	uint64_t size_bytes = buffer->info.size_bytes;
	int prot = 0;
	void *address;
	int r;

	if (access == 0)
		access = buffer->info.flags & DMABROKER_BUFFER_READ_ONLY ? DMABROKER_CPU_READ
									 : ACCESS_ALL;
	r = access_check(buffer, access);
	if (r < 0)
		return r;
	if (size_bytes > SIZE_MAX)
		return fail(-EOVERFLOW, NULL);
	if (access & DMABROKER_CPU_READ)
		prot |= PROT_READ;
	if (access & DMABROKER_CPU_WRITE)
		prot |= PROT_WRITE;
	address = mmap(NULL, (size_t)size_bytes, prot, MAP_SHARED, buffer->fd, 0);
	if (address == MAP_FAILED)
		return fail(-errno, NULL);
	buffer->outlives = true;
	*ret_address = address;
	return 0;
}

int dmabroker_munmap(struct dmabroker_buffer *buffer, void *address)
{
	if (munmap(address, (size_t)buffer->info.size_bytes) < 0)
		return fail(-errno, NULL);
	return 0;
}

static int cpu_access(struct dmabroker_buffer *buffer, uint32_t access, uint64_t flags)
{
	struct dma_buf_sync sync = { .flags = flags };
	int r;

	r = access_check(buffer, access);
	if (r < 0)
		return r;
	if (access & DMABROKER_CPU_READ)
		sync.flags |= DMA_BUF_SYNC_READ;
	if (access & DMABROKER_CPU_WRITE)
		sync.flags |= DMA_BUF_SYNC_WRITE;
	do
		r = ioctl(buffer->fd, DMA_BUF_IOCTL_SYNC, &sync);
	while (r < 0 && (errno == EINTR || errno == EAGAIN));
	if (r < 0 && errno != ENOTTY)
		return fail(-errno, NULL);
	return 0;
}

int dmabroker_begin_cpu_access(struct dmabroker_buffer *buffer, uint32_t access)
{
	return cpu_access(buffer, access, DMA_BUF_SYNC_START);
}

int dmabroker_end_cpu_access(struct dmabroker_buffer *buffer, uint32_t access)
{
	return cpu_access(buffer, access, DMA_BUF_SYNC_END);
}
