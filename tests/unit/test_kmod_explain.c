// SPDX-License-Identifier: MIT
/*
 * The sentences for the kernel module's refusals: each errno becomes the reason that belongs to it,
 * with the numbers, and what to do.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/backend/kmod_explain.h"

#define MIB (1ull << 20)

static const char meminfo_without_cma[] = "MemTotal:        2014044 kB\n"
					  "MemFree:         1800000 kB\n"
					  "MemAvailable:    1700000 kB\n";
static const char meminfo_with_cma[] = "MemTotal:        2014044 kB\n"
				       "MemAvailable:    1700000 kB\n"
				       "CmaTotal:          65536 kB\n"
				       "CmaFree:           61440 kB\n";
static const char buddyinfo[] =
	"Node 0, zone      DMA      1      1      0      0      1      1      1      0      1      "
	"1      3 \n"
	"Node 0, zone    DMA32    759    572    791    475    194     45     12      0      0      "
	"1      0 \n";

START_TEST(test_machine)
{
	struct kmod_machine machine;

	kmod_machine_parse(meminfo_without_cma, buddyinfo, 4096, &machine);
	ck_assert(!machine.has_cma);
	ck_assert_uint_eq(machine.biggest_block_bytes, 4 * MIB);
	ck_assert_uint_eq(machine.available_bytes, 1700000ull * 1024);
	kmod_machine_parse(meminfo_with_cma, buddyinfo, 4096, &machine);
	ck_assert(machine.has_cma);
	ck_assert_uint_eq(machine.cma_bytes, 64 * MIB);
	ck_assert_uint_eq(machine.cma_free_bytes, 60 * MIB);
	/* A kernel that could have an area and was given none. */
	kmod_machine_parse("CmaTotal: 0 kB\n", buddyinfo, 4096, &machine);
	ck_assert(!machine.has_cma);
	kmod_machine_parse("", "", 4096, &machine);
	ck_assert(!machine.has_cma);
	ck_assert_uint_eq(machine.biggest_block_bytes, 0);
	kmod_machine_parse("MemAvailable:", "Node 0, zone DMA", 4096, &machine);
	ck_assert_uint_eq(machine.available_bytes, 0);
	ck_assert_uint_eq(machine.biggest_block_bytes, 0);
}
END_TEST

START_TEST(test_this_machine)
{
	struct kmod_machine machine;

	kmod_machine_read(&machine);
	ck_assert_uint_gt(machine.available_bytes, MIB);
	ck_assert_uint_ge(machine.biggest_block_bytes, 65536);
}
END_TEST

static int explain(int error, uint64_t size_bytes, uint64_t attributes, enum wire_kind kind,
		   const char *meminfo, const struct kmod_devices *devices,
		   struct backend_failure *ret)
{
	const struct backend_alloc alloc = {
		.size_bytes = size_bytes,
		.attributes = attributes,
		.kind = kind,
	};
	const struct kmod_devices none = { .direct_mask_bits = 64 };
	struct kmod_machine machine;

	*ret = (struct backend_failure){ 0 };
	kmod_machine_parse(meminfo, buddyinfo, 4096, &machine);
	return kmod_explain_alloc(error, &alloc, devices ? devices : &none, &machine, ret);
}

START_TEST(test_contiguous)
{
	struct backend_failure failure;

	/* "never": the kernel has no CMA. */
	ck_assert_int_eq(explain(-EOPNOTSUPP, 16 * MIB, WIRE_ATTR_FORCE_CONTIGUOUS,
				 WIRE_KIND_COHERENT, meminfo_without_cma, NULL, &failure),
			 -ENOMEM);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_NO_CONTIGUOUS_MEMORY);
	ck_assert_uint_eq(failure.limit, 4 * MIB);
	ck_assert_uint_eq(failure.value, 16 * MIB);
	ck_assert(!failure.retry);
	ck_assert_ptr_nonnull(strstr(failure.text, "contiguous 16 MiB"));
	ck_assert_ptr_nonnull(strstr(failure.text, "no CMA"));
	ck_assert_ptr_nonnull(strstr(failure.text, "4 MiB"));
	ck_assert_ptr_nonnull(strstr(failure.text, "drop force-contiguous"));
	ck_assert_ptr_nonnull(strstr(failure.text, "cma="));
	ck_assert_uint_lt(strlen(failure.text), sizeof(failure.text) - 1);
	/* "not now": no block of that size is free. */
	ck_assert_int_eq(explain(-ENOMEM, 2 * MIB, WIRE_ATTR_FORCE_CONTIGUOUS, WIRE_KIND_COHERENT,
				 meminfo_without_cma, NULL, &failure),
			 -ENOMEM);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_NO_CONTIGUOUS_MEMORY);
	ck_assert(failure.retry);
	/* More than the CMA area has, and more than it has now. */
	ck_assert_int_eq(explain(-ENOMEM, 65 * MIB, WIRE_ATTR_FORCE_CONTIGUOUS, WIRE_KIND_COHERENT,
				 meminfo_with_cma, NULL, &failure),
			 -ENOMEM);
	ck_assert_uint_eq(failure.limit, 64 * MIB);
	ck_assert(!failure.retry);
	ck_assert_int_eq(explain(-ENOMEM, 63 * MIB, WIRE_ATTR_FORCE_CONTIGUOUS, WIRE_KIND_COHERENT,
				 meminfo_with_cma, NULL, &failure),
			 -ENOMEM);
	ck_assert_uint_eq(failure.limit, 60 * MIB);
	ck_assert(failure.retry);
}
END_TEST

START_TEST(test_alloc)
{
	const struct backend_device broken = { .id = 3, .name = "pci:0000:00:03.0", .reason = "r" };
	struct kmod_devices devices = { .direct_mask_bits = 28 };
	struct backend_failure failure;

	ck_assert_int_eq(explain(-ENOMEM, 5000, 0, WIRE_KIND_COHERENT, meminfo_with_cma, &devices,
				 &failure),
			 -ENOMEM);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_NO_MEMORY);
	ck_assert_ptr_nonnull(strstr(failure.text, "28 address bits"));
	ck_assert_ptr_nonnull(strstr(failure.text, "5000 bytes"));
	ck_assert_int_eq(explain(-EXDEV, 4096, 0, WIRE_KIND_WRITECOMBINE, "", NULL, &failure),
			 -EXDEV);
	ck_assert_ptr_nonnull(strstr(failure.text, "writecombine"));
	ck_assert_ptr_nonnull(strstr(failure.text, "noncoherent"));
	ck_assert_int_eq(explain(-EOPNOTSUPP, 4096, 0, WIRE_KIND_NONCOHERENT, "", NULL, &failure),
			 -EOPNOTSUPP);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_BACKEND_CANNOT);
	devices.unusable = &broken;
	ck_assert_int_eq(explain(-EOPNOTSUPP, 4096, 0, WIRE_KIND_COHERENT, "", &devices, &failure),
			 -ENODEV);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_DEVICE_UNUSABLE);
	ck_assert_ptr_nonnull(strstr(failure.text, broken.name));
	ck_assert_int_eq(explain(-EOPNOTSUPP, 4096, 0, WIRE_KIND_COHERENT, "", NULL, &failure),
			 -EOPNOTSUPP);
	ck_assert_int_eq(explain(-ENODEV, 4096, 0, WIRE_KIND_COHERENT, "", NULL, &failure),
			 -ENODEV);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_DEVICE_GONE);
	devices.unknown_id = 77;
	ck_assert_int_eq(explain(-ENODEV, 4096, 0, WIRE_KIND_COHERENT, "", &devices, &failure),
			 -ENODEV);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_UNKNOWN_DEVICE);
	ck_assert_uint_eq(failure.value, 77);
	ck_assert_int_eq(explain(-ENFILE, 4096, 0, WIRE_KIND_COHERENT, "", NULL, &failure),
			 -EMFILE);
	ck_assert_int_eq(explain(-EINVAL, 4096, 0, WIRE_KIND_COHERENT, "", NULL, &failure),
			 -EINVAL);
	ck_assert_int_eq(explain(-EPIPE, 4096, 0, WIRE_KIND_COHERENT, "", NULL, &failure), -EIO);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_BACKEND_FAILED);
}
END_TEST

START_TEST(test_map)
{
	static const struct {
		int error;
		enum wire_reason reason;
		bool retry;
		const char *word;
	} cases[] = {
		{ -EINVAL, WIRE_REASON_BAD_ARGUMENT, false, "version" },
		{ -ENOENT, WIRE_REASON_UNKNOWN_BUFFER, false, "buffer 5" },
		{ -EACCES, WIRE_REASON_READ_ONLY, false, "from-device" },
		{ -ENODEV, WIRE_REASON_DEVICE_GONE, false, "pci:0000:00:03.0 went away" },
		{ -EPERM, WIRE_REASON_DEVICE_OF_OTHER_ACCOUNT, false, "dmabroker/account" },
		{ -EBUSY, WIRE_REASON_DEVICE_BUSY, true, "another account" },
		{ -EXDEV, WIRE_REASON_MIXED_COHERENCE, false, "noncoherent" },
		{ -ERANGE, WIRE_REASON_BEYOND_MASK, false, "28 address bits" },
		{ -ENOSPC, WIRE_REASON_DEVICE_ADDRESS_SPACE, true, "28 address bits" },
		{ -EOPNOTSUPP, WIRE_REASON_BACKEND_CANNOT, false, "bounce" },
		{ -ENOMEM, WIRE_REASON_NO_MEMORY, true, "memory" },
		{ -EMFILE, WIRE_REASON_NO_FILES, true, "LimitNOFILE" },
		{ -ENOTTY, WIRE_REASON_BACKEND_FAILED, false, "kernel log" },
	};
	const struct backend_device device = {
		.id = 2,
		.streaming_mask_bits = 32,
		.coherent_mask_bits = 28,
		.name = "pci:0000:00:03.0",
	};
	const struct backend_map map = {
		.buffer_id = 5,
		.device_id = 2,
		.direction = WIRE_DIR_FROM_DEVICE,
	};
	unsigned int i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct backend_failure failure = { 0 };
		int r = kmod_explain_map(cases[i].error, &map, &device, &failure);

		ck_assert_msg(failure.reason == cases[i].reason, "case %u: %u", i, failure.reason);
		ck_assert_int_eq(r, -wire_reason_errno(failure.reason));
		ck_assert_msg(failure.retry == cases[i].retry, "case %u", i);
		ck_assert_msg(strstr(failure.text, cases[i].word), "case %u: %s", i, failure.text);
		ck_assert_uint_lt(strlen(failure.text), sizeof(failure.text) - 1);
		ck_assert_int_eq(kmod_explain_map(cases[i].error, &map, &device, NULL), r);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kmod-explain");
	TCase *tcase = tcase_create("sentences");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_machine);
	tcase_add_test(tcase, test_this_machine);
	tcase_add_test(tcase, test_contiguous);
	tcase_add_test(tcase, test_alloc);
	tcase_add_test(tcase, test_map);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
