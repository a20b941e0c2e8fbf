/* SPDX-License-Identifier: MIT */
/*
 * Fds on their way. The kernel counts unread ones against the sender's uid and fails every send
 * of an unprivileged sender once there are more than its limit of open files. So these brokers
 * run as an ordinary user with a small limit; the tests need root to make them so.
 */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "proto/cleanup.h"
#include "suites.h"

#define BROKER_UID 64990
#define NR_FILES   1024

static const char config[] = "[limits]\nbytes = unlimited\nbuffers = unlimited\n"
			     "[pool]\nbuffers = none\n";

static struct own_broker broker;

static unsigned int fds_max(struct raw *raw)
{
	const struct wire_hello hello = { .version_min = WIRE_VERSION,
					  .version_max = WIRE_VERSION };

	raw_open(raw, broker.socket);
	return ((const struct wire_hello_reply *)raw_call(raw, WIRE_OP_HELLO, &hello, sizeof(hello),
							  NULL, 0))
		->fds_max;
}

/* Each asks for far more than all together could be sent, and reads nothing. */
static void ask_without_reading(struct raw *raw, unsigned int count)
{
	struct wire_alloc request = raw_alloc_request(4096, count);

	for (unsigned int i = 0; i < 2 * NR_FILES / count; i++)
		if (raw_send(raw, WIRE_OP_ALLOC, 0, &request, sizeof(request), NULL, 0) < 0)
			break;
}

START_TEST(never_reading)
{
	struct raw fourth, lazy[3];
	unsigned int most, before;
	int64_t start_ms;
	uint64_t id;
	int fd;

	own_broker_start(&broker, config, BROKER_UID, NR_FILES);
	most = fds_max(&fourth);
	/* Every connection with its largest reply unread stays within the limit. */
	ck_assert_uint_ge(most, 8);
	ck_assert_uint_lt(most, WIRE_FDS_MAX);
	before = count_fds(broker.pid);
	for (unsigned int i = 0; i < 3; i++) {
		raw_hello_as(&lazy[i], broker.socket, (uid_t)(USER1 + i));
		ask_without_reading(&lazy[i], most);
	}
	/* A request that has to wait too long is refused, which raw_alloc() does not take. */
	for (unsigned int i = 0; i < 50; i++) {
		raw_alloc(&fourth, 65536, 1, &id, &fd);
		fd_close(fd);
	}

	/* They get one reply each, and then nothing until they read. */
	for (unsigned int i = 0; i < 3; i++) {
		raw_reply(&lazy[i], WIRE_OP_ALLOC);
		ck_assert_uint_eq(lazy[i].reply.nr_fds, most);
		raw_reply(&lazy[i], WIRE_OP_ALLOC);
		raw_close(&lazy[i]);
	}
	raw_settles(&fourth, 0, 0, PATIENCE_MS);
	for (start_ms = now_ms(); count_fds(broker.pid) > before + 32; poll(NULL, 0, 10))
		ck_assert_int_lt(now_ms() - start_ms, PATIENCE_MS);
	raw_close(&fourth);
	own_broker_stop(&broker);
}
END_TEST

static uint32_t clients_of(struct raw *root, uint32_t uid)
{
	struct wire_list ask = { .flags = WIRE_LIST_ALL };
	const struct wire_list_reply *list =
		raw_call(root, WIRE_OP_ACCOUNT_LIST, &ask, sizeof(ask), NULL, 0);
	const struct wire_account *account = (const struct wire_account *)(list + 1);

	for (uint32_t i = 0; i < list->count; i++)
		if (account[i].uid == uid)
			return account[i].nr_clients;
	return 0;
}

/* Dropping a peer does not free the fds in its queue, so it counts until it has read or closed. */
START_TEST(dropped_with_unread_fds)
{
	struct wire_alloc request = raw_alloc_request(4096, 4);
	struct raw root, bad[2];

	own_broker_start(&broker, config, BROKER_UID, NR_FILES);
	raw_hello(&root, broker.socket);
	for (unsigned int i = 0; i < 2; i++) {
		raw_hello_as(&bad[i], broker.socket, USER1);
		raw_send(&bad[i], WIRE_OP_ALLOC, 0, &request, sizeof(request), NULL, 0);
		raw_send_bytes(&bad[i], "x", 1, NULL, 0);
	}
	for (int64_t start_ms = now_ms(); raw_status(&root).dropped_peers < 2; poll(NULL, 0, 5))
		ck_assert_int_lt(now_ms() - start_ms, PATIENCE_MS);
	poll(NULL, 0, 50);
	ck_assert_uint_eq(clients_of(&root, USER1), 2);
	/* One reads on to the end, one just goes. */
	raw_reply(&bad[0], WIRE_OP_ALLOC);
	ck_assert_uint_eq(bad[0].reply.nr_fds, 4);
	raw_dropped(&bad[0]);
	for (int64_t start_ms = now_ms(); clients_of(&root, USER1) != 1; poll(NULL, 0, 5))
		ck_assert_int_lt(now_ms() - start_ms, PATIENCE_MS);
	raw_close(&bad[1]);
	for (int64_t start_ms = now_ms(); clients_of(&root, USER1) != 0; poll(NULL, 0, 5))
		ck_assert_int_lt(now_ms() - start_ms, PATIENCE_MS);
	raw_close(&bad[0]);
	raw_close(&root);
	own_broker_stop(&broker);
}
END_TEST

/* Another process of the broker's uid that leaves more fds unread than the broker may send. */
static pid_t start_hog(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int fds[WIRE_FDS_MAX];
		int sockets[2];

		if (setresuid(BROKER_UID, BROKER_UID, BROKER_UID) < 0 ||
		    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) < 0)
			_exit(1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned int i = 0; i < WIRE_FDS_MAX; i++)
			fds[i] = STDIN_FILENO;
		for (unsigned int i = 0; i <= NR_FILES / WIRE_FDS_MAX + 1; i++)
			if (packet_send(sockets[0], "x", 1, NULL, 0, fds, WIRE_FDS_MAX) < 0)
				_exit(1);
		raise(SIGSTOP);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, NULL, WUNTRACED), pid);
	return pid;
}

START_TEST(too_many_references)
{
	struct wire_alloc request = raw_alloc_request(4096, 2);
	const struct wire_refusal *refusal;
	unsigned int before;
	int64_t start_ms;
	struct raw raw;
	uint64_t ids[2];
	pid_t hog;
	int fds[2];

	own_broker_start(&broker, config, BROKER_UID, NR_FILES);
	raw_hello_as(&raw, broker.socket, USER1);
	raw_alloc(&raw, 4096, 2, ids, fds);
	fds_close(fds, 2);
	raw_settles(&raw, 0, 0, PATIENCE_MS);
	before = count_fds(broker.pid);

	/* Held for a while, in case it passes; then refused, with nothing left behind. */
	hog = start_hog();
	start_ms = now_ms();
	refusal = raw_refused(&raw, WIRE_REASON_QUOTA_FDS, WIRE_OP_ALLOC, &request, sizeof(request),
			      NULL, 0);
	ck_assert_uint_eq(refusal->retry, 1);
	ck_assert_int_ge(now_ms() - start_ms, 1000);
	raw_settles(&raw, 0, 0, PATIENCE_MS);
	ck_assert_uint_le(count_fds(broker.pid), before + 32);

	/* It passes while the request is held: granted. */
	raw_send(&raw, WIRE_OP_ALLOC, 0, &request, sizeof(request), NULL, 0);
	raw_silent(&raw, 300);
	ck_assert_int_eq(kill(hog, SIGKILL), 0);
	ck_assert_int_eq(waitpid(hog, NULL, 0), hog);
	raw_reply(&raw, WIRE_OP_ALLOC);
	ck_assert_uint_eq(raw.reply.nr_fds, 2);
	fds[0] = packet_take_fd(&raw.reply, 0);
	fds[1] = packet_take_fd(&raw.reply, 1);
	ck_assert_uint_eq(raw_status(&raw).own_buffers, 2);
	fds_close(fds, 2);
	raw_close(&raw);
	own_broker_stop(&broker);
}
END_TEST

/* No fd left to accept with: those inside are served, and those outside when one is free. */
START_TEST(no_files)
{
	struct raw raw, *outside;
	const struct wire_hello hello = { .version_min = WIRE_VERSION,
					  .version_max = WIRE_VERSION };
	uint64_t id;
	int fds[200];
	unsigned int nr = 0;
	static struct raw waiting;

	own_broker_start(&broker, config, BROKER_UID, 160);
	raw_hello_as(&raw, broker.socket, USER1);
	/* On sim the broker keeps files for each buffer: use them up. */
	for (; nr < 200; nr++) {
		struct wire_alloc request = raw_alloc_request(4096, 1);
		const struct wire_header *header = (struct wire_header *)raw.reply.bytes;

		raw_send(&raw, WIRE_OP_ALLOC, 0, &request, sizeof(request), NULL, 0);
		ck_assert(raw_recv(&raw));
		if (header->flags & WIRE_FLAG_REFUSAL)
			break;
		fds[nr] = packet_take_fd(&raw.reply, 0);
	}
	ck_assert_uint_lt(nr, 200);
	ck_assert_uint_gt(nr, 10);
	ck_assert_uint_eq(
		((struct wire_refusal *)(raw.reply.bytes + sizeof(struct wire_header)))->reason,
		WIRE_REASON_NO_FILES);
	raw_alive(&raw);

	outside = &waiting;
	raw_open_as(outside, broker.socket, USER2);
	raw_send(outside, WIRE_OP_HELLO, 0, &hello, sizeof(hello), NULL, 0);
	raw_alive(&raw);
	fds_close(fds, nr);
	raw_reply(outside, WIRE_OP_HELLO);
	raw_alive(outside);
	raw_alloc(&raw, 4096, 1, &id, fds);
	fd_close(fds[0]);
	raw_close(outside);
	raw_close(&raw);
	own_broker_stop(&broker);
}
END_TEST

Suite *suite_own_fds(void)
{
	Suite *suite = suite_create("own-fds");
	TCase *tcase = tcase_create("own-fds");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, never_reading);
	tcase_add_test(tcase, dropped_with_unread_fds);
	tcase_add_test(tcase, too_many_references);
	tcase_add_test(tcase, no_files);
	suite_add_tcase(suite, tcase);
	return suite;
}
