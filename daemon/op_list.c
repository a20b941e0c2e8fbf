/* SPDX-License-Identifier: MIT */
/*
 * Lists: paging, and the lists of clients and accounts.
 *
 * A page is as many entries as fit a message. Its cursor is the sequence number of the last entry,
 * so entries that come and go between two pages neither repeat nor hide others. Everybody sees
 * their own account; all accounts are for root.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/op_list.h"

void page_init(struct page *page, struct request *request, size_t entry_bytes)
{
	size_t room = WIRE_MESSAGE_MAX - sizeof(struct wire_header) -
		      sizeof(struct wire_list_reply);

	*page = (struct page){ .request = request,
			       .entry_bytes = entry_bytes,
			       .capacity = (unsigned int)(room / entry_bytes) };
}

bool page_begin(struct page *page, struct request *request, size_t entry_bytes, bool of_id,
		struct wire_list *ret)
{
	request_body(request, ret);
	if (ret->reserved || (ret->flags & ~WIRE_LIST_ALL) || (!of_id && ret->of_id)) {
		request_refuse(request, WIRE_REASON_RESERVED_NOT_ZERO, 0, 0, false,
			       "%s: a reserved field or an unknown flag is set; send zero",
			       request->info->name);
		return false;
	}
	if ((ret->flags & WIRE_LIST_ALL) && !request->connection->grant.admin) {
		request_refuse(request, WIRE_REASON_NOT_ADMINISTRATOR, 0, request->client->uid,
			       false, "the list of all accounts is for root; ask without \"all\"");
		return false;
	}
	page_init(page, request, entry_bytes);
	return true;
}

void *page_add(struct page *page)
{
	char *entry = (char *)page->request->broker->reply + page->count * page->entry_bytes;

	if (page->count == page->capacity)
		return NULL;
	page->count++;
	memset(entry, 0, page->entry_bytes);
	return entry;
}

void page_send(struct page *page, uint64_t cursor, uint64_t total)
{
	const struct wire_list_reply reply = {
		.cursor = cursor,
		.count = page->count,
		.entry_bytes = (uint32_t)page->entry_bytes,
		.total = total,
	};

	request_reply(page->request, &reply, sizeof(reply), page->request->broker->reply,
		      page->count * page->entry_bytes);
}

enum handled op_CLIENT_LIST(struct request *request)
{
	uint64_t now_mono_ms = broker_now_mono_ms();
	struct wire_list list;
	struct wire_client *entry;
	struct client *client;
	struct page page;
	uint64_t last = 0;

	if (!page_begin(&page, request, sizeof(*entry), false, &list))
		return HANDLED;
	TAILQ_FOREACH(client, &request->broker->ledger->client_list, ledger_link)
	{
		if (client->id <= list.cursor ||
		    (!(list.flags & WIRE_LIST_ALL) && client->account != request->client->account))
			continue;
		entry = page_add(&page);
		if (!entry) {
			page_send(&page, last, 0);
			return HANDLED;
		}
		last = entry->id = client->id;
		entry->nr_buffers = HASH_COUNT(client->holds);
		entry->nr_requests = client->nr_requests;
		entry->connected_ms = now_mono_ms - client->connected_mono_ms;
		entry->uid = client->uid;
		entry->pid = client->pid;
		memcpy(entry->name, client->name, sizeof(entry->name));
		snprintf(entry->unit, sizeof(entry->unit), "%s",
			 ((struct connection *)client->userdata)->credentials.unit);
	}
	page_send(&page, 0, 0);
	return HANDLED;
}

enum handled op_ACCOUNT_LIST(struct request *request)
{
	struct ledger *ledger = request->broker->ledger;
	struct wire_list list;
	struct wire_account *entry;
	struct account *account, *next;
	struct page page;
	uint64_t last = 0;

	if (!page_begin(&page, request, sizeof(*entry), false, &list))
		return HANDLED;
	HASH_ITER(hh, ledger->accounts, account, next) {
		if (account->seq <= list.cursor ||
		    (!(list.flags & WIRE_LIST_ALL) && account != request->client->account))
			continue;
		entry = page_add(&page);
		if (!entry) {
			page_send(&page, last, 0);
			return HANDLED;
		}
		last = account->seq;
		entry->uid = account->uid;
		entry->nr_clients = (uint32_t)account->use.of[QUOTA_CLIENTS];
		entry->bytes = account->use.of[QUOTA_BYTES];
		entry->bytes_limit = account->limits.of[QUOTA_BYTES];
		entry->buffers = account->use.of[QUOTA_BUFFERS];
		entry->buffers_limit = account->limits.of[QUOTA_BUFFERS];
		entry->mappings = account->use.of[QUOTA_MAPPINGS];
		entry->mappings_limit = account->limits.of[QUOTA_MAPPINGS];
		memcpy(entry->unit, account->unit, sizeof(account->unit));
	}
	page_send(&page, 0, 0);
	return HANDLED;
}
