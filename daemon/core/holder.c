/* SPDX-License-Identifier: MIT */
/*
 * Clients, and what makes one the holder of a buffer.
 *
 * A hold is the right of one connection to use one buffer: it was given the buffer, opened it by
 * token, or showed its fd. Ids are guessable and carry no right. A token turns a hold into a name
 * that another client can be told; it ends when its maker gives up the hold or leaves.
 *
 * Tokens are random, so nobody can choose one that collides. A guesser who measures time learns
 * at most something about a keyed hash of the guess: the table is indexed by that, and the bytes
 * themselves are compared in constant time.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/ledger.h"

int client_new(struct ledger *ledger, const struct client_params *params,
	       struct shortfall *ret_shortfall, struct client **ret)
{
	const struct amounts want = { .of[QUOTA_CLIENTS] = 1 };
	struct client *client = calloc(1, sizeof(*client));
	int r;

	if (!client)
		return -ENOMEM;
	client->limits = params->limits;
	r = charge_take(&client->charge, ledger, params->account, &client->limits, &want,
			ret_shortfall);
	if (r < 0) {
		free(client);
		return r;
	}
	client->ledger = ledger;
	client->account = account_ref(params->account);
	client->id = ++ledger->next_client_id;
	client->uid = params->uid;
	client->pid = params->pid;
	client->connected_mono_ms = params->connected_mono_ms;
	client->userdata = params->userdata;
	LIST_INIT(&client->tokens);
	LIST_INIT(&client->mappings);
	TAILQ_INSERT_TAIL(&ledger->client_list, client, ledger_link);
	ledger->nr_clients++;
	*ret = client;
	return 0;
}

void client_clear(struct client *client)
{
	struct mapping *mapping;
	struct hold *hold, *next;

	while (!LIST_EMPTY(&client->tokens))
		token_free(LIST_FIRST(&client->tokens));
	while ((mapping = LIST_FIRST(&client->mappings))) {
		LIST_REMOVE(mapping, client_link);
		mapping->client = NULL;
	}
	HASH_ITER(hh, client->holds, hold, next)
		hold_free(hold);
}

struct client *client_free(struct client *client)
{
	if (!client)
		return NULL;
	client_clear(client);
	TAILQ_REMOVE(&client->ledger->client_list, client, ledger_link);
	client->ledger->nr_clients--;
	charge_release(&client->charge);
	account_unref(client->account);
	free(client);
	return NULL;
}

struct hold *hold_find(struct client *client, uint64_t buffer_id)
{
	struct hold *hold;

	HASH_FIND(hh, client->holds, &buffer_id, sizeof(buffer_id), hold);
	return hold;
}

int hold_new(struct client *client, struct buffer *buffer, bool read_only, struct hold **ret)
{
	struct hold *hold = hold_find(client, buffer->id);

	if (hold) {
		hold->read_only = hold->read_only && read_only;
		*ret = hold;
		return 0;
	}

	hold = calloc(1, sizeof(*hold));
	if (!hold)
		return -ENOMEM;
	hold->client = client;
	hold->buffer = buffer;
	hold->buffer_id = buffer->id;
	hold->read_only = read_only;
	HASH_ADD(hh, client->holds, buffer_id, sizeof(hold->buffer_id), hold);
	if (!hold->hh.tbl) {
		free(hold);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&buffer->holds, hold, buffer_link);
	*ret = hold;
	return 0;
}

/* Tokens that the holder made of it are its word that others may have it: they go too. */
struct hold *hold_free(struct hold *hold)
{
	struct token *token, *next;

	if (!hold)
		return NULL;
	for (token = LIST_FIRST(&hold->buffer->tokens); token; token = next) {
		next = LIST_NEXT(token, buffer_link);
		if (token->client == hold->client)
			token_free(token);
	}
	LIST_REMOVE(hold, buffer_link);
	HASH_DELETE(hh, hold->client->holds, hold);
	free(hold);
	return NULL;
}

int token_new(struct hold *hold, const uint8_t bytes[static WIRE_TOKEN_SIZE], bool read_only,
	      struct shortfall *ret_shortfall, struct token **ret)
{
	const struct amounts want = { .of[QUOTA_TOKENS] = 1 };
	struct ledger *ledger = hold->client->ledger;
	struct token *token = calloc(1, sizeof(*token));
	int r;

	if (!token)
		return -ENOMEM;
	r = charge_take(&token->charge, ledger, hold->client->account, &hold->client->limits, &want,
			ret_shortfall);
	if (r < 0) {
		free(token);
		return r;
	}
	memcpy(token->bytes, bytes, sizeof(token->bytes));
	token->index = siphash(ledger->token_key, bytes, WIRE_TOKEN_SIZE);
	token->read_only = read_only || hold->read_only;
	HASH_ADD(hh, ledger->tokens, index, sizeof(token->index), token);
	if (!token->hh.tbl) {
		charge_release(&token->charge);
		free(token);
		return -ENOMEM;
	}
	token->client = hold->client;
	token->buffer = hold->buffer;
	LIST_INSERT_HEAD(&token->client->tokens, token, client_link);
	LIST_INSERT_HEAD(&token->buffer->tokens, token, buffer_link);
	*ret = token;
	return 0;
}

static bool bytes_equal(const uint8_t *a, const uint8_t *b, size_t nr)
{
	unsigned int difference = 0;

	for (size_t i = 0; i < nr; i++)
		difference |= a[i] ^ b[i];
	return difference == 0;
}

struct token *token_find(struct ledger *ledger, const uint8_t bytes[static WIRE_TOKEN_SIZE])
{
	uint64_t index = siphash(ledger->token_key, bytes, WIRE_TOKEN_SIZE);
	struct token *token;

	HASH_FIND(hh, ledger->tokens, &index, sizeof(index), token);
	return token && bytes_equal(token->bytes, bytes, WIRE_TOKEN_SIZE) ? token : NULL;
}

struct token *token_free(struct token *token)
{
	if (!token)
		return NULL;
	LIST_REMOVE(token, client_link);
	LIST_REMOVE(token, buffer_link);
	HASH_DELETE(hh, token->client->ledger->tokens, token);
	charge_release(&token->charge);
	free(token);
	return NULL;
}
