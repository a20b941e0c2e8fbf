// SPDX-License-Identifier: MIT
/*
 * What every backend promises, whatever is behind it: the same cases run on simulated devices here
 * and on real ones in the VM (DMABROKER_TEST_BACKEND=kmod). They assume two usable devices of the
 * same coherence, and look only at buffers of their own, because on a real machine others have some.
 * Mappings are in test_backend_map.c, a part of the same program.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "proto/cleanup.h"
#include "tests/unit/backend_fixture.h"
#include "tests/unit/test_backend.h"

#define MANY 300

START_TEST(test_dup_fork_mmap_keep_it)
{
	struct backend_alloc alloc = fixture_alloc(65536);
	struct backend_buffer buffer;
	int fd, dup_fd, release[2], status;
	char byte = 0;
	void *map;
	pid_t pid;

	ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
	dup_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	map = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_int_eq(pipe2(release, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		munmap(map, 65536);
		close(release[1]);
		_exit(read(release[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(release[0]);
	close(fd);
	fixture_settle();
	ck_assert_uint_eq(fixture_freed(buffer.id), 0);
	close(dup_fd);
	fixture_settle();
	ck_assert_uint_eq(fixture_freed(buffer.id), 0);
	munmap(map, 65536);
	fixture_settle();
	ck_assert_uint_eq(fixture_freed(buffer.id), 0);
	close(release[1]); /* the child's fds are the last */
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);
}
END_TEST

START_TEST(test_mmap_alone_keeps_it)
{
	struct backend_alloc alloc = fixture_alloc(8192);
	struct backend_buffer buffer;
	uint8_t *map;
	int fd;

	ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	close(fd);
	fixture_settle();
	ck_assert_uint_eq(fixture_freed(buffer.id), 0);
	munmap(map, 4096); /* half of it */
	fixture_settle();
	ck_assert_uint_eq(fixture_freed(buffer.id), 0);
	map[4096] = 1;
	munmap(map + 4096, 4096);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);
}
END_TEST

/* Equal events behind each other are merged by the kernel: one event for many closes. */
START_TEST(test_many_fds_closed_at_once)
{
	struct backend_alloc alloc = fixture_alloc(4096);
	struct backend_buffer buffer;
	int fds[MANY], fd, i;

	ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(backend->ops->buffer_open(backend, buffer.id, i % 3 == 0, &fds[i],
							   NULL),
				 0);
	for (i = 0; i < MANY - 1; i++)
		close(fds[i]);
	fixture_settle();
	close(fd);
	fixture_settle();
	ck_assert_uint_eq(fixture_freed(buffer.id), 0);
	close(fds[MANY - 1]);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);

	/* And all of them in one go. */
	ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(
			backend->ops->buffer_open(backend, buffer.id, false, &fds[i], NULL), 0);
	close(fd);
	for (i = 0; i < MANY; i++)
		close(fds[i]);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);
}
END_TEST

/* Closers in many processes at once, some of which are between the event and the release. */
START_TEST(test_concurrent_closers)
{
	struct backend_alloc alloc = fixture_alloc(4096);
	int round, i, fds[16], status;
	struct backend_buffer buffer;
	pid_t pids[16];

	for (round = 0; round < 20; round++) {
		ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fds[0]), 0);
		for (i = 1; i < 16; i++)
			ck_assert_int_eq(backend->ops->buffer_open(backend, buffer.id, i & 1,
								   &fds[i], NULL),
					 0);
		for (i = 0; i < 16; i++) {
			pids[i] = fork();
			ck_assert_int_ge(pids[i], 0);
			if (pids[i] == 0)
				_exit(0);
		}
		for (i = 0; i < 16; i++)
			close(fds[i]);
		for (i = 0; i < 1000 && !fixture_freed(buffer.id); i++) {
			struct pollfd ready = { .fd = backend->ops->get_fd(backend),
						.events = POLLIN };

			poll(&ready, 1, 100);
			ck_assert_int_eq(fixture_dispatch(), 0);
		}
		ck_assert_uint_eq(fixture_freed(buffer.id), 1);
		for (i = 0; i < 16; i++)
			ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
	}
}
END_TEST

START_TEST(test_read_only_stays_read_only)
{
	struct backend_alloc alloc = fixture_alloc(4096);
	struct backend_buffer buffer;
	bool read_only;
	uint64_t id;
	int fd, ro;

	ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
	ck_assert_int_eq(backend->ops->buffer_open(backend, buffer.id, true, &ro, NULL), 0);
	ck_assert_int_lt(write(ro, "x", 1), 0);
	ck_assert_ptr_eq(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, ro, 0), MAP_FAILED);
	ck_assert_int_eq(backend->ops->buffer_query(backend, fd, &id, &read_only), 0);
	ck_assert_uint_eq(id, buffer.id);
	ck_assert(!read_only);
	ck_assert_int_eq(backend->ops->buffer_query(backend, ro, &id, &read_only), 0);
	ck_assert_uint_eq(id, buffer.id);
	ck_assert(read_only);
	close(fd);
	fixture_settle();
	ck_assert_uint_eq(fixture_freed(buffer.id), 0);
	close(ro);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);
}
END_TEST

START_TEST(test_lists_and_cookies)
{
	struct backend_alloc alloc = fixture_alloc(4096);
	struct backend_buffer buffers[200], got;
	int fds[200], i;
	uint64_t id;

	for (i = 0; i < 200; i++) {
		memset(alloc.cookie, 0, sizeof(alloc.cookie));
		alloc.cookie[i] = (uint8_t)(i + 1);
		ck_assert_int_eq(fixture_do_alloc(&alloc, &buffers[i], &fds[i]), 0);
		if (i)
			ck_assert_uint_gt(buffers[i].id, buffers[i - 1].id);
	}
	/* Free all but every 50th: most of the table is a gap. */
	for (i = 0; i < 200; i++)
		if (i % 50)
			close(fds[i]);
	ck_assert_int_eq(fixture_dispatch(), 0);
	/* Others may have buffers too, before and in between. */
	id = buffers[0].id - 1;
	for (i = 0; i < 200; i += 50) {
		do
			ck_assert_int_eq(backend->ops->buffer_next(backend, id, &got), 0);
		while ((id = got.id) < buffers[i].id);
		ck_assert_uint_eq(got.id, buffers[i].id);
		ck_assert_uint_eq(got.cookie[i], i + 1);
		memset(alloc.cookie, 0, sizeof(alloc.cookie));
		alloc.cookie[i] = (uint8_t)(i + 1);
		ck_assert_mem_eq(got.cookie, alloc.cookie, BACKEND_COOKIE_SIZE);
	}
	for (i = 0; i < 200; i++)
		ck_assert_int_eq(backend->ops->buffer_get(backend, buffers[i].id, &got),
				 i % 50 ? -ENOENT : 0);
	ck_assert_int_eq(backend->ops->buffer_next(backend, UINT64_MAX, &got), -ENOENT);
	memset(alloc.cookie, 0xa5, sizeof(alloc.cookie));
	ck_assert_int_eq(backend->ops->buffer_set_cookie(backend, id, alloc.cookie), 0);
	ck_assert_int_eq(backend->ops->buffer_get(backend, id, &got), 0);
	ck_assert_mem_eq(got.cookie, alloc.cookie, BACKEND_COOKIE_SIZE);
	ck_assert_int_eq(backend->ops->buffer_set_cookie(backend, 1ull << 40, alloc.cookie),
			 -ENOENT);
	for (i = 0; i < 200; i += 50)
		close(fds[i]);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_int_eq(backend->ops->buffer_get(backend, buffers[0].id, &got), -ENOENT);
}
END_TEST

START_TEST(test_refusals)
{
	static const struct {
		uint64_t size_bytes;
		enum wire_kind kind;
		enum wire_direction direction;
		uint64_t attributes;
		uint32_t device; /* 0: none */
		int error;
		enum wire_reason reason;
	} cases[] = {
		{ 0, 1, 0, 0, 0, -EINVAL, WIRE_REASON_SIZE },
		{ 1ull << 63, 1, 0, 0, 0, -EINVAL, WIRE_REASON_SIZE },
		{ UINT64_MAX, 1, 0, 0, 0, -EINVAL, WIRE_REASON_SIZE },
		{ 1ull << 40, 1, 0, 0, 0, -ENOMEM, WIRE_REASON_NO_MEMORY },
		{ 4096, 0, 0, 0, 0, -EINVAL, WIRE_REASON_UNKNOWN_KIND },
		{ 4096, 5, 0, 0, 0, -EINVAL, WIRE_REASON_UNKNOWN_KIND },
		{ 4096, 3, 0, 0, 0, -EOPNOTSUPP, WIRE_REASON_BACKEND_CANNOT },
		{ 4096, 4, 0, 0, 0, -EOPNOTSUPP, WIRE_REASON_BACKEND_CANNOT },
		{ 4096, 1, 4, 0, 0, -EINVAL, WIRE_REASON_UNKNOWN_DIRECTION },
		{ 4096, 1, 0, 1 << 6, 0, -EINVAL, WIRE_REASON_UNKNOWN_ATTRIBUTE },
		{ 4096, 1, 0, 1ull << 63, 0, -EINVAL, WIRE_REASON_UNKNOWN_ATTRIBUTE },
		{ 4096, 1, 0, WIRE_ATTR_SKIP_CPU_SYNC, 0, -EINVAL, WIRE_REASON_COMBINATION },
		{ 4096, 1, 0, WIRE_ATTR_WEAK_ORDERING, 0, -EINVAL, WIRE_REASON_COMBINATION },
		{ 4096, 1, 0, WIRE_ATTR_FORCE_CONTIGUOUS | WIRE_ATTR_ALLOC_SINGLE_PAGES, 0, -EINVAL,
		  WIRE_REASON_COMBINATION },
		{ 4096, 1, 0, 0, 99, -ENODEV, WIRE_REASON_UNKNOWN_DEVICE },
	};
	unsigned int i, fds_before = fixture_count_fds();
	struct backend_buffer buffer;
	int fd = -7;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct backend_alloc alloc = fixture_alloc(cases[i].size_bytes);
		struct backend_failure failure = { 0 };

		alloc.kind = cases[i].kind;
		alloc.direction = cases[i].direction;
		alloc.attributes = cases[i].attributes;
		alloc.devices = &cases[i].device;
		alloc.nr_devices = cases[i].device ? 1 : 0;
		ck_assert_msg(backend->ops->buffer_alloc(backend, &alloc, &buffer, &fd, &failure) ==
				      cases[i].error,
			      "case %u", i);
		ck_assert_msg(failure.reason == cases[i].reason, "case %u: %u", i, failure.reason);
		ck_assert_msg(strlen(failure.text) > 20, "case %u: '%s'", i, failure.text);
		ck_assert_int_eq(fd, -7);
	}
	ck_assert_uint_eq(fixture_count_fds(), fds_before);
	ck_assert_int_eq(backend->ops->buffer_open(backend, 1ull << 40, false, &fd, NULL), -ENOENT);
}
END_TEST

START_TEST(test_attributes_are_reported)
{
	struct backend_alloc alloc = fixture_alloc(65536);
	struct backend_buffer buffer;
	int fd;

	alloc.kind = WIRE_KIND_WRITECOMBINE;
	alloc.attributes = WIRE_ATTR_FORCE_CONTIGUOUS | WIRE_ATTR_NO_KERNEL_MAPPING |
			   WIRE_ATTR_NO_WARN;
	ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
	ck_assert_uint_eq(buffer.attributes, alloc.attributes);
	ck_assert(buffer.contiguous);
	ck_assert_uint_ge(buffer.alignment_bytes, 4096);
	ck_assert_uint_eq(buffer.kind, WIRE_KIND_WRITECOMBINE);
	/* Which it is depends on whether the devices here snoop. */
	ck_assert_uint_eq(buffer.effective_kind,
			  fixture_noncoherent() ? WIRE_KIND_WRITECOMBINE : WIRE_KIND_COHERENT);
	close(fd);
	ck_assert_int_eq(fixture_dispatch(), 0);
}
END_TEST

START_TEST(test_zeroed_and_rounded)
{
	static const uint64_t attributes[] = {
		0,
		WIRE_ATTR_NO_KERNEL_MAPPING,
		WIRE_ATTR_FORCE_CONTIGUOUS,
		WIRE_ATTR_FORCE_CONTIGUOUS | WIRE_ATTR_NO_KERNEL_MAPPING,
		WIRE_ATTR_ALLOC_SINGLE_PAGES,
	};
	struct backend_alloc alloc = fixture_alloc(100000);
	struct backend_buffer buffer;
	unsigned int i;
	uint8_t *map;
	int fd;

	for (i = 0; i < 2 * sizeof(attributes) / sizeof(attributes[0]); i++) {
		alloc.kind = i & 1 ? WIRE_KIND_COHERENT : WIRE_KIND_WRITECOMBINE;
		alloc.attributes = attributes[i / 2];
		ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
		ck_assert_uint_eq(buffer.size_bytes, 25 * 4096);
		ck_assert_uint_eq(buffer.kind, alloc.kind);
		ck_assert_uint_eq(buffer.attributes, alloc.attributes);
		ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		ck_assert_int_eq(lseek(fd, 0, SEEK_END), 25 * 4096);
		map = mmap(NULL, 25 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ck_assert_ptr_ne(map, MAP_FAILED);
		fixture_assert_zero(map, 25 * 4096);
		memset(map, 0xff, 25 * 4096); /* for whoever gets these pages next */
		munmap(map, 25 * 4096);
		close(fd);
		fixture_settle();
		ck_assert_uint_eq(fixture_freed(buffer.id), 1);
	}
}
END_TEST

START_TEST(test_devices)
{
	struct backend_device device, again;
	unsigned int nr_devices = 0, nr_system = 0;
	uint32_t id = 0;

	while (backend->ops->device_next(backend, id, &device) == 0) {
		ck_assert_uint_gt(device.id, id);
		id = device.id;
		nr_devices++;
		ck_assert_int_eq(backend->ops->device_get(backend, id, &again), 0);
		ck_assert_str_eq(again.name, device.name);
		ck_assert_uint_eq(device.flags & WIRE_DEVICE_ALLOWED, 0);
		ck_assert_uint_gt(strlen(device.bus), 0);
		if (device.flags & WIRE_DEVICE_SYSTEM) {
			nr_system++;
			ck_assert_uint_eq(id, 1);
			ck_assert_str_eq(device.name, "system");
		} else if (device.flags & WIRE_DEVICE_USABLE) {
			ck_assert_uint_ge(device.streaming_mask_bits, 12);
			ck_assert_uint_le(device.streaming_mask_bits, 64);
			ck_assert_uint_ge(device.max_segment_bytes, 4096);
			ck_assert_str_eq(device.reason, "");
		}
	}
	ck_assert_uint_eq(nr_system, 1);
	ck_assert_uint_ge(nr_devices, 3);
	ck_assert_int_eq(backend->ops->device_get(backend, 0, &device), -ENODEV);
	ck_assert_int_eq(backend->ops->device_get(backend, 9999, &device), -ENODEV);
	ck_assert_int_eq(backend->ops->device_next(backend, UINT32_MAX, &device), -ENOENT);
}
END_TEST

Suite *fixture_suite(void)
{
	Suite *suite = suite_create("backend");
	TCase *tcase = tcase_create("promises");

	tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, test_dup_fork_mmap_keep_it);
	tcase_add_test(tcase, test_mmap_alone_keeps_it);
	tcase_add_test(tcase, test_many_fds_closed_at_once);
	tcase_add_test(tcase, test_concurrent_closers);
	tcase_add_test(tcase, test_read_only_stays_read_only);
	tcase_add_test(tcase, test_lists_and_cookies);
	tcase_add_test(tcase, test_refusals);
	tcase_add_test(tcase, test_attributes_are_reported);
	tcase_add_test(tcase, test_zeroed_and_rounded);
	tcase_add_test(tcase, test_devices);
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, test_backend_map_case());
	return suite;
}
