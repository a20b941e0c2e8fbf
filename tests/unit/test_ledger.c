/* SPDX-License-Identifier: MIT */
/*
 * The ledger without a socket: charges come and go with their owners, rights end where they
 * should, lists give each entry once, and nothing is left at the end (the ledger's own assertion
 * and the sanitizers see to that).
 */
#include <check.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/ledger.h"

#define MIB (1024ull * 1024)

static struct ledger *ledger;
static const struct amounts limits = { .of = { 8 * MIB, 1 * MIB, 10, 4, 3, 2 } };

static void setup(void)
{
	const uint64_t key[2] = { 1, 2 };

	ck_assert_int_eq(ledger_new(64 * MIB, key, &ledger), 0);
}

static void teardown(void)
{
	ledger_free(ledger);
}

static struct account *account(uint32_t uid, const char *unit)
{
	struct account *account;

	ck_assert_int_eq(account_get(ledger, uid, unit, &account), 0);
	return account;
}

static struct client *client_of(uint32_t uid, const char *unit)
{
	struct client_params params = {
		.account = account(uid, unit), .limits = limits, .uid = uid, .pid = 77
	};
	struct shortfall shortfall;
	struct client *client;

	ck_assert_int_eq(client_new(ledger, &params, &shortfall, &client), 0);
	account_unref(params.account);
	return client;
}

static struct buffer *buffer_of(struct client *client, uint64_t id, uint64_t size_bytes)
{
	const struct amounts want = { .of = { [QUOTA_BYTES] = size_bytes, [QUOTA_BUFFERS] = 1 } };
	struct charge charge = { 0 };
	struct buffer *buffer;

	ck_assert_int_eq(charge_take(&charge, ledger, client->account, NULL, &want, NULL), 0);
	ck_assert_int_eq(buffer_new(ledger, &charge,
				    &(struct buffer_params){ .id = id,
							     .size_bytes = size_bytes,
							     .uid = client->uid,
							     .name = "b" },
				    &buffer),
			 0);
	ck_assert_ptr_null(charge.ledger);
	return buffer;
}

static struct hold *hold_of(struct client *client, struct buffer *buffer, bool read_only)
{
	struct hold *hold;

	ck_assert_int_eq(hold_new(client, buffer, read_only, &hold), 0);
	return hold;
}

static struct mapping *mapping_of(struct client *client, uint64_t id, uint64_t buffer_id,
				  uint32_t device_id)
{
	const struct amounts want = { .of[QUOTA_MAPPINGS] = 1 };
	const struct wire_mapping info = { .id = id,
					   .buffer_id = buffer_id,
					   .device_id = device_id };
	struct charge charge = { 0 };
	struct mapping *mapping;

	ck_assert_int_eq(charge_take(&charge, ledger, client->account, NULL, &want, NULL), 0);
	ck_assert_int_eq(mapping_new(ledger, &charge, client, &info, &mapping), 0);
	return mapping;
}

START_TEST(accounts_are_uid_and_unit)
{
	struct account *a = account(1000, "user-1000.slice"),
		       *same = account(1000, "user-1000.slice");
	struct account *other_unit = account(1000, "x.service");
	struct account *other_uid = account(1001, "user-1000.slice");
	uint64_t number = a->number;

	ck_assert_ptr_eq(a, same);
	ck_assert_ptr_ne(a, other_unit);
	ck_assert_ptr_ne(a, other_uid);
	ck_assert_ptr_eq(account_find(ledger, number), a);
	ck_assert_uint_ne(number, 0);
	account_unref(same);
	ck_assert_ptr_eq(account_find(ledger, number), a);
	account_unref(a);
	ck_assert_ptr_null(account_find(ledger, number));
	/* The number is the same when it comes back: devices remember it over restarts. */
	a = account(1000, "user-1000.slice");
	ck_assert_uint_eq(a->number, number);
	ck_assert_uint_eq(number, 0x1700cc1f1b08cc87ull);
	account_unref(a);
	account_unref(other_unit);
	account_unref(other_uid);
}
END_TEST

START_TEST(charge_up_to_each_limit)
{
	static const enum wire_reason reasons[NR_QUOTAS] = {
		WIRE_REASON_QUOTA_BYTES,   WIRE_REASON_QUOTA_CONTIGUOUS_BYTES,
		WIRE_REASON_QUOTA_BUFFERS, WIRE_REASON_QUOTA_MAPPINGS,
		WIRE_REASON_QUOTA_CLIENTS, WIRE_REASON_QUOTA_TOKENS,
	};
	struct account *a = account(1, "");
	struct amounts want = { 0 };
	struct charge charge = { 0 }, second = { 0 };
	struct shortfall shortfall;

	want.of[_i] = limits.of[_i];
	ck_assert_int_eq(charge_take(&charge, ledger, a, &limits, &want, &shortfall), 0);
	want.of[_i] = 1;
	ck_assert_int_eq(charge_take(&second, ledger, a, &limits, &want, &shortfall), -EDQUOT);
	ck_assert_int_eq(shortfall.reason, reasons[_i]);
	ck_assert_uint_eq(shortfall.limit, limits.of[_i]);
	ck_assert_uint_eq(shortfall.value, limits.of[_i] + 1);
	ck_assert_ptr_null(second.ledger);
	want.of[_i] = UINT64_MAX;
	ck_assert_int_eq(charge_take(&second, ledger, a, &limits, &want, &shortfall), -EDQUOT);
	ck_assert_uint_eq(shortfall.value, UINT64_MAX);
	charge_release(&charge);
	charge_release(&charge);
	ck_assert_uint_eq(a->use.of[_i], 0);
	want.of[_i] = limits.of[_i];
	ck_assert_int_eq(charge_take(&charge, ledger, a, &limits, &want, &shortfall), 0);
	charge_release(&charge);
	account_unref(a);
}
END_TEST

START_TEST(machine_total_is_above_all)
{
	const struct amounts unlimited = { .of = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX,
						   UINT64_MAX, UINT64_MAX } };
	const struct amounts most = { .of[QUOTA_BYTES] = 64 * MIB },
			     page = { .of[QUOTA_BYTES] = 4096 };
	struct account *a = account(1, ""), *b = account(2, "");
	struct charge first = { 0 }, second = { 0 };
	struct shortfall shortfall;

	ck_assert_int_eq(charge_take(&first, ledger, a, &unlimited, &most, &shortfall), 0);
	ck_assert_int_eq(charge_take(&second, ledger, b, &unlimited, &page, &shortfall), -EDQUOT);
	ck_assert_int_eq(shortfall.reason, WIRE_REASON_MACHINE_TOTAL);
	/* For nobody's account, too; but what exists is charged, whatever the limits are. */
	ck_assert_int_eq(charge_take(&second, ledger, NULL, &page, &page, &shortfall), -EDQUOT);
	ck_assert_int_eq(charge_take(&second, ledger, b, NULL, &page, NULL), 0);
	ck_assert_uint_eq(ledger->bytes, 64 * MIB + 4096);
	charge_release(&first);
	charge_release(&second);
	ck_assert_uint_eq(ledger->bytes, 0);
	account_unref(a);
	account_unref(b);
}
END_TEST

START_TEST(charges_split_and_adjust)
{
	const struct amounts whole = { .of = { 3 * 4096, 3 * 4096, 3 } },
			     part = { .of = { 4096, 4096, 1 } };
	struct account *a = account(1, "");
	struct charge all = { 0 }, one = { 0 };

	ck_assert_int_eq(charge_take(&all, ledger, a, &limits, &whole, NULL), 0);
	charge_split(&all, &part, &one);
	ck_assert_uint_eq(a->use.of[QUOTA_BYTES], 3 * 4096);
	charge_adjust_bytes(&one, 8192);
	ck_assert_uint_eq(a->use.of[QUOTA_BYTES], 4 * 4096);
	ck_assert_uint_eq(a->use.of[QUOTA_CONTIGUOUS_BYTES], 4 * 4096);
	ck_assert_uint_eq(ledger->bytes, 4 * 4096);
	charge_release(&all);
	ck_assert_uint_eq(a->use.of[QUOTA_BYTES], 8192);
	ck_assert_uint_eq(a->use.of[QUOTA_BUFFERS], 1);
	account_unref(a); /* the charge keeps it */
	charge_release(&one);
	ck_assert_uint_eq(ledger->bytes, 0);
	ck_assert_ptr_null(ledger->accounts);
}
END_TEST

START_TEST(client_quota)
{
	struct client *clients[3];
	struct client_params params = { .account = account(5, ""), .limits = limits };
	struct shortfall shortfall;

	for (unsigned int i = 0; i < 3; i++) {
		ck_assert_int_eq(client_new(ledger, &params, &shortfall, &clients[i]), 0);
		ck_assert_uint_eq(clients[i]->id, i + 1);
	}
	ck_assert_int_eq(client_new(ledger, &params, &shortfall, &clients[0]), -EDQUOT);
	ck_assert_int_eq(shortfall.reason, WIRE_REASON_QUOTA_CLIENTS);
	client_free(clients[1]);
	ck_assert_int_eq(client_new(ledger, &params, &shortfall, &clients[1]), 0);
	ck_assert_uint_eq(clients[1]->id, 4);
	account_unref(params.account);
}
END_TEST

/* A client that is gone leaves its memory charged until that is proven to be back. */
START_TEST(buffer_outlives_client)
{
	struct client *client = client_of(1000, "");
	struct account *a = account_ref(client->account);
	struct buffer *buffer = buffer_of(client, 7, MIB);

	hold_of(client, buffer, false);
	client_free(client);
	ck_assert_ptr_eq(buffer_find(ledger, 7), buffer);
	ck_assert(LIST_EMPTY(&buffer->holds));
	ck_assert_uint_eq(a->use.of[QUOTA_BYTES], MIB);
	ck_assert_uint_eq(a->use.of[QUOTA_CLIENTS], 0);
	buffer_free(buffer);
	ck_assert_uint_eq(a->use.of[QUOTA_BYTES], 0);
	ck_assert_ptr_null(buffer_find(ledger, 7));
	account_unref(a);
}
END_TEST

START_TEST(holds)
{
	struct client *one = client_of(1000, ""), *two = client_of(1001, "");
	struct buffer *buffer = buffer_of(one, 7, 4096);
	struct hold *hold;

	ck_assert_ptr_null(hold_find(one, 7));
	hold = hold_of(one, buffer, true);
	ck_assert(hold->read_only);
	ck_assert_ptr_eq(hold_find(one, 7), hold);
	ck_assert_ptr_null(hold_find(two, 7));
	/* More right replaces less, and never the other way round. */
	ck_assert_ptr_eq(hold_of(one, buffer, false), hold);
	ck_assert(!hold->read_only);
	hold_of(one, buffer, true);
	ck_assert(!hold->read_only);
	hold_of(two, buffer, true);
	buffer_free(buffer);
	ck_assert_ptr_null(hold_find(one, 7));
	ck_assert_ptr_null(hold_find(two, 7));
}
END_TEST

START_TEST(visibility)
{
	struct client *owner = client_of(1000, "a.service"),
		      *sibling = client_of(1000, "b.service"),
		      *stranger = client_of(1001, "a.service"), *root = client_of(0, "");
	struct buffer *buffer = buffer_of(owner, 7, 4096);

	ck_assert(buffer_visible(buffer, owner));
	ck_assert(buffer_visible(buffer, sibling));
	ck_assert(buffer_visible(buffer, root));
	ck_assert(!buffer_visible(buffer, stranger));
	hold_of(stranger, buffer, true);
	ck_assert(buffer_visible(buffer, stranger));
}
END_TEST

START_TEST(tokens)
{
	const uint8_t bytes[3][WIRE_TOKEN_SIZE] = { { 1 }, { 2 }, { 3 } };
	uint8_t wrong[WIRE_TOKEN_SIZE] = { 1 };
	struct client *maker = client_of(1000, ""), *other = client_of(1001, "");
	struct buffer *buffer = buffer_of(maker, 7, 4096);
	struct hold *hold = hold_of(maker, buffer, false);
	struct token *token, *weak;
	struct shortfall shortfall;

	hold_of(other, buffer, true);
	ck_assert_int_eq(token_new(hold, bytes[0], false, &shortfall, &token), 0);
	ck_assert_int_eq(token_new(hold_find(other, 7), bytes[1], false, &shortfall, &weak), 0);
	ck_assert(!token->read_only);
	ck_assert(weak->read_only); /* never more than its maker has */
	ck_assert_ptr_eq(token_find(ledger, bytes[0]), token);
	wrong[15] = 1;
	ck_assert_ptr_null(token_find(ledger, wrong));
	ck_assert_int_eq(token_new(hold, bytes[2], true, &shortfall, &token), 0);
	ck_assert(token->read_only);
	wrong[0] = 9;
	ck_assert_int_eq(token_new(hold, wrong, true, &shortfall, &token), -EDQUOT);
	ck_assert_int_eq(shortfall.reason, WIRE_REASON_QUOTA_TOKENS);
	/* They end with the maker's hold, and only the maker's do. */
	hold_free(hold);
	ck_assert_ptr_null(token_find(ledger, bytes[0]));
	ck_assert_ptr_null(token_find(ledger, bytes[2]));
	ck_assert_ptr_eq(token_find(ledger, bytes[1]), weak);
	ck_assert_uint_eq(maker->account->use.of[QUOTA_TOKENS], 0);
	client_clear(other);
	ck_assert_ptr_null(token_find(ledger, bytes[1]));
}
END_TEST

START_TEST(tokens_end_with_buffer)
{
	const uint8_t bytes[WIRE_TOKEN_SIZE] = { 5 };
	struct client *maker = client_of(1000, "");
	struct buffer *buffer = buffer_of(maker, 7, 4096);
	struct token *token;

	ck_assert_int_eq(token_new(hold_of(maker, buffer, false), bytes, false, NULL, &token), 0);
	buffer_free(buffer);
	ck_assert_ptr_null(token_find(ledger, bytes));
}
END_TEST

START_TEST(lists_in_order)
{
	struct client *one = client_of(1000, ""), *two = client_of(1001, "");
	struct buffer *buffer;
	unsigned int nr = 0;
	uint64_t seq = 0;

	/* Ids out of order, as the pool makes them; the position is the ledger's own. */
	for (uint64_t id = 100; id > 0; id--)
		buffer_of(id % 4 ? one : two, id, 4096);
	for (buffer = buffer_after(ledger, two->account, 0); buffer;
	     buffer = buffer_after(ledger, two->account, seq)) {
		ck_assert_uint_gt(buffer->seq, seq);
		ck_assert_ptr_eq(buffer->charge.account, two->account);
		seq = buffer->seq;
		if (nr++ % 5 == 0)
			buffer_mark(buffer, true);
		if (nr % 7 == 0) /* the marked one, too, goes away at some time */
			buffer_free(buffer);
	}
	ck_assert_uint_eq(nr, 25);
	nr = 0;
	seq = 0;
	while ((buffer = buffer_after(ledger, NULL, seq))) {
		seq = buffer->seq;
		buffer_mark(buffer, false);
		nr++;
		buffer_free(buffer);
	}
	ck_assert_uint_eq(nr, 97);
	ck_assert_ptr_null(buffer_after(ledger, one->account, 0));
}
END_TEST

START_TEST(mappings)
{
	const struct wire_device info = { .id = 3, .name = "sim:3" };
	struct client *one = client_of(1000, ""), *two = client_of(1001, "");
	struct buffer *buffer = buffer_of(one, 7, 4096);
	struct mapping *first, *second, *third;
	bool added;

	ck_assert_int_eq(device_update(ledger, &info, &added), 0);
	first = mapping_of(one, 1, 7, 3);
	second = mapping_of(two, 2, 7, 3);
	third = mapping_of(one, 3, 999, 999); /* of nothing that is known */
	ck_assert_ptr_eq(first->buffer, buffer);
	ck_assert_ptr_eq(second->device, device_find(ledger, 3));
	ck_assert_ptr_null(third->buffer);
	ck_assert_ptr_null(third->device);
	ck_assert_uint_eq(one->account->use.of[QUOTA_MAPPINGS], 2);
	ck_assert_ptr_eq(mapping_after(ledger, one->account, 0), first);
	ck_assert_ptr_eq(mapping_after(ledger, one->account, first->seq), third);
	ck_assert_ptr_eq(mapping_after(ledger, NULL, first->seq), second);
	mapping_mark(second, false);
	client_free(two);
	ck_assert_ptr_null(second->client);
	device_free(device_find(ledger, 3));
	ck_assert_ptr_null(first->device);
	buffer_free(buffer);
	ck_assert_ptr_null(second->buffer);
	mapping_free(mapping_find(ledger, 2));
	ck_assert_ptr_null(mapping_find(ledger, 2));
	mapping_free(mapping_find(ledger, 2));
	mapping_free(first);
	ck_assert_uint_eq(one->account->use.of[QUOTA_MAPPINGS], 1);
}
END_TEST

START_TEST(devices)
{
	struct wire_device info = { .name = "pci:b", .id = 5 };
	struct device *device;
	bool added;

	ck_assert_int_eq(device_update(ledger, &info, &added), 0);
	ck_assert(added);
	info = (struct wire_device){ .name = "pci:a", .id = 2 };
	ck_assert_int_eq(device_update(ledger, &info, &added), 0);
	info = (struct wire_device){ .name = "pci:b", .id = 5, .streaming_mask_bits = 28 };
	ck_assert_int_eq(device_update(ledger, &info, &added), 0);
	ck_assert(!added);
	ck_assert_uint_eq(ledger->nr_devices, 2);
	device = device_after(ledger, 0);
	ck_assert_str_eq(device->info.name, "pci:a");
	device = device_after(ledger, device->info.id);
	ck_assert_uint_eq(device->info.streaming_mask_bits, 28);
	ck_assert_ptr_null(device_after(ledger, 5));
	ck_assert_ptr_eq(device_find_name(ledger, "pci:b"), device);
	ck_assert_ptr_null(device_find_name(ledger, "pci:c"));
	device_free(device);
	ck_assert_uint_eq(ledger->nr_devices, 1);
}
END_TEST

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif

#ifndef SANITIZED /* it has a malloc of its own */
/* What the daemon pays for a live buffer that somebody holds. */
START_TEST(memory_per_buffer)
{
	const unsigned int nr = 20000;
	struct client *client = client_of(1000, "");
	size_t before = mallinfo2().uordblks, per_buffer;

	for (unsigned int i = 1; i <= nr; i++)
		hold_of(client, buffer_of(client, i, 4096), false);
	per_buffer = (mallinfo2().uordblks - before) / nr;
	ck_assert_uint_gt(per_buffer, 100);
	ck_assert_uint_le(per_buffer, 512);
	printf("%zu bytes in the ledger for each held buffer\n", per_buffer);
}
END_TEST
#endif

int main(void)
{
	Suite *suite = suite_create("ledger");
	TCase *tcase = tcase_create("ledger");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, accounts_are_uid_and_unit);
	tcase_add_loop_test(tcase, charge_up_to_each_limit, 0, NR_QUOTAS);
	tcase_add_test(tcase, machine_total_is_above_all);
	tcase_add_test(tcase, charges_split_and_adjust);
	tcase_add_test(tcase, client_quota);
	tcase_add_test(tcase, buffer_outlives_client);
	tcase_add_test(tcase, holds);
	tcase_add_test(tcase, visibility);
	tcase_add_test(tcase, tokens);
	tcase_add_test(tcase, tokens_end_with_buffer);
	tcase_add_test(tcase, lists_in_order);
	tcase_add_test(tcase, mappings);
	tcase_add_test(tcase, devices);
#ifndef SANITIZED
	tcase_add_test(tcase, memory_per_buffer);
#endif
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
