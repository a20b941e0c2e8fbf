// SPDX-License-Identifier: MIT
/*
 * An ordered table of things by id.
 *
 * Ids are handed out in rising order and never again, so the table is one array in the order of
 * arrival and a lookup is a binary search: no hash, no tree, 16 bytes an entry. A removed entry
 * becomes a gap that says how many entries to skip; sim_table_next() makes the gap it starts at as
 * long as what it found behind it, so a run of gaps is walked once. When gaps outnumber what
 * lives, the array is packed, which costs each removal a constant share.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "daemon/backend/sim_table.h"

#define PACK_MIN 64

static bool is_gap(const struct sim_table_entry *entry)
{
	return entry->item & 1;
}

void sim_table_fini(struct sim_table *table)
{
	free(table->entries);
	*table = (struct sim_table){ 0 };
}

int sim_table_reserve(struct sim_table *table)
{
	size_t capacity = table->capacity ? table->capacity * 2 : PACK_MIN;
	struct sim_table_entry *entries;

	if (table->count < table->capacity)
		return 0;
	entries = reallocarray(table->entries, capacity, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	table->entries = entries;
	table->capacity = capacity;
	return 0;
}

void sim_table_add(struct sim_table *table, uint64_t id, void *item)
{
	table->entries[table->count++] =
		(struct sim_table_entry){ .id = id, .item = (uintptr_t)item };
	table->live++;
}

/* Index of the first entry, gap or not, whose id is at least @id. */
static size_t lower_bound(const struct sim_table *table, uint64_t id)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->entries[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct sim_table_entry *find(const struct sim_table *table, uint64_t id)
{
	size_t i = lower_bound(table, id);

	if (i == table->count || table->entries[i].id != id || is_gap(&table->entries[i]))
		return NULL;
	return &table->entries[i];
}

static void pack(struct sim_table *table)
{
	struct sim_table_entry *smaller;
	size_t from, to = 0;

	for (from = 0; from < table->count; from++)
		if (!is_gap(&table->entries[from]))
			table->entries[to++] = table->entries[from];
	table->count = to;
	if (table->capacity <= PACK_MIN || table->capacity / 4 < to)
		return;
	smaller = reallocarray(table->entries, table->capacity / 2, sizeof(*smaller));
	if (!smaller)
		return; /* a bigger array than needed harms nobody */
	table->entries = smaller;
	table->capacity /= 2;
}

void sim_table_remove(struct sim_table *table, uint64_t id)
{
	struct sim_table_entry *entry = find(table, id);

	if (!entry)
		return;
	entry->item = 1 << 1 | 1;
	table->live--;
	if (table->count >= PACK_MIN && table->live < table->count / 2)
		pack(table);
}

void *sim_table_get(const struct sim_table *table, uint64_t id)
{
	struct sim_table_entry *entry = find(table, id);

	return entry ? (void *)entry->item : NULL;
}

void *sim_table_next(struct sim_table *table, uint64_t after_id)
{
	size_t first, i;

	if (after_id == UINT64_MAX)
		return NULL;
	first = lower_bound(table, after_id + 1);
	for (i = first; i < table->count && is_gap(&table->entries[i]);)
		i += table->entries[i].item >> 1;
	if (i > first)
		table->entries[first].item = (uintptr_t)(i - first) << 1 | 1;
	return i < table->count ? (void *)table->entries[i].item : NULL;
}
