/* SPDX-License-Identifier: MIT */
/* The configuration: what it means, and that every mistake in it is named with its place. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "daemon/config.h"
#include "daemon/log.h"

static char error[512];
static struct config *config;

static void setup(void)
{
	error[0] = '\0';
	ck_assert_int_eq(config_new(&config), 0);
	log_open(LOG_ERR);
}

static void teardown(void)
{
	config_free(config);
}

static int read_text(const char *text)
{
	FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	int r;

	ck_assert_ptr_nonnull(file);
	r = config_read(config, file, "test.conf", error);
	fclose(file);
	return r;
}

START_TEST(defaults)
{
	ck_assert_str_eq(config->backend, "auto");
	ck_assert_uint_eq(config->machine_total_percent, 25);
	ck_assert_uint_eq(config->limits.of[QUOTA_BYTES], 64 << 20);
	ck_assert_uint_eq(config->limits.of[QUOTA_BUFFERS], 256);
	ck_assert(!config->allow_unprotected_devices);
	ck_assert_uint_eq(config->nr_rules, 0);
}
END_TEST

/* What the shipped file shows in comments is what holds without it. */
START_TEST(shipped)
{
	static char text[16384], line[256];
	struct config *own = config;
	FILE *file = fopen(CONFIG_SHIPPED, "r");

	ck_assert_ptr_nonnull(file);
	/* Up to the sections that are examples, where somebody is named. */
	while (fgets(line, sizeof(line), file) && strncmp(line, "# Who may use which", 19) != 0) {
		const char *shown = line[0] == '#' && line[1] != ' ' ? line + 1 : line;

		if (strncmp(shown, "clients = 1024", 14) != 0)
			strcat(text, shown);
	}
	fclose(file);
	ck_assert_ptr_nonnull(strstr(text, "\nbytes = "));
	ck_assert_int_eq(config_new(&config), 0);
	ck_assert_msg(read_text(text) == 0, "%s", error);
	ck_assert_str_eq(config->backend, own->backend);
	ck_assert_str_eq(config->socket, own->socket);
	ck_assert_int_eq(config->log_level, own->log_level);
	ck_assert_uint_eq(config->machine_total_percent, own->machine_total_percent);
	ck_assert_uint_eq(config->hello_timeout_s, own->hello_timeout_s);
	ck_assert_uint_eq(config->regular_uid_min, own->regular_uid_min);
	ck_assert_uint_eq(config->regular_uid_max, own->regular_uid_max);
	ck_assert(config->allow_unprotected_devices == own->allow_unprotected_devices);
	ck_assert_mem_eq(&config->limits, &own->limits, sizeof(own->limits));
	ck_assert_uint_eq(config->nr_pools, own->nr_pools);
	ck_assert_uint_eq(config->pools[0].nr, own->pools[0].nr);
	ck_assert_uint_eq(config->pools[0].size_bytes, own->pools[0].size_bytes);
	ck_assert_int_eq(config->pools[0].kind, own->pools[0].kind);
	config_free(own);
}
END_TEST

START_TEST(everything)
{
	ck_assert_int_eq(read_text("# comment\n"
				   "[broker]\n"
				   "backend = sim ; inline\n"
				   "socket = /tmp/s\n"
				   "machine-total = 3G\n"
				   "clients = 7\n"
				   "hello-timeout = 9\n"
				   "log-level = debug\n"
				   "[limits]\n"
				   "bytes = 128M\n"
				   "tokens = unlimited\n"
				   "[policy]\n"
				   "regular-uids = 500-600\n"
				   "allow-unprotected-devices = yes\n"
				   "[pool]\n"
				   "buffers = 3 x 1M writecombine\n"
				   "buffers = 4 x 64K noncoherent\n"
				   "[user 0]\n"
				   "devices = pci:0000:00:03.0, pci:*\n"
				   "devices = platform:x\n"
				   "[group \"0\"]\n"
				   "mappings = 5\n"
				   "[unit camera.service]\n"
				   "bytes = 1K\n"
				   "[sim]\n"
				   "device = 0 bits 28\n"
				   "device = 1 bits 32\n"),
			 0);
	ck_assert_str_eq(config->backend, "sim");
	ck_assert_str_eq(config->socket, "/tmp/s");
	ck_assert_uint_eq(config->machine_total_bytes, 3ull << 30);
	ck_assert_uint_eq(config->clients_max, 7);
	ck_assert_uint_eq(config->hello_timeout_s, 9);
	ck_assert_int_eq(config->log_level, LOG_DEBUG);
	ck_assert_uint_eq(config->limits.of[QUOTA_BYTES], 128 << 20);
	ck_assert_uint_eq(config->limits.of[QUOTA_TOKENS], QUOTA_UNLIMITED);
	ck_assert_uint_eq(config->regular_uid_min, 500);
	ck_assert_uint_eq(config->regular_uid_max, 600);
	ck_assert(config->allow_unprotected_devices);
	ck_assert_uint_eq(config->nr_pools, 2);
	ck_assert_uint_eq(config->pools[0].nr, 3);
	ck_assert_uint_eq(config->pools[0].size_bytes, 1 << 20);
	ck_assert_int_eq(config->pools[1].kind, WIRE_KIND_NONCOHERENT);
	ck_assert_uint_eq(config->nr_rules, 3);
	ck_assert_uint_eq(config->rules[0].nr_devices, 3);
	ck_assert_str_eq(config->rules[0].devices[1], "pci:*");
	ck_assert_int_eq(config->rules[1].kind, RULE_GROUP);
	ck_assert_uint_eq(config->rules[1].set, 1u << QUOTA_MAPPINGS);
	ck_assert_str_eq(config->rules[2].name, "camera.service");
	ck_assert_uint_eq(config->rules[2].limits.of[QUOTA_BYTES], 1024);
	ck_assert_uint_eq(config->nr_sim_devices, 2);
	ck_assert_str_eq(config->sim_devices[1], "1 bits 32");
}
END_TEST

START_TEST(names)
{
	ck_assert_int_eq(read_text("[user root]\n[user no-such-user-here]\n[group root]\n"), 0);
	ck_assert(config->rules[0].known && config->rules[0].id == 0);
	ck_assert(!config->rules[1].known);
	ck_assert(config->rules[2].known && config->rules[2].id == 0);
}
END_TEST

static const struct {
	const char *text;
	const char *place;
	const char *word; /* that the message must mention */
} mistakes[] = {
	{ "[broker]\n\nbackend-name = sim\n", "test.conf:3:", "backend-name" },
	{ "[brokr]\nbackend = sim\n", "test.conf:1:", "brokr" },
	{ "[empty-and-unknown]\n", "test.conf:1:", "empty-and-unknown" },
	{ "backend = sim\n", "test.conf:1:", "section" },
	{ "[limits]\nbytes = lots\n", "test.conf:2:", "lots" },
	{ "[limits]\nbytes = -1\n", "test.conf:2:", "-1" },
	{ "[limits]\nbytes = 99999999999999999999\n", "test.conf:2:", "99999999999999999999" },
	{ "[limits]\nbytes = 64MB5\n", "test.conf:2:", "64MB5" },
	{ "[limits]\nbytes =\n", "test.conf:2:", "bytes" },
	{ "[broker]\nbackend = magic\n", "test.conf:2:", "there are: auto, kmod, sim" },
	{ "[sim]\ndevice = 0 bits 5\n", "test.conf:2:", "12 to 64" },
	{ "[sim]\ndevice = 0 bits 32\ndevice = 0 bits 30\n", "test.conf:3:", "twice" },
	{ "[sim]\ndevices = 0 bits 32\n", "test.conf:2:", "devices" },
	{ "[broker]\nmachine-total = 101%\n", "test.conf:2:", "101%" },
	{ "[broker]\nmachine-total = 5%x\n", "test.conf:2:", "5%x" },
	{ "[broker]\nsocket = relative\n", "test.conf:2:", "relative" },
	{ "[broker]\nlog-level = loud\n", "test.conf:2:", "loud" },
	{ "[policy]\nallow-unprotected-devices = maybe\n", "test.conf:2:", "maybe" },
	{ "[policy]\nregular-uids = 60000-1000\n", "test.conf:2:", "60000-1000" },
	{ "[policy]\nregular-uids = 0-1000\n", "test.conf:2:", "0-1000" },
	{ "[pool]\nbuffers = 64K\n", "test.conf:2:", "64K" },
	{ "[pool]\nbuffers = 1 x 64K imported\n", "test.conf:2:", "imported" },
	{ "[user ]\n", "test.conf:1:", "name" },
	{ "[user 1]\ndevice = x\n", "test.conf:2:", "device" },
	{ "[sim\n", "test.conf:1:", "bracket" },
	{ "[broker]\nnonsense\n", "test.conf:2:", "key = value" },
};

START_TEST(mistake)
{
	ck_assert_int_eq(read_text(mistakes[_i].text), -EINVAL);
	ck_assert_msg(strncmp(error, mistakes[_i].place, strlen(mistakes[_i].place)) == 0, "%s",
		      error);
	ck_assert_msg(strstr(error, mistakes[_i].word), "%s", error);
}
END_TEST

/* Cut in two, the rest of a line would be a key of its own. */
START_TEST(long_line)
{
	char text[600] = "[user 1]\ndevices = ";

	memset(text + strlen(text), 'p', 500);
	strcat(text, "\n");
	ck_assert_int_eq(read_text(text), -EINVAL);
	ck_assert_msg(strstr(error, "test.conf:2: the line is longer"), "%s", error);
}
END_TEST

START_TEST(sizes)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = { { "0", 0 },
		     { "4096", 4096 },
		     { "4096B", 4096 },
		     { "1K", 1024 },
		     { "1KiB", 1024 },
		     { "2M", 2 << 20 },
		     { "3GB", 3ull << 30 },
		     { "16777215T", 16777215ull << 40 } };
	static const char *const bad[] = { "",
					   " 1",
					   "-1",
					   "+1",
					   "K",
					   "1k",
					   "1.5M",
					   "1MM",
					   "0x10",
					   "16777216T",
					   "18446744073709551616" };
	uint64_t bytes;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_int_eq(config_parse_size(good[i].text, &bytes), 0);
		ck_assert_uint_eq(bytes, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(config_parse_size(bad[i], &bytes) < 0, "\"%s\" is a size", bad[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *tcase = tcase_create("config");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, defaults);
	tcase_add_test(tcase, shipped);
	tcase_add_test(tcase, everything);
	tcase_add_test(tcase, names);
	tcase_add_loop_test(tcase, mistake, 0, sizeof(mistakes) / sizeof(mistakes[0]));
	tcase_add_test(tcase, long_line);
	tcase_add_test(tcase, sizes);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
