// SPDX-License-Identifier: MIT
/*
 * Address spaces and id tables of the sim backend, against models that are too simple to be wrong:
 * a list of all ranges, an array of all ids.
 */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "daemon/backend/sim_space.h"
#include "daemon/backend/sim_table.h"

#define PAGE  4096ull
#define FIRST 0x10000ull
#define N     400

static struct sim_space space;

static void setup(void)
{
	ck_assert_int_eq(sim_space_init(&space, FIRST, 28, PAGE), 0);
}

static void teardown(void)
{
	sim_space_fini(&space);
}

START_TEST(test_fills_exactly)
{
	struct sim_range whole, page;

	ck_assert_int_eq(sim_space_take(&space, (1ull << 28) - FIRST + PAGE, PAGE, 28, &whole),
			 -ENOSPC);
	ck_assert_int_eq(sim_space_take(&space, (1ull << 28) - FIRST, PAGE, 28, &whole), 0);
	ck_assert_uint_eq(whole.start, FIRST);
	ck_assert_int_eq(sim_space_take(&space, PAGE, PAGE, 28, &page), -ENOSPC);
	sim_space_give(&space, &whole);
	ck_assert_int_eq(sim_space_take(&space, PAGE, PAGE, 28, &page), 0);
	sim_space_give(&space, &page);
	ck_assert_int_eq(sim_space_take(&space, (1ull << 28) - FIRST, PAGE, 28, &whole), 0);
	sim_space_give(&space, &whole);
}
END_TEST

START_TEST(test_not_reused_soon)
{
	struct sim_range range;
	uint64_t last = 0;
	unsigned int i;

	/* 256 MiB of addresses: nothing comes twice before all were used. */
	for (i = 0; i < ((1ull << 28) - FIRST) / PAGE; i++) {
		ck_assert_int_eq(sim_space_take(&space, PAGE, PAGE, 28, &range), 0);
		ck_assert_uint_gt(range.start, last);
		last = range.start;
		sim_space_give(&space, &range);
	}
	ck_assert_int_eq(sim_space_take(&space, PAGE, PAGE, 28, &range), 0);
	ck_assert_uint_eq(range.start, FIRST);
	sim_space_give(&space, &range);
}
END_TEST

START_TEST(test_mask_and_alignment)
{
	struct sim_range a, b, c;

	ck_assert_int_eq(sim_space_take(&space, PAGE, PAGE, 28, &a), 0);
	ck_assert_int_eq(sim_space_take(&space, 1 << 20, 1 << 20, 28, &b), 0);
	ck_assert_uint_eq(b.start % (1 << 20), 0);
	/* Below 2^20 lie 15 pages of 64 KiB; below 2^16 nothing. */
	ck_assert_int_eq(sim_space_take(&space, 1 << 20, PAGE, 20, &c), -ENOSPC);
	ck_assert_int_eq(sim_space_take(&space, PAGE, PAGE, 16, &c), -ENOSPC);
	ck_assert_int_eq(sim_space_take(&space, PAGE, PAGE, 0, &c), -ENOSPC);
	ck_assert_int_eq(sim_space_take(&space, 1 << 19, PAGE, 20, &c), 0);
	ck_assert_uint_le(c.start + c.size_bytes, 1 << 20);
	sim_space_give(&space, &c);
	sim_space_give(&space, &a);
	sim_space_give(&space, &b);
}
END_TEST

static bool overlap(const struct sim_range *a, const struct sim_range *b)
{
	return a->start < b->start + b->size_bytes && b->start < a->start + a->size_bytes;
}

START_TEST(test_random_against_a_list)
{
	static struct sim_range ranges[N];
	static bool taken[N];
	unsigned int step, i, k, nr_taken = 0, nr_refused = 0;
	struct sim_range *found;
	struct sim_range whole;

	srandom(1);
	for (step = 0; step < 40000; step++) {
		i = (unsigned int)random() % N;
		if (taken[i]) {
			uint64_t inside = ranges[i].start +
					  ((uint64_t)random()) % ranges[i].size_bytes;

			ck_assert_ptr_eq(sim_space_at(&space, inside), &ranges[i]);
			sim_space_give(&space, &ranges[i]);
			taken[i] = false;
			nr_taken--;
			found = sim_space_at(&space, inside);
			ck_assert_ptr_null(found);
			continue;
		}
		if (sim_space_take(&space, PAGE * (1 + (uint64_t)random() % 600),
				   PAGE << random() % 6, 28, &ranges[i]) < 0) {
			nr_refused++;
			continue;
		}
		taken[i] = true;
		nr_taken++;
		ck_assert_uint_ge(ranges[i].start, FIRST);
		ck_assert_uint_le(ranges[i].start + ranges[i].size_bytes, 1ull << 28);
		if (step % 16)
			continue;
		for (k = 0; k < N; k++)
			if (k != i && taken[k])
				ck_assert(!overlap(&ranges[i], &ranges[k]));
	}
	ck_assert_uint_gt(nr_taken, 20);
	ck_assert_uint_gt(nr_refused, 0);
	for (i = 0; i < N; i++)
		if (taken[i])
			sim_space_give(&space, &ranges[i]);
	/* All pieces have grown together again. */
	ck_assert_int_eq(sim_space_take(&space, (1ull << 28) - FIRST, PAGE, 28, &whole), 0);
	sim_space_give(&space, &whole);
}
END_TEST

START_TEST(test_table_random_against_an_array)
{
	static uint64_t items[20000];
	struct sim_table table = { 0 };
	unsigned int step, i, live = 0;
	uint64_t id, next = 0;

	srandom(2);
	for (step = 0; step < 60000; step++) {
		/* Grow, then shrink, then both. */
		unsigned int adds = step < 15000 ? 80 : step < 40000 ? 10 : 50;

		if ((unsigned int)random() % 100 < adds && next < 19999) {
			next++;
			ck_assert_int_eq(sim_table_reserve(&table), 0);
			items[next] = next;
			sim_table_add(&table, next, &items[next]);
			live++;
		} else if (next) {
			id = 1 + (uint64_t)random() % next;
			if (items[id])
				live--;
			items[id] = 0;
			sim_table_remove(&table, id);
		}
		ck_assert_uint_eq(table.live, live);
		if (step % 50 || !next)
			continue;
		id = (uint64_t)random() % (next + 1);
		ck_assert_ptr_eq(sim_table_get(&table, id), items[id] ? &items[id] : NULL);
		for (i = (unsigned int)id + 1; i <= next && !items[i]; i++)
			;
		ck_assert_ptr_eq(sim_table_next(&table, id), i <= next ? &items[i] : NULL);
		ck_assert_ptr_null(sim_table_next(&table, UINT64_MAX));
	}
	sim_table_fini(&table);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sim-space");
	TCase *tcase = tcase_create("space");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_fills_exactly);
	tcase_add_test(tcase, test_not_reused_soon);
	tcase_add_test(tcase, test_mask_and_alignment);
	tcase_add_test(tcase, test_random_against_a_list);
	tcase_add_test(tcase, test_table_random_against_an_array);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
