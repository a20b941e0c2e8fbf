// SPDX-License-Identifier: MIT
/*
 * Unmapping under a running transfer: after dmabroker_unmap() has returned, no byte arrives any
 * more, whoever gets that memory next.
 *
 * The unmap is swept across the end of the transfer. Another mapping keeps bus mastering on in one
 * half of the rounds, where only the IOMMU stops the device; in the other half the device loses
 * everything. And each round begins with a transfer that the device may do: so the IOMMU has the
 * address in its cache, from where an unmapped address can still be used if nobody empties it.
 */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "examples/edu.h"

#define ROUNDS	 200u
#define SWEEP_US 6000u
#define OLD	 0x21
#define NEW	 0x84
#define LENGTH	 EDU_TRANSFER_MAX_BYTES

struct race {
	struct dmabroker_buffer *buffer;
	volatile uint8_t *memory;
	struct edu *edu;
	uint64_t transfer_us; /* from the start to the last byte */
	unsigned int arrived;
	unsigned int stopped;
	unsigned int late;
	unsigned int torn; /* only a part was there when the unmap returned */
};

/* The device has what it will write, and the IOMMU has used this mapping's address. */
static void load_device(struct race *race, struct dmabroker_mapping *mapping)
{
	memset((void *)race->memory, NEW, LENGTH);
	if (edu_read_memory(race->edu, dma_address(mapping, 0), LENGTH) < 0)
		die("the device does not answer");
	memset((void *)race->memory, OLD, LENGTH);
}

static void measure(struct race *race)
{
	race->transfer_us = UINT64_MAX;
	for (int i = 0; i < 5; i++) {
		struct dmabroker_mapping *mapping =
			client_map(race->buffer, 0, DMABROKER_DIR_BIDIRECTIONAL);
		uint64_t start, took;

		load_device(race, mapping);
		start = now_us();
		edu_start_write(race->edu, dma_address(mapping, 0), LENGTH);
		while (race->memory[LENGTH - 1] == OLD)
			if (now_us() > start + 5000000)
				die("the transfer does not arrive");
		took = now_us() - start;
		if (took < race->transfer_us)
			race->transfer_us = took;
		dmabroker_unmap(mapping);
	}
}

static void one_round(struct race *race, uint64_t delay_us)
{
	struct dmabroker_mapping *mapping =
		client_map(race->buffer, 0, DMABROKER_DIR_BIDIRECTIONAL);
	uint8_t at_return[LENGTH];
	uint64_t start;

	load_device(race, mapping);
	start = now_us();
	edu_start_write(race->edu, dma_address(mapping, 0), LENGTH);
	if (delay_us > 2000)
		sleep_us(delay_us - 2000);
	while (now_us() < start + delay_us)
		;
	dmabroker_unmap(mapping);
	memcpy(at_return, (void *)race->memory, LENGTH);
	if (edu_wait(race->edu) < 0)
		die("the device does not finish");
	sleep_us(3000);
	race->late += memcmp(at_return, (void *)race->memory, LENGTH) != 0;
	if (filled_with(at_return, NEW, LENGTH))
		race->arrived++;
	else if (filled_with(at_return, OLD, LENGTH))
		race->stopped++;
	else
		race->torn++;
}

static void sweep(struct race *race, unsigned int rounds)
{
	race->arrived = race->stopped = race->late = race->torn = 0;
	for (unsigned int i = 0; i < rounds; i++)
		one_round(race, race->transfer_us - SWEEP_US / 2 + SWEEP_US * i / rounds);
}

static void check_sweep(const struct race *race, const char *what, const char *both_sides)
{
	check(race->late == 0, what, "%u times; before it %u, stopped %u, in part %u", race->late,
	      race->arrived, race->stopped, race->torn);
	check(race->arrived >= ROUNDS / 20 && race->stopped >= ROUNDS / 20, both_sides,
	      "%u transfers came before the unmap, %u were stopped", race->arrived, race->stopped);
}

static void user1(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *other = client_alloc(broker, PAGE, DMABROKER_KIND_COHERENT, 0, 2);
	struct dmabroker_mapping *keeper;
	struct race race = {};

	(void)root;
	(void)argument;
	race.buffer = client_alloc(broker, PAGE, DMABROKER_KIND_COHERENT, 0, 2);
	race.memory = client_mmap(race.buffer, 0);
	if (edu_open(&race.edu, device_names[0]) < 0)
		die("the registers of %s", device_names[0]);
	measure(&race);
	sweep(&race, ROUNDS / 2);
	check_sweep(&race, "no byte arrives after the unmap, bus mastering going off",
		    "going off: the unmaps were on both sides of the transfer's end");
	keeper = client_map(other, 0, DMABROKER_DIR_BIDIRECTIONAL);
	sweep(&race, ROUNDS / 2);
	check_sweep(&race, "no byte arrives after the unmap, bus mastering staying on",
		    "staying on: the unmaps were on both sides of the transfer's end");
	dmabroker_unmap(keeper);
	edu_close(race.edu);
}

void test_race(void)
{
	struct actor *actor;

	give_registers("user1");
	actor = actor_start("user1", user1, NULL);
	/* Longer than an actor is waited for at its end. */
	for (unsigned int i = 0; i < 3; i++)
		sleep_us(20 * 1000000);
	actor_end(actor);
}
