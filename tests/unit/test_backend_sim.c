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
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "proto/cleanup.h"
#include "tests/unit/backend_fixture.h"

#define MANY   300
#define ROUNDS 500

START_TEST(test_alloc_is_sealed_zeroed_private)
{
	struct backend_alloc alloc = fixture_alloc(10000);
	struct backend_buffer buffer;
	struct stat st;
	uint8_t *map;
	int fd;

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
	fixture_assert_zero(map, 12288);
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

/* More events than the kernel's queue holds: some are lost, no buffer is. */
START_TEST(test_queue_overflow)
{
	struct backend_alloc alloc = fixture_alloc(4096);
	struct backend_buffer noise[2], lost;
	int noise_fds[2], lost_fd, i;

	for (i = 0; i < 2; i++)
		ck_assert_int_eq(fixture_do_alloc(&alloc, &noise[i], &noise_fds[i]), 0);
	ck_assert_int_eq(fixture_do_alloc(&alloc, &lost, &lost_fd), 0);
	/* By turns, so that none is merged with the one before it. */
	for (i = 0; i < 20000; i++) {
		char path[32];
		int fd;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", noise_fds[i & 1]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		ck_assert_int_ge(fd, 0);
		close(fd);
	}
	close(lost_fd); /* nobody hears of this one */
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_freed(lost.id), 1);
	for (i = 0; i < 2; i++) {
		ck_assert_uint_eq(fixture_freed(noise[i].id), 0);
		close(noise_fds[i]);
	}
}
END_TEST

static int race_fds[2]; /* a pipe of fds to close */

static void *race_closer(void *unused)
{
	const struct sched_param none = { 0 };
	int fd;

	/* Whoever the event wakes runs at once, in the middle of our close(). */
	sched_setscheduler(0, SCHED_IDLE, &none);
	while (read(race_fds[0], &fd, sizeof(fd)) == sizeof(fd))
		close(fd);
	return NULL;
}

/*
 * The event comes before the kernel lets go: a look in between must not be the last one. On a
 * kernel that preempts itself (preempt=full) about every round is such a case, on others few are.
 */
START_TEST(test_event_before_release)
{
	struct backend_alloc alloc = fixture_alloc(4096);
	struct backend_buffer buffer;
	unsigned int round, tries;
	pthread_t thread;
	cpu_set_t cpu;
	int fd;

	CPU_ZERO(&cpu);
	CPU_SET(sched_getcpu(), &cpu);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(cpu), &cpu), 0);
	ck_assert_int_eq(pipe2(race_fds, O_CLOEXEC), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, race_closer, NULL), 0);
	for (round = 0; round < ROUNDS; round++) {
		struct pollfd ready = { .fd = backend->ops->get_fd(backend), .events = POLLIN };

		ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
		ck_assert_int_eq(write(race_fds[1], &fd, sizeof(fd)), sizeof(fd));
		for (tries = 0; tries < 20 && !fixture_freed(buffer.id); tries++) {
			poll(&ready, 1, 500);
			ck_assert_int_eq(fixture_dispatch(), 0);
		}
		ck_assert_msg(fixture_freed(buffer.id) == 1, "lost in round %u", round);
	}
	close(race_fds[1]);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
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
	tcase_add_test(tcase, test_queue_overflow);
	tcase_add_test(tcase, test_event_before_release);
	tcase_add_test(tcase, test_query_is_not_fooled);
	tcase_add_test(tcase, test_out_of_fds);
	tcase_add_test(tcase, test_one_fd_for_each_buffer);
	suite_add_tcase(suite, tcase);
	return suite;
}
