/* SPDX-License-Identifier: MIT */
/*
 * The broker as a client sees it, right and wrong.
 *
 *	test_broker [ROUNDS]
 *
 * runs the suites ROUNDS times (1) against the broker at $DMABROKER_SOCKET, or against one of its
 * own on the sim backend, which it starts; and then checks that the broker has as many fds open as
 * before and nothing charged that was not charged before. Suites that need a broker of a special
 * kind start it themselves, once, and only where the shared one is its own.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/cleanup.h"
#include "suites.h"

#define BROKER_UID 64991

static struct own_broker shared;

const char *shared_socket(void)
{
	const char *given = getenv("DMABROKER_SOCKET");

	return given && given[0] ? given : shared.socket;
}

bool shared_is_own(void)
{
	return shared_socket() == shared.socket;
}

static pid_t shared_pid(void)
{
	struct ucred peer;
	socklen_t bytes = sizeof(peer);
	struct raw raw;

	raw_open(&raw, shared_socket());
	must(getsockopt(raw.sock, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0, "no credentials");
	raw_close(&raw);
	return peer.pid;
}

static int run(SRunner *runner, int *ret_nr)
{
	int failed;

	inside_test = true;
	srunner_run_all(runner, CK_NORMAL);
	inside_test = false;
	failed = srunner_ntests_failed(runner);
	*ret_nr += srunner_ntests_run(runner);
	srunner_free(runner);
	return failed;
}

static struct wire_status_reply status_now(void)
{
	struct wire_status_reply status;
	struct raw raw;

	raw_hello(&raw, shared_socket());
	status = raw_status(&raw);
	raw_close(&raw);
	return status;
}

/* Ready buffers are made and used up meanwhile, so the broker is compared when it has rested. */
static int compare(const struct wire_status_reply *before, unsigned int fds_before, pid_t pid)
{
	struct wire_status_reply after;
	unsigned int fds_after;
	int64_t deadline_ms = now_ms() + 10000;

	do {
		pause_ms(50);
		after = status_now();
		fds_after = count_fds(pid);
	} while ((fds_after != fds_before || after.charged_bytes != before->charged_bytes) &&
		 now_ms() < deadline_ms);
	printf("broker: %u fds before, %u after; %llu bytes charged before, %llu after; "
	       "%llu buffers, %llu mappings\n",
	       fds_before, fds_after, (unsigned long long)before->charged_bytes,
	       (unsigned long long)after.charged_bytes, (unsigned long long)after.nr_buffers,
	       (unsigned long long)after.nr_mappings);
	return fds_after != fds_before || after.charged_bytes != before->charged_bytes ||
	       after.nr_buffers != before->nr_buffers || after.nr_mappings != before->nr_mappings;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 1;
	bool root = geteuid() == 0;
	struct wire_status_reply before;
	unsigned int fds_before;
	int failed = 0, nr = 0;
	SRunner *runner;
	pid_t pid;

	if (rounds < 1) {
		fputs("Usage: test_broker [ROUNDS]\n", stderr);
		return 2;
	}
	inside_test = false;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (!getenv("DMABROKER_SOCKET"))
		own_broker_start(&shared, "", root ? BROKER_UID : (uid_t)-1, 0);
	pid = shared_pid();
	/* Warm: whatever is made once is there. */
	pause_ms(500);
	before = status_now();
	fds_before = count_fds(pid);

	for (int round = 0; round < rounds && !failed; round++) {
		runner = srunner_create(suite_framing());
		srunner_add_suite(runner, suite_buffers());
		if (root)
			srunner_add_suite(runner, suite_users());
		failed = run(runner, &nr);
	}
	if (!failed && compare(&before, fds_before, pid)) {
		fputs("the broker is not as it was before\n", stderr);
		failed = 1;
	}
	if (shared_is_own()) {
		runner = srunner_create(suite_own());
		if (root)
			srunner_add_suite(runner, suite_own_fds());
		failed += run(runner, &nr);
		own_broker_stop(&shared);
	}
	printf("%d tests in %d rounds, %d failed\n", nr, rounds, failed);
	return failed ? 1 : 0;
}
