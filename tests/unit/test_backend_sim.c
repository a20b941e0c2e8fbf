// SPDX-License-Identifier: MIT
/*
 * The sim backend: buffers and the proof that nobody uses them any more.
 *
 * What is asserted about "really given back" is looked up where it can be seen from outside: the
 * blocks that an O_PATH fd still shows, the fds in /proc/self/fd, the list of live buffers.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "proto/cleanup.h"
#include "tests/unit/backend_fixture.h"

#define MANY 300

START_TEST(test_alloc_is_sealed_zeroed_private)
{
	struct backend_alloc alloc = fixture_alloc(10000);
	struct backend_buffer buffer;
	struct stat st;
	uint8_t *map;
	int fd, i;

	ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
	ck_assert_uint_eq(buffer.size_bytes, 12288);
	ck_assert_uint_eq(buffer.kind, WIRE_KIND_COHERENT);
	ck_assert_uint_eq(buffer.effective_kind, WIRE_KIND_COHERENT);
	ck_assert(!buffer.contiguous);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(st.st_size, 12288);
	ck_assert_int_ge(st.st_blocks * 512, 12288);
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	ck_assert_int_lt(ftruncate(fd, 4096), 0);
	ck_assert_int_lt(ftruncate(fd, 1 << 20), 0);
	map = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	for (i = 0; i < 12288; i++)
		ck_assert_uint_eq(map[i], 0);
	munmap(map, 12288);
	close(fd);
	fixture_settle();
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);
}
END_TEST

START_TEST(test_freed_gives_memory_back)
{
	struct backend_alloc alloc = fixture_alloc(1 << 20);
	struct backend_buffer buffer;
	struct stat st;
	char path[32];
	int fd, o_path;

	ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	o_path = open(path, O_PATH | O_CLOEXEC);
	ck_assert_int_ge(o_path, 0);
	ck_assert_int_eq(fstat(o_path, &st), 0);
	ck_assert_int_ge(st.st_blocks * 512, 1 << 20);
	close(fd);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);
	ck_assert_int_eq(fstat(o_path, &st), 0);
	ck_assert_int_eq(st.st_blocks, 0);
	close(o_path);
	ck_assert_int_eq(backend->ops->buffer_get(backend, buffer.id, &buffer), -ENOENT);
}
END_TEST

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

/* More events than the kernel's queue holds: some are lost, no buffer is. */
START_TEST(test_queue_overflow)
{
	struct backend_alloc alloc = fixture_alloc(4096);
	struct backend_buffer a, b;
	int fd_a, fd_b, i;

	ck_assert_int_eq(fixture_do_alloc(&alloc, &a, &fd_a), 0);
	ck_assert_int_eq(fixture_do_alloc(&alloc, &b, &fd_b), 0);
	for (i = 0; i < 20000; i++) {
		char path[32];
		int fd;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", i & 1 ? fd_a : fd_b);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ck_assert_int_ge(fd, 0);
		close(fd);
	}
	close(fd_a);
	close(fd_b);
	for (i = 0; i < 100 && !(fixture_freed(a.id) && fixture_freed(b.id)); i++) {
		fixture_settle();
	}
	ck_assert_uint_eq(fixture_freed(a.id), 1);
	ck_assert_uint_eq(fixture_freed(b.id), 1);
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

START_TEST(test_query_is_not_fooled)
{
	struct backend_alloc alloc = fixture_alloc(4096);
	struct backend_buffer buffer;
	int fd, others[6], i;
	bool read_only;
	char path[32];
	uint64_t id;

	ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	others[0] = memfd_create("dmabroker", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(others[0], 4096), 0);
	others[1] = open(path, O_PATH | O_CLOEXEC);
	others[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
	others[3] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	others[4] = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	others[5] = open(path, O_WRONLY | O_CLOEXEC);
	for (i = 0; i < 6; i++) {
		ck_assert_int_ge(others[i], 0);
		ck_assert_int_eq(backend->ops->buffer_query(backend, others[i], &id, &read_only),
				 -EBADF);
		close(others[i]);
	}
	ck_assert_int_eq(backend->ops->buffer_query(backend, -1, &id, &read_only), -EBADF);
	close(fd);
	fixture_settle();
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);
}
END_TEST

START_TEST(test_lists_and_cookies)
{
	struct backend_alloc alloc = fixture_alloc(4096);
	struct backend_buffer buffers[200], got;
	uint64_t id = 0;
	int fds[200], i;

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
	for (i = 0; i < 200; i += 50) {
		ck_assert_int_eq(backend->ops->buffer_next(backend, id, &got), 0);
		ck_assert_uint_eq(got.id, buffers[i].id);
		ck_assert_uint_eq(got.cookie[i], i + 1);
		memset(alloc.cookie, 0, sizeof(alloc.cookie));
		alloc.cookie[i] = (uint8_t)(i + 1);
		ck_assert_mem_eq(got.cookie, alloc.cookie, BACKEND_COOKIE_SIZE);
		id = got.id;
	}
	ck_assert_int_eq(backend->ops->buffer_next(backend, id, &got), -ENOENT);
	ck_assert_int_eq(backend->ops->buffer_next(backend, UINT64_MAX, &got), -ENOENT);
	memset(alloc.cookie, 0xa5, sizeof(alloc.cookie));
	ck_assert_int_eq(backend->ops->buffer_set_cookie(backend, id, alloc.cookie), 0);
	ck_assert_int_eq(backend->ops->buffer_get(backend, id, &got), 0);
	ck_assert_mem_eq(got.cookie, alloc.cookie, BACKEND_COOKIE_SIZE);
	ck_assert_int_eq(backend->ops->buffer_set_cookie(backend, 12345, alloc.cookie), -ENOENT);
	for (i = 0; i < 200; i += 50)
		close(fds[i]);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_int_eq(backend->ops->buffer_next(backend, 0, &got), -ENOENT);
}
END_TEST

START_TEST(test_refusals)
{
	static const struct {
		uint64_t size_bytes;
		enum wire_kind kind;
		enum wire_direction direction;
		uint64_t attributes;
		uint32_t device;
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
	ck_assert_int_eq(backend->ops->buffer_next(backend, 0, &buffer), -ENOENT);
	ck_assert_int_eq(backend->ops->buffer_open(backend, 1, false, &fd, NULL), -ENOENT);
}
END_TEST

START_TEST(test_attributes_are_reported)
{
	struct backend_alloc alloc = fixture_alloc(65536);
	struct backend_buffer buffer;
	int fd;

	alloc.kind = WIRE_KIND_WRITECOMBINE;
	alloc.attributes = WIRE_ATTR_FORCE_CONTIGUOUS | WIRE_ATTR_NO_KERNEL_MAPPING |
			   WIRE_ATTR_NO_WARN | WIRE_ATTR_WEAK_ORDERING;
	ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
	ck_assert_uint_eq(buffer.attributes,
			  WIRE_ATTR_FORCE_CONTIGUOUS | WIRE_ATTR_NO_KERNEL_MAPPING);
	ck_assert(buffer.contiguous);
	ck_assert_uint_ge(buffer.alignment_bytes, 65536);
	ck_assert_uint_eq(buffer.kind, WIRE_KIND_WRITECOMBINE);
	ck_assert_uint_eq(buffer.effective_kind, WIRE_KIND_COHERENT);
	close(fd);
	ck_assert_int_eq(fixture_dispatch(), 0);
}
END_TEST

/* Out of fds at each point of an allocation: a refusal, and nothing is left behind. */
START_TEST(test_out_of_fds)
{
	struct backend_alloc alloc = fixture_alloc(4096);
	unsigned int before, refused = 0, room;
	struct backend_buffer buffer;
	struct rlimit old, limit;
	int fd, r;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	before = fixture_count_fds();
	for (room = 0; room < 4; room++) {
		struct backend_failure failure = { 0 };

		limit = (struct rlimit){ .rlim_cur = fixture_lowest_free_fd() + room,
					 .rlim_max = old.rlim_max };
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		r = backend->ops->buffer_alloc(backend, &alloc, &buffer, &fd, &failure);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
		if (r == 0) {
			close(fd);
			ck_assert_int_eq(fixture_dispatch(), 0);
			ck_assert_uint_eq(fixture_freed(buffer.id), 1);
		} else {
			refused++;
			ck_assert_int_eq(r, -EMFILE);
			ck_assert_uint_eq(failure.reason, WIRE_REASON_NO_FILES);
		}
		ck_assert_uint_eq(fixture_count_fds(), before);
		ck_assert_int_eq(backend->ops->buffer_next(backend, 0, &buffer), -ENOENT);
	}
	ck_assert_uint_ge(refused, 2);
	ck_assert_uint_lt(refused, 4);
}
END_TEST

START_TEST(test_one_fd_for_each_buffer)
{
	struct backend_alloc alloc = fixture_alloc(4096);
	unsigned int before = fixture_count_fds();
	struct backend_buffer buffer;
	int fds[MANY], i;

	for (i = 0; i < MANY; i++)
		ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fds[i]), 0);
	ck_assert_uint_eq(fixture_count_fds(), before + 2 * MANY); /* ours and the client's */
	for (i = 0; i < MANY; i++)
		close(fds[i]);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_count_fds(), before);
}
END_TEST

Suite *fixture_suite(void)
{
	Suite *suite = suite_create("backend-sim");
	TCase *tcase = tcase_create("buffers");

	tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_alloc_is_sealed_zeroed_private);
	tcase_add_test(tcase, test_freed_gives_memory_back);
	tcase_add_test(tcase, test_dup_fork_mmap_keep_it);
	tcase_add_test(tcase, test_mmap_alone_keeps_it);
	tcase_add_test(tcase, test_many_fds_closed_at_once);
	tcase_add_test(tcase, test_concurrent_closers);
	tcase_add_test(tcase, test_queue_overflow);
	tcase_add_test(tcase, test_read_only_stays_read_only);
	tcase_add_test(tcase, test_query_is_not_fooled);
	tcase_add_test(tcase, test_lists_and_cookies);
	tcase_add_test(tcase, test_refusals);
	tcase_add_test(tcase, test_attributes_are_reported);
	tcase_add_test(tcase, test_out_of_fds);
	tcase_add_test(tcase, test_one_fd_for_each_buffer);
	suite_add_tcase(suite, tcase);
	return suite;
}
