/* SPDX-License-Identifier: MIT */
/* Logging: what a stranger sends cannot forge lines, flood, or block. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/random.h"

START_TEST(levels)
{
	int level = -1;

	ck_assert_int_eq(log_level_parse("error", &level), 0);
	ck_assert_int_eq(level, LOG_ERR);
	ck_assert_int_eq(log_level_parse("7", &level), 0);
	ck_assert_int_eq(level, LOG_DEBUG);
	ck_assert_int_eq(log_level_parse("8", &level), -EINVAL);
	ck_assert_int_eq(log_level_parse("", &level), -EINVAL);
	ck_assert_int_eq(level, LOG_DEBUG);
}
END_TEST

/* Standard error becomes a pipe that the test reads. */
static int pipe_fds[2];

static void setup(void)
{
	unsetenv("JOURNAL_STREAM");
	ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
	ck_assert_int_ge(fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_ge(dup2(pipe_fds[1], STDERR_FILENO), 0);
	log_open(LOG_INFO);
}

static size_t read_all(char *ret, size_t bytes)
{
	size_t have = 0;
	ssize_t n;

	while (have < bytes - 1 && (n = read(pipe_fds[0], ret + have, bytes - 1 - have)) > 0)
		have += (size_t)n;
	ret[have] = '\0';
	return have;
}

START_TEST(one_message_one_line)
{
	char text[4096];

	log_line(LOG_INFO, "forged\ndmabrokerd: %s", "all is \x1b[2Jwell");
	log_line(LOG_DEBUG, "not at this level");
	read_all(text, sizeof(text));
	ck_assert_str_eq(text, "dmabrokerd: forged?dmabrokerd: all is ?[2Jwell\n");
}
END_TEST

START_TEST(floods_are_cut)
{
	const struct log_peer loud = { .uid = 1000, .pid = 5, .op = "ALLOC", .serial = 3 };
	const struct log_peer other = { .uid = 1001, .pid = 6 };
	unsigned int lines = 0;
	char text[32768];

	for (unsigned int i = 0; i < 1000; i++)
		log_peer(LOG_NOTICE, &loud, "bad thing %u", i);
	log_peer(LOG_NOTICE, &other, "heard");
	read_all(text, sizeof(text));
	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	ck_assert_uint_eq(lines, 11);
	ck_assert_ptr_nonnull(strstr(text, "pid 5, uid 1000, ALLOC: bad thing 9\n"));
	ck_assert_ptr_nonnull(strstr(text, "pid 6, uid 1001: heard\n"));
	ck_assert_ptr_null(strstr(text, "bad thing 10\n"));
}
END_TEST

/* A reader that stops reading costs messages, and they are counted; it does not cost time. */
START_TEST(never_blocks)
{
	unsigned int written = 0;
	char text[300000];

	for (unsigned int i = 0; i < 2000; i++)
		log_line(LOG_INFO, "%0200u", i);
	ck_assert_uint_gt(log_nr_lost(), 500);
	read_all(text, sizeof(text));
	for (const char *c = text; *c; c++)
		written += *c == '\n';
	ck_assert_uint_eq(written + log_nr_lost(), 2000);
	log_line(LOG_INFO, "again");
	read_all(text, sizeof(text));
	ck_assert_str_eq(text, "dmabrokerd: again\n");
}
END_TEST

START_TEST(random_differs)
{
	unsigned char bytes[200][16];

	for (unsigned int i = 0; i < 200; i++) {
		ck_assert_int_eq(random_bytes(bytes[i], 16), 0);
		for (unsigned int j = 0; j < i; j++)
			ck_assert_mem_ne(bytes[i], bytes[j], 16);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *plain = tcase_create("text"), *piped = tcase_create("pipe");
	SRunner *runner;
	int failed;

	tcase_add_test(plain, levels);
	tcase_add_test(plain, random_differs);
	tcase_add_checked_fixture(piped, setup, NULL);
	tcase_add_test(piped, one_message_one_line);
	tcase_add_test(piped, floods_are_cut);
	tcase_add_test(piped, never_blocks);
	suite_add_tcase(suite, plain);
	suite_add_tcase(suite, piped);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
