// SPDX-License-Identifier: MIT
/*
 * A simulated address space: two treaps over one interval, one of the gaps and one of what is
 * taken.
 *
 * A treap is a search tree by address that keeps itself shallow by random priorities. Each node
 * also knows the largest size in its subtree, so "the first gap from here on that is big enough"
 * takes logarithmic time no matter how the space is chopped up. Taken ranges are nodes inside the
 * structs of their owners; gap nodes belong to the space.
 *
 * Giving back must not fail, but it can create a gap. There is never more than one gap for each
 * taken range plus one, so every take brings one node along and every give frees one: what lies
 * in between is kept in a list of spares.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "daemon/backend/sim_space.h"

#define WIDE_START (1ull << 32) /* where masks wider than 32 bits look first */

static uint64_t largest(const struct sim_range *node)
{
	return node ? node->largest_bytes : 0;
}

static void update(struct sim_range *node)
{
	uint64_t bytes = node->size_bytes;

	if (largest(node->left) > bytes)
		bytes = largest(node->left);
	if (largest(node->right) > bytes)
		bytes = largest(node->right);
	node->largest_bytes = bytes;
}

/* Split into what starts below @start and the rest. */
static void split(struct sim_range *node, uint64_t start, struct sim_range **ret_low,
		  struct sim_range **ret_high)
{
	if (!node) {
		*ret_low = NULL;
		*ret_high = NULL;
	} else if (node->start < start) {
		split(node->right, start, &node->right, ret_high);
		update(node);
		*ret_low = node;
	} else {
		split(node->left, start, ret_low, &node->left);
		update(node);
		*ret_high = node;
	}
}

/* Everything in @low starts below everything in @high. */
static struct sim_range *merge(struct sim_range *low, struct sim_range *high)
{
	if (!low)
		return high;
	if (!high)
		return low;
	if (low->priority > high->priority) {
		low->right = merge(low->right, high);
		update(low);
		return low;
	}
	high->left = merge(low, high->left);
	update(high);
	return high;
}

static void insert(struct sim_range **root, struct sim_range *node)
{
	struct sim_range *low, *high;

	node->left = NULL;
	node->right = NULL;
	update(node);
	split(*root, node->start, &low, &high);
	*root = merge(merge(low, node), high);
}

static void take_out(struct sim_range **root, struct sim_range *node)
{
	struct sim_range *low, *self, *high;

	split(*root, node->start, &low, &high);
	split(high, node->start + 1, &self, &high);
	*root = merge(low, high);
}

/* The node that starts closest below or at @address. */
static struct sim_range *below(struct sim_range *node, uint64_t address)
{
	struct sim_range *best = NULL;

	while (node) {
		if (node->start <= address) {
			best = node;
			node = node->right;
		} else {
			node = node->left;
		}
	}
	return best;
}

/* The lowest gap that starts at or above @start and has at least @size_bytes. */
static struct sim_range *first_fit(struct sim_range *node, uint64_t start, uint64_t size_bytes)
{
	struct sim_range *found;

	if (!node || node->largest_bytes < size_bytes)
		return NULL;
	if (node->start < start)
		return first_fit(node->right, start, size_bytes);
	found = first_fit(node->left, start, size_bytes);
	if (found)
		return found;
	if (node->size_bytes >= size_bytes)
		return node;
	return first_fit(node->right, start, size_bytes);
}

static struct sim_range *spare_pop(struct sim_space *space)
{
	struct sim_range *node = space->spare;

	space->spare = node->left;
	return node;
}

static void spare_push(struct sim_space *space, struct sim_range *node)
{
	node->left = space->spare;
	space->spare = node;
}

static uint32_t next_random(struct sim_space *space)
{
	space->random ^= space->random << 13;
	space->random ^= space->random >> 17;
	space->random ^= space->random << 5;
	return space->random;
}

/* Uses a spare, of which the caller knows that there is one. */
static void gap_add(struct sim_space *space, uint64_t start, uint64_t size_bytes)
{
	struct sim_range *gap = spare_pop(space);

	gap->start = start;
	gap->size_bytes = size_bytes;
	gap->priority = next_random(space);
	insert(&space->gaps, gap);
}

static void gap_remove(struct sim_space *space, struct sim_range *gap)
{
	take_out(&space->gaps, gap);
	spare_push(space, gap);
}

int sim_space_init(struct sim_space *space, uint64_t first, unsigned int bits,
		   uint64_t granule_bytes)
{
	uint64_t last = bits < 64 ? (1ull << bits) - 1 : UINT64_MAX;
	struct sim_range *node;
	unsigned int i;

	*space = (struct sim_space){
		.granule_bytes = granule_bytes,
		.first = first,
		.random = 0x9e3779b9,
	};
	for (i = 0; i < 65; i++)
		space->cursor[i] = i > 32 ? WIDE_START : first;
	if (last <= first)
		return 0; /* nothing fits, and every take says so */
	node = calloc(1, sizeof(*node));
	if (!node)
		return -ENOMEM;
	spare_push(space, node);
	gap_add(space, first, (last - first) / granule_bytes * granule_bytes + granule_bytes);
	return 0;
}

static void free_tree(struct sim_range *node)
{
	if (!node)
		return;
	free_tree(node->left);
	free_tree(node->right);
	free(node);
}

void sim_space_fini(struct sim_space *space)
{
	free_tree(space->gaps);
	while (space->spare)
		free(spare_pop(space));
	space->gaps = NULL;
	space->used = NULL;
}

static uint64_t align_up(uint64_t value, uint64_t align_bytes)
{
	return (value + align_bytes - 1) & ~(align_bytes - 1);
}

/* Where in the gap would a range start that looks from @from on? Does it fit under the mask? */
static bool fits(const struct sim_range *gap, uint64_t from, uint64_t size_bytes,
		 uint64_t align_bytes, uint64_t last, uint64_t *ret_start)
{
	uint64_t start = align_up(gap->start > from ? gap->start : from, align_bytes);

	if (start < gap->start || start - gap->start > gap->size_bytes)
		return false;
	if (gap->size_bytes - (start - gap->start) < size_bytes)
		return false;
	if (size_bytes - 1 > last || start > last - (size_bytes - 1))
		return false;
	*ret_start = start;
	return true;
}

static struct sim_range *search(struct sim_space *space, uint64_t from, uint64_t size_bytes,
				uint64_t align_bytes, uint64_t last, uint64_t *ret_start)
{
	uint64_t room = size_bytes + align_bytes - space->granule_bytes;
	struct sim_range *gap = below(space->gaps, from);

	if (gap && fits(gap, from, size_bytes, align_bytes, last, ret_start))
		return gap;
	gap = first_fit(space->gaps, from, room);
	if (gap && fits(gap, from, size_bytes, align_bytes, last, ret_start))
		return gap;
	return NULL;
}

int sim_space_take(struct sim_space *space, uint64_t size_bytes, uint64_t align_bytes,
		   unsigned int mask_bits, struct sim_range *range)
{
	uint64_t last = mask_bits < 64 ? (1ull << mask_bits) - 1 : UINT64_MAX;
	uint64_t start, gap_start, gap_bytes;
	struct sim_range *gap, *node;

	gap = search(space, space->cursor[mask_bits], size_bytes, align_bytes, last, &start);
	if (!gap)
		gap = search(space, space->first, size_bytes, align_bytes, last, &start);
	if (!gap)
		return -ENOSPC;
	node = calloc(1, sizeof(*node));
	if (!node)
		return -ENOMEM;
	spare_push(space, node);

	gap_start = gap->start;
	gap_bytes = gap->size_bytes;
	gap_remove(space, gap);
	if (start > gap_start)
		gap_add(space, gap_start, start - gap_start);
	if (start - gap_start + size_bytes < gap_bytes)
		gap_add(space, start + size_bytes, gap_bytes - (start - gap_start) - size_bytes);
	range->start = start;
	range->size_bytes = size_bytes;
	range->priority = next_random(space);
	insert(&space->used, range);
	space->cursor[mask_bits] = start + size_bytes;
	return 0;
}

void sim_space_give(struct sim_space *space, struct sim_range *range)
{
	uint64_t start = range->start, size_bytes = range->size_bytes;
	struct sim_range *gap;

	take_out(&space->used, range);
	gap = below(space->gaps, start);
	if (gap && gap->start + gap->size_bytes == start) {
		start = gap->start;
		size_bytes += gap->size_bytes;
		gap_remove(space, gap);
	}
	gap = below(space->gaps, start + size_bytes);
	if (gap && gap->start == start + size_bytes) {
		size_bytes += gap->size_bytes;
		gap_remove(space, gap);
	}
	gap_add(space, start, size_bytes);
	free(spare_pop(space));
}

struct sim_range *sim_space_below(const struct sim_space *space, uint64_t address)
{
	return below(space->used, address);
}

struct sim_range *sim_space_at(const struct sim_space *space, uint64_t address)
{
	struct sim_range *range = below(space->used, address);

	return range && address - range->start < range->size_bytes ? range : NULL;
}
