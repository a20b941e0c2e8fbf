/* SPDX-License-Identifier: MIT */
/*
 * The ledger: who holds what and who is charged for it. Pure state: no socket, no clock, no fd.
 *
 *	ledger ─┬─ account ── charges (in clients, buffers, mappings, tokens)
 *	        ├─ client ──┬─ hold ──► buffer
 *	        │           └─ token ─► buffer
 *	        ├─ buffer
 *	        ├─ mapping ──► buffer, device (by number), client (for events)
 *	        └─ device
 *
 * Each has one owner and one destructor. A client owns its holds and tokens and nothing else: a
 * buffer lives until the backend proves that its memory is back (buffer_free), whoever is gone
 * before; a mapping likewise. An account lives as long as a charge or a client refers to it.
 * Destroying the ledger destroys everything in it.
 *
 * Single-threaded. Pointers stay valid until the destructor; numbers are never used again.
 */
#ifndef DMABROKER_CORE_LEDGER_H
#define DMABROKER_CORE_LEDGER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto/wire.h"
#include "daemon/core/hash.h"

/* Longer names are shortened, uniquely, where they are read; see credentials_parse_cgroup(). */
#define UNIT_SIZE 96

/* An account that belongs to a unit, whatever its processes' uids. */
#define UID_OF_UNIT UINT32_MAX

struct ledger;
struct account;
struct client;
struct buffer;

/* What is counted for an account. */
enum quota {
	QUOTA_BYTES,
	QUOTA_CONTIGUOUS_BYTES,
	QUOTA_BUFFERS,
	QUOTA_MAPPINGS,
	QUOTA_CLIENTS,
	QUOTA_TOKENS,
	NR_QUOTAS,
};

#define QUOTA_UNLIMITED UINT64_MAX

struct amounts {
	uint64_t of[NR_QUOTAS];
};

/* Which limit stood in the way of a charge. */
struct shortfall {
	enum wire_reason reason;
	uint64_t limit;
	uint64_t value; /* in use + asked for */
};

/*
 * What an account is charged, as an object: whoever owns it releases it in its own destructor.
 * A charge without account counts against the machine's total only.
 */
struct charge {
	struct ledger *ledger; /* NULL: nothing is charged */
	struct account *account;
	struct amounts amounts;
};

struct account {
	struct ledger *ledger;
	uint32_t uid; /* or UID_OF_UNIT */
	char unit[UNIT_SIZE];
	uint64_t seq; /* position in lists */
	uint64_t number; /* not 0; the same for the same uid and unit, over restarts too */
	unsigned int nr_refs;
	struct amounts use;
	struct amounts limits; /* of whoever asked last, for lists: each client brings its own */
	TAILQ_HEAD(, buffer) buffers; /* by seq */
	TAILQ_HEAD(, mapping) mappings; /* by seq */
	struct buffer *buffers_mark; /* where the last page of a list ended */
	struct mapping *mappings_mark;
	UT_hash_handle hh; /* ledger->accounts by number */
};

/* A client's right to use a buffer. Owned by the client. */
struct hold {
	struct client *client;
	struct buffer *buffer;
	uint64_t buffer_id;
	bool read_only;
	LIST_ENTRY(hold) buffer_link;
	UT_hash_handle hh; /* client->holds by buffer_id */
};

/* A name under which anybody may open a buffer. Owned by the client that made it. */
struct token {
	struct client *client;
	struct buffer *buffer;
	struct charge charge;
	uint64_t index; /* keyed hash of @bytes: what a lookup's timing can depend on */
	uint8_t bytes[WIRE_TOKEN_SIZE];
	bool read_only;
	LIST_ENTRY(token) client_link;
	LIST_ENTRY(token) buffer_link;
	UT_hash_handle hh; /* ledger->tokens by index */
};

/* A peer that said who it is. */
struct client {
	struct ledger *ledger;
	struct account *account;
	struct charge charge;
	struct amounts limits; /* what its requests may bring the account to */
	uint64_t id;
	uint32_t uid;
	uint32_t pid;
	char name[WIRE_NAME_SIZE];
	uint64_t nr_requests;
	uint64_t connected_mono_ms;
	struct hold *holds;
	LIST_HEAD(, token) tokens;
	LIST_HEAD(, mapping) mappings;
	void *userdata; /* the connection */
	TAILQ_ENTRY(client) ledger_link;
};

struct buffer {
	struct ledger *ledger;
	struct charge charge; /* its account is the buffer's */
	uint64_t id; /* the backend's */
	uint64_t seq; /* position in lists */
	uint64_t size_bytes;
	uint32_t uid;
	uint32_t pid;
	uint8_t direction;
	char name[WIRE_NAME_SIZE];
	struct wire_layout *layout; /* NULL: just bytes */
	LIST_HEAD(, hold) holds;
	LIST_HEAD(, token) tokens;
	LIST_HEAD(, mapping) mappings;
	TAILQ_ENTRY(buffer) ledger_link;
	TAILQ_ENTRY(buffer) account_link;
	UT_hash_handle hh; /* ledger->buffers by id */
};

struct mapping {
	struct ledger *ledger;
	struct charge charge;
	struct buffer *buffer; /* NULL after the buffer was freed */
	struct client *client; /* who is told; NULL after it left */
	struct device *device; /* NULL after it went away */
	uint64_t seq;
	struct wire_mapping info;
	LIST_ENTRY(mapping) buffer_link;
	LIST_ENTRY(mapping) client_link;
	LIST_ENTRY(mapping) device_link;
	TAILQ_ENTRY(mapping) ledger_link;
	TAILQ_ENTRY(mapping) account_link;
	UT_hash_handle hh; /* ledger->mappings by info.id */
};

struct device {
	struct ledger *ledger;
	struct wire_device info;
	LIST_HEAD(, mapping) mappings;
	TAILQ_ENTRY(device) ledger_link; /* by id */
};

struct ledger {
	uint64_t bytes;
	uint64_t bytes_limit;
	uint64_t next_client_id;
	uint64_t next_seq;
	uint64_t nr_clients;
	uint64_t nr_devices;
	uint64_t token_key[2];
	struct account *accounts;
	struct buffer *buffers;
	struct mapping *mappings;
	struct token *tokens;
	TAILQ_HEAD(, client) client_list; /* by id */
	TAILQ_HEAD(, buffer) buffer_list; /* by seq */
	TAILQ_HEAD(, mapping) mapping_list; /* by seq */
	TAILQ_HEAD(, device) device_list; /* by id */
	struct buffer *buffers_mark;
	struct mapping *mappings_mark;
};

/*
 * ledger_new() - an empty ledger
 * @bytes_limit: the machine's total
 * @token_key:   random: makes the token table's order unpredictable
 */
int ledger_new(uint64_t bytes_limit, const uint64_t token_key[static 2], struct ledger **ret);
void ledger_free(struct ledger *ledger);

static inline void cleanup_ledger(struct ledger **ledger)
{
	ledger_free(*ledger);
}

/* account.c */

/* The account of @uid and @unit, made when there is none. The caller owns a reference. */
int account_get(struct ledger *ledger, uint32_t uid, const char *unit, struct account **ret);
struct account *account_ref(struct account *account);
struct account *account_unref(struct account *account);

/* How a unit or a uid is named in a sentence. */
const char *account_text(const struct account *account, char text[static UNIT_SIZE + 32]);

/*
 * charge_take() - charge @want to an account and the machine
 * @charge:        empty; filled on success
 * @account:       NULL: the machine only
 * @limits:        what the account may come to; NULL: charge whatever the limits are
 * @ret_shortfall: may be NULL
 *
 * Return: 0, or -EDQUOT and nothing charged.
 */
int charge_take(struct charge *charge, struct ledger *ledger, struct account *account,
		const struct amounts *limits, const struct amounts *want,
		struct shortfall *ret_shortfall);

/* Move @part out of @charge, which holds at least that, into the empty @ret. */
void charge_split(struct charge *charge, const struct amounts *part, struct charge *ret);

/* Change the bytes of a charge to what was really obtained, beyond a limit if need be. */
void charge_adjust_bytes(struct charge *charge, uint64_t size_bytes);

/* Give everything back. An empty charge is fine. */
void charge_release(struct charge *charge);

/* Account @number in lists. */
struct account *account_find(struct ledger *ledger, uint64_t number);

/* holder.c */

struct client_params {
	struct account *account; /* a reference is taken */
	struct amounts limits;
	uint32_t uid;
	uint32_t pid;
	uint64_t connected_mono_ms;
	void *userdata;
};

/* Charges one client; -EDQUOT with the shortfall when the account has too many. */
int client_new(struct ledger *ledger, const struct client_params *params,
	       struct shortfall *ret_shortfall, struct client **ret);

/* End all that the client holds; the client itself stays charged. */
void client_clear(struct client *client);
struct client *client_free(struct client *client);

/* What a client holds; a hold that is read-write stays so when asked for read-only. */
int hold_new(struct client *client, struct buffer *buffer, bool read_only, struct hold **ret);
struct hold *hold_find(struct client *client, uint64_t buffer_id);
struct hold *hold_free(struct hold *hold);

/* A token for what @hold holds, with the same right or less. Ends with the hold's client. */
int token_new(struct hold *hold, const uint8_t bytes[static WIRE_TOKEN_SIZE], bool read_only,
	      struct shortfall *ret_shortfall, struct token **ret);
struct token *token_find(struct ledger *ledger, const uint8_t bytes[static WIRE_TOKEN_SIZE]);
struct token *token_free(struct token *token);

/* buffer.c */

struct buffer_params {
	uint64_t id;
	uint64_t size_bytes;
	uint32_t uid;
	uint32_t pid;
	uint32_t direction;
	const char *name;
	const struct wire_layout *layout;
};

/* @charge is moved in on success and untouched on failure. */
int buffer_new(struct ledger *ledger, struct charge *charge, const struct buffer_params *params,
	       struct buffer **ret);
struct buffer *buffer_find(struct ledger *ledger, uint64_t id);

/* The memory is back: end every hold and token of it and release its charge. */
struct buffer *buffer_free(struct buffer *buffer);

/* May this client know that the buffer exists, and everything about it? */
bool buffer_visible(struct buffer *buffer, struct client *client);

/* The first buffer with a seq above @seq, of one account or (NULL) of all. */
struct buffer *buffer_after(struct ledger *ledger, struct account *account, uint64_t seq);

/* Remember that a page of a list ended at @buffer, so that the next one starts there at once. */
void buffer_mark(struct buffer *buffer, bool of_account);

/* mapping.c */

/*
 * @charge is moved in on success and untouched on failure. @client may be NULL (restored);
 * buffer and device are found by the numbers in @info and may be unknown.
 */
int mapping_new(struct ledger *ledger, struct charge *charge, struct client *client,
		const struct wire_mapping *info, struct mapping **ret);
struct mapping *mapping_find(struct ledger *ledger, uint64_t id);

/* The device can no longer reach it. */
struct mapping *mapping_free(struct mapping *mapping);
struct mapping *mapping_after(struct ledger *ledger, struct account *account, uint64_t seq);
void mapping_mark(struct mapping *mapping, bool of_account);

/* device.c */

/* Learn of a device, or of its new properties. ret_added tells which. */
int device_update(struct ledger *ledger, const struct wire_device *info, bool *ret_added);
struct device *device_find(struct ledger *ledger, uint32_t id);
struct device *device_find_name(struct ledger *ledger, const char *name);
struct device *device_after(struct ledger *ledger, uint32_t id);

/* Its mappings stay, and know no device any more. */
struct device *device_free(struct device *device);

#endif /* DMABROKER_CORE_LEDGER_H */
