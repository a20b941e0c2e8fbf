// SPDX-License-Identifier: MIT
/*
 * The main job: user1 allocates a buffer for both devices and fills it, both devices read and write
 * it at their own DMA addresses, user2 gets it by token and finds the right bytes. All of it goes
 * through the daemon, the library and user-space drivers that only have the devices' registers.
 *
 * The first device copies the first half to the second one. The CPU erases the first half; the
 * second device copies the second half back, its two quarters exchanged. So each device reads what
 * another one wrote, and a byte that is where it belongs was moved twice.
 */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "examples/edu.h"
#include "trace.h"

#define SIZE_BYTES ((size_t)64 * KIB)
#define HALF	   (SIZE_BYTES / 2)
#define QUARTER	   (SIZE_BYTES / 4)

/* What user1 tells about its buffer. */
struct handover {
	uint64_t id;
	struct dmabroker_token token;
};

/* No two places have the same bytes, nor the same ones a little further on. */
static uint8_t pattern(unsigned int seed, size_t at)
{
	return (uint8_t)(seed + at * 7 + at / 256 * 37 + at / 4096 * 11 + 1);
}

static void pattern_fill(uint8_t *memory, unsigned int seed, size_t size)
{
	for (size_t i = 0; i < size; i++)
		memory[i] = pattern(seed, i);
}

/* How many of @size bytes differ from the pattern's part that begins at @from. */
static unsigned int pattern_differs(const uint8_t *memory, unsigned int seed, size_t from,
				    size_t size)
{
	unsigned int wrong = 0;

	for (size_t i = 0; i < size; i++)
		wrong += memory[i] != pattern(seed, from + i);
	return wrong;
}

static struct edu *device_open(unsigned int device)
{
	struct edu *edu;
	int r = edu_open(&edu, device_names[device]);

	if (r < 0)
		die("the registers of %s: %s", device_names[device], strerror(-r));
	return edu;
}

/* Through the device, in pieces that it and the segments allow: in here, out there. */
static void device_copies(struct edu *edu, struct dmabroker_mapping *mapping, size_t from,
			  size_t to, size_t size)
{
	while (size) {
		size_t piece = dma_room(mapping, from, size), room = dma_room(mapping, to, size);
		int r;

		if (piece > room)
			piece = room;
		if (piece > EDU_TRANSFER_MAX_BYTES)
			piece = EDU_TRANSFER_MAX_BYTES;
		r = edu_read_memory(edu, dma_address(mapping, from), piece);
		if (r == 0)
			r = edu_write_memory(edu, dma_address(mapping, to), piece);
		if (r < 0)
			die("a device copies %zu bytes: %s", piece, strerror(-r));
		from += piece;
		to += piece;
		size -= piece;
	}
}

static void check_buffer(const struct dmabroker_buffer *buffer)
{
	const struct dmabroker_buffer_info *info = dmabroker_buffer_get_info(buffer);

	check(info->size_bytes == SIZE_BYTES && info->kind == DMABROKER_KIND_COHERENT &&
		      info->effective_kind == DMABROKER_KIND_COHERENT,
	      "64 KiB of coherent memory for both devices", "%llu bytes, kind %u, effectively %u",
	      (unsigned long long)info->size_bytes, info->kind, info->effective_kind);
}

static void check_addresses(const struct dmabroker_mapping *mapping, unsigned int device,
			    const char *name)
{
	uint64_t limit = 1ull << machine.bits[device], total = 0;
	const struct dmabroker_segment *segments;
	size_t count;

	segments = dmabroker_mapping_get_segments(mapping, &count);
	for (size_t i = 0; i < count; i++) {
		if (segments[i].dma_address > limit ||
		    segments[i].length_bytes > limit - segments[i].dma_address) {
			check(false, name, "segment %zu is 0x%llx+0x%llx", i,
			      (unsigned long long)segments[i].dma_address,
			      (unsigned long long)segments[i].length_bytes);
			return;
		}
		total += segments[i].length_bytes;
	}
	check(total == SIZE_BYTES && (!machine.iommu || count == 1), name,
	      "%zu segments of %llu bytes together", count, (unsigned long long)total);
}

static void check_mappings(struct dmabroker_mapping *mappings[2])
{
	uint32_t flags[2];

	for (int i = 0; i < 2; i++)
		flags[i] = dmabroker_mapping_get_info(mappings[i])->flags;
	check_addresses(mappings[0], 0, "the narrow device's addresses are below its mask");
	check_addresses(mappings[1], 1, "the wide device's addresses are below its mask");
	check(!(flags[0] & DMABROKER_MAPPING_SKIP_CPU_SYNC) &&
		      (flags[1] & DMABROKER_MAPPING_SKIP_CPU_SYNC),
	      "the second mapping is the one that skips the CPU sync", "flags 0x%x and 0x%x",
	      flags[0], flags[1]);
}

/* The device gets something to write from one place; it may not write it to another. */
static void check_to_device(struct dmabroker_buffer *buffer, uint8_t *memory, struct edu *edu,
			    struct dmabroker_mapping *both_ways)
{
	struct dmabroker_mapping *to = client_map(buffer, 0, DMABROKER_DIR_TO_DEVICE);
	const size_t source = PAGE, target = 2 * PAGE, size = EDU_TRANSFER_MAX_BYTES;

	pattern_fill(memory + source, 200, size);
	memset(memory + target, 0x55, size);
	if (edu_read_memory(edu, dma_address(to, source), size) < 0 ||
	    edu_write_memory(edu, dma_address(to, target), size) < 0)
		die("the device does not answer");
	check(filled_with(memory + target, 0x55, size),
	      "a to-device mapping stops a device's write",
	      "what is there begins with 0x%02x 0x%02x", memory[target], memory[target + 1]);
	if (edu_write_memory(edu, dma_address(both_ways, target), size) < 0)
		die("the device does not answer");
	check(pattern_differs(memory + target, 200, 0, size) == 0,
	      "the same write arrives through a bidirectional one",
	      "what is there begins with 0x%02x 0x%02x", memory[target], memory[target + 1]);
	dmabroker_unmap(to);
}

/* What is in the buffer when both devices have done their part. */
static unsigned int wrong_bytes(const uint8_t *memory)
{
	return pattern_differs(memory, 0, QUARTER, QUARTER) +
	       pattern_differs(memory + QUARTER, 0, 0, QUARTER) +
	       pattern_differs(memory + HALF, 0, 0, HALF);
}

static void run_devices(uint8_t *memory, struct edu *edus[2], struct dmabroker_mapping *mappings[2])
{
	unsigned int wrong;

	pattern_fill(memory, 0, HALF);
	device_copies(edus[0], mappings[0], 0, HALF, HALF);
	wrong = pattern_differs(memory + HALF, 0, 0, HALF);
	check(wrong == 0, "device 0 copied the first half to another offset", "%u bytes are wrong",
	      wrong);
	memset(memory, 0xee, HALF);
	device_copies(edus[1], mappings[1], HALF, QUARTER, QUARTER);
	device_copies(edus[1], mappings[1], HALF + QUARTER, 0, QUARTER);
	wrong = wrong_bytes(memory);
	check(wrong == 0, "device 1 copied it back through its own DMA addresses",
	      "%u bytes are wrong", wrong);
}

static void user1(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffer =
		client_alloc(broker, SIZE_BYTES, DMABROKER_KIND_COHERENT, 0, 2);
	uint8_t *memory = client_mmap(buffer, 0);
	struct edu *edus[2] = { device_open(0), device_open(1) };
	struct dmabroker_mapping *mappings[2];
	struct handover handover;

	(void)argument;
	check_buffer(buffer);
	check(filled_with(memory, 0, SIZE_BYTES), "the memory is zero", "it is not");
	for (unsigned int i = 0; i < 2; i++)
		mappings[i] = client_map(buffer, i, DMABROKER_DIR_BIDIRECTIONAL);
	check_mappings(mappings);

	run_devices(memory, edus, mappings);
	handover.id = buffer_id(buffer);
	handover.token = client_share(buffer, 0);
	say(root, &handover, sizeof(handover));
	await_nod(root); /* user2 is done */
	check(memory[SIZE_BYTES - 1] == 0x77, "what user2 wrote is there for user1", "it is 0x%02x",
	      memory[SIZE_BYTES - 1]);

	if (machine.iommu)
		check_to_device(buffer, memory, edus[0], mappings[0]);
	for (unsigned int i = 0; i < 2; i++) {
		dmabroker_unmap(mappings[i]);
		edu_close(edus[i]);
	}
	dmabroker_munmap(buffer, memory);
	dmabroker_free(buffer);
	dmabroker_unref(broker);
}

static void user2(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_mapping *mapping;
	struct dmabroker_buffer *buffer;
	struct handover handover;
	uint8_t *memory;

	(void)argument;
	hear(root, &handover, sizeof(handover));
	buffer = client_open(broker, handover.token);
	memory = client_mmap(buffer, 0);
	check(buffer_id(buffer) == handover.id &&
		      dmabroker_buffer_get_info(buffer)->owner_uid == user_id("user1"),
	      "user2 opens it by token, and it is user1's", "id %llu, uid %u",
	      (unsigned long long)buffer_id(buffer), dmabroker_buffer_get_info(buffer)->owner_uid);
	check(wrong_bytes(memory) == 0, "user2 finds every byte right, in another process",
	      "%u bytes are wrong", wrong_bytes(memory));
	memory[SIZE_BYTES - 1] = 0x77;
	check_refused(client_try_map(buffer, 1, DMABROKER_DIR_BIDIRECTIONAL, &mapping), EACCES,
		      DMABROKER_REASON_DEVICE_NOT_ALLOWED, "user2 may not map it to a device");
	nod(root);
}

void test_copy(void)
{
	struct actor *first, *second;
	struct handover handover;

	give_registers("user1");
	trace_start();
	first = actor_start("user1", user1, NULL);
	hear(first, &handover, sizeof(handover));
	check(bus_master_is_on(0) && bus_master_is_on(1), "bus mastering is on while mapped",
	      "device 0: %d, device 1: %d", bus_master_is_on(0), bus_master_is_on(1));
	second = actor_start("user2", user2, NULL);
	say(second, &handover, sizeof(handover));
	await_nod(second);
	actor_end(second);
	nod(first);
	actor_end(first);
	check(!bus_master_is_on(0) && !bus_master_is_on(1), "bus mastering is off afterwards",
	      "device 0: %d, device 1: %d", bus_master_is_on(0), bus_master_is_on(1));
	trace_stop();
	check_trace_of_copy();
}
