// SPDX-License-Identifier: MIT
/*
 * Who is charged, and until when: a killed client's buffers and mappings go within a second, what
 * somebody else holds stays and stays charged to whom it was, and freeing is not giving back while
 * the memory is still in use.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "client.h"

#define BUFFERS	   100u
#define SIZE_BYTES (64 * KIB)

struct estate {
	uint64_t ids[BUFFERS];
	struct dmabroker_token token; /* of the first */
};

static void user1_has_much(struct actor *root, const void *argument)
{
	struct dmabroker_alloc_params params = DMABROKER_ALLOC_PARAMS_INIT;
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffers[BUFFERS];
	struct estate estate;

	(void)argument;
	params.size_bytes = SIZE_BYTES;
	params.count = BUFFERS;
	params.kind = DMABROKER_KIND_COHERENT;
	params.devices = device_names;
	params.nr_devices = 2;
	params.name = "doomed";
	if (dmabroker_alloc(broker, &params, buffers) < 0)
		die("100 buffers in one request: %s", last_refusal());
	for (unsigned int i = 0; i < BUFFERS; i++) {
		estate.ids[i] = buffer_id(buffers[i]);
		client_map(buffers[i], 0, DMABROKER_DIR_BIDIRECTIONAL);
		client_map(buffers[i], 1, DMABROKER_DIR_BIDIRECTIONAL);
		memset(client_mmap(buffers[i], 0), 0x61, SIZE_BYTES);
	}
	estate.token = client_share(buffers[0], 0);
	say(root, &estate, sizeof(estate));
	await_nod(root); /* which never comes */
}

static void user2_holds_one(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffer;
	struct dmabroker_token token;
	uint8_t *memory;

	(void)argument;
	hear(root, &token, sizeof(token));
	buffer = client_open(broker, token);
	memory = client_mmap(buffer, 0);
	nod(root);
	await_nod(root);
	check(filled_with(memory, 0x61, SIZE_BYTES), "what user2 holds has kept its bytes",
	      "they changed");
	nod(root);
	await_nod(root);
}

/* Everything that root looks at, in one struct for the "seen" of a failed check. */
struct view {
	struct dmabroker *root;
	const struct estate *estate;
	struct account account;
	unsigned int in_ledger; /* buffers of user1 */
	unsigned int in_helper; /* of the estate */
	unsigned int mappings; /* in the helper */
	unsigned int in_command; /* of user1, by dmabrokerctl buffers */
	bool master[2];
	char text[200];
};

static const char *view_take(struct view *view)
{
	ledger_account(view->root, user_id("user1"), &view->account);
	view->in_ledger = ledger_count_buffers(view->root, user_id("user1"));
	view->mappings = helper_count_all_mappings();
	view->in_helper = 0;
	for (unsigned int i = 0; i < BUFFERS; i++)
		view->in_helper += helper_has_buffer(view->estate->ids[i]);
	for (unsigned int i = 0; i < 2; i++)
		view->master[i] = bus_master_is_on(i);
	snprintf(view->text, sizeof(view->text),
		 "ledger %u buffers; helper %u buffers, %u mappings; account %llu bytes, %llu "
		 "buffers, %llu mappings; bus mastering %d %d",
		 view->in_ledger, view->in_helper, view->mappings,
		 (unsigned long long)view->account.bytes, (unsigned long long)view->account.buffers,
		 (unsigned long long)view->account.mappings, view->master[0], view->master[1]);
	return view->text;
}

/* As many as that, all unmapped, all charged. */
static bool view_is(struct view *view, unsigned int buffers)
{
	view_take(view);
	return view->in_ledger == buffers && view->in_helper == buffers && view->mappings == 0 &&
	       view->account.buffers == buffers && view->account.bytes == buffers * SIZE_BYTES &&
	       view->account.mappings == 0 && !view->master[0] && !view->master[1];
}

static bool only_one_is_left(void *userdata)
{
	return view_is(userdata, 1);
}

static bool nothing_is_left(void *userdata)
{
	return view_is(userdata, 0);
}

/* What the commands show root. */
static unsigned int command_counts(void)
{
	static char text[4u << 20];
	char owner[40];

	snprintf(owner, sizeof(owner), "\"owner_uid\":%u,", user_id("user1"));
	if (shell_output(text, sizeof(text), "dmabrokerctl buffers --json"))
		die("dmabrokerctl buffers --json failed");
	return count_substrings(text, owner);
}

void test_kill(void)
{
	struct actor *first, *second;
	struct view view = {};
	struct estate estate;

	restart_broker("[pool]\nbuffers = none\n[user \"user1\"]\ndevices = pci:*\n");
	view.root = client_connect();
	view.estate = &estate;
	first = actor_start("user1", user1_has_much, NULL);
	hear(first, &estate, sizeof(estate));
	second = actor_start("user2", user2_holds_one, NULL);
	say(second, &estate.token, sizeof(estate.token));
	await_nod(second);

	view_take(&view);
	check(view.in_ledger == BUFFERS && view.in_helper == BUFFERS &&
		      view.mappings == 2 * BUFFERS && view.account.buffers == BUFFERS &&
		      view.account.bytes == BUFFERS * SIZE_BYTES &&
		      view.account.mappings == 2 * BUFFERS && view.master[0] && view.master[1],
	      "user1 has 100 buffers and 200 mappings", "%s", view.text);
	check(command_counts() == BUFFERS, "dmabrokerctl buffers shows them", "%u of them",
	      command_counts());

	actor_kill(first);
	check(within_a_second(only_one_is_left, &view),
	      "a second after SIGKILL only the one that user2 holds is left, charged to user1",
	      "%s", view_take(&view));
	check(ledger_has_buffer(view.root, estate.ids[0], user_id("user1")),
	      "it is the one that was shared", "the ledger has another one");
	check(command_counts() == 1, "dmabrokerctl buffers shows that one", "it shows %u",
	      command_counts());
	nod(second);
	await_nod(second);
	nod(second);
	actor_end(second);
	check(within_a_second(nothing_is_left, &view),
	      "a second after user2 ended nothing is left and nothing is charged", "%s",
	      view_take(&view));
	check(command_counts() == 0, "dmabrokerctl buffers shows nothing of user1", "it shows %u",
	      command_counts());
	dmabroker_unref(view.root);
}

static void user1_frees(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffer =
		client_alloc(broker, SIZE_BYTES, DMABROKER_KIND_COHERENT, 0, 2);
	struct dmabroker_mapping *mapping;
	uint64_t id = buffer_id(buffer);
	uint8_t *memory;

	(void)argument;
	memory = client_mmap(buffer, 0);
	dmabroker_free(buffer);
	say(root, &id, sizeof(id));
	await_nod(root);
	memset(memory, 0x1f, SIZE_BYTES);
	check(filled_with(memory, 0x1f, SIZE_BYTES), "freed but mmapped memory can be used",
	      "it does not keep its bytes");
	munmap(memory, SIZE_BYTES);
	nod(root);
	await_nod(root);

	buffer = client_alloc(broker, SIZE_BYTES, DMABROKER_KIND_COHERENT, 0, 2);
	mapping = client_map(buffer, 1, DMABROKER_DIR_BIDIRECTIONAL);
	id = buffer_id(buffer);
	dmabroker_free(buffer);
	say(root, &id, sizeof(id));
	await_nod(root);
	dmabroker_unmap(mapping);
	nod(root);
	await_nod(root);
}

struct charge {
	struct dmabroker *root;
	uint64_t id;
	struct account account;
};

static bool is_given_back(void *userdata)
{
	struct charge *charge = userdata;

	ledger_account(charge->root, user_id("user1"), &charge->account);
	return charge->account.bytes == 0 && charge->account.buffers == 0 &&
	       !ledger_has_buffer(charge->root, charge->id, user_id("user1")) &&
	       !helper_has_buffer(charge->id);
}

static void check_charge(struct charge *charge, struct actor *user, const char *kept,
			 const char *given_back)
{
	hear(user, &charge->id, sizeof(charge->id));
	sleep_us(300000);
	ledger_account(charge->root, user_id("user1"), &charge->account);
	check(charge->account.bytes == SIZE_BYTES && charge->account.buffers == 1 &&
		      ledger_has_buffer(charge->root, charge->id, user_id("user1")) &&
		      helper_has_buffer(charge->id),
	      kept, "%llu bytes in %llu buffers are charged",
	      (unsigned long long)charge->account.bytes,
	      (unsigned long long)charge->account.buffers);
	nod(user);
	await_nod(user);
	check(within_a_second(is_given_back, charge), given_back,
	      "%llu bytes in %llu buffers are charged", (unsigned long long)charge->account.bytes,
	      (unsigned long long)charge->account.buffers);
}

void test_charge(void)
{
	struct charge charge = { .root = client_connect() };
	struct actor *user = actor_start("user1", user1_frees, NULL);

	check_charge(&charge, user, "a freed buffer stays charged while it is mmapped",
		     "and is given back when it is unmapped");
	nod(user);
	check_charge(&charge, user, "a freed buffer stays charged while a device has it mapped",
		     "and is given back when the device has not");
	nod(user);
	actor_end(user);
	dmabroker_unref(charge.root);
}
