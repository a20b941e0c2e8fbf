/* SPDX-License-Identifier: MIT */
/*
 * Holds. The broker knows one hold for each buffer and connection, however often the buffer was
 * opened; the library may have several objects for it. So objects are counted here, and only the
 * last one sends BUFFER_RELEASE.
 *
 * Closing the last fd of a buffer frees it, and with it goes the broker's hold: then there is
 * nothing to say. The message is for buffers that may outlive their last object here: somebody else
 * may have one, or a mapping. For a buffer that nobody but this program could know it is left out,
 * which saves both ends a message in the commonest of all uses.
 *
 * One race is left: an open of the same buffer is under way when the last object goes. The broker
 * would answer the open, then take the release, and the new object would stand for nothing. Which
 * buffer an open is for is known only from its reply, so while any open is under way releases are
 * parked, and go out when the last reply is in, unless that made the buffer wanted again.
 *
 * The message to be sent is allocated together with the hold: giving up never fails.
 */
#include <assert.h>
#include <string.h>

/* Keys are ids, nothing else: one multiplication spreads them, the upper half is the best of it. */
#define HASH_FUNCTION(key, key_bytes, ret_hash)                                 \
	do {                                                                    \
		uint64_t id_;                                                   \
                                                                                \
		memcpy(&id_, (key), sizeof(id_));                               \
		(ret_hash) = (unsigned int)(id_ * 0x9e3779b97f4a7c15ULL >> 32); \
	} while (0)
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "client-lib/src/call.h"
#include "client-lib/src/hold.h"

struct hold {
	uint64_t buffer_id;
	unsigned int nr_objects;
	bool outlives; /* the memory may, its objects here */
	struct call *release;
	UT_hash_handle hh;
	TAILQ_ENTRY(hold) parked_link; /* while nr_objects is 0 */
};

static struct hold *hold_find(struct dmabroker *broker, uint64_t buffer_id)
{
	struct hold *hold;

	HASH_FIND(hh, broker->holds, &buffer_id, sizeof(buffer_id), hold);
	return hold;
}

static int release_new(uint64_t buffer_id, struct call **ret)
{
	const struct wire_id id = { .id = buffer_id };
	int r = call_new(WIRE_OP_BUFFER_RELEASE, &id, sizeof(id), -1, ret);

	if (r == 0)
		(*ret)->no_reply = true;
	return r;
}

static int hold_new(struct dmabroker *broker, uint64_t buffer_id, struct hold **ret)
{
	struct hold *hold = calloc(1, sizeof(*hold));

	if (!hold)
		return -ENOMEM;
	hold->buffer_id = buffer_id;
	if (release_new(buffer_id, &hold->release) < 0) {
		free(hold);
		return -ENOMEM;
	}
	HASH_ADD(hh, broker->holds, buffer_id, sizeof(hold->buffer_id), hold);
	if (!hold->hh.tbl) {
		call_free(hold->release);
		free(hold);
		return -ENOMEM;
	}
	*ret = hold;
	return 0;
}

static void hold_release(struct dmabroker *broker, struct hold *hold)
{
	HASH_DELETE(hh, broker->holds, hold);
	if (hold->outlives)
		call_post(broker, hold->release);
	else
		call_free(hold->release);
	free(hold);
}

int hold_get(struct dmabroker *broker, uint64_t buffer_id)
{
	struct hold *hold = hold_find(broker, buffer_id);
	int r;

	if (hold) {
		if (hold->nr_objects == 0)
			TAILQ_REMOVE(&broker->parked, hold, parked_link);
	} else {
		r = hold_new(broker, buffer_id, &hold);
		if (r < 0)
			return r;
	}
	hold->nr_objects++;
	return 0;
}

void hold_put(struct dmabroker *broker, uint64_t buffer_id, bool outlives)
{
	struct hold *hold = hold_find(broker, buffer_id);

	assert(hold && hold->nr_objects > 0);
	hold->outlives |= outlives;
	if (--hold->nr_objects > 0)
		return;
	if (broker->nr_opening > 0)
		TAILQ_INSERT_TAIL(&broker->parked, hold, parked_link);
	else
		hold_release(broker, hold);
}

void hold_unwanted(struct dmabroker *broker, uint64_t buffer_id)
{
	struct call *release;

	if (hold_get(broker, buffer_id) == 0) {
		hold_put(broker, buffer_id, true);
		return;
	}
	/* Out of memory: at least try without the bookkeeping. */
	if (release_new(buffer_id, &release) == 0)
		call_post(broker, release);
}

void holds_opened(struct dmabroker *broker)
{
	assert(broker->nr_opening > 0);
	if (--broker->nr_opening == 0)
		holds_unpark(broker);
}

void holds_unpark(struct dmabroker *broker)
{
	struct hold *hold;

	while ((hold = TAILQ_FIRST(&broker->parked))) {
		TAILQ_REMOVE(&broker->parked, hold, parked_link);
		hold_release(broker, hold);
	}
}

void holds_clear(struct dmabroker *broker)
{
	struct hold *hold, *next;

	HASH_ITER(hh, broker->holds, hold, next) {
		HASH_DELETE(hh, broker->holds, hold);
		call_free(hold->release);
		free(hold);
	}
	TAILQ_INIT(&broker->parked);
}
