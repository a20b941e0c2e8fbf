// SPDX-License-Identifier: MIT
/*
 * Unmapping under a running transfer. The moment of the unmap is swept across the end of the
 * transfer: after close() has returned, no byte may arrive any more. Done with the mapping as the
 * device's last one, where bus mastering goes off, and with another mapping that keeps it on, where
 * only the IOMMU and the flush of its cache can stop the device.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kmod.h"

#define SIZE	 4000
#define SWEEPS	 100
#define SWEEP_US 6000

static uint8_t *memory;
static int buffer_fd;

static uint64_t transfer_us(void)
{
	int fd = map_good(buffer_fd, &edus[0], DMABROKER_DIR_BIDIRECTIONAL);
	uint64_t start, best = UINT64_MAX;
	int i;

	for (i = 0; i < 5; i++) {
		memset(memory, 0, SIZE);
		start = now_us();
		edu_start(&edus[0], edu_address(fd, 0), SIZE, true);
		while (*(volatile uint8_t *)(memory + SIZE - 1) == 0)
			if (now_us() > start + 5000000)
				die("the transfer does not arrive");
		if (now_us() - start < best)
			best = now_us() - start;
	}
	close(fd);
	return best;
}

/* What the device writes: not zero. */
static void load_device(void)
{
	int fd = map_good(buffer_fd, &edus[0], DMABROKER_DIR_BIDIRECTIONAL);

	memset(memory, 0x77, SIZE);
	edu_start(&edus[0], edu_address(fd, 0), SIZE, false);
	edu_wait(&edus[0]);
	close(fd);
}

static void sweep(bool master_stays_on, uint64_t end_us)
{
	unsigned int i, arrived = 0, stopped = 0, late = 0;
	int keeper_buffer = -1, keeper = -1;

	if (master_stays_on) {
		keeper_buffer = alloc_good(4096, DMABROKER_KIND_COHERENT, 0, NULL);
		keeper = map_good(keeper_buffer, &edus[0], DMABROKER_DIR_BIDIRECTIONAL);
	}
	for (i = 0; i < SWEEPS; i++) {
		uint64_t delay_us = end_us - SWEEP_US / 2 + SWEEP_US * i / SWEEPS;
		uint8_t at_return[SIZE];
		uint64_t start;
		int fd = map_good(buffer_fd, &edus[0], DMABROKER_DIR_BIDIRECTIONAL);

		/* An address that the device has just used is in the IOMMU's cache. */
		edu_start(&edus[0], edu_address(fd, 0), SIZE, true);
		edu_wait(&edus[0]);
		memset(memory, 0, SIZE);
		start = now_us();
		edu_start(&edus[0], edu_address(fd, 0), SIZE, true);
		if (delay_us > 2000)
			usleep((useconds_t)(delay_us - 2000));
		while (now_us() < start + delay_us)
			;
		close(fd);
		memcpy(at_return, memory, SIZE);
		edu_wait(&edus[0]);
		sleep_ms(5);
		if (memcmp(at_return, memory, SIZE))
			late++;
		if (memory[SIZE - 1])
			arrived++;
		else
			stopped++;
	}
	check(late == 0, "no byte arrived after the unmap, %s (%u before, %u stopped, %u late)",
	      master_stays_on ? "bus mastering staying on" : "bus mastering going off", arrived,
	      stopped, late);
	check(arrived > SWEEPS / 20 && stopped > SWEEPS / 20,
	      "the unmap was on both sides of the transfer's end");
	close(keeper);
	close(keeper_buffer);
}

void test_unmap(void)
{
	uint64_t end_us;

	buffer_fd = alloc_good(SIZE, DMABROKER_KIND_COHERENT, 0, NULL);
	memory = map_memory(buffer_fd, SIZE, PROT_READ | PROT_WRITE);
	load_device();
	end_us = transfer_us();
	sweep(false, end_us);
	if (machine.iommu)
		sweep(true, end_us);
	munmap(memory, SIZE);
	close(buffer_fd);
}
