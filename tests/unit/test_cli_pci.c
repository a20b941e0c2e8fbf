/* SPDX-License-Identifier: MIT */
/*
 * Binding and unbinding PCI devices in a folder that looks like /sys, with the test in the part of
 * the kernel: it moves the "driver" link when the right file is written, fails where told to, and
 * refuses masks while "mappings" live.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/pci.h"

#define DEVICE "bus/pci/devices/0000:00:03.0"

static char root[64];

/* What the kernel of this test does. */
static struct {
	bool stub_refuses; /* its probe() fails */
	bool native_refuses;
	bool unbind_fails;
	int mask_error;
	const char *mask_error_of; /* attribute */
	bool has_native; /* there is a driver for the device by itself */
	unsigned int nr_probes;
} kernel;

static const char *at(const char *path)
{
	static char full[4][256];
	static unsigned int next;
	char *ret = full[next++ % 4];

	snprintf(ret, 256, "%s/%s", root, path);
	return ret;
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(at(path), "we");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static char *get(const char *path)
{
	static char text[100];
	FILE *file = fopen(at(path), "re");
	size_t length;

	ck_assert_ptr_nonnull(file);
	length = fread(text, 1, sizeof(text) - 1, file);
	text[length] = '\0';
	fclose(file);
	return text;
}

static const char *driver(void)
{
	static char target[100];
	ssize_t length = readlink(at(DEVICE "/driver"), target, sizeof(target) - 1);

	target[length < 0 ? 0 : length] = '\0';
	return strrchr(target, '/') ? strrchr(target, '/') + 1 : "";
}

static void set_driver(const char *name)
{
	char target[100];

	unlink(at(DEVICE "/driver"));
	if (!name)
		return;
	snprintf(target, sizeof(target), "../../drivers/%s", name);
	ck_assert_int_eq(symlink(target, at(DEVICE "/driver")), 0);
}

static int probe_device(void)
{
	bool stub = strcmp(get(DEVICE "/driver_override"), "dmabroker-pci") == 0;

	kernel.nr_probes++;
	if (driver()[0])
		return 0;
	if (stub && !kernel.stub_refuses) {
		set_driver("dmabroker-pci");
		mkdir(at(DEVICE "/dmabroker"), 0755);
		put(DEVICE "/dmabroker/streaming_mask_bits", "32\n");
		put(DEVICE "/dmabroker/coherent_mask_bits", "32\n");
		put(DEVICE "/dmabroker/reason", "\n");
		put(DEVICE "/dmabroker/account", "7\n");
	} else if (!stub && kernel.has_native && !kernel.native_refuses) {
		set_driver("native");
	}
	return 0;
}

static int kernel_written(const struct sysfs *sysfs, const char *path, const char *text)
{
	const char *name = strrchr(path, '/') + 1;

	ck_assert_ptr_eq(sysfs->context, &kernel);
	if (strcmp(path, "bus/pci/drivers_probe") == 0) {
		ck_assert_str_eq(text, "0000:00:03.0");
		return probe_device();
	}
	if (strcmp(name, "unbind") == 0) {
		ck_assert_str_eq(text, "0000:00:03.0");
		if (kernel.unbind_fails)
			return -EIO;
		set_driver(NULL);
		return 0;
	}
	if (strcmp(name, "driver_override") == 0) {
		if (strcmp(text, "\n") == 0)
			put(path, "(null)\n");
		return 0;
	}
	if (strstr(path, "_mask_bits") && kernel.mask_error &&
	    (!kernel.mask_error_of || strcmp(kernel.mask_error_of, name) == 0)) {
		put(path, "32\n");
		return kernel.mask_error;
	}
	return 0;
}

static const struct sysfs sysfs = { .root = root, .written = kernel_written, .context = &kernel };

static void setup(void)
{
	strcpy(root, "/tmp/test-cli-pci-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	memset(&kernel, 0, sizeof(kernel));
	mkdir(at("bus"), 0755);
	mkdir(at("bus/pci"), 0755);
	mkdir(at("bus/pci/devices"), 0755);
	mkdir(at("bus/pci/drivers"), 0755);
	mkdir(at("bus/pci/drivers/dmabroker-pci"), 0755);
	mkdir(at("bus/pci/drivers/native"), 0755);
	put("bus/pci/drivers/dmabroker-pci/unbind", "");
	put("bus/pci/drivers/native/unbind", "");
	put("bus/pci/drivers_probe", "");
	mkdir(at(DEVICE), 0755);
	put(DEVICE "/driver_override", "(null)\n");
	put(DEVICE "/vendor", "0x1234\n");
	put(DEVICE "/device", "0x11e8\n");
}

static void teardown(void)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	ck_assert_int_eq(system(command), 0);
}

static struct pci device(void)
{
	struct pci pci;

	ck_assert_int_eq(pci_init(&pci, &sysfs, "0000:00:03.0"), 0);
	return pci;
}

static void expect_problem(const struct pci *pci, const char *text)
{
	ck_assert_msg(strstr(pci->problem, text) != NULL, "'%s' does not say '%s'", pci->problem,
		      text);
}

START_TEST(names)
{
	static const char *const wrong[] = { "",
					     "pci:",
					     "0000:00:03",
					     "0000:00:03.8",
					     "0000:00:03.00",
					     "00:03.0",
					     "pci:pci:0000:00:03.0",
					     "0000/00:03.0",
					     "../../../etc",
					     "0000:00:0g.0" };
	char address[PCI_ADDRESS_BYTES] = "unchanged";

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(pci_parse(wrong[i], address) == -EINVAL, "'%s' is taken", wrong[i]);
	ck_assert_str_eq(address, "unchanged");
	ck_assert_int_eq(pci_parse("pci:0000:0A:03.7", address), 0);
	ck_assert_str_eq(address, "0000:0a:03.7");
	ck_assert_int_eq(pci_parse("10000:00:03.0", address), -EINVAL);
	ck_assert_int_eq(pci_parse("0001:00:03.0", address), 0);
	ck_assert_str_eq(address, "0001:00:03.0");
}
END_TEST

START_TEST(absent)
{
	struct pci pci;

	ck_assert_int_eq(pci_init(&pci, &sysfs, "0000:00:04.0"), -ENODEV);
	expect_problem(&pci, "no PCI device 0000:00:04.0");
}
END_TEST

START_TEST(bind_free)
{
	struct pci pci = device();
	struct pci_state state;
	unsigned int vendor, model;

	ck_assert_int_eq(pci_id(&pci, &vendor, &model), 0);
	ck_assert_uint_eq(vendor, 0x1234);
	ck_assert_uint_eq(model, 0x11e8);
	ck_assert_int_eq(pci_want_stub(&pci), -ENXIO);
	ck_assert_int_eq(pci_bind(&pci, ""), 0);
	ck_assert_str_eq(driver(), "dmabroker-pci");
	ck_assert_int_eq(pci_want_stub(&pci), 0);
	ck_assert_int_eq(pci_set_masks(&pci, 28, 30), 0);
	ck_assert_str_eq(get(DEVICE "/dmabroker/streaming_mask_bits"), "28");
	ck_assert_str_eq(get(DEVICE "/dmabroker/coherent_mask_bits"), "30");
	put(DEVICE "/dmabroker/reason", "no memory lies below\n");
	ck_assert_int_eq(pci_state(&pci, &state), 0);
	ck_assert_uint_eq(state.streaming_mask_bits, 28);
	ck_assert_uint_eq(state.coherent_mask_bits, 30);
	ck_assert_str_eq(state.reason, "no memory lies below");
	ck_assert_int_eq(pci_release(&pci), 0);
	ck_assert_str_eq(get(DEVICE "/dmabroker/account"), "0");
}
END_TEST

START_TEST(bind_from_other)
{
	struct pci pci = device();
	char name[SYSFS_TEXT_BYTES];

	set_driver("native");
	ck_assert_int_eq(pci_driver(&pci, name), 0);
	ck_assert_str_eq(name, "native");
	ck_assert_int_eq(pci_bind(&pci, name), 0);
	ck_assert_str_eq(driver(), "dmabroker-pci");
	ck_assert_str_eq(get("bus/pci/drivers/native/unbind"), "0000:00:03.0");
}
END_TEST

START_TEST(no_module)
{
	struct pci pci = device();

	unlink(at("bus/pci/drivers/dmabroker-pci/unbind"));
	rmdir(at("bus/pci/drivers/dmabroker-pci"));
	set_driver("native");
	ck_assert_int_eq(pci_bind(&pci, "native"), -ENODEV);
	expect_problem(&pci, "modprobe dmabroker");
	ck_assert_str_eq(driver(), "native");
	ck_assert_str_eq(get(DEVICE "/driver_override"), "(null)\n");
}
END_TEST

START_TEST(stub_refuses)
{
	struct pci pci = device();

	kernel.stub_refuses = true;
	kernel.has_native = true;
	set_driver("native");
	put(DEVICE "/driver_override", "native\n");
	ck_assert_int_eq(pci_bind(&pci, "native"), -EIO);
	expect_problem(&pci, "would not take it");
	ck_assert_str_eq(driver(), "native");
	ck_assert_str_eq(get(DEVICE "/driver_override"), "native");
}
END_TEST

START_TEST(stub_refuses_free)
{
	struct pci pci = device();

	kernel.stub_refuses = true;
	kernel.has_native = true;
	ck_assert_int_eq(pci_bind(&pci, ""), -EIO);
	/* It had none, so it has none. */
	ck_assert_str_eq(driver(), "");
	ck_assert_str_eq(get(DEVICE "/driver_override"), "(null)\n");
	ck_assert_uint_eq(kernel.nr_probes, 1);
}
END_TEST

START_TEST(no_way_back)
{
	struct pci pci = device();

	kernel.stub_refuses = true;
	kernel.has_native = true;
	kernel.native_refuses = true;
	set_driver("native");
	ck_assert_int_eq(pci_bind(&pci, "native"), -EIO);
	expect_problem(&pci, "would not take it");
	expect_problem(&pci, "its driver native could not be given back");
}
END_TEST

START_TEST(other_stays)
{
	struct pci pci = device();

	kernel.unbind_fails = true;
	set_driver("native");
	ck_assert_int_eq(pci_bind(&pci, "native"), -EIO);
	ck_assert_str_eq(driver(), "native");
	ck_assert_str_eq(get(DEVICE "/driver_override"), "(null)\n");
	ck_assert_uint_eq(kernel.nr_probes, 0);
}
END_TEST

START_TEST(undo)
{
	struct pci pci = device();

	kernel.has_native = true;
	set_driver("native");
	ck_assert_int_eq(pci_bind(&pci, "native"), 0);
	kernel.mask_error = -EINVAL;
	ck_assert_int_eq(pci_set_masks(&pci, 28, 28), -EINVAL);
	pci_undo_bind(&pci, "native");
	ck_assert_str_eq(driver(), "native");
	ck_assert_str_eq(get(DEVICE "/driver_override"), "(null)\n");
	expect_problem(&pci, "streaming_mask_bits");
}
END_TEST

START_TEST(masks_both_or_none)
{
	struct pci pci = device();

	ck_assert_int_eq(pci_bind(&pci, ""), 0);
	kernel.mask_error = -EBUSY;
	kernel.mask_error_of = "coherent_mask_bits";
	ck_assert_int_eq(pci_set_masks(&pci, 28, 30), -EBUSY);
	expect_problem(&pci, "live mappings");
	ck_assert_str_eq(get(DEVICE "/dmabroker/streaming_mask_bits"), "32");
	/* What is so already is not written: it would fail. */
	ck_assert_int_eq(pci_set_masks(&pci, 28, 32), 0);
	ck_assert_int_eq(pci_set_masks(&pci, 0, 0), 0);
	ck_assert_str_eq(get(DEVICE "/dmabroker/streaming_mask_bits"), "28");
}
END_TEST

START_TEST(unbind)
{
	struct pci pci = device();

	kernel.has_native = true;
	ck_assert_int_eq(pci_unbind(&pci, false), -ENXIO);
	expect_problem(&pci, "it has no driver");
	ck_assert_int_eq(pci_bind(&pci, ""), 0);
	ck_assert_int_eq(pci_unbind(&pci, false), 0);
	ck_assert_str_eq(driver(), "");
	ck_assert_str_eq(get(DEVICE "/driver_override"), "(null)\n");
	ck_assert_int_eq(pci_bind(&pci, ""), 0);
	ck_assert_int_eq(pci_unbind(&pci, true), 0);
	ck_assert_str_eq(driver(), "native");
	ck_assert_int_eq(pci_unbind(&pci, false), -ENXIO);
	expect_problem(&pci, "driven by native");
}
END_TEST

START_TEST(unbind_fails)
{
	struct pci pci = device();

	ck_assert_int_eq(pci_bind(&pci, ""), 0);
	kernel.unbind_fails = true;
	ck_assert_int_eq(pci_unbind(&pci, true), -EIO);
	ck_assert_str_eq(driver(), "dmabroker-pci");
	ck_assert_str_eq(get(DEVICE "/driver_override"), "dmabroker-pci");
	expect_problem(&pci, "driver/unbind");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli pci");
	TCase *tcase = tcase_create("pci");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, names);
	tcase_add_test(tcase, absent);
	tcase_add_test(tcase, bind_free);
	tcase_add_test(tcase, bind_from_other);
	tcase_add_test(tcase, no_module);
	tcase_add_test(tcase, stub_refuses);
	tcase_add_test(tcase, stub_refuses_free);
	tcase_add_test(tcase, no_way_back);
	tcase_add_test(tcase, other_stays);
	tcase_add_test(tcase, undo);
	tcase_add_test(tcase, masks_both_or_none);
	tcase_add_test(tcase, unbind);
	tcase_add_test(tcase, unbind_fails);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
