// SPDX-License-Identifier: MIT
/*
 * The broker's own suite of right and wrong requests, on real memory, again and again. What one
 * round leaves behind is found after many: open files in the broker, buffers and mappings in the
 * helper.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

#define PROGRAM "/usr/libexec/dmabroker/tests/test_broker"
#define LIBRARY "/usr/libexec/dmabroker/tests/test_library"
#define SOCKET	"/run/dmabroker/dmabroker.sock"
#define OUTPUT	"/tmp/suite.log"

struct state {
	unsigned int fds;
	unsigned int buffers;
	unsigned int mappings;
};

static void state_take(struct state *ret)
{
	ret->fds = broker_fds();
	ret->buffers = helper_count_buffers();
	ret->mappings = helper_count_all_mappings();
}

static bool state_is_as_before(void *userdata)
{
	const struct state *before = userdata;
	struct state now;

	state_take(&now);
	return memcmp(before, &now, sizeof(now)) == 0;
}

static void run_suite(int rounds)
{
	char text[300], expected[64], name[128];
	struct state before, after;
	bool same = false;
	int status;

	restart_broker("[pool]\nbuffers = none\n[user \"user1\"]\ndevices = pci:*\n");
	sleep_us(500000);
	state_take(&before);
	/* In one process: what a round leaves behind in it would be held until the end, and seen. */
	status = shell("CK_FORK=no DMABROKER_SOCKET=" SOCKET " " PROGRAM " %d >" OUTPUT " 2>&1",
		       rounds);
	if (shell_output(text, sizeof(text), "tail -n 1 " OUTPUT))
		die("no " OUTPUT);
	snprintf(expected, sizeof(expected), "testsin%drounds,0failed", rounds);
	snprintf(name, sizeof(name), "bad input of every kind, %d times: refused as it should be",
		 rounds);
	check(status == 0 && strstr(text, expected) && atoi(text) >= 20 * rounds, name,
	      "exit status %d, the last line without spaces: %s", status, text);
	if (status)
		shell("grep -vE '^[0-9]+%%' " OUTPUT " | tail -n 40");
	for (int i = 0; i < 10 && !same; i++)
		same = within_a_second(state_is_as_before, &before);
	state_take(&after);
	check(after.fds == before.fds, "the broker has as many files open as before",
	      "%u, before %u", after.fds, before.fds);
	check(after.buffers == before.buffers, "the helper has as many buffers as before",
	      "%u, before %u", after.buffers, before.buffers);
	check(after.mappings == before.mappings, "the helper has as many mappings as before",
	      "%u, before %u", after.mappings, before.mappings);
	check(!bus_master_is_on(0) && !bus_master_is_on(1), "bus mastering is off afterwards",
	      "device 0: %d, device 1: %d", bus_master_is_on(0), bus_master_is_on(1));
}

void test_suite(void)
{
	run_suite(100);
}

void test_suite_short(void)
{
	run_suite(15);
}

/* The library's own tests, as the user who may use the devices. */
void test_library(void)
{
	char text[300];
	int status;

	status = shell("su user1 -c 'DMABROKER_SOCKET=" SOCKET " " LIBRARY "' >" OUTPUT " 2>&1");
	if (shell_output(text, sizeof(text), "grep '^[0-9]*%%: Checks: ' " OUTPUT " | tail -n 1"))
		die("no " OUTPUT);
	check(status == 0 && strncmp(text, "100%:Checks:", 12) == 0 && atoi(text + 12) >= 15,
	      "the library's tests pass on real memory and devices",
	      "exit status %d, without spaces: %s", status, text);
	if (status)
		shell("tail -n 20 " OUTPUT);
}
