/* SPDX-License-Identifier: MIT */
/*
 * Packets with fds over a socketpair. No fd may be lost or left open whatever the peer sends, and
 * the end of the stream is told from an empty packet. Every test ends by counting open fds.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "proto/cleanup.h"
#include "proto/packet.h"

static int pair[2];
static int memfd;
static struct packet packet;
static unsigned int fds_at_start;

static unsigned int count_fds(void)
{
	unsigned int nr = 0;
	DIR *dir = opendir("/proc/self/fd");

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static void setup(void)
{
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	memfd = memfd_create("test", MFD_CLOEXEC);
	ck_assert_int_ge(memfd, 0);
	fds_at_start = count_fds();
}

static void teardown(void)
{
	ck_assert_uint_eq(count_fds(), fds_at_start);
	pair[0] = fd_close(pair[0]);
	pair[1] = fd_close(pair[1]);
	memfd = fd_close(memfd);
}

/* Sends @nr fds in as many control messages of their own, as a peer of another make may. */
static void send_raw(const void *bytes, size_t nr_bytes, unsigned int nr_fds, bool apart)
{
	char control[WIRE_FDS_MAX * CMSG_SPACE(sizeof(int))];
	struct iovec iov = { (void *)(uintptr_t)bytes, nr_bytes };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg;
	unsigned int each = apart ? 1 : nr_fds;
	size_t used = 0;

	memset(control, 0, sizeof(control));
	cmsg = CMSG_FIRSTHDR(&msg);
	for (unsigned int i = 0; i < nr_fds; i += each) {
		ck_assert_ptr_nonnull(cmsg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(each * sizeof(int));
		for (unsigned int j = 0; j < each; j++)
			memcpy(CMSG_DATA(cmsg) + j * sizeof(int), &memfd, sizeof(int));
		used += CMSG_SPACE(each * sizeof(int));
		cmsg = CMSG_NXTHDR(&msg, cmsg);
	}
	msg.msg_controllen = used;
	if (!used)
		msg.msg_control = NULL;
	ck_assert_int_eq(sendmsg(pair[0], &msg, MSG_NOSIGNAL), nr_bytes);
}

START_TEST(bytes_arrive_in_two_parts)
{
	ck_assert_int_eq(packet_send(pair[0], "head", 4, "body", 4, NULL, 0), 0);
	ck_assert_int_eq(packet_send(pair[0], "only", 4, NULL, 0, NULL, 0), 0);
	ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 1);
	ck_assert_uint_eq(packet.size_bytes, 8);
	ck_assert_mem_eq(packet.bytes, "headbody", 8);
	ck_assert_uint_eq(packet.nr_fds, 0);
	ck_assert(!packet.truncated);
	ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 1);
	ck_assert_uint_eq(packet.size_bytes, 4);
	ck_assert_int_eq(packet_recv(&packet, pair[1], 0), -EAGAIN);
}
END_TEST

START_TEST(fds_arrive_close_on_exec_and_belong_to_the_packet)
{
	static const unsigned int counts[] = { 1, 2, 3, 64, WIRE_FDS_MAX };
	int fds[WIRE_FDS_MAX];
	int fd;

	for (unsigned int i = 0; i < WIRE_FDS_MAX; i++)
		fds[i] = memfd;
	for (unsigned int i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		ck_assert_int_eq(packet_send(pair[0], "x", 1, NULL, 0, fds, counts[i]), 0);
		ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 1);
		ck_assert(!packet.truncated);
		ck_assert_uint_eq(packet.nr_fds, counts[i]);
		ck_assert_uint_eq(count_fds(), fds_at_start + counts[i]);
		ck_assert_int_eq(fcntl(packet.fds[0], F_GETFD), FD_CLOEXEC);

		fd = packet_take_fd(&packet, counts[i] - 1);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(packet_take_fd(&packet, counts[i] - 1), -1);
		ck_assert_int_eq(packet_take_fd(&packet, counts[i]), -1);
		packet_fini(&packet);
		packet_fini(&packet);
		ck_assert_int_ge(fcntl(fd, F_GETFD), 0); /* taken: still ours */
		close(fd);
		ck_assert_uint_eq(count_fds(), fds_at_start);
	}
}
END_TEST

/* The kernel packs them together: two fds hide in the room of one. */
START_TEST(fds_of_several_control_messages_are_all_counted)
{
	for (unsigned int nr = 1; nr <= 5; nr++) {
		send_raw("x", 1, nr, true);
		ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 1);
		ck_assert_uint_eq(packet.nr_fds, nr);
		packet_fini(&packet);
	}
}
END_TEST

START_TEST(a_process_out_of_fds_sees_truncation_and_leaks_none)
{
	struct rlimit saved, tight;
	int lowest_free = dup(memfd);

	ck_assert_int_ge(lowest_free, 0);
	close(lowest_free);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &saved), 0);
	send_raw("x", 1, 10, false);
	tight = saved;
	tight.rlim_cur = lowest_free + 2;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
	ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 1);
	ck_assert(packet.truncated);
	ck_assert_uint_lt(packet.nr_fds, 10);
	packet_fini(&packet);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &saved), 0);
}
END_TEST

START_TEST(too_long_a_packet_is_truncated)
{
	static const uint8_t bytes[WIRE_MESSAGE_MAX + 1];

	ck_assert_int_eq(packet_send(pair[0], bytes, sizeof(bytes) - 1, NULL, 0, NULL, 0), 0);
	ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 1);
	ck_assert(!packet.truncated);
	ck_assert_uint_eq(packet.size_bytes, WIRE_MESSAGE_MAX);

	ck_assert_int_eq(packet_send(pair[0], bytes, sizeof(bytes), NULL, 0, &memfd, 1), 0);
	ck_assert_int_eq(packet_recv(&packet, pair[1], MSG_TRUNC), 1);
	ck_assert(packet.truncated);
	ck_assert_uint_eq(packet.size_bytes, WIRE_MESSAGE_MAX);
	ck_assert_uint_eq(packet.nr_fds, 1);
	packet_fini(&packet);
}
END_TEST

START_TEST(an_empty_packet_is_not_the_end)
{
	for (int i = 0; i < 3; i++)
		send_raw("", 0, 0, false);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 1);
		ck_assert_uint_eq(packet.size_bytes, 0);
	}
	ck_assert_int_eq(packet_recv(&packet, pair[1], 0), -EAGAIN);
}
END_TEST

START_TEST(the_end_is_not_an_empty_packet)
{
	ck_assert_int_eq(packet_send(pair[0], "x", 1, NULL, 0, NULL, 0), 0);
	pair[0] = fd_close(pair[0]);
	fds_at_start--;
	ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 0);
}
END_TEST

START_TEST(half_closed_is_the_end_too)
{
	ck_assert_int_eq(shutdown(pair[0], SHUT_WR), 0);
	ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 0);
}
END_TEST

/* A peer cannot make an end look like packets: whatever it queued, the count is bounded. */
START_TEST(empty_packets_before_the_end_do_not_hide_it)
{
	unsigned int seen = 0;

	for (int i = 0; i < 3; i++)
		send_raw("", 0, 0, false);
	pair[0] = fd_close(pair[0]);
	fds_at_start--;
	while (packet_recv(&packet, pair[1], 0) == 1)
		ck_assert_uint_lt(seen++, 3);
	ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 0);
}
END_TEST

START_TEST(an_empty_packet_with_fds_is_a_packet_even_at_the_end)
{
	send_raw("", 0, 2, false);
	pair[0] = fd_close(pair[0]);
	fds_at_start--;
	ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 1);
	ck_assert_uint_eq(packet.size_bytes, 0);
	ck_assert_uint_eq(packet.nr_fds, 2);
	packet_fini(&packet);
	ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 0);
}
END_TEST

START_TEST(other_control_messages_are_skipped)
{
	int on = 1;

	ck_assert_int_eq(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)), 0);
	ck_assert_int_eq(setsockopt(pair[1], SOL_SOCKET, SO_TIMESTAMP, &on, sizeof(on)), 0);
	send_raw("x", 1, WIRE_FDS_MAX, false);
	ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 1);
	ck_assert(!packet.truncated);
	ck_assert_uint_eq(packet.nr_fds, WIRE_FDS_MAX);
	packet_fini(&packet);
}
END_TEST

START_TEST(sending_fails_without_blocking_or_signals)
{
	static const uint8_t bytes[WIRE_MESSAGE_MAX];
	unsigned int sent = 0;
	int r;

	while ((r = packet_send(pair[0], bytes, sizeof(bytes), NULL, 0, &memfd, 1)) == 0)
		ck_assert_uint_lt(sent++, 100000);
	ck_assert_int_eq(r, -EAGAIN);
	ck_assert_uint_gt(sent, 0);
	while (sent-- > 0) {
		ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 1);
		packet_fini(&packet);
	}
	pair[1] = fd_close(pair[1]);
	fds_at_start--;
	ck_assert_int_eq(packet_send(pair[0], bytes, 1, NULL, 0, NULL, 0), -EPIPE);
}
END_TEST

START_TEST(unread_packets_are_seen)
{
	ck_assert_int_eq(packet_outstanding(pair[0]), 0);
	ck_assert_int_eq(packet_send(pair[0], "x", 1, NULL, 0, &memfd, 1), 0);
	ck_assert_int_eq(packet_outstanding(pair[0]), 1);
	ck_assert_int_eq(packet_outstanding(pair[1]), 0);
	ck_assert_int_eq(packet_recv(&packet, pair[1], 0), 1);
	packet_fini(&packet);
	ck_assert_int_eq(packet_outstanding(pair[0]), 0);
	ck_assert_int_eq(packet_outstanding(memfd), -ENOTTY);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("packet");
	TCase *tcase = tcase_create("packet");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, bytes_arrive_in_two_parts);
	tcase_add_test(tcase, fds_arrive_close_on_exec_and_belong_to_the_packet);
	tcase_add_test(tcase, fds_of_several_control_messages_are_all_counted);
	tcase_add_test(tcase, a_process_out_of_fds_sees_truncation_and_leaks_none);
	tcase_add_test(tcase, too_long_a_packet_is_truncated);
	tcase_add_test(tcase, an_empty_packet_is_not_the_end);
	tcase_add_test(tcase, the_end_is_not_an_empty_packet);
	tcase_add_test(tcase, half_closed_is_the_end_too);
	tcase_add_test(tcase, empty_packets_before_the_end_do_not_hide_it);
	tcase_add_test(tcase, an_empty_packet_with_fds_is_a_packet_even_at_the_end);
	tcase_add_test(tcase, other_control_messages_are_skipped);
	tcase_add_test(tcase, sending_fails_without_blocking_or_signals);
	tcase_add_test(tcase, unread_packets_are_seen);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
