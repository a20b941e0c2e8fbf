// SPDX-License-Identifier: MIT
/*
 * What memory is: in one piece where that was promised, zero in every case, and refused rather than
 * taken from somebody else when there is no more.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client.h"

#define BIG (16 * MIB)

static void check_one_segment(struct dmabroker_buffer *buffer, unsigned int device,
			      const char *name)
{
	struct dmabroker_mapping *mapping = client_map(buffer, device, DMABROKER_DIR_BIDIRECTIONAL);
	const struct dmabroker_segment *segments;
	size_t count;

	segments = dmabroker_mapping_get_segments(mapping, &count);
	check(count == 1 && segments[0].length_bytes == BIG &&
		      segments[0].dma_address + BIG <= 1ull << machine.bits[device],
	      name, "%zu segments, the first is 0x%llx+0x%llx", count,
	      (unsigned long long)segments[0].dma_address,
	      (unsigned long long)segments[0].length_bytes);
	dmabroker_unmap(mapping);
}

static void user_wants_one_segment(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffer;
	int r;

	(void)root;
	(void)argument;
	r = client_try_alloc(broker, BIG, DMABROKER_KIND_COHERENT, DMABROKER_ATTR_FORCE_CONTIGUOUS,
			     2, &buffer);
	if (machine.cma && check_done(r, "16 MiB force-contiguous")) {
		check(dmabroker_buffer_get_info(buffer)->flags & DMABROKER_BUFFER_CONTIGUOUS,
		      "16 MiB force-contiguous are contiguous, it is said", "flags 0x%x",
		      dmabroker_buffer_get_info(buffer)->flags);
		check_one_segment(buffer, 0, "they are one segment for the narrow device");
		check_one_segment(buffer, 1, "they are one segment for the wide device");
		dmabroker_free(buffer);
	} else if (!machine.cma) {
		const struct dmabroker_refusal *refusal = dmabroker_get_refusal();

		check(r < 0 && (refusal->reason == DMABROKER_REASON_NO_CONTIGUOUS_MEMORY ||
				refusal->reason == DMABROKER_REASON_BACKEND_CANNOT),
		      "16 MiB force-contiguous are refused without CMA", "%s",
		      r < 0 ? last_refusal() : "it was done");
		check(strstr(refusal->text, "contiguous") && strlen(refusal->text) > 30,
		      "the refusal says why", "%s", last_refusal());
	}
	buffer = client_alloc(broker, BIG, DMABROKER_KIND_COHERENT, 0, 2);
	check_one_segment(buffer, 0, "16 MiB of any pages are one segment for the narrow device");
	check_one_segment(buffer, 1, "16 MiB of any pages are one segment for the wide device");
	dmabroker_free(buffer);
}

void test_one_segment(void)
{
	actor_end(actor_start("user1", user_wants_one_segment, NULL));
}

/* What the machine has left, from /proc/meminfo. */
static uint64_t available_bytes(void)
{
	char text[4096], *at;

	if (read_file("/proc/meminfo", text, sizeof(text)) <= 0 ||
	    !(at = strstr(text, "MemAvailable:")))
		die("/proc/meminfo");
	return strtoull(at + strlen("MemAvailable:"), NULL, 10) * KIB;
}

/* Most of the machine's free memory gets something in it that is not zero, and is free again. */
static void dirty_memory(struct actor *root, const void *argument)
{
	uint64_t bytes = available_bytes() / 10 * 9;
	void *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)root;
	(void)argument;
	if (memory == MAP_FAILED)
		die("%llu bytes to make dirty: %s", (unsigned long long)bytes, strerror(errno));
	memset(memory, 0xa5, bytes);
	check(bytes > 128 * MIB, "most of the memory has been made dirty", "%llu bytes only",
	      (unsigned long long)bytes);
}

#define PIECE_BYTES (512 * KIB)
#define PIECES	    16u

/* Dirty memory of the same flavour comes back in the second round, from wherever it went. */
static void check_zero(struct dmabroker *broker, uint32_t kind, uint64_t attributes,
		       unsigned int nr_devices)
{
	struct dmabroker_buffer *buffers[PIECES];
	unsigned int dirty = 0, refused = 0;
	char name[160] = "";

	for (uint64_t bit = 1; bit <= attributes; bit <<= 1)
		if (attributes & bit)
			snprintf(name + strlen(name), sizeof(name) - strlen(name), " %s",
				 dmabroker_attribute_name(bit));
	snprintf(name + strlen(name), sizeof(name) - strlen(name), " %s memory%s is zero",
		 dmabroker_kind_name(kind), nr_devices ? " for the devices" : "");
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < PIECES; i++) {
			uint8_t *memory;

			if (client_try_alloc(broker, PIECE_BYTES, kind, attributes, nr_devices,
					     &buffers[i]) < 0) {
				buffers[i] = NULL;
				refused++;
				continue;
			}
			memory = client_mmap(buffers[i], 0);
			dirty += !filled_with(memory, 0, PIECE_BYTES);
			memset(memory, 0x5a, PIECE_BYTES);
			dmabroker_munmap(buffers[i], memory);
		}
		for (unsigned int i = 0; i < PIECES; i++)
			dmabroker_free(buffers[i]);
	}
	check(dirty == 0 && refused == 0, name + 1, "of %u pieces %u were not, %u were refused: %s",
	      2 * PIECES, dirty, refused, refused ? last_refusal() : "");
}

static void user_checks_zero(struct actor *root, const void *argument)
{
	static const uint32_t kinds[] = { DMABROKER_KIND_COHERENT, DMABROKER_KIND_WRITECOMBINE };
	static const uint64_t attributes[] = {
		0,
		DMABROKER_ATTR_FORCE_CONTIGUOUS,
		DMABROKER_ATTR_NO_KERNEL_MAPPING,
		DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_KERNEL_MAPPING,
		DMABROKER_ATTR_NO_WARN,
		DMABROKER_ATTR_ALLOC_SINGLE_PAGES,
	};
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffer;

	(void)root;
	(void)argument;
	for (size_t kind = 0; kind < ARRAY_LENGTH(kinds); kind++)
		for (size_t i = 0; i < ARRAY_LENGTH(attributes); i++)
			for (unsigned int nr_devices = 0; nr_devices <= 2; nr_devices += 2)
				check_zero(broker, kinds[kind], attributes[i], nr_devices);
	/* The other attributes are there, but not for memory. */
	check_refused(client_try_alloc(broker, PAGE, DMABROKER_KIND_COHERENT,
				       DMABROKER_ATTR_WEAK_ORDERING, 0, &buffer),
		      EINVAL, DMABROKER_REASON_COMBINATION,
		      "weak-ordering belongs to mappings and is refused");
	check_refused(client_try_alloc(broker, PAGE, DMABROKER_KIND_COHERENT,
				       DMABROKER_ATTR_SKIP_CPU_SYNC, 0, &buffer),
		      EINVAL, DMABROKER_REASON_COMBINATION,
		      "skip-cpu-sync belongs to mappings and is refused");
	dmabroker_unref(broker);
}

static bool kernel_log_has(const char *what)
{
	int bytes = klogctl(10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0);
	char *text = bytes > 0 ? calloc(1, (size_t)bytes + 1) : NULL;
	bool found;

	if (!text || klogctl(3 /* SYSLOG_ACTION_READ_ALL */, text, bytes) <= 0)
		die("the kernel's log cannot be read");
	found = strstr(text, what);
	free(text);
	return found;
}

void test_zero(void)
{
	check(kernel_log_has("heap alloc:off"), "this kernel does not zero what it allocates",
	      "the log says nothing of 'heap alloc:off'");
	/* Without buffers kept ready: each is allocated when it is asked for. */
	restart_broker("[pool]\nbuffers = none\n[user \"user1\"]\ndevices = pci:*\n");
	actor_end(actor_start("root", dirty_memory, NULL));
	actor_end(actor_start("user1", user_checks_zero, NULL));
}

#define FULL_BUFFERS_MAX 60000u

/* In steps that become smaller, until not even a page is left. */
static void fill_machine(struct dmabroker *broker, uint32_t kind, uint64_t attributes,
			 uint64_t first_step, const char *name)
{
	static struct dmabroker_buffer *buffers[FULL_BUFFERS_MAX];
	unsigned int count = 0, refusals = 0, other = 0;
	uint64_t bytes = 0, step = first_step;
	char text[160];

	while (step >= PAGE && count < FULL_BUFFERS_MAX) {
		if (client_try_alloc(broker, step, kind, attributes, 0, &buffers[count]) == 0) {
			bytes += step;
			count++;
			continue;
		}
		refusals++;
		other += dmabroker_get_refusal()->error != ENOMEM;
		if (other)
			break;
		step /= 4;
	}
	snprintf(text, sizeof(text), "%s: the machine is full after refusals and nothing else",
		 name);
	check(step < PAGE && other == 0 && refusals > 0, text, "%u buffers, %llu MiB, last: %s",
	      count, (unsigned long long)(bytes / MIB), last_refusal());
	snprintf(text, sizeof(text), "%s: most of the memory was given out before", name);
	check(bytes > 64 * MIB, text, "only %llu KiB", (unsigned long long)(bytes / KIB));
	while (count)
		dmabroker_free(buffers[--count]);
}

static void user_fills_machine(struct actor *root, const void *argument)
{
	const struct rlimit limit = { .rlim_cur = FULL_BUFFERS_MAX + 1000,
				      .rlim_max = FULL_BUFFERS_MAX + 1000 };
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffer;

	(void)argument;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("this test needs %u fds: %s", FULL_BUFFERS_MAX, strerror(errno));
	fill_machine(broker, DMABROKER_KIND_COHERENT, 0, 64 * MIB, "coherent");
	fill_machine(broker, DMABROKER_KIND_WRITECOMBINE, 0, 16 * MIB, "write-combine");
	fill_machine(broker, DMABROKER_KIND_COHERENT,
		     DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_KERNEL_MAPPING, 2 * MIB,
		     "contiguous");
	nod(root);
	await_nod(root);
	check_done(client_try_alloc(broker, 64 * MIB, DMABROKER_KIND_COHERENT, 0, 0, &buffer),
		   "what was given back can be had again");
}

void test_full(void)
{
	struct dmabroker *root;
	struct account account;
	struct actor *actor;
	pid_t pid;

	restart_broker("[broker]\nmachine-total = 100%\n[pool]\nbuffers = none\n"
		       "[user \"user1\"]\nbytes = unlimited\ncontiguous-bytes = unlimited\n"
		       "buffers = unlimited\n");
	pid = broker_pid();
	root = client_connect();
	actor = actor_start("user1", user_fills_machine, NULL);
	await_nod(actor);
	check(broker_pid() == pid && kill(pid, 0) == 0, "the broker lives through it",
	      "process %d does not", pid);
	check(!kernel_log_has("Out of memory") && !kernel_log_has("oom-kill"),
	      "nobody was killed for it", "the kernel's log says otherwise");
	nod(actor);
	actor_end(actor);
	ledger_account(root, user_id("user1"), &account);
	dmabroker_unref(root);
	check(helper_count_buffers() <= 1, "and everything came back", "the helper has %u buffers",
	      helper_count_buffers());
}
