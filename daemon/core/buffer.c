/* SPDX-License-Identifier: MIT */
/*
 * Buffers in the ledger: what the broker knows of memory that exists.
 *
 * A buffer enters when the backend has allocated it (or a restarted daemon found it alive) and
 * leaves when the backend proves that the memory is back. Between the two it is charged, holder
 * or not. Its id is the backend's; its position in lists is a number of the ledger's own, because
 * buffers from the warm pool have ids older than their neighbours.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/ledger.h"

int buffer_new(struct ledger *ledger, struct charge *charge, const struct buffer_params *params,
	       struct buffer **ret)
{
	struct buffer *buffer = calloc(1, sizeof(*buffer));

	assert(charge->account);
	if (!buffer)
		return -ENOMEM;
	if (params->layout && params->layout->fourcc) {
		buffer->layout = malloc(sizeof(*buffer->layout));
		if (!buffer->layout) {
			free(buffer);
			return -ENOMEM;
		}
		*buffer->layout = *params->layout;
	}
	buffer->id = params->id;
	HASH_ADD(hh, ledger->buffers, id, sizeof(buffer->id), buffer);
	if (!buffer->hh.tbl) {
		free(buffer->layout);
		free(buffer);
		return -ENOMEM;
	}
	buffer->ledger = ledger;
	buffer->charge = *charge;
	*charge = (struct charge){ 0 };
	buffer->seq = ++ledger->next_seq;
	buffer->size_bytes = params->size_bytes;
	buffer->uid = params->uid;
	buffer->pid = params->pid;
	buffer->direction = (uint8_t)params->direction;
	memcpy(buffer->name, params->name, strnlen(params->name, WIRE_NAME_SIZE - 1));
	LIST_INIT(&buffer->holds);
	LIST_INIT(&buffer->tokens);
	LIST_INIT(&buffer->mappings);
	TAILQ_INSERT_TAIL(&ledger->buffer_list, buffer, ledger_link);
	TAILQ_INSERT_TAIL(&buffer->charge.account->buffers, buffer, account_link);
	*ret = buffer;
	return 0;
}

struct buffer *buffer_find(struct ledger *ledger, uint64_t id)
{
	struct buffer *buffer;

	HASH_FIND(hh, ledger->buffers, &id, sizeof(id), buffer);
	return buffer;
}

struct buffer *buffer_free(struct buffer *buffer)
{
	struct account *account;
	struct mapping *mapping;

	if (!buffer)
		return NULL;
	account = buffer->charge.account;
	while (!LIST_EMPTY(&buffer->tokens))
		token_free(LIST_FIRST(&buffer->tokens));
	while (!LIST_EMPTY(&buffer->holds))
		hold_free(LIST_FIRST(&buffer->holds));
	while ((mapping = LIST_FIRST(&buffer->mappings))) {
		LIST_REMOVE(mapping, buffer_link);
		mapping->buffer = NULL;
	}
	if (buffer->ledger->buffers_mark == buffer)
		buffer->ledger->buffers_mark = NULL;
	if (account->buffers_mark == buffer)
		account->buffers_mark = NULL;
	TAILQ_REMOVE(&buffer->ledger->buffer_list, buffer, ledger_link);
	TAILQ_REMOVE(&account->buffers, buffer, account_link);
	HASH_DELETE(hh, buffer->ledger->buffers, buffer);
	charge_release(&buffer->charge);
	free(buffer->layout);
	free(buffer);
	return NULL;
}

bool buffer_visible(struct buffer *buffer, struct client *client)
{
	return client->uid == 0 || buffer->charge.account == client->account ||
	       buffer->uid == client->uid || hold_find(client, buffer->id);
}

/*
 * Pages of a list come one after the other, so the mark is nearly always right. Without it the
 * list is walked; a client's own list is bounded by its quota.
 */
struct buffer *buffer_after(struct ledger *ledger, struct account *account, uint64_t seq)
{
	struct buffer *buffer = account ? account->buffers_mark : ledger->buffers_mark;

	if (!buffer || buffer->seq > seq)
		buffer = account ? TAILQ_FIRST(&account->buffers)
				 : TAILQ_FIRST(&ledger->buffer_list);
	while (buffer && buffer->seq <= seq)
		buffer = account ? TAILQ_NEXT(buffer, account_link)
				 : TAILQ_NEXT(buffer, ledger_link);
	return buffer;
}

void buffer_mark(struct buffer *buffer, bool of_account)
{
	if (of_account)
		buffer->charge.account->buffers_mark = buffer;
	else
		buffer->ledger->buffers_mark = buffer;
}
