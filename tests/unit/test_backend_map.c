// SPDX-License-Identifier: MIT
/*
 * What every backend promises of mappings; see test_backend.c, whose program this is a part of.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/cleanup.h"
#include "tests/unit/backend_fixture.h"
#include "tests/unit/test_backend.h"

#define MANY 300

/* A buffer for both devices. */
static void alloc_for_both(uint64_t size_bytes, struct backend_device devices[2],
			   struct backend_buffer *ret, int *ret_fd)
{
	struct backend_alloc alloc = fixture_alloc(size_bytes);
	uint32_t ids[2];

	fixture_two_devices(devices);
	ids[0] = devices[0].id;
	ids[1] = devices[1].id;
	alloc.devices = ids;
	alloc.nr_devices = 2;
	ck_assert_int_eq(fixture_do_alloc(&alloc, ret, ret_fd), 0);
}

/* All segments, in pages of a few; checks what must hold for every mapping. */
static void check_segments(const struct backend_mapping *mapping,
			   const struct backend_device *device, unsigned int mask_bits)
{
	uint64_t total, first = 0, bytes = 0;
	struct wire_segment segments[3];
	unsigned int count, i;

	do {
		ck_assert_int_eq(backend->ops->segments(backend, mapping->id, first, segments, 3,
							&count, &total),
				 0);
		ck_assert_uint_eq(total, mapping->nr_segments);
		for (i = 0; i < count; i++) {
			uint64_t last = segments[i].dma_address + segments[i].length_bytes - 1;

			ck_assert_uint_gt(segments[i].length_bytes, 0);
			ck_assert_uint_le(segments[i].length_bytes, device->max_segment_bytes);
			if (mask_bits < 64)
				ck_assert_uint_eq(last >> mask_bits, 0);
			bytes += segments[i].length_bytes;
		}
		first += count;
	} while (count);
	ck_assert_uint_eq(first, total);
	ck_assert_uint_eq(bytes, mapping->size_bytes);
}

START_TEST(test_map_two_devices)
{
	struct backend_mapping mappings[2], got;
	struct backend_device devices[2];
	struct backend_buffer buffer;
	enum wire_owned_by owner;
	int fd, fds[2], i;

	alloc_for_both(65536, devices, &buffer, &fd);
	for (i = 0; i < 2; i++) {
		struct backend_map map = fixture_map_of(&buffer, &devices[i]);

		ck_assert_int_eq(fixture_do_map(&map, &mappings[i], &fds[i]), 0);
		ck_assert_int_eq(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		ck_assert_uint_eq(mappings[i].buffer_id, buffer.id);
		ck_assert_uint_eq(mappings[i].device_id, devices[i].id);
		ck_assert_uint_eq(mappings[i].account, FIXTURE_ACCOUNT);
		ck_assert_uint_eq(mappings[i].size_bytes, 65536);
		/* The first syncs, for both. */
		ck_assert_uint_eq(mappings[i].attributes, i ? WIRE_ATTR_SKIP_CPU_SYNC : 0);
		ck_assert_uint_eq(mappings[i].flags & WIRE_MAPPING_SKIP_CPU_SYNC,
				  i ? WIRE_MAPPING_SKIP_CPU_SYNC : 0);
		check_segments(&mappings[i], &devices[i], devices[i].streaming_mask_bits);
	}
	ck_assert_int_eq(backend->ops->buffer_get(backend, buffer.id, &buffer), 0);
	ck_assert_uint_eq(buffer.nr_mappings, 2);
	ck_assert_uint_eq(buffer.syncs_done, 1);
	ck_assert_uint_eq(buffer.syncs_saved, 1);
	ck_assert_int_eq(backend->ops->owned_by(backend, buffer.id, &owner), 0);
	ck_assert_int_eq(owner, WIRE_OWNED_BY_BOTH);

	ck_assert_int_eq(backend->ops->mapping_next(backend, buffer.id, 0, &got), 0);
	ck_assert_uint_eq(got.id, mappings[0].id);
	ck_assert_int_eq(backend->ops->mapping_next(backend, buffer.id, got.id, &got), 0);
	ck_assert_uint_eq(got.id, mappings[1].id);
	ck_assert_int_eq(backend->ops->mapping_next(backend, buffer.id, got.id, &got), -ENOENT);
	ck_assert_int_eq(backend->ops->mapping_next(backend, 0, mappings[0].id, &got), 0);
	ck_assert_uint_eq(got.id, mappings[1].id);
	ck_assert_int_eq(backend->ops->mapping_get(backend, mappings[0].id, &got), 0);
	ck_assert_uint_eq(got.device_id, devices[0].id);

	/* A mapping keeps the buffer, a buffer's fd keeps no mapping. */
	close(fd);
	close(fds[0]);
	fixture_settle();
	ck_assert_uint_eq(fixture_unmapped(mappings[0].id), 1);
	ck_assert_uint_eq(fixture_unmapped(mappings[1].id), 0);
	ck_assert_uint_eq(fixture_freed(buffer.id), 0);
	ck_assert_int_eq(backend->ops->mapping_get(backend, mappings[0].id, &got), -ENOENT);
	close(fds[1]);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_unmapped(mappings[1].id), 1);
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);
}
END_TEST

START_TEST(test_mapping_fd_is_shared)
{
	int fd, map_fd, dup_fd, release[2], status;
	struct backend_device devices[2];
	struct backend_mapping mapping;
	struct backend_buffer buffer;
	struct backend_map map;
	char byte;
	pid_t pid;

	alloc_for_both(8192, devices, &buffer, &fd);
	map = fixture_map_of(&buffer, &devices[0]);
	ck_assert_int_eq(fixture_do_map(&map, &mapping, &map_fd), 0);
	ck_assert_int_lt(write(map_fd, "x", 1), 0); /* nothing goes in */
	dup_fd = fcntl(map_fd, F_DUPFD_CLOEXEC, 0);
	ck_assert_int_eq(pipe2(release, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(fd);
		close(dup_fd);
		close(release[1]);
		_exit(read(release[0], &byte, 1) == 0 ? 0 : 1);
	}
	close(release[0]);
	close(map_fd);
	fixture_settle();
	close(dup_fd);
	fixture_settle();
	ck_assert_uint_eq(fixture_unmapped(mapping.id), 0);
	close(release[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	fixture_settle();
	ck_assert_uint_eq(fixture_unmapped(mapping.id), 1);
	ck_assert_uint_eq(fixture_freed(buffer.id), 0);
	close(fd);
	fixture_settle();
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);
}
END_TEST

START_TEST(test_map_narrower_mask)
{
	struct backend_device devices[2];
	struct backend_mapping mapping;
	struct backend_buffer buffer;
	struct backend_map map;
	unsigned int bits;
	int fd, map_fd;

	alloc_for_both(1 << 20, devices, &buffer, &fd);
	for (bits = devices[0].streaming_mask_bits; bits > devices[0].streaming_mask_bits - 4;
	     bits--) {
		if (!(devices[0].flags & WIRE_DEVICE_IOMMU))
			break; /* memory lies where it lies */
		map = fixture_map_of(&buffer, &devices[0]);
		map.mask_bits = bits;
		ck_assert_int_eq(fixture_do_map(&map, &mapping, &map_fd), 0);
		check_segments(&mapping, &devices[0], bits);
		close(map_fd);
	}
	close(fd);
	fixture_settle();
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);
}
END_TEST

START_TEST(test_map_refusals)
{
	static const struct {
		int device; /* of the two, -1 system, -2 none */
		uint32_t direction, buffer_direction;
		uint64_t attributes;
		uint32_t mask_bits;
		bool read_only, no_account, no_buffer;
		int error;
		enum wire_reason reason;
	} cases[] = {
		{ -1, .error = -EINVAL, .reason = WIRE_REASON_DEVICE_SYSTEM },
		{ -2, .error = -ENODEV, .reason = WIRE_REASON_UNKNOWN_DEVICE },
		{ 0, .direction = WIRE_DIR_NONE, .error = -EINVAL,
		  .reason = WIRE_REASON_DIRECTION_NONE },
		{ 0, .direction = 4, .error = -EINVAL, .reason = WIRE_REASON_UNKNOWN_DIRECTION },
		{ 0, .direction = WIRE_DIR_FROM_DEVICE, .read_only = true, .error = -EACCES,
		  .reason = WIRE_REASON_READ_ONLY },
		{ 0, .direction = WIRE_DIR_BIDIRECTIONAL, .read_only = true, .error = -EACCES,
		  .reason = WIRE_REASON_READ_ONLY },
		{ 0, .buffer_direction = WIRE_DIR_TO_DEVICE, .error = -EACCES,
		  .reason = WIRE_REASON_READ_ONLY },
		{ 0, .direction = WIRE_DIR_FROM_DEVICE, .buffer_direction = WIRE_DIR_TO_DEVICE,
		  .error = -EACCES, .reason = WIRE_REASON_READ_ONLY },
		{ 0, .direction = WIRE_DIR_TO_DEVICE, .buffer_direction = WIRE_DIR_FROM_DEVICE,
		  .error = -EACCES, .reason = WIRE_REASON_READ_ONLY },
		{ 0, .direction = WIRE_DIR_TO_DEVICE, .buffer_direction = WIRE_DIR_NONE,
		  .error = -EACCES, .reason = WIRE_REASON_READ_ONLY },
		{ 0, .attributes = 1ull << 40, .error = -EINVAL,
		  .reason = WIRE_REASON_UNKNOWN_ATTRIBUTE },
		{ 0, .attributes = WIRE_ATTR_FORCE_CONTIGUOUS, .error = -EINVAL,
		  .reason = WIRE_REASON_COMBINATION },
		{ 0, .mask_bits = 65, .error = -EINVAL, .reason = WIRE_REASON_BAD_ARGUMENT },
		{ 0, .mask_bits = 63, .error = -EINVAL, .reason = WIRE_REASON_BAD_ARGUMENT },
		{ 0, .no_account = true, .error = -EINVAL, .reason = WIRE_REASON_BAD_ARGUMENT },
		{ 0, .no_buffer = true, .error = -ENOENT, .reason = WIRE_REASON_UNKNOWN_BUFFER },
	};
	struct backend_device devices[2];
	unsigned int i, fds_before;
	int fd, map_fd = -7;

	fixture_two_devices(devices);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct backend_alloc alloc = fixture_alloc(4096);
		struct backend_failure failure = { 0 };
		struct backend_mapping mapping;
		struct backend_buffer buffer;
		struct backend_map map;

		alloc.direction = cases[i].buffer_direction;
		ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
		map = fixture_map_of(&buffer, &devices[0]);
		if (cases[i].device < 0)
			map.device_id = cases[i].device == -1 ? 1 : 9999;
		if (cases[i].no_buffer)
			map.buffer_id = 1ull << 40;
		if (cases[i].no_account)
			map.account = 0;
		map.direction = cases[i].direction;
		map.attributes = cases[i].attributes;
		map.mask_bits = cases[i].mask_bits;
		map.read_only = cases[i].read_only;
		fds_before = fixture_count_fds();
		ck_assert_msg(backend->ops->map(backend, &map, &mapping, &map_fd, &failure) ==
				      cases[i].error,
			      "case %u: %s", i, failure.text);
		ck_assert_msg(failure.reason == cases[i].reason, "case %u: %u %s", i,
			      failure.reason, failure.text);
		ck_assert_msg(strlen(failure.text) > 20, "case %u: '%s'", i, failure.text);
		ck_assert_int_eq(map_fd, -7);
		ck_assert_uint_eq(fixture_count_fds(), fds_before);
		close(fd);
	}
}
END_TEST

START_TEST(test_one_account_at_a_time)
{
	struct backend_failure failure = { 0 };
	struct backend_device devices[2];
	struct backend_mapping mapping;
	struct backend_buffer buffer;
	int fd, map_fd, other_fd;
	struct backend_map map;

	alloc_for_both(4096, devices, &buffer, &fd);
	map = fixture_map_of(&buffer, &devices[0]);
	ck_assert_int_eq(fixture_do_map(&map, &mapping, &map_fd), 0);
	map.account = FIXTURE_ACCOUNT + 1;
	ck_assert_int_eq(backend->ops->map(backend, &map, &mapping, &other_fd, &failure), -EBUSY);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_DEVICE_BUSY);
	ck_assert(failure.retry);
	close(map_fd);
	close(fd);
	fixture_settle();
}
END_TEST

START_TEST(test_sync_arguments)
{
	struct backend_failure failure = { 0 };
	struct backend_device devices[2];
	struct backend_mapping mapping;
	struct backend_buffer buffer;
	struct wire_sync sync = { 0 };
	struct backend_map map;
	int fd, map_fd, ok;

	alloc_for_both(8192, devices, &buffer, &fd);
	map = fixture_map_of(&buffer, &devices[0]);
	ck_assert_int_eq(fixture_do_map(&map, &mapping, &map_fd), 0);
	sync.mapping_id = mapping.id;
	sync.flags = WIRE_SYNC_FOR_CPU;
	/* Where the fd does it, there is no other way. */
	ok = mapping.flags & WIRE_MAPPING_SYNC_BY_FD ? -EOPNOTSUPP : 0;
	ck_assert_int_eq(backend->ops->sync(backend, &sync, &failure), ok);
	sync.offset_bytes = 8192;
	ck_assert_int_eq(backend->ops->sync(backend, &sync, &failure), ok);
	sync.size_bytes = 1;
	ck_assert_int_lt(backend->ops->sync(backend, &sync, &failure), 0);
	sync.offset_bytes = UINT64_MAX;
	sync.size_bytes = 2;
	ck_assert_int_lt(backend->ops->sync(backend, &sync, &failure), 0);
	sync = (struct wire_sync){ .mapping_id = mapping.id, .flags = 3 };
	ck_assert_int_lt(backend->ops->sync(backend, &sync, &failure), 0);
	close(map_fd);
	close(fd);
	fixture_settle();
}
END_TEST

/* Thousands of clients' mappings and buffers go at once. */
START_TEST(test_many_mappings_at_once)
{
	struct backend_mapping mappings[MANY];
	struct backend_device devices[2];
	struct backend_buffer buffer;
	int fd, fds[MANY], i;

	alloc_for_both(4096, devices, &buffer, &fd);
	for (i = 0; i < MANY; i++) {
		struct backend_map map = fixture_map_of(&buffer, &devices[i & 1]);

		ck_assert_int_eq(fixture_do_map(&map, &mappings[i], &fds[i]), 0);
	}
	close(fd);
	for (i = 0; i < MANY; i++)
		close(fds[i]);
	ck_assert_int_eq(fixture_dispatch(), 0);
	for (i = 0; i < MANY; i++)
		ck_assert_uint_eq(fixture_unmapped(mappings[i].id), 1);
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);
}
END_TEST

TCase *test_backend_map_case(void)
{
	TCase *tcase = tcase_create("mappings");

	tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, test_map_two_devices);
	tcase_add_test(tcase, test_mapping_fd_is_shared);
	tcase_add_test(tcase, test_map_narrower_mask);
	tcase_add_test(tcase, test_map_refusals);
	tcase_add_test(tcase, test_one_account_at_a_time);
	tcase_add_test(tcase, test_sync_arguments);
	tcase_add_test(tcase, test_many_mappings_at_once);
	return tcase;
}
