/* SPDX-License-Identifier: MIT */
/* What the device configuration says of a device, and what it may not say. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/devices_conf.h"

static char problem[DEVICES_CONF_PROBLEM_BYTES];

/* Of the device 0000:00:03.0, which is 1234:11e8. */
static int read_bytes(const char *text, size_t length, struct device_conf *ret)
{
	FILE *file = fmemopen((void *)(uintptr_t)text, length, "r");
	int r;

	ck_assert_ptr_nonnull(file);
	r = devices_conf_read(file, "conf", "0000:00:03.0", 0x1234, 0x11e8, ret, problem);
	fclose(file);
	return r;
}

static struct device_conf expect(const char *text)
{
	struct device_conf conf = { .mask_bits = 99 };

	ck_assert_msg(read_bytes(text, strlen(text), &conf) == 0, "%s", problem);
	return conf;
}

static void expect_wrong(const char *text, const char *says)
{
	struct device_conf conf = { .mask_bits = 99 };

	ck_assert_msg(read_bytes(text, strlen(text), &conf) == -EINVAL, "taken: %s", text);
	ck_assert_msg(strstr(problem, says) != NULL, "'%s' does not say '%s'", problem, says);
	ck_assert_uint_eq(conf.mask_bits, 99);
}

START_TEST(nothing)
{
	struct device_conf conf = expect("# nothing here\n\n; nor here\n");

	ck_assert_uint_eq(conf.mask_bits, 0);
	ck_assert_uint_eq(conf.coherent_mask_bits, 0);
	ck_assert(!conf.bind);
}
END_TEST

START_TEST(of_others)
{
	struct device_conf conf = expect("[device pci:0000:00:04.0]\nmask-bits = 40\nbind = yes\n"
					 "[device pci-id:1234:11e9]\nmask-bits = 41\n");

	ck_assert_uint_eq(conf.mask_bits, 0);
	ck_assert(!conf.bind);
}
END_TEST

START_TEST(by_id)
{
	struct device_conf conf = expect("[device pci-id:1234:11E8]\nmask-bits = 28\nbind = yes\n");

	ck_assert_uint_eq(conf.mask_bits, 28);
	ck_assert_uint_eq(conf.coherent_mask_bits, 28);
	ck_assert(conf.bind);
}
END_TEST

START_TEST(address_wins)
{
	static const char *const texts[] = {
		"[device pci:0000:00:03.0]\nmask-bits = 40\nbind = no\n"
		"[device pci-id:1234:11e8]\nmask-bits = 28\ncoherent-mask-bits = 27\nbind = yes\n",
		"[device pci-id:1234:11e8]\nmask-bits = 28\ncoherent-mask-bits = 27\nbind = yes\n"
		"[device pci:0000:00:03.0]\nmask-bits = 40\nbind = no\n",
	};

	for (size_t i = 0; i < 2; i++) {
		struct device_conf conf = expect(texts[i]);

		ck_assert_uint_eq(conf.mask_bits, 40);
		ck_assert_uint_eq(conf.coherent_mask_bits, 27);
		ck_assert(!conf.bind);
	}
}
END_TEST

START_TEST(spellings)
{
	struct device_conf conf;

	conf = expect("[device \"pci:0000:00:03.0\"]  # the camera\n  mask-bits=36 # said by its "
		      "manual\ncoherent-mask-bits =  32 ; really");
	ck_assert_uint_eq(conf.mask_bits, 36);
	ck_assert_uint_eq(conf.coherent_mask_bits, 32);
}
END_TEST

START_TEST(wrong)
{
	char long_line[400];

	expect_wrong("[device pci-id:1234:11e8]\nmask-bit = 28\n",
		     "conf:2: there is no key mask-bit");
	expect_wrong("[device pci-id:1234:11e9]\nmask-bits = 65\n", "conf:2: mask-bits = 65");
	expect_wrong("[device pci-id:1234:11e8]\n\nmask-bits = 0\n", "conf:3:");
	expect_wrong("[device pci-id:1234:11e8]\nmask-bits = 28 bits\n", "conf:2:");
	expect_wrong("[device pci-id:1234:11e8]\nbind = maybe\n", "say yes or no");
	expect_wrong("[device pci:3]\n", "conf:1: 'pci:3' is no device");
	expect_wrong("[device pci-id:1234]\n", "is no device");
	expect_wrong("[device 0000:00:03.0]\n", "is no device");
	expect_wrong("[devices pci:0000:00:03.0]\n", "conf:1: [devices");
	expect_wrong("[device pci:0000:00:03.0 pci:0000:00:04.0]\n", "more than one");
	expect_wrong("[device pci:0000:00:03.0\nbind = yes\n", "closing bracket");
	expect_wrong("bind = yes\n", "conf:1: bind = ... stands before");
	expect_wrong("[device pci:0000:00:03.0]\nbind\n", "conf:2:");
	memset(long_line, '#', sizeof(long_line) - 2);
	strcpy(long_line + sizeof(long_line) - 2, "\n");
	expect_wrong(long_line, "conf:1: the line is too long");
}
END_TEST

START_TEST(nul)
{
	static const char text[] = "[device pci:0000:00:03.0]\nmask-bits = 28\0\n";
	struct device_conf conf;

	ck_assert_int_eq(read_bytes(text, sizeof(text) - 1, &conf), -EINVAL);
	ck_assert_ptr_nonnull(strstr(problem, "conf:2:"));
}
END_TEST

/* The file that is installed. */
START_TEST(shipped)
{
	struct device_conf conf;
	FILE *file = fopen(DEVICES_CONF_SHIPPED, "re");

	ck_assert_ptr_nonnull(file);
	ck_assert_msg(devices_conf_read(file, "conf", "0000:00:09.0", 0x1234, 0x11e8, &conf,
					problem) == 0,
		      "%s", problem);
	fclose(file);
	ck_assert_uint_eq(conf.mask_bits, 28);
	ck_assert_uint_eq(conf.coherent_mask_bits, 28);
	ck_assert(!conf.bind);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli devices.conf");
	TCase *tcase = tcase_create("devices.conf");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, nothing);
	tcase_add_test(tcase, of_others);
	tcase_add_test(tcase, by_id);
	tcase_add_test(tcase, address_wins);
	tcase_add_test(tcase, spellings);
	tcase_add_test(tcase, wrong);
	tcase_add_test(tcase, nul);
	tcase_add_test(tcase, shipped);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
