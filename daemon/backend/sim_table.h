/* SPDX-License-Identifier: MIT */
/*
 * An ordered table of things by id, for ids that only grow: look one up, or the next above any
 * number, in the time of a binary search; no per-entry allocation, nothing to allocate on removal.
 */
#ifndef DMABROKER_SIM_TABLE_H
#define DMABROKER_SIM_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct sim_table_entry {
	uint64_t id;
	uintptr_t item; /* odd: a gap, (entries to skip << 1) | 1 */
};

struct sim_table {
	struct sim_table_entry *entries;
	size_t count; /* used entries, gaps included */
	size_t capacity;
	size_t live;
};

void sim_table_fini(struct sim_table *table);

/* Make sure that the next sim_table_add() has room. Return: 0, -ENOMEM. */
int sim_table_reserve(struct sim_table *table);

/* @id is above every id added before, @item is borrowed and at an even address. */
void sim_table_add(struct sim_table *table, uint64_t id, void *item);

void sim_table_remove(struct sim_table *table, uint64_t id);

/* NULL when there is none. */
void *sim_table_get(const struct sim_table *table, uint64_t id);

/* The one with the lowest id above @after_id, or NULL. */
void *sim_table_next(struct sim_table *table, uint64_t after_id);

#endif /* DMABROKER_SIM_TABLE_H */
