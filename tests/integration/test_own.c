/* SPDX-License-Identifier: MIT */
/*
 * What needs a broker of a special kind: other limits, few file descriptors, or a look at how it
 * starts and ends.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "proto/cleanup.h"
#include "suites.h"

static struct own_broker broker;

START_TEST(quotas)
{
	struct wire_alloc request = raw_alloc_request(8192, 1);
	struct wire_share share = { 0 };
	const struct wire_refusal *refusal;
	uint32_t devices[4];
	struct wire_map map = { .direction = WIRE_DIR_BIDIRECTIONAL };
	struct raw raw, second, third;
	const struct wire_hello hello = { .version_min = WIRE_VERSION,
					  .version_max = WIRE_VERSION };
	uint64_t ids[4];
	char config[256];
	int fds[4], mapping_fds[2];

	snprintf(config, sizeof(config),
		 "[user %u]\nbytes = 16K\nbuffers = 4\nmappings = 2\nclients = 2\ntokens = 2\n"
		 "contiguous-bytes = 4K\n",
		 geteuid());
	own_broker_start(&broker, config, (uid_t)-1, 0);
	raw_hello(&raw, broker.socket);

	raw_alloc(&raw, 4096, 3, ids, fds);
	refusal = raw_refused(&raw, WIRE_REASON_QUOTA_BYTES, WIRE_OP_ALLOC, &request,
			      sizeof(request), NULL, 0);
	ck_assert_uint_eq(refusal->limit, 16384);
	ck_assert_uint_eq(refusal->value, 20480);
	ck_assert_ptr_nonnull(strstr(refusal->text, "20480"));
	request = raw_alloc_request(1, 2);
	raw_refused(&raw, WIRE_REASON_QUOTA_BYTES, WIRE_OP_ALLOC, &request, sizeof(request), NULL,
		    0);
	raw_alloc(&raw, 1, 1, ids + 3, fds + 3);

	raw_devices(&raw, devices, 4);
	map.buffer_id = ids[0];
	map.device_id = devices[0];
	raw_map(&raw, ids[0], devices[0], WIRE_DIR_BIDIRECTIONAL, &mapping_fds[0]);
	raw_map(&raw, ids[1], devices[0], WIRE_DIR_BIDIRECTIONAL, &mapping_fds[1]);
	raw_refused(&raw, WIRE_REASON_QUOTA_MAPPINGS, WIRE_OP_MAP, &map, sizeof(map), NULL, 0);
	fd_close(mapping_fds[1]);
	raw_map(&raw, ids[0], devices[0], WIRE_DIR_BIDIRECTIONAL, &mapping_fds[1]);
	fds_close(mapping_fds, 2);

	share.id = ids[0];
	raw_call(&raw, WIRE_OP_BUFFER_SHARE, &share, sizeof(share), NULL, 0);
	raw_call(&raw, WIRE_OP_BUFFER_SHARE, &share, sizeof(share), NULL, 0);
	raw_refused(&raw, WIRE_REASON_QUOTA_TOKENS, WIRE_OP_BUFFER_SHARE, &share, sizeof(share),
		    NULL, 0);
	raw_release(&raw, ids[0]);
	share.id = ids[1];
	raw_call(&raw, WIRE_OP_BUFFER_SHARE, &share, sizeof(share), NULL, 0);

	raw_hello(&second, broker.socket);
	raw_open(&third, broker.socket);
	refusal = raw_refused(&third, WIRE_REASON_QUOTA_CLIENTS, WIRE_OP_HELLO, &hello,
			      sizeof(hello), NULL, 0);
	ck_assert_uint_eq(refusal->limit, 2);
	raw_dropped(&third);
	raw_close(&third);
	raw_close(&second);
	raw_alive(&raw);

	fds_close(fds, 3);
	raw_settles(&raw, 1, 0, PATIENCE_MS);
	request = raw_alloc_request(8192, 1);
	request.attributes = WIRE_ATTR_FORCE_CONTIGUOUS;
	raw_refused(&raw, WIRE_REASON_QUOTA_CONTIGUOUS_BYTES, WIRE_OP_ALLOC, &request,
		    sizeof(request), NULL, 0);
	fd_close(fds[3]);
	raw_close(&raw);
	own_broker_stop(&broker);
}
END_TEST

/* The machine's total is above every account, and ready buffers make way for requests. */
START_TEST(machine_total)
{
	struct wire_alloc request = raw_alloc_request(192 << 10, 1);
	const struct wire_refusal *refusal;
	uint64_t ids[2];
	struct raw raw;
	int fds[2];
	char config[256];

	snprintf(config, sizeof(config),
		 "[broker]\nmachine-total = 1M\n[pool]\nbuffers = 8 x 64K coherent\n"
		 "[user %u]\nbytes = unlimited\nbuffers = unlimited\n",
		 geteuid());
	own_broker_start(&broker, config, (uid_t)-1, 0);
	raw_hello(&raw, broker.socket);
	for (int64_t start_ms = now_ms(); raw_status(&raw).charged_bytes < 512 << 10;
	     poll(NULL, 0, 20))
		ck_assert_int_lt(now_ms() - start_ms, PATIENCE_MS);
	raw_alloc(&raw, 896 << 10, 1, ids, fds);
	refusal = raw_refused(&raw, WIRE_REASON_MACHINE_TOTAL, WIRE_OP_ALLOC, &request,
			      sizeof(request), NULL, 0);
	/* The ready buffers went, and the rest was refused because of what is really in use. */
	raw_alloc(&raw, 128 << 10, 1, ids + 1, fds + 1);
	ck_assert_uint_eq(refusal->limit, 1 << 20);
	fds_close(fds, 2);
	raw_close(&raw);
	own_broker_stop(&broker);
}
END_TEST

START_TEST(silent_peer)
{
	struct raw mute, talking;
	int64_t start_ms;

	own_broker_start(&broker, "[broker]\nhello-timeout = 1\n", (uid_t)-1, 0);
	raw_hello(&talking, broker.socket);
	raw_open(&mute, broker.socket);
	start_ms = now_ms();
	raw_dropped(&mute);
	ck_assert_int_ge(now_ms() - start_ms, 900);
	ck_assert_int_lt(now_ms() - start_ms, 3000);
	raw_alive(&talking);
	raw_close(&mute);
	raw_close(&talking);
	own_broker_stop(&broker);
}
END_TEST

/* Out of fds at accept: others are served, nobody spins, and it recovers. */
START_TEST(too_many_connections)
{
	struct raw raws[100];
	unsigned int nr = 0, turned_away = 0;
	const struct wire_hello hello = { .version_min = WIRE_VERSION,
					  .version_max = WIRE_VERSION };
	char config[128];

	snprintf(config, sizeof(config), "[user %u]\nclients = unlimited\n[broker]\nclients = 40\n",
		 geteuid());
	own_broker_start(&broker, config, (uid_t)-1, 0);
	for (; nr < 50; nr++) {
		raw_open(&raws[nr], broker.socket);
		if (nr < 40)
			raw_call(&raws[nr], WIRE_OP_HELLO, &hello, sizeof(hello), NULL, 0);
	}
	for (unsigned int i = 40; i < nr; i++) {
		raw_refused(&raws[i], WIRE_REASON_QUOTA_CLIENTS, WIRE_OP_HELLO, &hello,
			    sizeof(hello), NULL, 0);
		turned_away++;
	}
	ck_assert_uint_eq(turned_away, 10);
	raw_alive(&raws[0]);
	for (unsigned int i = 0; i < nr; i++)
		raw_close(&raws[i]);
	for (int64_t start_ms = now_ms();;) {
		struct raw again;
		bool in;

		raw_open(&again, broker.socket);
		raw_send(&again, WIRE_OP_HELLO, 0, &hello, sizeof(hello), NULL, 0);
		in = raw_recv(&again) &&
		     ((struct wire_header *)again.reply.bytes)->flags == WIRE_FLAG_REPLY;
		raw_close(&again);
		if (in)
			break;
		ck_assert_int_lt(now_ms() - start_ms, PATIENCE_MS);
	}
	own_broker_stop(&broker);
}
END_TEST

/* Who is turned away and says nothing is in nobody's way but their own. */
START_TEST(turned_away_in_the_way)
{
	struct raw inside, outside[20], other;
	const struct wire_hello hello = { .version_min = WIRE_VERSION,
					  .version_max = WIRE_VERSION };

	if (geteuid() != 0)
		return; /* it takes two users */
	own_broker_start(&broker, "[limits]\nclients = 1\n", (uid_t)-1, 0);
	raw_hello_as(&inside, broker.socket, USER1);
	for (unsigned int i = 0; i < 20; i++)
		raw_open_as(&outside[i], broker.socket, USER1);
	raw_hello_as(&other, broker.socket, USER2);
	raw_alive(&other);
	/* The first of them hears why when it asks, the last one was one too many. */
	raw_refused(&outside[0], WIRE_REASON_QUOTA_CLIENTS, WIRE_OP_HELLO, &hello, sizeof(hello),
		    NULL, 0);
	raw_dropped(&outside[19]);
	for (unsigned int i = 0; i < 20; i++)
		raw_close(&outside[i]);
	raw_close(&other);
	raw_close(&inside);
	own_broker_stop(&broker);
}
END_TEST

/* Nobody gets rid of their unit, its account and its limits, by a child that connects and ends. */
START_TEST(connected_by_the_dead)
{
	const struct wire_hello hello = { .version_min = WIRE_VERSION,
					  .version_max = WIRE_VERSION };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct raw raw = { 0 };
	int pair[2], pidfd = -1;
	socklen_t bytes = sizeof(pidfd);
	bool told;
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	told = getsockopt(pair[0], SOL_SOCKET, 77 /* SO_PEERPIDFD */, &pidfd, &bytes) == 0;
	fd_close(pidfd);
	fds_close(pair, 2);
	if (!told)
		return; /* before 6.5 it cannot be known */

	own_broker_start(&broker, "", (uid_t)-1, 0);
	strcpy(address.sun_path, broker.socket);
	raw.sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(kill(broker.pid, SIGSTOP), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(connect(raw.sock, (struct sockaddr *)&address, sizeof(address)) ? 1 : 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(kill(broker.pid, SIGCONT), 0);
	raw_refused(&raw, WIRE_REASON_ACCOUNT_NOT_ALLOWED, WIRE_OP_HELLO, &hello, sizeof(hello),
		    NULL, 0);
	raw_dropped(&raw);
	raw_close(&raw);
	own_broker_stop(&broker);
}
END_TEST

/* The sending end of a TCP connection that nobody reads from; its last close waits for a minute. */
static int lingering_fd(int ret_others[static 2])
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 60 };
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char full[65536] = { 0 };

	ret_others[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(ret_others[0], (struct sockaddr *)&address, bytes), 0);
	ck_assert_int_eq(getsockname(ret_others[0], (struct sockaddr *)&address, &bytes), 0);
	ck_assert_int_eq(listen(ret_others[0], 1), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, bytes), 0);
	ret_others[1] = accept(ret_others[0], NULL, NULL);
	ck_assert_int_ge(ret_others[1], 0);
	while (send(fd, full, sizeof(full), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	return fd;
}

/* What close() of a stranger's fd waits for, nobody else waits for: read (0) or unread (1). */
START_TEST(fd_that_lingers)
{
	struct raw sender, other;
	int others[2], fd = lingering_fd(others);
	int64_t start_ms;
	unsigned int nr_fds;

	own_broker_start(&broker, "", (uid_t)-1, 0);
	raw_hello(&other, broker.socket);
	raw_alive(&other);
	pause_ms(500); /* until its ready buffers are made */
	nr_fds = count_fds(broker.pid);
	raw_hello(&sender, broker.socket);
	if (_i == 0) {
		raw_send(&sender, WIRE_OP_STATUS, 0, NULL, 0, &fd, 1);
	} else {
		/* It ends the connection at the first packet and finds the second one behind. */
		ck_assert_int_eq(kill(broker.pid, SIGSTOP), 0);
		raw_send_bytes(&sender, "x", 1, NULL, 0);
		raw_send(&sender, WIRE_OP_STATUS, 0, NULL, 0, &fd, 1);
		ck_assert_int_eq(kill(broker.pid, SIGCONT), 0);
	}
	fd_close(fd);
	pause_ms(50);
	start_ms = now_ms();
	raw_alive(&other);
	ck_assert_int_lt(now_ms() - start_ms, 2000);
	if (_i == 0) {
		ck_assert(raw_recv(&sender));
		raw_alive(&sender);
	} else {
		raw_dropped(&sender);
	}
	raw_close(&sender);
	/* Nothing of it is left. */
	for (start_ms = now_ms(); count_fds(broker.pid) != nr_fds; pause_ms(20))
		ck_assert_int_lt(now_ms() - start_ms, PATIENCE_MS);
	raw_close(&other);
	fds_close(others, 2);
	own_broker_stop(&broker);
}
END_TEST

static int run_broker(const char *config, const char *option, const char *value)
{
	char path[] = "/tmp/dmabroker-test-conf-XXXXXX";
	int fd = mkstemp(path);
	int status;
	pid_t pid;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, config, strlen(config)), (ssize_t)strlen(config));
	fd_close(fd);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		const char *program = getenv("DMABROKERD");

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!freopen("/dev/null", "w", stderr) || !freopen("/dev/null", "w", stdout))
			_exit(126);
		execl(program ? program : DMABROKERD_PATH, "dmabrokerd", "--config", path, option,
		      value, NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	unlink(path);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(exit_status)
{
	char stale[] = "/tmp/dmabroker-test-stale-XXXXXX";
	int fd = mkstemp(stale);

	ck_assert_int_eq(run_broker("", "--help", NULL), 0);
	ck_assert_int_eq(run_broker("", "--version", NULL), 0);
	ck_assert_int_eq(run_broker("", "--check-config", NULL), 0);
	ck_assert_int_eq(run_broker("[limits]\nbites = 1\n", "--check-config", NULL), 78);
	ck_assert_int_eq(run_broker("", "--no-such-option", NULL), 2);
	ck_assert_int_eq(run_broker("", "--log-level", "loud"), 2);
	ck_assert_int_eq(run_broker("", "--backend", "none-such"), 2);
	ck_assert_int_eq(run_broker("[broker]\nbackend = none-such\n", "--check-config", NULL), 78);
	ck_assert_int_eq(run_broker("[sim]\ndevice = 0 bits 5\n", "--check-config", NULL), 78);
	/* What is at the path and is no socket is not removed. */
	ck_assert_int_eq(run_broker("[broker]\nbackend = sim\n", "--socket", stale), 1);
	ck_assert_int_eq(access(stale, F_OK), 0);
	unlink(stale);
	fd_close(fd);
}
END_TEST

START_TEST(second_broker)
{
	struct raw raw;

	own_broker_start(&broker, "", (uid_t)-1, 0);
	raw_hello(&raw, broker.socket);
	ck_assert_int_eq(run_broker("[broker]\nbackend = sim\n", "--socket", broker.socket), 1);
	raw_alive(&raw);
	raw_close(&raw);
	own_broker_stop(&broker);
}
END_TEST

Suite *suite_own(void)
{
	Suite *suite = suite_create("own");
	TCase *tcase = tcase_create("own");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, quotas);
	tcase_add_test(tcase, machine_total);
	tcase_add_test(tcase, silent_peer);
	tcase_add_test(tcase, too_many_connections);
	tcase_add_test(tcase, turned_away_in_the_way);
	tcase_add_loop_test(tcase, fd_that_lingers, 0, 2);
	tcase_add_test(tcase, connected_by_the_dead);
	tcase_add_test(tcase, exit_status);
	tcase_add_test(tcase, second_broker);
	suite_add_tcase(suite, tcase);
	return suite;
}
