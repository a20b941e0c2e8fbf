// SPDX-License-Identifier: MIT
/*
 * What only real devices and a real kernel can show of the kmod backend: contiguous memory with and
 * without CMA, a device that goes away, lost events, a full machine, a device that cannot be reset.
 *
 * Runs as root in the VM, after unit/test_backend.c has shown there what all backends promise. Two
 * PCI devices are bound to the stub.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "proto/cleanup.h"
#include "tests/unit/backend_fixture.h"

#define MIB	   (1ull << 20)
#define EVENTS	   9000 /* more than the module keeps */
#define PIECES_MAX 1024

static bool file_has(const char *path, const char *word)
{
	char buf[8192];
	FILE *file = fopen(path, "re");
	size_t n;

	ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
	n = fread(buf, 1, sizeof(buf) - 1, file);
	fclose(file);
	buf[n] = '\0';
	return strstr(buf, word);
}

static int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r;

	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	r = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/* "/sys/bus/pci/devices/0000:00:03.0" and what follows. */
static void device_path(const struct backend_device *device, const char *rest, char ret[static 128])
{
	ck_assert_int_eq(strncmp(device->name, "pci:", 4), 0);
	snprintf(ret, 128, "/sys/bus/pci/devices/%.40s%s", device->name + 4, rest);
}

static void alloc_for(const struct backend_device *device, uint64_t size_bytes, uint64_t attributes,
		      struct backend_buffer *ret, int *ret_fd)
{
	struct backend_alloc alloc = fixture_alloc(size_bytes);

	alloc.devices = &device->id;
	alloc.nr_devices = 1;
	alloc.attributes = attributes;
	ck_assert_int_eq(fixture_do_alloc(&alloc, ret, ret_fd), 0);
}

START_TEST(test_contiguous)
{
	struct backend_alloc alloc = fixture_alloc(16 * MIB);
	struct backend_failure failure = { 0 };
	struct backend_device devices[2];
	struct backend_mapping mapping;
	struct backend_buffer buffer;
	struct backend_map map;
	int fd, map_fd;

	fixture_two_devices(devices);
	alloc.attributes = WIRE_ATTR_FORCE_CONTIGUOUS;
	if (file_has("/proc/meminfo", "CmaTotal")) {
		alloc_for(&devices[1], 16 * MIB, WIRE_ATTR_FORCE_CONTIGUOUS, &buffer, &fd);
		ck_assert(buffer.contiguous);
		ck_assert_uint_ge(buffer.alignment_bytes, 4096);
		map = fixture_map_of(&buffer, &devices[1]);
		ck_assert_int_eq(fixture_do_map(&map, &mapping, &map_fd), 0);
		ck_assert_uint_eq(mapping.nr_segments, 1);
		close(map_fd);
		close(fd);
		fixture_settle();
		/* More than the area has. */
		alloc.size_bytes = 1024 * MIB;
		ck_assert_int_eq(backend->ops->buffer_alloc(backend, &alloc, &buffer, &fd,
							    &failure),
				 -ENOMEM);
		ck_assert_uint_eq(failure.reason, WIRE_REASON_NO_CONTIGUOUS_MEMORY);
		ck_assert_msg(strstr(failure.text, "CMA area"), "%s", failure.text);
		return;
	}
	ck_assert_int_eq(backend->ops->buffer_alloc(backend, &alloc, &buffer, &fd, &failure),
			 -ENOMEM);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_NO_CONTIGUOUS_MEMORY);
	ck_assert_uint_eq(failure.limit, 4 * MIB);
	ck_assert_uint_eq(failure.value, 16 * MIB);
	ck_assert(!failure.retry);
	ck_assert_msg(strstr(failure.text, "no CMA") && strstr(failure.text, "4 MiB"), "%s",
		      failure.text);
	alloc_for(&devices[1], 4 * MIB, WIRE_ATTR_FORCE_CONTIGUOUS, &buffer, &fd);
	ck_assert(buffer.contiguous);
	close(fd);
}
END_TEST

/* Scattered memory, and one segment all the same where an IOMMU stands in between. */
START_TEST(test_scattered)
{
	struct backend_device devices[2];
	struct backend_mapping mapping;
	struct backend_buffer buffer;
	struct backend_map map;
	int fd, map_fd, i;

	fixture_two_devices(devices);
	alloc_for(&devices[1], 16 * MIB, 0, &buffer, &fd);
	for (i = 0; i < 2; i++) {
		map = fixture_map_of(&buffer, &devices[i]);
		ck_assert_int_eq(fixture_do_map(&map, &mapping, &map_fd), 0);
		if (devices[i].flags & WIRE_DEVICE_IOMMU)
			ck_assert_uint_eq(mapping.nr_segments, 1);
		else
			ck_assert_uint_gt(mapping.nr_segments, 1);
		ck_assert_uint_eq(mapping.flags & WIRE_MAPPING_SYNC_BY_FD, WIRE_MAPPING_SYNC_BY_FD);
		close(map_fd);
	}
	close(fd);
}
END_TEST

START_TEST(test_device_goes_away)
{
	struct backend_device devices[2], again;
	struct backend_failure failure = { 0 };
	struct backend_mapping mapping, got;
	struct wire_segment segment;
	struct backend_buffer buffer;
	struct backend_map map;
	unsigned int count;
	int fd, map_fd, r;
	char path[128];
	uint64_t total;
	uint8_t *bytes;

	fixture_two_devices(devices);
	alloc_for(&devices[1], 65536, 0, &buffer, &fd);
	bytes = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(bytes, MAP_FAILED);
	map = fixture_map_of(&buffer, &devices[1]);
	ck_assert_int_eq(fixture_do_map(&map, &mapping, &map_fd), 0);

	device_path(&devices[1], "/driver/unbind", path);
	ck_assert_int_eq(file_write(path, devices[1].name + 4), 0);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_heard.ended_mapping, mapping.id);
	ck_assert_uint_eq(fixture_heard.removed_device, devices[1].id);
	ck_assert_int_eq(backend->ops->device_get(backend, devices[1].id, &again), -ENODEV);
	ck_assert_int_eq(backend->ops->mapping_get(backend, mapping.id, &got), 0);
	ck_assert_uint_eq(got.flags & WIRE_MAPPING_DEVICE_GONE, WIRE_MAPPING_DEVICE_GONE);
	ck_assert_uint_eq(got.nr_segments, 0);
	ck_assert_int_eq(backend->ops->segments(backend, mapping.id, 0, &segment, 1, &count,
						&total),
			 -ENODEV);
	ck_assert_int_eq(backend->ops->map(backend, &map, &got, &r, &failure), -ENODEV);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_UNKNOWN_DEVICE);
	bytes[65535] = 1; /* the memory is nobody's but ours */
	munmap(bytes, 65536);
	close(fd);
	fixture_settle();
	ck_assert_uint_eq(fixture_freed(buffer.id), 0);
	close(map_fd);
	fixture_settle();
	ck_assert_uint_eq(fixture_unmapped(mapping.id), 1);
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);

	fixture_heard.changed_device = 0;
	r = file_write("/sys/bus/pci/drivers_probe", devices[1].name + 4);
	ck_assert_int_eq(r, 0);
	fixture_settle();
	ck_assert_uint_gt(fixture_heard.changed_device, devices[1].id); /* ids are never reused */
	ck_assert_int_eq(backend->ops->device_get(backend, fixture_heard.changed_device, &again),
			 0);
	ck_assert_str_eq(again.name, devices[1].name);
}
END_TEST

START_TEST(test_lost_events)
{
	struct backend_alloc alloc = fixture_alloc(4096);
	struct backend_failure failure = { 0 };
	struct backend_buffer buffer;
	int fd, i;

	for (i = 0; i < EVENTS; i++) {
		ck_assert_int_eq(
			backend->ops->buffer_alloc(backend, &alloc, &buffer, &fd, &failure), 0);
		close(fd);
	}
	ck_assert_uint_eq(fixture_heard.nr_resyncs, 0);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_heard.nr_resyncs, 1);
	/* And the stream goes on. */
	ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
	close(fd);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);
	ck_assert_uint_eq(fixture_heard.nr_resyncs, 1);
}
END_TEST

START_TEST(test_full_machine)
{
	static const struct {
		uint64_t size_bytes, attributes;
		enum wire_reason reason;
	} cases[] = {
		{ 32 * MIB, 0, WIRE_REASON_NO_MEMORY },
		{ 4 * MIB, WIRE_ATTR_FORCE_CONTIGUOUS, WIRE_REASON_NO_CONTIGUOUS_MEMORY },
	};
	static int fds[PIECES_MAX];
	unsigned int i, k, count;

	for (i = 0; i < 2; i++) {
		struct backend_alloc alloc = fixture_alloc(cases[i].size_bytes);
		struct backend_failure failure = { 0 };
		struct backend_buffer buffer;
		int r = 0;

		alloc.attributes = cases[i].attributes;
		for (count = 0; count < PIECES_MAX; count++) {
			r = backend->ops->buffer_alloc(backend, &alloc, &buffer, &fds[count],
						       &failure);
			if (r < 0)
				break;
		}
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert_uint_gt(count, 1);
		ck_assert_msg(failure.reason == cases[i].reason, "%u: %s", failure.reason,
			      failure.text);
		ck_assert(failure.retry);
		for (k = 0; k < count; k++)
			close(fds[k]);
		fixture_settle();
	}
}
END_TEST

/* edu has no reset: what the last account left in it stays until an administrator says so. */
START_TEST(test_no_reset)
{
	struct backend_failure failure = { 0 };
	struct backend_device devices[2];
	struct backend_mapping mapping;
	struct backend_buffer buffer;
	struct backend_map map;
	char path[128];
	int fd, map_fd;

	fixture_two_devices(devices);
	alloc_for(&devices[0], 4096, 0, &buffer, &fd);
	map = fixture_map_of(&buffer, &devices[0]);
	ck_assert_int_eq(fixture_do_map(&map, &mapping, &map_fd), 0);
	close(map_fd);
	map.account = FIXTURE_ACCOUNT + 1;
	ck_assert_int_eq(backend->ops->map(backend, &map, &mapping, &map_fd, &failure), -EPERM);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_DEVICE_OF_OTHER_ACCOUNT);
	device_path(&devices[0], "/dmabroker/account", path);
	ck_assert_int_eq(file_write(path, "0"), 0);
	ck_assert_int_eq(fixture_do_map(&map, &mapping, &map_fd), 0);
	close(map_fd);
	ck_assert_int_eq(file_write(path, "0"), 0);
	close(fd);
	fixture_settle();
	ck_assert_uint_eq(fixture_heard.changed_device, devices[0].id);
}
END_TEST

START_TEST(test_read_only_maps_to_device)
{
	struct backend_device devices[2];
	struct backend_mapping mapping;
	struct backend_buffer buffer;
	struct backend_map map;
	int fd, map_fd;

	fixture_two_devices(devices);
	alloc_for(&devices[0], 4096, 0, &buffer, &fd);
	map = fixture_map_of(&buffer, &devices[0]);
	map.read_only = true;
	map.direction = WIRE_DIR_TO_DEVICE;
	ck_assert_int_eq(fixture_do_map(&map, &mapping, &map_fd), 0);
	ck_assert_int_eq(mapping.direction, WIRE_DIR_TO_DEVICE);
	close(map_fd);
	close(fd);
}
END_TEST

START_TEST(test_query_is_not_fooled)
{
	struct backend_device devices[2];
	struct backend_mapping mapping;
	struct backend_buffer buffer;
	int fd, others[4], i;
	struct backend_map map;
	bool read_only;
	char path[32];
	uint64_t id;

	fixture_two_devices(devices);
	alloc_for(&devices[0], 4096, 0, &buffer, &fd);
	map = fixture_map_of(&buffer, &devices[0]);
	ck_assert_int_eq(fixture_do_map(&map, &mapping, &others[0]), 0);
	others[1] = memfd_create("x", MFD_CLOEXEC);
	others[2] = open("/dev/dmabroker", O_RDWR | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	others[3] = open(path, O_PATH | O_CLOEXEC);
	for (i = 0; i < 4; i++) {
		ck_assert_int_ge(others[i], 0);
		ck_assert_int_eq(backend->ops->buffer_query(backend, others[i], &id, &read_only),
				 -EBADF);
		close(others[i]);
	}
	close(fd);
}
END_TEST

START_TEST(test_no_permission)
{
	int status;
	pid_t pid;

	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct backend *other;
		char why[512];

		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		if (backend_open(&other, "auto", false, NULL, NULL, NULL, why) != -ENODEV)
			_exit(3);
		_exit(strstr(why, "uid 65534 may not open it") ? 0 : 4);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(test_choice)
{
	struct backend *other;
	char why[512];

	ck_assert_int_eq(backend_open(&other, "auto", true, NULL, NULL, NULL, why), 0);
	ck_assert_str_eq(other->ops->name, "kmod");
	other->ops->close(other);
}
END_TEST

Suite *fixture_suite(void)
{
	Suite *suite = suite_create("backend-kmod");
	TCase *tcase = tcase_create("real");

	setenv("DMABROKER_TEST_BACKEND", "kmod", 1);
	tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase, test_contiguous);
	tcase_add_test(tcase, test_scattered);
	tcase_add_test(tcase, test_lost_events);
	tcase_add_test(tcase, test_full_machine);
	tcase_add_test(tcase, test_no_reset);
	tcase_add_test(tcase, test_read_only_maps_to_device);
	tcase_add_test(tcase, test_query_is_not_fooled);
	tcase_add_test(tcase, test_no_permission);
	tcase_add_test(tcase, test_choice);
	tcase_add_test(tcase, test_device_goes_away);
	suite_add_tcase(suite, tcase);
	return suite;
}
