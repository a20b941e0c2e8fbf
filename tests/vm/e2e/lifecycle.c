// SPDX-License-Identifier: MIT
/*
 * Things that go away under their users: the device, unbound while a buffer is mapped to it, and
 * the module, which must not.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client.h"
#include "examples/edu.h"

#define SIZE_BYTES (64 * KIB)
#define OLD	   0x31
#define NEW	   0x62
#define LENGTH	   EDU_TRANSFER_MAX_BYTES

/* What user1 tells root, and root user1, step by step. */
struct handover {
	uint64_t id;
	struct dmabroker_token token;
};

struct ended {
	uint64_t mapping_id;
	bool seen;
};

static void on_event(struct dmabroker *broker, const struct dmabroker_event *event, void *userdata)
{
	struct ended *ended = userdata;

	(void)broker;
	if (event->type == DMABROKER_EVENT_MAPPING_ENDED && event->mapping_id == ended->mapping_id)
		ended->seen = true;
}

struct dispatching {
	struct dmabroker *broker;
	struct ended ended;
};

static bool event_came(void *userdata)
{
	struct dispatching *dispatching = userdata;

	dmabroker_dispatch(dispatching->broker);
	return dispatching->ended.seen;
}

static struct edu *device_open(unsigned int device)
{
	struct edu *edu;
	int r = edu_open(&edu, device_names[device]);

	if (r < 0)
		die("the registers of %s: %s", device_names[device], strerror(-r));
	return edu;
}

/* Bytes NEW from the device into the second page; true if it arrived. */
static bool device_works(struct edu *edu, struct dmabroker_mapping *mapping, uint8_t *memory)
{
	memset(memory, NEW, LENGTH);
	memset(memory + PAGE, OLD, LENGTH);
	if (edu_read_memory(edu, dma_address(mapping, 0), LENGTH) < 0 ||
	    edu_write_memory(edu, dma_address(mapping, PAGE), LENGTH) < 0)
		die("the device does not answer");
	return filled_with(memory + PAGE, NEW, LENGTH);
}

static void user1_loses_device(struct actor *root, const void *argument)
{
	struct dispatching dispatching = { .broker = client_connect() };
	struct dmabroker_buffer *buffer =
		client_alloc(dispatching.broker, SIZE_BYTES, DMABROKER_KIND_COHERENT, 0, 2);
	struct dmabroker_mapping *lost = client_map(buffer, 0, DMABROKER_DIR_BIDIRECTIONAL);
	struct dmabroker_mapping *kept = client_map(buffer, 1, DMABROKER_DIR_BIDIRECTIONAL), *again;
	struct edu *edus[2] = { device_open(0), device_open(1) };
	struct handover handover = { .id = buffer_id(buffer), .token = client_share(buffer, 0) };
	uint64_t address = dma_address(lost, PAGE);
	uint8_t *memory = client_mmap(buffer, 0);
	int r;

	(void)argument;
	dispatching.ended.mapping_id = dmabroker_mapping_get_info(lost)->id;
	dmabroker_set_event_handler(dispatching.broker, on_event, &dispatching.ended);
	check(device_works(edus[0], lost, memory), "the device writes while it is bound",
	      "the page begins with 0x%02x", memory[PAGE]);
	say(root, &handover, sizeof(handover));
	/* One transfer after the other, so that one is under way when the device is unbound. */
	while (!has_spoken(root))
		if (edu_write_memory(edus[0], address, LENGTH) < 0 ||
		    edu_start_write(edus[0], address, LENGTH) < 0)
			die("the device does not answer");
	await_nod(root); /* unbound, and bus mastering on again by root's hand */
	memset(memory + PAGE, OLD, LENGTH);
	if (edu_wait(edus[0]) < 0 || edu_write_memory(edus[0], address, LENGTH) < 0)
		die("the device does not answer");
	check(filled_with(memory + PAGE, OLD, LENGTH),
	      "no write of the device arrives after unbind returned, even with bus mastering on",
	      "the page begins with 0x%02x", memory[PAGE]);
	r = dmabroker_sync_for_device(lost, 0, 0);
	check(r == -ENODEV, "the mapping says that its device is gone", "a sync says %d", r);
	check(within_a_second(event_came, &dispatching),
	      "the client is told that the mapping ended", "no event came");
	r = client_try_map(buffer, 0, DMABROKER_DIR_BIDIRECTIONAL, &again);
	check(r == -ENODEV, "there is no new mapping to it", "%s",
	      r < 0 ? last_refusal() : "there is");
	check(device_works(edus[1], kept, memory), "the other device writes as before",
	      "the page begins with 0x%02x", memory[PAGE]);
	dmabroker_unmap(lost);
	nod(root);

	await_nod(root); /* bound again */
	again = client_map(buffer, 0, DMABROKER_DIR_BIDIRECTIONAL);
	check(device_works(edus[0], again, memory), "bound again, it writes again",
	      "the page begins with 0x%02x", memory[PAGE]);
	dmabroker_unmap(again);
	dmabroker_unmap(kept);
	edu_close(edus[0]);
	edu_close(edus[1]);
}

static void user2_holds(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffer;
	struct handover handover;
	uint8_t *memory;

	(void)argument;
	hear(root, &handover, sizeof(handover));
	buffer = client_open(broker, handover.token);
	memory = client_mmap(buffer, 0);
	await_nod(root);
	check(memory[2 * PAGE] == 0, "user2 can use the buffer as before", "it reads 0x%02x",
	      memory[2 * PAGE]);
	memory[2 * PAGE] = 1;
}

static void set_bus_master(unsigned int device)
{
	char path[128];
	uint16_t command;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", device_names[device] + 4);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, &command, sizeof(command), 4) != sizeof(command))
		die("%s: %s", path, strerror(errno));
	command |= 6; /* with memory access, which disabling the device may have turned off */
	if (pwrite(fd, &command, sizeof(command), 4) != sizeof(command))
		die("%s: %s", path, strerror(errno));
	close(fd);
}

void test_unbind(void)
{
	struct actor *first, *second;
	struct handover handover;
	struct dmabroker *root;
	unsigned int mappings;

	give_registers("user1");
	first = actor_start("user1", user1_loses_device, NULL);
	hear(first, &handover, sizeof(handover));
	second = actor_start("user2", user2_holds, NULL);
	say(second, &handover, sizeof(handover));
	mappings = helper_count_mappings(handover.id);
	if (shell("dmabrokerctl device unbind %s", device_names[0]))
		die("dmabrokerctl device unbind %s failed", device_names[0]);
	check(mappings == 2 && helper_count_mappings(handover.id) == 1,
	      "the mapping is gone when unbind returns, the other one is not", "%u instead of %u",
	      helper_count_mappings(handover.id), mappings);
	check(!bus_master_is_on(0) && bus_master_is_on(1), "and the device can reach nothing",
	      "bus mastering is %d, of the other device %d", bus_master_is_on(0),
	      bus_master_is_on(1));
	set_bus_master(0);
	nod(first);
	await_nod(first);
	nod(second);
	actor_end(second);
	root = client_connect();
	check(ledger_has_buffer(root, handover.id, user_id("user1")), "the buffer lives on",
	      "the ledger does not have it");
	dmabroker_unref(root);
	if (shell("dmabrokerctl device bind %s --mask %u", device_names[0], machine.bits[0]))
		die("dmabrokerctl device bind %s failed", device_names[0]);
	nod(first);
	actor_end(first);
}

static int unload_module(void)
{
	return syscall(SYS_delete_module, "dmabroker", O_NONBLOCK) ? errno : 0;
}

static bool module_unloads(void *userdata)
{
	int *err = userdata;

	*err = unload_module();
	return *err == 0;
}

/* Each of what keeps memory alive is on its own for a while. */
static void user1_holds_on(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffer =
		client_alloc(broker, SIZE_BYTES, DMABROKER_KIND_COHERENT, 0, 2);
	struct dmabroker_mapping *mapping = client_map(buffer, 1, DMABROKER_DIR_BIDIRECTIONAL);
	struct edu *edu = device_open(1);
	uint8_t *memory = client_mmap(buffer, 0);

	(void)argument;
	nod(root);
	await_nod(root); /* the broker is gone */
	check(device_works(edu, mapping, memory), "memory and device work without the broker",
	      "the page begins with 0x%02x", memory[PAGE]);
	dmabroker_unmap(mapping);
	nod(root);
	await_nod(root);
	dmabroker_munmap(buffer, memory);
	nod(root); /* only the fd is left */
	await_nod(root);
	memory = client_mmap(buffer, 0);
	dmabroker_free(buffer);
	nod(root); /* only the mmap is left */
	await_nod(root);
	edu_close(edu);
}

static void user1_works(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffer =
		client_alloc(broker, SIZE_BYTES, DMABROKER_KIND_COHERENT, 0, 2);
	uint8_t *memory = client_mmap(buffer, 0);

	(void)root;
	(void)argument;
	for (unsigned int i = 0; i < 2; i++) {
		struct dmabroker_mapping *mapping =
			client_map(buffer, i, DMABROKER_DIR_BIDIRECTIONAL);
		struct edu *edu = device_open(i);
		char name[64];

		snprintf(name, sizeof(name), "loaded again: device %u works", i);
		check(device_works(edu, mapping, memory), name, "the page begins with 0x%02x",
		      memory[PAGE]);
		edu_close(edu);
		dmabroker_unmap(mapping);
	}
}

static void check_stays(const char *name)
{
	int err;

	sleep_us(100000);
	err = unload_module();
	check(err == EAGAIN || err == EBUSY, name, "%s", strerror(err));
	if (!err)
		die("the module is gone");
}

void test_unload(void)
{
	struct actor *actor;
	int err;

	give_registers("user1");
	actor = actor_start("user1", user1_holds_on, NULL);
	await_nod(actor);
	check_stays("the module stays while the broker runs");
	stop_broker();
	check_stays("the module stays while a buffer and a mapping are held");
	check(shell("rmmod dmabroker 2>/dev/null") != 0, "rmmod says so", "it exits with 0");
	nod(actor);
	await_nod(actor);
	check_stays("the module stays while a buffer is held");
	nod(actor);
	await_nod(actor);
	check_stays("the module stays while only an fd is held");
	nod(actor);
	await_nod(actor);
	check_stays("the module stays while only an mmap is left");
	nod(actor);
	actor_end(actor);

	check(within_a_second(module_unloads, &err), "the module unloads when nothing is held",
	      "%s", strerror(err));
	check(access("/dev/dmabroker", F_OK) != 0, "its node is gone", "/dev/dmabroker is there");
	if (shell("modprobe dmabroker && chown dmabroker:dmabroker /dev/dmabroker"))
		die("the module cannot be loaded again");
	for (unsigned int i = 0; i < 2; i++)
		if (shell("dmabrokerctl device bind %s --mask %u", device_names[i],
			  machine.bits[i]))
			die("dmabrokerctl device bind %s failed", device_names[i]);
	restart_broker(NULL);
	actor_end(actor_start("user1", user1_works, NULL));
}
