// SPDX-License-Identifier: MIT
/*
 * QEMU's edu device from user space. The device knows two DMA commands: fetch from an address into
 * its 4 KiB, and store from there to an address. Every transfer takes 100 ms by the device's
 * design, during which bit 0 of the command register stays set.
 *
 * Registers are in BAR 0, reached through the sysfs file resource0; the broker's stub driver leaves
 * the BAR unclaimed, so the mapping is possible while the device is bound to it.
 */
#include "edu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define EDU_BAR_BYTES	    (1u << 20)
#define EDU_ID		    0x00
#define EDU_DMA_SOURCE	    0x80
#define EDU_DMA_DESTINATION 0x88
#define EDU_DMA_COUNT	    0x90
#define EDU_DMA_COMMAND	    0x98
#define EDU_MEMORY	    0x40000

#define EDU_COMMAND_START  1u
#define EDU_COMMAND_STORE  2u /* device to memory; without it memory to device */
#define EDU_WAIT_MS	   2000
#define EDU_POLL_NS	   1000000
#define EDU_IDENTIFICATION 0xed /* low byte of the identification register */

struct edu {
	volatile uint8_t *bar;
};

static void edu_put64(struct edu *edu, size_t offset_bytes, uint64_t value)
{
	*(volatile uint64_t *)(edu->bar + offset_bytes) = value;
}

static uint64_t edu_get64(struct edu *edu, size_t offset_bytes)
{
	return *(volatile uint64_t *)(edu->bar + offset_bytes);
}

int edu_open(struct edu **ret, const char *device_name)
{
	char path[128];
	struct edu *edu;
	uint32_t id;
	void *bar;
	int fd, r;

	if (strncmp(device_name, "pci:", 4) || strlen(device_name) > 32 || strchr(device_name, '/'))
		return -EINVAL;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", device_name + 4);
	fd = open(path, O_RDWR | O_CLOEXEC | O_SYNC);
	if (fd < 0)
		return -errno;
	bar = mmap(NULL, EDU_BAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	r = -errno;
	close(fd);
	if (bar == MAP_FAILED)
		return r;
	id = *(volatile uint32_t *)((uint8_t *)bar + EDU_ID);
	edu = (id & 0xff) == EDU_IDENTIFICATION ? calloc(1, sizeof(*edu)) : NULL;
	if (!edu) {
		munmap(bar, EDU_BAR_BYTES);
		return (id & 0xff) == EDU_IDENTIFICATION ? -ENOMEM : -ENXIO;
	}
	edu->bar = bar;
	*ret = edu;
	return 0;
}

void edu_close(struct edu *edu)
{
	if (!edu)
		return;
	munmap((void *)edu->bar, EDU_BAR_BYTES);
	free(edu);
}

int edu_wait(struct edu *edu)
{
	const struct timespec pause = { .tv_nsec = EDU_POLL_NS };
	int waited_ms;

	for (waited_ms = 0; waited_ms < EDU_WAIT_MS; waited_ms++) {
		if (!(edu_get64(edu, EDU_DMA_COMMAND) & EDU_COMMAND_START))
			return 0;
		nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}

static int edu_start(struct edu *edu, uint64_t source, uint64_t destination, size_t length_bytes,
		     uint64_t command)
{
	if (!length_bytes || length_bytes > EDU_TRANSFER_MAX_BYTES)
		return -EINVAL;
	/* What the CPU wrote to the buffer is to be in memory before the device is told to look. */
	__sync_synchronize();
	edu_put64(edu, EDU_DMA_SOURCE, source);
	edu_put64(edu, EDU_DMA_DESTINATION, destination);
	edu_put64(edu, EDU_DMA_COUNT, length_bytes);
	edu_put64(edu, EDU_DMA_COMMAND, command | EDU_COMMAND_START);
	return 0;
}

int edu_start_write(struct edu *edu, uint64_t dma_address, size_t length_bytes)
{
	return edu_start(edu, EDU_MEMORY, dma_address, length_bytes, EDU_COMMAND_STORE);
}

int edu_write_memory(struct edu *edu, uint64_t dma_address, size_t length_bytes)
{
	int r = edu_start_write(edu, dma_address, length_bytes);

	return r < 0 ? r : edu_wait(edu);
}

int edu_read_memory(struct edu *edu, uint64_t dma_address, size_t length_bytes)
{
	int r = edu_start(edu, dma_address, EDU_MEMORY, length_bytes, 0);

	return r < 0 ? r : edu_wait(edu);
}
