// SPDX-License-Identifier: MIT
/*
 * What user2 gets from numbers. It knows more than a guesser would: the exact ids of user1's buffer
 * and mapping, and a token that is right but for one bit. None of it may open, map, show, share or
 * free anything, and what exists must look like what does not.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "client.h"
#include "raw.h"

#define NEIGHBOURS    40u
#define RANDOM_TOKENS 500u

struct secrets {
	uint64_t buffer_id;
	uint64_t mapping_id;
	uint32_t device_id;
	struct dmabroker_token token;
};

static void user1(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffer =
		client_alloc(broker, 64 * KIB, DMABROKER_KIND_COHERENT, 0, 2);
	struct dmabroker_mapping *mapping = client_map(buffer, 1, DMABROKER_DIR_BIDIRECTIONAL);
	uint8_t *memory = client_mmap(buffer, 0);
	struct secrets secrets = { .buffer_id = buffer_id(buffer),
				   .mapping_id = dmabroker_mapping_get_info(mapping)->id,
				   .device_id = dmabroker_mapping_get_info(mapping)->device_id,
				   .token = client_share(buffer, 0) };
	const struct wire_id id = { .id = secrets.buffer_id };
	struct raw raw;
	uint32_t reason;

	(void)argument;
	memset(memory, 0x11, 64 * KIB);
	raw_connect(&raw);
	check(raw_call(&raw, WIRE_OP_BUFFER_SHOW, &id, sizeof(id), &reason),
	      "the owner's other connection can show the buffer", "refused for reason %s",
	      wire_reason_name(reason));
	raw_close(&raw);
	say(root, &secrets, sizeof(secrets));
	await_nod(root);
	check(filled_with(memory, 0x11, 64 * KIB), "user1's memory is as it was", "it changed");
	check_done(dmabroker_sync_for_device(mapping, 0, 0), "user1's mapping is as it was");
}

static void try_tokens(struct dmabroker *broker, const struct secrets *secrets)
{
	struct dmabroker_token token = secrets->token;
	struct dmabroker_buffer *buffer;
	unsigned int opened = 0, other = 0, i;

	for (i = 0; i < RANDOM_TOKENS; i++) {
		if (getrandom(token.bytes, sizeof(token.bytes), 0) != sizeof(token.bytes))
			die("getrandom: %s", strerror(errno));
		/* Some with what is known of the buffer in them. */
		if (i % 4 == 1)
			memcpy(token.bytes, &secrets->buffer_id, sizeof(secrets->buffer_id));
		if (i % 4 == 2)
			memset(token.bytes, (int)(i / 4), sizeof(token.bytes));
		opened += dmabroker_open(broker, &token, &buffer) == 0;
		other += dmabroker_get_refusal()->reason != DMABROKER_REASON_UNKNOWN_TOKEN;
	}
	for (i = 0; i < 128; i++) {
		token = secrets->token;
		token.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
		opened += dmabroker_open(broker, &token, &buffer) == 0;
		other += dmabroker_get_refusal()->reason != DMABROKER_REASON_UNKNOWN_TOKEN;
	}
	check(opened == 0 && other == 0,
	      "no guessed token opens anything, nor one with a wrong bit",
	      "%u did, %u refusals were others than unknown-token; the last: %s", opened, other,
	      last_refusal());
}

/* One op with an id for all ids near the right one: each must be refused for @wanted. */
static void try_ids(struct raw *raw, uint16_t op, void *body, size_t size, uint64_t *id,
		    uint64_t right, uint32_t wanted, const char *name)
{
	unsigned int done = 0, other = 0;
	uint32_t reason, last = 0;

	for (uint64_t i = right > NEIGHBOURS ? right - NEIGHBOURS : 1; i <= right + NEIGHBOURS;
	     i++) {
		*id = i;
		if (raw_call(raw, op, body, size, &reason))
			done++;
		else if (reason != wanted)
			other++, last = reason;
	}
	check(done == 0 && other == 0, name,
	      "%u ids were accepted, %u refused for another reason than %s (%s)", done, other,
	      wire_reason_name(wanted), other ? wire_reason_name(last) : "none");
}

static void try_all_ids(struct raw *raw, const struct secrets *secrets)
{
	struct wire_map map = { .device_id = secrets->device_id };
	struct wire_sync sync = { .flags = WIRE_SYNC_FOR_CPU };
	struct wire_segments segments = {};
	struct wire_share share = {};
	struct wire_id id = {};

	try_ids(raw, WIRE_OP_BUFFER_SHOW, &id, sizeof(id), &id.id, secrets->buffer_id,
		WIRE_REASON_UNKNOWN_BUFFER, "user2 can show no buffer by its id");
	try_ids(raw, WIRE_OP_BUFFER_SHARE, &share, sizeof(share), &share.id, secrets->buffer_id,
		WIRE_REASON_UNKNOWN_BUFFER, "user2 can share no buffer by its id");
	try_ids(raw, WIRE_OP_MAP, &map, sizeof(map), &map.buffer_id, secrets->buffer_id,
		WIRE_REASON_UNKNOWN_BUFFER, "user2 can map no buffer by its id");
	try_ids(raw, WIRE_OP_MAPPING_SEGMENTS, &segments, sizeof(segments), &segments.mapping_id,
		secrets->mapping_id, WIRE_REASON_UNKNOWN_MAPPING,
		"user2 learns no DMA address by a mapping's id");
	try_ids(raw, WIRE_OP_MAPPING_SYNC, &sync, sizeof(sync), &sync.mapping_id,
		secrets->mapping_id, WIRE_REASON_UNKNOWN_MAPPING,
		"user2 can sync no mapping by its id");
	try_ids(raw, WIRE_OP_BUFFER_RELEASE, &id, sizeof(id), &id.id, secrets->buffer_id,
		WIRE_REASON_UNKNOWN_BUFFER, "user2 can free no buffer by its id");
}

static void try_lists(struct raw *raw, const struct secrets *secrets)
{
	static const uint16_t all[] = { WIRE_OP_BUFFER_LIST, WIRE_OP_MAPPING_LIST,
					WIRE_OP_CLIENT_LIST, WIRE_OP_ACCOUNT_LIST };
	struct wire_list list = { .flags = WIRE_LIST_ALL };
	const struct wire_list_reply *reply;
	unsigned int wrong = 0;
	uint32_t reason, last = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
		if (raw_call(raw, all[i], &list, sizeof(list), &reason) ||
		    reason != WIRE_REASON_NOT_ADMINISTRATOR)
			wrong++, last = reason;
	check(wrong == 0, "user2 can list nothing of everybody", "%u lists: %s", wrong,
	      wire_reason_name(last));
	list.flags = 0;
	reply = raw_call(raw, WIRE_OP_BUFFER_LIST, &list, sizeof(list), &reason);
	check(reply && reply->count == 0, "user2's own list of buffers is empty", "%u entries",
	      reply ? reply->count : 0);
	list.of_id = secrets->buffer_id;
	reply = raw_call(raw, WIRE_OP_MAPPING_LIST, &list, sizeof(list), &reason);
	check(!reply || reply->count == 0, "user2 sees no mapping of user1's buffer", "%u entries",
	      reply ? reply->count : 0);
}

static void try_fds(struct raw *raw)
{
	const int fds[] = { memfd_create("e2e", MFD_CLOEXEC), open("/dev/null", O_RDWR | O_CLOEXEC),
			    raw->sock };
	unsigned int wrong = 0;
	uint32_t reason;

	for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
		wrong += raw_call_fd(raw, WIRE_OP_BUFFER_HOLD, fds[i], &reason) ||
			 reason != WIRE_REASON_WRONG_FD_KIND;
	check(wrong == 0, "user2 becomes no holder with the fd of something else", "%u of 3 did",
	      wrong);
	check(open("/dev/dmabroker", O_RDWR | O_CLOEXEC) < 0 && errno == EACCES,
	      "user2 cannot go past the daemon", "/dev/dmabroker: %s", strerror(errno));
}

static void user2(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffer;
	struct secrets secrets;
	struct raw raw;
	int r;

	(void)argument;
	hear(root, &secrets, sizeof(secrets));
	raw_connect(&raw);
	try_tokens(broker, &secrets);
	try_all_ids(&raw, &secrets);
	try_lists(&raw, &secrets);
	try_fds(&raw);
	r = dmabroker_open(broker, &secrets.token, &buffer);
	check_done(r, "the right token opens the buffer for user2");
	raw_close(&raw);
}

void test_guess(void)
{
	struct actor *first, *second;
	struct dmabroker *root;
	struct secrets secrets;

	first = actor_start("user1", user1, NULL);
	hear(first, &secrets, sizeof(secrets));
	second = actor_start("user2", user2, NULL);
	say(second, &secrets, sizeof(secrets));
	actor_end(second);
	root = client_connect();
	check(ledger_has_buffer(root, secrets.buffer_id, user_id("user1")) &&
		      helper_count_mappings(secrets.buffer_id) == 1,
	      "user1's buffer and its mapping are still there", "in the ledger %d, %u mappings",
	      ledger_has_buffer(root, secrets.buffer_id, user_id("user1")),
	      helper_count_mappings(secrets.buffer_id));
	dmabroker_unref(root);
	nod(first);
	actor_end(first);
}
