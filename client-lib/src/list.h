/* SPDX-License-Identifier: MIT */
/* Answers to queries: wire structs as received, and the public structs that point into them. */
#ifndef DMABROKER_LIST_H
#define DMABROKER_LIST_H

#include "client-lib/src/broker.h"

int list_new(enum dmabroker_query_type type, struct dmabroker_list **ret);

/* Take the entries of a list reply that passed the check. */
int list_append(struct dmabroker_list *list, const struct packet *packet,
		struct wire_list_reply *ret_reply);
/* Take a reply that is one entry. */
int list_append_one(struct dmabroker_list *list, const struct packet *packet);
/* No more come: make what the user sees. */
int list_finish(struct dmabroker_list *list);

/* Texts from the wire, made printable and terminated in place. */
void text_clean(char *text, size_t bytes);

/* The public struct points into the wire's, whose texts are cleaned. */
void device_info_fill(struct dmabroker_device_info *info, struct wire_device *wire);
void buffer_info_fill(struct dmabroker_buffer_info *info, struct wire_buffer *wire);
void mapping_info_fill(struct dmabroker_mapping_info *info, const struct wire_mapping *wire);

#endif /* DMABROKER_LIST_H */
