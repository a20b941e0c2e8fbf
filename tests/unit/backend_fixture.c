// SPDX-License-Identifier: MIT
/*
 * A backend for each test, and what its sink heard. Every test starts with a fresh one and ends
 * with nothing of its own alive: a buffer or a mapping left over fails the test that left it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/cleanup.h"
#include "tests/unit/backend_fixture.h"

#define IDS_MAX	  65536
#define OWN_MAX	  4096
#define SETTLE_MS 50

struct backend *backend;
struct fixture_heard fixture_heard;

static uint8_t freed[IDS_MAX], unmapped[IDS_MAX];
static uint64_t own[OWN_MAX]; /* buffers that this test allocated */
static unsigned int nr_own;

static void on_buffer_freed(void *userdata, uint64_t id)
{
	struct backend_buffer buffer;

	ck_assert_ptr_eq(userdata, freed);
	ck_assert_uint_lt(id, IDS_MAX);
	ck_assert_int_eq(backend->ops->buffer_get(backend, id, &buffer), -ENOENT);
	if (freed[id] < UINT8_MAX)
		freed[id]++;
}

static void on_mapping_freed(void *userdata, uint64_t id)
{
	struct backend_mapping mapping;

	ck_assert_ptr_eq(userdata, freed);
	ck_assert_uint_lt(id, IDS_MAX);
	ck_assert_int_eq(backend->ops->mapping_get(backend, id, &mapping), -ENOENT);
	if (unmapped[id] < UINT8_MAX)
		unmapped[id]++;
}

static void on_mapping_ended(void *userdata, uint64_t id)
{
	fixture_heard.ended_mapping = id;
}

static void on_device_changed(void *userdata, uint32_t id)
{
	fixture_heard.changed_device = id;
}

static void on_device_removed(void *userdata, uint32_t id)
{
	fixture_heard.removed_device = id;
}

static void on_resync(void *userdata)
{
	fixture_heard.nr_resyncs++;
}

static const struct backend_sink sink = {
	.buffer_freed = on_buffer_freed,
	.mapping_freed = on_mapping_freed,
	.mapping_ended = on_mapping_ended,
	.device_changed = on_device_changed,
	.device_removed = on_device_removed,
	.resync = on_resync,
};

void fixture_reopen(const char *const *sim_devices, unsigned int nr_sim_devices)
{
	const struct backend_config config = {
		.sim_devices = sim_devices,
		.nr_sim_devices = nr_sim_devices,
	};
	const char *name = getenv("DMABROKER_TEST_BACKEND");
	char why[512];

	if (backend)
		backend->ops->close(backend);
	backend = NULL;
	ck_assert_msg(backend_open(&backend, name ? name : "sim", false, &config, &sink, freed,
				   why) == 0,
		      "%s", why);
}

void fixture_forget(void)
{
	nr_own = 0;
}

void fixture_setup(void)
{
	fixture_reopen(NULL, 0);
}

void fixture_teardown(void)
{
	struct backend_mapping mapping;
	struct backend_buffer buffer;
	unsigned int i;

	fixture_settle();
	for (i = 0; i < nr_own; i++) {
		ck_assert_int_eq(backend->ops->buffer_get(backend, own[i], &buffer), -ENOENT);
		ck_assert_int_eq(backend->ops->mapping_next(backend, own[i], 0, &mapping), -ENOENT);
		ck_assert_uint_eq(freed[own[i]], 1);
	}
	backend->ops->close(backend);
	backend = NULL;
}

struct backend_alloc fixture_alloc(uint64_t size_bytes)
{
	return (struct backend_alloc){
		.size_bytes = size_bytes,
		.kind = WIRE_KIND_COHERENT,
		.direction = WIRE_DIR_BIDIRECTIONAL,
	};
}

int fixture_do_alloc(const struct backend_alloc *alloc, struct backend_buffer *ret, int *ret_fd)
{
	struct backend_failure failure = { 0 };
	int r = backend->ops->buffer_alloc(backend, alloc, ret, ret_fd, &failure);

	if (r < 0) {
		fprintf(stderr, "alloc: %s\n", failure.text);
	} else {
		ck_assert_uint_lt(nr_own, OWN_MAX);
		own[nr_own++] = ret->id;
	}
	return r;
}

struct backend_map fixture_map_of(const struct backend_buffer *buffer,
				  const struct backend_device *device)
{
	return (struct backend_map){
		.buffer_id = buffer->id,
		.device_id = device->id,
		.direction = WIRE_DIR_BIDIRECTIONAL,
		.account = FIXTURE_ACCOUNT,
	};
}

int fixture_do_map(const struct backend_map *map, struct backend_mapping *ret, int *ret_fd)
{
	struct backend_failure failure = { 0 };
	int r = backend->ops->map(backend, map, ret, ret_fd, &failure);

	if (r < 0)
		fprintf(stderr, "map: %s\n", failure.text);
	return r;
}

void fixture_two_devices(struct backend_device ret[static 2])
{
	struct backend_device device = { 0 };
	unsigned int count = 0;

	while (count < 2) {
		ck_assert_int_eq(backend->ops->device_next(backend, device.id, &device), 0);
		if ((device.flags & WIRE_DEVICE_SYSTEM) || !(device.flags & WIRE_DEVICE_USABLE))
			continue;
		if (count && (device.flags ^ ret[0].flags) & WIRE_DEVICE_COHERENT)
			continue;
		ret[count++] = device;
	}
}

bool fixture_noncoherent(void)
{
	struct backend_device device = { 0 };
	bool any = false;

	while (backend->ops->device_next(backend, device.id, &device) == 0) {
		if (device.flags & WIRE_DEVICE_SYSTEM)
			continue;
		if (device.flags & WIRE_DEVICE_COHERENT)
			return false;
		any = true;
	}
	return any;
}

int fixture_dispatch(void)
{
	return backend->ops->dispatch(backend);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void fixture_settle(void)
{
	uint64_t end = now_ms() + SETTLE_MS, now;

	while ((now = now_ms()) < end) {
		struct pollfd ready = { .fd = backend->ops->get_fd(backend), .events = POLLIN };

		if (poll(&ready, 1, (int)(end - now)) > 0)
			ck_assert_int_eq(fixture_dispatch(), 0);
	}
}

unsigned int fixture_freed(uint64_t buffer_id)
{
	return freed[buffer_id];
}

unsigned int fixture_unmapped(uint64_t mapping_id)
{
	return unmapped[mapping_id];
}

void fixture_assert_zero(const uint8_t *bytes, size_t size_bytes)
{
	size_t i = 0;

	while (i < size_bytes && !bytes[i])
		i++;
	ck_assert_uint_eq(i, size_bytes);
}

unsigned int fixture_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

unsigned int fixture_lowest_free_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	close(fd);
	return (unsigned int)fd;
}

int main(void)
{
	SRunner *runner = srunner_create(fixture_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
