/* SPDX-License-Identifier: MIT */
/* Sizes, numbers and texts of the command line. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"

static void expect_size(const char *text, uint64_t bytes)
{
	uint64_t got = 0;

	ck_assert_msg(text_parse_size(text, &got) == 0, "'%s' is not taken for a size", text);
	ck_assert_msg(got == bytes, "'%s' is taken for %llu", text, (unsigned long long)got);
}

START_TEST(sizes)
{
	expect_size("0", 0);
	expect_size("4096", 4096);
	expect_size("4096B", 4096);
	expect_size("64K", 64 << 10);
	expect_size("64k", 64 << 10);
	expect_size("64KiB", 64 << 10);
	expect_size("64KB", 64 << 10);
	expect_size("8M", 8 << 20);
	expect_size("1G", 1ull << 30);
	expect_size("1GiB", 1ull << 30);
	expect_size("2T", 2ull << 40);
	expect_size("18446744073709551615", UINT64_MAX);
	expect_size("16777215T", 16777215ull << 40);
}
END_TEST

START_TEST(no_sizes)
{
	static const char *const texts[] = { "",     " 8M",  "-1",   "+1", "M",	  "8 M", "8MM",
					     "8Mi ", "0x10", "8.5M", "8P", "8iB", "8BB", "8M\n" };
	uint64_t got = 77;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_msg(text_parse_size(texts[i], &got) == -EINVAL, "'%s' is taken",
			      texts[i]);
	ck_assert_int_eq(text_parse_size("18446744073709551616", &got), -ERANGE);
	ck_assert_int_eq(text_parse_size("16777216T", &got), -ERANGE);
	ck_assert_uint_eq(got, 77);
}
END_TEST

START_TEST(numbers)
{
	uint64_t got = 77;

	ck_assert_int_eq(text_parse_number("0", 1, 64, &got), -ERANGE);
	ck_assert_int_eq(text_parse_number("65", 1, 64, &got), -ERANGE);
	ck_assert_int_eq(text_parse_number("28K", 1, 64000, &got), -EINVAL);
	ck_assert_int_eq(text_parse_number(" 28", 1, 64, &got), -EINVAL);
	ck_assert_int_eq(text_parse_number("", 0, 64, &got), -EINVAL);
	ck_assert_uint_eq(got, 77);
	ck_assert_int_eq(text_parse_number("64", 1, 64, &got), 0);
	ck_assert_uint_eq(got, 64);
}
END_TEST

static void expect_shown(uint64_t bytes, const char *text)
{
	char got[TEXT_SIZE_BYTES];

	ck_assert_str_eq(text_size(bytes, got), text);
}

START_TEST(shown)
{
	expect_shown(0, "0 B");
	expect_shown(1023, "1023 B");
	expect_shown(4096, "4 KiB");
	expect_shown(4097, "4097 B");
	expect_shown(8 << 20, "8 MiB");
	expect_shown((8 << 20) + 4096, "8196 KiB");
	expect_shown(1ull << 40, "1 TiB");
	expect_shown(1ull << 60, "1048576 TiB");
	expect_shown(99999, "99999 B");
	expect_shown(100001, "97.6 KiB");
	expect_shown(6319127550, "5.8 GiB");
	expect_shown((1ull << 40) + 1, "1.0 TiB");
	expect_shown((10ull << 30) - 1, "9.9 GiB");
	expect_shown(UINT64_MAX, "16777215.9 TiB");
}
END_TEST

START_TEST(printable)
{
	char text[] = "a\033[31m\n\x7f b\xc2\x9b"
		      "31m \xc3\xa9 \xc2";

	text_make_printable(text);
	ck_assert_str_eq(text, "a?[31m?? b??31m \xc3\xa9 \xc2");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli text");
	TCase *tcase = tcase_create("text");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, sizes);
	tcase_add_test(tcase, no_sizes);
	tcase_add_test(tcase, numbers);
	tcase_add_test(tcase, shown);
	tcase_add_test(tcase, printable);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
