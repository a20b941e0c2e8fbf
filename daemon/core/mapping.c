/* SPDX-License-Identifier: MIT */
/*
 * Mappings in the ledger. A mapping is an fd that a client holds; it lives until the backend says
 * that its last fd is closed. The ledger charges it to the account that asked for it and remembers
 * which client wants to hear when its device goes away. The buffer cannot go first: the backend
 * keeps mapped memory. Should it say so nevertheless, the mapping loses the link and lives on.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "daemon/core/ledger.h"

int mapping_new(struct ledger *ledger, struct charge *charge, struct client *client,
		const struct wire_mapping *info, struct mapping **ret)
{
	struct mapping *mapping = calloc(1, sizeof(*mapping));

	assert(charge->account);
	if (!mapping)
		return -ENOMEM;
	mapping->info = *info;
	HASH_ADD(hh, ledger->mappings, info.id, sizeof(mapping->info.id), mapping);
	if (!mapping->hh.tbl) {
		free(mapping);
		return -ENOMEM;
	}
	mapping->ledger = ledger;
	mapping->charge = *charge;
	*charge = (struct charge){ 0 };
	mapping->seq = ++ledger->next_seq;
	mapping->buffer = buffer_find(ledger, info->buffer_id);
	if (mapping->buffer)
		LIST_INSERT_HEAD(&mapping->buffer->mappings, mapping, buffer_link);
	mapping->device = device_find(ledger, info->device_id);
	if (mapping->device)
		LIST_INSERT_HEAD(&mapping->device->mappings, mapping, device_link);
	mapping->client = client;
	if (client)
		LIST_INSERT_HEAD(&client->mappings, mapping, client_link);
	TAILQ_INSERT_TAIL(&ledger->mapping_list, mapping, ledger_link);
	TAILQ_INSERT_TAIL(&mapping->charge.account->mappings, mapping, account_link);
	*ret = mapping;
	return 0;
}

struct mapping *mapping_find(struct ledger *ledger, uint64_t id)
{
	struct mapping *mapping;

	HASH_FIND(hh, ledger->mappings, &id, sizeof(id), mapping);
	return mapping;
}

struct mapping *mapping_free(struct mapping *mapping)
{
	struct account *account;

	if (!mapping)
		return NULL;
	account = mapping->charge.account;
	if (mapping->buffer)
		LIST_REMOVE(mapping, buffer_link);
	if (mapping->client)
		LIST_REMOVE(mapping, client_link);
	if (mapping->device)
		LIST_REMOVE(mapping, device_link);
	if (mapping->ledger->mappings_mark == mapping)
		mapping->ledger->mappings_mark = NULL;
	if (account->mappings_mark == mapping)
		account->mappings_mark = NULL;
	TAILQ_REMOVE(&mapping->ledger->mapping_list, mapping, ledger_link);
	TAILQ_REMOVE(&account->mappings, mapping, account_link);
	HASH_DELETE(hh, mapping->ledger->mappings, mapping);
	charge_release(&mapping->charge);
	free(mapping);
	return NULL;
}

/* As buffer_after(). */
struct mapping *mapping_after(struct ledger *ledger, struct account *account, uint64_t seq)
{
	struct mapping *mapping = account ? account->mappings_mark : ledger->mappings_mark;

	if (!mapping || mapping->seq > seq)
		mapping = account ? TAILQ_FIRST(&account->mappings)
				  : TAILQ_FIRST(&ledger->mapping_list);
	while (mapping && mapping->seq <= seq)
		mapping = account ? TAILQ_NEXT(mapping, account_link)
				  : TAILQ_NEXT(mapping, ledger_link);
	return mapping;
}

void mapping_mark(struct mapping *mapping, bool of_account)
{
	if (of_account)
		mapping->charge.account->mappings_mark = mapping;
	else
		mapping->ledger->mappings_mark = mapping;
}
