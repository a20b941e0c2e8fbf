/* SPDX-License-Identifier: MIT */
/* A page of a list, made in the broker's scratch: what all list ops have in common. */
#ifndef DMABROKER_OP_LIST_H
#define DMABROKER_OP_LIST_H

#include "daemon/dispatch.h"

struct page {
	struct request *request;
	size_t entry_bytes;
	unsigned int capacity;
	unsigned int count;
};

/*
 * page_begin() - read a list request and start the answer
 * @of_id: whether wire_list.of_id means something for this op
 *
 * Return: true, or false when the request was refused.
 */
bool page_begin(struct page *page, struct request *request, size_t entry_bytes, bool of_id,
		struct wire_list *ret);

/* The same where there is no struct wire_list to read. */
void page_init(struct page *page, struct request *request, size_t entry_bytes);

/* Room for one more entry, zeroed; NULL when the page is full. */
void *page_add(struct page *page);
void page_send(struct page *page, uint64_t cursor, uint64_t total);

#endif /* DMABROKER_OP_LIST_H */
