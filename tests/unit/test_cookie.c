/* SPDX-License-Identifier: MIT */
/* Cookies and the hash: both outlive the process, so their bytes are fixed. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/cookie.h"

START_TEST(round_trip)
{
	struct cookie cookie = { .flags = COOKIE_POOL,
				 .direction = 2,
				 .uid = 1000,
				 .pid = 4711,
				 .account_uid = 1001,
				 .secret = { 1, 2, 3 },
				 .name = "name",
				 .layout = { .fourcc = 7, .nr_planes = 1 },
				 .unit = "a.service" };
	uint8_t bytes[COOKIE_SIZE];
	struct cookie back;

	cookie_write(&cookie, bytes);
	ck_assert_int_eq(cookie_read(bytes, &back), 0);
	ck_assert_uint_eq(back.flags, cookie.flags);
	ck_assert_uint_eq(back.direction, cookie.direction);
	ck_assert_uint_eq(back.uid, cookie.uid);
	ck_assert_uint_eq(back.pid, cookie.pid);
	ck_assert_uint_eq(back.account_uid, cookie.account_uid);
	ck_assert_mem_eq(back.secret, cookie.secret, sizeof(cookie.secret));
	ck_assert_str_eq(back.name, cookie.name);
	ck_assert_str_eq(back.unit, cookie.unit);
	ck_assert_mem_eq(&back.layout, &cookie.layout, sizeof(cookie.layout));
}
END_TEST

START_TEST(layout_is_fixed)
{
	const struct cookie cookie = { .direction = 1,
				       .flags = 1,
				       .uid = 0x01020304,
				       .pid = 5,
				       .account_uid = 6,
				       .secret = { 0xaa },
				       .name = "n",
				       .layout.fourcc = 9,
				       .unit = "u" };
	uint8_t bytes[COOKIE_SIZE];

	cookie_write(&cookie, bytes);
	ck_assert_mem_eq(bytes, "DMBC\1\0\1\1\4\3\2\1\5\0\0\0\6\0\0\0\0\0\0\0\xaa", 25);
	ck_assert_uint_eq(bytes[40], 'n');
	ck_assert_uint_eq(bytes[72], 9);
	ck_assert_uint_eq(bytes[160], 'u');
	for (unsigned int i = 161; i < COOKIE_SIZE; i++)
		ck_assert_uint_eq(bytes[i], 0);
}
END_TEST

START_TEST(foreign_bytes)
{
	uint8_t bytes[COOKIE_SIZE];
	struct cookie cookie = { 0 }, untouched;

	memset(&untouched, 0x55, sizeof(untouched));
	memset(bytes, 0, sizeof(bytes));
	ck_assert_int_eq(cookie_read(bytes, &untouched), -EPROTO);
	cookie_write(&cookie, bytes);
	bytes[4] = 2; /* a newer version */
	ck_assert_int_eq(cookie_read(bytes, &untouched), -EPROTO);
	ck_assert_uint_eq(untouched.uid, 0x55555555);
	/* Strings without an end get one. */
	cookie_write(&cookie, bytes);
	memset(bytes + 40, 'x', WIRE_NAME_SIZE);
	memset(bytes + 160, 'y', UNIT_SIZE);
	ck_assert_int_eq(cookie_read(bytes, &cookie), 0);
	ck_assert_uint_eq(strlen(cookie.name), WIRE_NAME_SIZE - 1);
	ck_assert_uint_eq(strlen(cookie.unit), UNIT_SIZE - 1);
}
END_TEST

/* From the reference implementation's published vectors. */
START_TEST(siphash_vectors)
{
	const uint64_t key[2] = { 0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull };
	uint8_t input[15];

	for (uint8_t i = 0; i < 15; i++)
		input[i] = i;
	ck_assert_uint_eq(siphash(key, input, 0), 0x726fdb47dd0e0e31ull);
	ck_assert_uint_eq(siphash(key, input, 1), 0x74f839c593dc67fdull);
	ck_assert_uint_eq(siphash(key, input, 8), 0x93f5f5799a932462ull);
	ck_assert_uint_eq(siphash(key, input, 15), 0xa129ca6149be45e5ull);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cookie");
	TCase *tcase = tcase_create("cookie");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, round_trip);
	tcase_add_test(tcase, layout_is_fixed);
	tcase_add_test(tcase, foreign_bytes);
	tcase_add_test(tcase, siphash_vectors);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
