// SPDX-License-Identifier: MIT
/*
 * Clients that never read. The kernel counts fds that nobody has received yet against the daemon,
 * for all clients together, up to its limit of open files: three clients that ask for many buffers
 * and read none of the replies could use that up for everybody. The daemon's limit is made small
 * here, so that a broker which lets them would run into it.
 */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "client.h"
#include "raw.h"

#define DEAF_CLIENTS	3
#define REQUESTS	20u
#define FDS_PER_REQUEST 100u
#define WANTED		100u
#define BROKER_FILES	1024u

static void deaf(struct actor *root, const void *argument)
{
	const struct wire_alloc request = { .size_bytes = PAGE,
					    .count = FDS_PER_REQUEST,
					    .kind = WIRE_KIND_COHERENT,
					    .name = "unread" };
	unsigned int sent = 0;
	struct raw raw;

	(void)argument;
	raw_connect(&raw);
	while (sent < REQUESTS && raw_send(&raw, WIRE_OP_ALLOC, &request, sizeof(request)) == 0)
		sent++;
	say(root, &sent, sizeof(sent));
	await_nod(root);
}

static void hearing(struct actor *root, const void *argument)
{
	struct dmabroker_alloc_params params = DMABROKER_ALLOC_PARAMS_INIT;
	struct dmabroker_buffer *buffers[WANTED];
	struct dmabroker *broker = client_connect();

	(void)root;
	(void)argument;
	params.size_bytes = PAGE;
	params.count = WANTED;
	params.kind = DMABROKER_KIND_COHERENT;
	for (int i = 0; i < 2; i++) {
		if (!check_done(dmabroker_alloc(broker, &params, buffers),
				"a fourth client gets 100 fds meanwhile"))
			return;
		for (unsigned int j = 0; j < WANTED; j++)
			dmabroker_free(buffers[j]);
	}
}

struct waiting {
	struct dmabroker *root;
	struct account account;
};

static bool all_is_back(void *userdata)
{
	struct waiting *waiting = userdata;

	ledger_account(waiting->root, user_id("user2"), &waiting->account);
	return waiting->account.buffers == 0;
}

void test_unread(void)
{
	const struct rlimit limit = { .rlim_cur = BROKER_FILES, .rlim_max = BROKER_FILES };
	struct actor *actors[DEAF_CLIENTS], *fourth;
	unsigned int sent, total = 0, fds;
	struct waiting waiting;

	restart_broker("[limits]\nbuffers = 100000\nbytes = 256M\n[pool]\nbuffers = none\n");
	if (prlimit(broker_pid(), RLIMIT_NOFILE, &limit, NULL))
		die("the broker's limit of open files: %s", strerror(errno));
	waiting.root = client_connect();
	fds = broker_fds();
	for (int i = 0; i < DEAF_CLIENTS; i++) {
		actors[i] = actor_start("user2", deaf, NULL);
		hear(actors[i], &sent, sizeof(sent));
		total += sent;
	}
	sleep_us(500000);
	check(total * FDS_PER_REQUEST > 2 * BROKER_FILES,
	      "three clients asked for more fds than the broker may have under way",
	      "they could send %u requests", total);
	ledger_account(waiting.root, user_id("user2"), &waiting.account);
	check(waiting.account.buffers >= DEAF_CLIENTS * FDS_PER_REQUEST,
	      "each of them was granted something", "%llu buffers",
	      (unsigned long long)waiting.account.buffers);
	fourth = actor_start("user1", hearing, NULL);
	actor_end(fourth);
	for (int i = 0; i < DEAF_CLIENTS; i++)
		actor_kill(actors[i]);
	check(within_a_second(all_is_back, &waiting), "what they never read is given back",
	      "%llu buffers are still charged", (unsigned long long)waiting.account.buffers);
	check(broker_fds() <= fds, "the broker has no more files open than before", "%u, before %u",
	      broker_fds(), fds);
	dmabroker_unref(waiting.root);
}
