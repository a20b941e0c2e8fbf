/* SPDX-License-Identifier: MIT */
/*
 * The root of the ledger. Freeing it ends the daemon's knowledge, not the memory: buffers that
 * clients hold live on where the backend keeps them, and a restarted daemon learns of them anew.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/ledger.h"

int ledger_new(uint64_t bytes_limit, const uint64_t token_key[static 2], struct ledger **ret)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		return -ENOMEM;
	ledger->bytes_limit = bytes_limit;
	ledger->token_key[0] = token_key[0];
	ledger->token_key[1] = token_key[1];
	TAILQ_INIT(&ledger->client_list);
	TAILQ_INIT(&ledger->buffer_list);
	TAILQ_INIT(&ledger->mapping_list);
	TAILQ_INIT(&ledger->device_list);
	*ret = ledger;
	return 0;
}

void ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return;
	while (!TAILQ_EMPTY(&ledger->client_list))
		client_free(TAILQ_FIRST(&ledger->client_list));
	while (!TAILQ_EMPTY(&ledger->mapping_list))
		mapping_free(TAILQ_FIRST(&ledger->mapping_list));
	while (!TAILQ_EMPTY(&ledger->buffer_list))
		buffer_free(TAILQ_FIRST(&ledger->buffer_list));
	while (!TAILQ_EMPTY(&ledger->device_list))
		device_free(TAILQ_FIRST(&ledger->device_list));
	assert(!ledger->accounts && ledger->bytes == 0);
	free(ledger);
}
