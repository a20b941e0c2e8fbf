/* SPDX-License-Identifier: MIT */
/*
 * Accounts, and charges as objects.
 *
 * An account is a uid together with a unit. It exists while something refers to it: a connected
 * client, or a charge. So an account whose clients are all gone stays for as long as memory of
 * theirs is still in use somewhere, which is the point.
 *
 * Limits are not a property of the account but of who asks (a process may be in a group that its
 * sibling is not in), so charge_take() is given them. Use is counted in one place, here, and every
 * unit of it belongs to exactly one charge object; whoever owns the object cannot forget to give
 * it back, because its destructor does.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/ledger.h"

static const enum wire_reason quota_reasons[NR_QUOTAS] = {
	[QUOTA_BYTES] = WIRE_REASON_QUOTA_BYTES,
	[QUOTA_CONTIGUOUS_BYTES] = WIRE_REASON_QUOTA_CONTIGUOUS_BYTES,
	[QUOTA_BUFFERS] = WIRE_REASON_QUOTA_BUFFERS,
	[QUOTA_MAPPINGS] = WIRE_REASON_QUOTA_MAPPINGS,
	[QUOTA_CLIENTS] = WIRE_REASON_QUOTA_CLIENTS,
	[QUOTA_TOKENS] = WIRE_REASON_QUOTA_TOKENS,
};

/* Stable over restarts, because devices remember whose they were. Never 0, which means nobody. */
static uint64_t number_of(uint32_t uid, const char *unit)
{
	static const uint64_t key[2] = { 0x646d6162726f6b65ull, 0x6163636f756e7473ull };
	uint8_t bytes[4 + UNIT_SIZE];
	size_t unit_bytes = strnlen(unit, UNIT_SIZE - 1);
	uint64_t number;

	for (size_t i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(uid >> (8 * i));
	memcpy(bytes + 4, unit, unit_bytes);
	number = siphash(key, bytes, 4 + unit_bytes);
	return number ? number : 1;
}

struct account *account_find(struct ledger *ledger, uint64_t number)
{
	struct account *account;

	HASH_FIND(hh, ledger->accounts, &number, sizeof(number), account);
	return account;
}

int account_get(struct ledger *ledger, uint32_t uid, const char *unit, struct account **ret)
{
	uint64_t number = number_of(uid, unit);
	struct account *account = account_find(ledger, number);

	if (account) {
		*ret = account_ref(account);
		return 0;
	}

	account = calloc(1, sizeof(*account));
	if (!account)
		return -ENOMEM;
	account->ledger = ledger;
	account->uid = uid;
	snprintf(account->unit, sizeof(account->unit), "%s", unit);
	account->number = number;
	account->seq = ++ledger->next_seq;
	account->nr_refs = 1;
	TAILQ_INIT(&account->buffers);
	TAILQ_INIT(&account->mappings);
	HASH_ADD(hh, ledger->accounts, number, sizeof(account->number), account);
	if (!account->hh.tbl) {
		free(account);
		return -ENOMEM;
	}
	*ret = account;
	return 0;
}

struct account *account_ref(struct account *account)
{
	account->nr_refs++;
	return account;
}

struct account *account_unref(struct account *account)
{
	if (!account)
		return NULL;
	assert(account->nr_refs > 0);
	if (--account->nr_refs > 0)
		return NULL;
	assert(TAILQ_EMPTY(&account->buffers) && TAILQ_EMPTY(&account->mappings));
	HASH_DELETE(hh, account->ledger->accounts, account);
	free(account);
	return NULL;
}

const char *account_text(const struct account *account, char text[static UNIT_SIZE + 32])
{
	if (account->uid == UID_OF_UNIT)
		snprintf(text, UNIT_SIZE + 32, "unit %s", account->unit);
	else if (account->unit[0])
		snprintf(text, UNIT_SIZE + 32, "uid %u in %s", account->uid, account->unit);
	else
		snprintf(text, UNIT_SIZE + 32, "uid %u", account->uid);
	return text;
}

/* Is there room for @want? Written so that no sum overflows. */
static bool fits(uint64_t use, uint64_t want, uint64_t limit)
{
	return want == 0 || (use <= limit && want <= limit - use);
}

static uint64_t sum(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static int check(const struct ledger *ledger, const struct account *account,
		 const struct amounts *limits, const struct amounts *want, struct shortfall *ret)
{
	for (unsigned int i = 0; account && i < NR_QUOTAS; i++) {
		uint64_t use = account->use.of[i];

		if (fits(use, want->of[i], limits->of[i]))
			continue;
		*ret = (struct shortfall){ .reason = quota_reasons[i],
					   .limit = limits->of[i],
					   .value = sum(use, want->of[i]) };
		return -EDQUOT;
	}
	if (!fits(ledger->bytes, want->of[QUOTA_BYTES], ledger->bytes_limit)) {
		*ret = (struct shortfall){ .reason = WIRE_REASON_MACHINE_TOTAL,
					   .limit = ledger->bytes_limit,
					   .value = sum(ledger->bytes, want->of[QUOTA_BYTES]) };
		return -EDQUOT;
	}
	return 0;
}

int charge_take(struct charge *charge, struct ledger *ledger, struct account *account,
		const struct amounts *limits, const struct amounts *want,
		struct shortfall *ret_shortfall)
{
	assert(!charge->ledger);
	if (limits) {
		struct shortfall shortfall;
		int r = check(ledger, account, limits, want, &shortfall);

		if (r < 0) {
			if (ret_shortfall)
				*ret_shortfall = shortfall;
			return r;
		}
	}

	charge->ledger = ledger;
	charge->account = account ? account_ref(account) : NULL;
	charge->amounts = *want;
	ledger->bytes += want->of[QUOTA_BYTES];
	if (account) {
		for (unsigned int i = 0; i < NR_QUOTAS; i++)
			account->use.of[i] += want->of[i];
		if (limits)
			account->limits = *limits;
	}
	return 0;
}

void charge_split(struct charge *charge, const struct amounts *part, struct charge *ret)
{
	assert(charge->ledger && !ret->ledger);
	for (unsigned int i = 0; i < NR_QUOTAS; i++) {
		assert(charge->amounts.of[i] >= part->of[i]);
		charge->amounts.of[i] -= part->of[i];
	}
	ret->ledger = charge->ledger;
	ret->account = charge->account ? account_ref(charge->account) : NULL;
	ret->amounts = *part;
}

void charge_adjust_bytes(struct charge *charge, uint64_t size_bytes)
{
	uint64_t before = charge->amounts.of[QUOTA_BYTES];

	charge->ledger->bytes += size_bytes - before;
	charge->amounts.of[QUOTA_BYTES] = size_bytes;
	if (charge->account)
		charge->account->use.of[QUOTA_BYTES] += size_bytes - before;
	if (charge->amounts.of[QUOTA_CONTIGUOUS_BYTES]) {
		before = charge->amounts.of[QUOTA_CONTIGUOUS_BYTES];
		charge->amounts.of[QUOTA_CONTIGUOUS_BYTES] = size_bytes;
		if (charge->account)
			charge->account->use.of[QUOTA_CONTIGUOUS_BYTES] += size_bytes - before;
	}
}

void charge_release(struct charge *charge)
{
	struct account *account = charge->account;

	if (!charge->ledger)
		return;
	assert(charge->ledger->bytes >= charge->amounts.of[QUOTA_BYTES]);
	charge->ledger->bytes -= charge->amounts.of[QUOTA_BYTES];
	for (unsigned int i = 0; account && i < NR_QUOTAS; i++) {
		assert(account->use.of[i] >= charge->amounts.of[i]);
		account->use.of[i] -= charge->amounts.of[i];
	}
	*charge = (struct charge){ 0 };
	account_unref(account);
}
