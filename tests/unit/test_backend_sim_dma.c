// SPDX-License-Identifier: MIT
/*
 * Simulated devices: what they reach, what stops them, and how they are configured.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "proto/cleanup.h"
#include "tests/unit/backend_fixture.h"

#define ACCOUNT 7
#define PAGE	4096ull

static uint32_t device_id(const char *name)
{
	struct backend_device device = { 0 };

	while (backend->ops->device_next(backend, device.id, &device) == 0)
		if (strcmp(device.name, name) == 0)
			return device.id;
	ck_abort_msg("no device %s", name);
}

struct held {
	struct backend_buffer buffer;
	struct backend_mapping mapping;
	uint64_t address; /* of the first segment */
	uint8_t *bytes;
	int fd;
	int map_fd;
};

static void hold(struct held *held, const char *device, uint64_t size_bytes,
		 enum wire_direction direction, uint64_t attributes)
{
	struct backend_alloc alloc = fixture_alloc(size_bytes);
	uint32_t id = device_id(device);
	struct backend_map map = { .device_id = id, .direction = direction, .account = ACCOUNT };
	struct backend_failure failure = { 0 };
	struct wire_segment segment;
	unsigned int count;
	uint64_t total;

	alloc.devices = &id;
	alloc.nr_devices = 1;
	alloc.attributes = attributes;
	ck_assert_int_eq(fixture_do_alloc(&alloc, &held->buffer, &held->fd), 0);
	map.buffer_id = held->buffer.id;
	ck_assert_msg(backend->ops->map(backend, &map, &held->mapping, &held->map_fd, &failure) ==
			      0,
		      "%s", failure.text);
	ck_assert_int_eq(backend->ops->segments(backend, held->mapping.id, 0, &segment, 1, &count,
						&total),
			 0);
	ck_assert_uint_eq(count, 1);
	held->address = segment.dma_address;
	held->bytes = mmap(NULL, held->buffer.size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			   held->fd, 0);
	ck_assert_ptr_ne(held->bytes, MAP_FAILED);
}

static void drop(struct held *held)
{
	munmap(held->bytes, held->buffer.size_bytes);
	close(held->fd);
	fd_close(held->map_fd);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_freed(held->buffer.id), 1);
}

static int copy(const char *device, uint64_t from, uint64_t to, uint64_t length,
		struct backend_failure *ret)
{
	const struct wire_sim_dma dma = {
		.device_id = device_id(device),
		.command = WIRE_SIM_DMA_COPY,
		.source = from,
		.destination = to,
		.length_bytes = length,
	};

	*ret = (struct backend_failure){ 0 };
	return backend->ops->sim_dma(backend, &dma, ret);
}

static struct wire_segment segment_of(const struct held *held, uint64_t index)
{
	struct wire_segment segment;
	unsigned int count;
	uint64_t total;

	ck_assert_int_eq(backend->ops->segments(backend, held->mapping.id, index, &segment, 1,
						&count, &total),
			 0);
	ck_assert_uint_eq(count, 1);
	return segment;
}

START_TEST(test_copy)
{
	struct backend_failure failure;
	struct held a, b;
	unsigned int i;

	hold(&a, "sim:0", 1 << 20, WIRE_DIR_BIDIRECTIONAL, 0);
	hold(&b, "sim:0", 1 << 20, WIRE_DIR_BIDIRECTIONAL, 0);
	for (i = 0; i < 1 << 20; i++)
		a.bytes[i] = (uint8_t)(i * 7 + i / 251);
	/* Within one buffer, any offset. */
	ck_assert_int_eq(copy("sim:0", a.address + 1, a.address + 500001, 4097, &failure), 0);
	ck_assert_mem_eq(a.bytes + 500001, a.bytes + 1, 4097);
	/* Overlapping: as if all had been read before. */
	ck_assert_int_eq(copy("sim:0", a.address, a.address + 16, 64, &failure), 0);
	for (i = 16; i < 80; i++)
		ck_assert_uint_eq(a.bytes[i], (uint8_t)((i - 16) * 7));
	/* From one to the other, the whole. */
	ck_assert_int_eq(copy("sim:0", a.address, b.address, 1 << 20, &failure), 0);
	ck_assert_mem_eq(b.bytes, a.bytes, 1 << 20);
	drop(&a);
	drop(&b);
}
END_TEST

START_TEST(test_each_device_has_its_own_addresses)
{
	struct backend_failure failure = { 0 };
	struct backend_mapping mapping;
	struct backend_map map;
	struct held a;
	int map_fd;

	hold(&a, "sim:0", 65536, WIRE_DIR_BIDIRECTIONAL, 0);
	memset(a.bytes, 0x5a, 100);
	map = (struct backend_map){ .buffer_id = a.buffer.id,
				    .device_id = device_id("sim:1"),
				    .direction = WIRE_DIR_BIDIRECTIONAL,
				    .account = ACCOUNT };
	ck_assert_int_eq(copy("sim:1", a.address, a.address + 100, 100, &failure), -EFAULT);
	ck_assert_int_eq(backend->ops->map(backend, &map, &mapping, &map_fd, &failure), 0);
	ck_assert_uint_eq(mapping.flags, WIRE_MAPPING_SKIP_CPU_SYNC);
	close(map_fd);
	ck_assert_int_eq(fixture_dispatch(), 0);
	/* What was mapped a moment ago is a fault now. */
	ck_assert_int_eq(copy("sim:1", a.address, a.address + 100, 100, &failure), -EFAULT);
	ck_assert_int_eq(copy("sim:0", a.address, a.address + 100, 100, &failure), 0);
	ck_assert_uint_eq(a.bytes[199], 0x5a);
	drop(&a);
}
END_TEST

START_TEST(test_faults)
{
	struct backend_failure failure;
	struct held both, in, out;
	uint8_t before[64];

	hold(&both, "sim:0", 3 * PAGE, WIRE_DIR_BIDIRECTIONAL, 0);
	hold(&in, "sim:0", PAGE, WIRE_DIR_FROM_DEVICE, 0);
	hold(&out, "sim:0", PAGE, WIRE_DIR_TO_DEVICE, 0);
	memset(out.bytes, 1, PAGE);
	memset(in.bytes, 2, PAGE);
	memset(both.bytes, 3, 3 * PAGE);

	/* Directions. */
	ck_assert_int_eq(copy("sim:0", out.address, in.address, 64, &failure), 0);
	ck_assert_uint_eq(in.bytes[63], 1);
	ck_assert_uint_eq(in.bytes[64], 2);
	ck_assert_int_eq(copy("sim:0", both.address, out.address, 64, &failure), -EFAULT);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_DMA_FAULT);
	ck_assert_ptr_nonnull(strstr(failure.text, "writes"));
	ck_assert_ptr_nonnull(strstr(failure.text, "to-device"));
	ck_assert_uint_eq(out.bytes[0], 1);
	ck_assert_int_eq(copy("sim:0", in.address, both.address, 64, &failure), -EFAULT);
	ck_assert_ptr_nonnull(strstr(failure.text, "reads"));
	ck_assert_uint_eq(both.bytes[0], 3);

	/* The end of a mapping: one byte past it, and what lies behind. */
	ck_assert_int_eq(copy("sim:0", both.address + 3 * PAGE - 64, in.address, 64, &failure), 0);
	memcpy(before, in.bytes, 64);
	ck_assert_int_eq(copy("sim:0", both.address + 3 * PAGE - 63, in.address, 64, &failure),
			 -EFAULT);
	ck_assert_ptr_nonnull(strstr(failure.text, "ends after 63 bytes"));
	ck_assert_mem_eq(in.bytes, before, 64);
	ck_assert_int_eq(copy("sim:0", both.address + 3 * PAGE, in.address, 1, &failure), -EFAULT);
	ck_assert_ptr_nonnull(strstr(failure.text, "closest below"));
	ck_assert_int_eq(copy("sim:0", 0, in.address, 1, &failure), -EFAULT);

	/* Beyond the mask, and around the end of all addresses. */
	ck_assert_int_eq(copy("sim:0", 1ull << 28, in.address, 1, &failure), -EFAULT);
	ck_assert_ptr_nonnull(strstr(failure.text, "28 address bits"));
	ck_assert_int_eq(copy("sim:0", (1ull << 28) - 1, in.address, 2, &failure), -EFAULT);
	ck_assert_int_eq(copy("sim:2", UINT64_MAX, UINT64_MAX, 1 << 20, &failure), -EFAULT);
	ck_assert_int_eq(copy("sim:2", UINT64_MAX, UINT64_MAX, 1, &failure), -EFAULT);
	ck_assert_int_eq(copy("sim:3", 0x100000, 0x200000, 1, &failure), -EFAULT);
	drop(&both);
	drop(&in);
	drop(&out);
}
END_TEST

START_TEST(test_bad_transfers)
{
	struct wire_sim_dma dma = { .command = WIRE_SIM_DMA_COPY, .length_bytes = 1 };
	struct backend_failure failure = { 0 };

	dma.device_id = 99;
	ck_assert_int_eq(backend->ops->sim_dma(backend, &dma, &failure), -ENODEV);
	dma.device_id = 1;
	ck_assert_int_eq(backend->ops->sim_dma(backend, &dma, &failure), -EINVAL);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_DEVICE_SYSTEM);
	dma.device_id = 2;
	dma.command = 2;
	ck_assert_int_eq(backend->ops->sim_dma(backend, &dma, &failure), -EINVAL);
	dma.command = WIRE_SIM_DMA_COPY;
	dma.length_bytes = 0;
	ck_assert_int_eq(backend->ops->sim_dma(backend, &dma, &failure), -EINVAL);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_SIZE);
	dma.length_bytes = (1 << 20) + 1;
	ck_assert_int_eq(backend->ops->sim_dma(backend, &dma, &failure), -EINVAL);
	dma.length_bytes = UINT64_MAX;
	ck_assert_int_eq(backend->ops->sim_dma(backend, &dma, &failure), -EINVAL);
}
END_TEST

/* Without an IOMMU memory is in pieces unless asked otherwise, and each piece stands alone. */
START_TEST(test_scattered_and_contiguous)
{
	struct backend_failure failure;
	uint64_t i, seen = 0;
	struct held s, c;

	hold(&s, "sim:3", 20 * PAGE, WIRE_DIR_BIDIRECTIONAL, 0);
	ck_assert_uint_eq(s.mapping.nr_segments, 20);
	for (i = 0; i < 20; i++) {
		struct wire_segment segment = segment_of(&s, i);

		ck_assert_uint_eq(segment.length_bytes, PAGE);
		ck_assert_uint_eq(segment.dma_address >> 32, 0);
		ck_assert_uint_ne(segment.dma_address, seen + PAGE);
		ck_assert_uint_ne(segment.dma_address, seen - PAGE);
		seen = segment.dma_address;
		memset(s.bytes + i * PAGE, (int)(i + 1), PAGE);
	}
	/* Page 19 to page 0, each found through its own address. */
	ck_assert_int_eq(copy("sim:3", segment_of(&s, 19).dma_address + 5,
			      segment_of(&s, 0).dma_address, 100, &failure),
			 0);
	ck_assert_uint_eq(s.bytes[99], 20);
	ck_assert_uint_eq(s.bytes[100], 1);
	ck_assert_int_eq(copy("sim:3", segment_of(&s, 19).dma_address + 5,
			      segment_of(&s, 0).dma_address, PAGE, &failure),
			 -EFAULT);

	hold(&c, "sim:3", 200 * 1024, WIRE_DIR_BIDIRECTIONAL, WIRE_ATTR_FORCE_CONTIGUOUS);
	ck_assert(c.buffer.contiguous);
	ck_assert_uint_eq(c.mapping.nr_segments, 4);
	for (i = 0; i < 4; i++) {
		struct wire_segment segment = segment_of(&c, i);

		ck_assert_uint_eq(segment.dma_address, c.address + i * 65536);
		ck_assert_uint_eq(segment.length_bytes, i < 3 ? 65536 : 8192);
	}
	memset(c.bytes + 65530, 9, 6);
	ck_assert_int_eq(
		copy("sim:3", c.address + 65530, segment_of(&s, 3).dma_address, 6, &failure), 0);
	ck_assert_uint_eq(s.bytes[3 * PAGE + 5], 9);
	/* Adjacent, and still not one transfer: the device takes 64 KiB at most. */
	ck_assert_int_eq(copy("sim:3", c.address + 65530, segment_of(&s, 3).dma_address, 7,
			      &failure),
			 -EFAULT);
	drop(&s);
	drop(&c);
}
END_TEST

START_TEST(test_beyond_mask)
{
	struct backend_alloc alloc = fixture_alloc(PAGE);
	struct backend_failure failure = { 0 };
	struct backend_mapping mapping;
	struct backend_buffer buffer;
	struct backend_map map;
	int fd, map_fd;

	/* Nobody said that sim:3 would use it. */
	ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
	map = (struct backend_map){ .buffer_id = buffer.id,
				    .device_id = device_id("sim:3"),
				    .account = ACCOUNT };
	ck_assert_int_eq(backend->ops->map(backend, &map, &mapping, &map_fd, &failure), -ERANGE);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_BEYOND_MASK);
	ck_assert_uint_eq(failure.limit, 32);
	ck_assert_uint_ge(failure.value, 1ull << 32);
	/* Behind an IOMMU it does not matter. */
	map.device_id = device_id("sim:0");
	ck_assert_int_eq(backend->ops->map(backend, &map, &mapping, &map_fd, &failure), 0);
	close(map_fd);
	close(fd);
	/* Said, but a narrower mask was asked for later. */
	alloc.devices = &map.device_id;
	alloc.nr_devices = 1;
	map.device_id = device_id("sim:3");
	alloc.size_bytes = 1 << 20;
	ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
	map.buffer_id = buffer.id;
	map.mask_bits = 20;
	ck_assert_int_eq(backend->ops->map(backend, &map, &mapping, &map_fd, &failure), -ERANGE);
	close(fd);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_freed(buffer.id), 1);
}
END_TEST

START_TEST(test_mixed_coherence)
{
	struct backend_alloc alloc = fixture_alloc(PAGE);
	struct backend_failure failure = { 0 };
	struct backend_mapping mapping;
	struct backend_buffer buffer;
	struct backend_map map;
	uint32_t ids[3];
	int fd, map_fd;

	ids[0] = device_id("sim:0");
	ids[1] = device_id("sim:2");
	ids[2] = 1;
	alloc.devices = ids;
	alloc.nr_devices = 3;
	ck_assert_int_eq(backend->ops->buffer_alloc(backend, &alloc, &buffer, &fd, &failure),
			 -EXDEV);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_MIXED_COHERENCE);
	ck_assert_ptr_nonnull(strstr(failure.text, "noncoherent"));
	/* For the one that does not snoop, write-combine is what it is. */
	alloc.devices = &ids[1];
	alloc.nr_devices = 2;
	alloc.kind = WIRE_KIND_WRITECOMBINE;
	ck_assert_int_eq(fixture_do_alloc(&alloc, &buffer, &fd), 0);
	ck_assert_uint_eq(buffer.effective_kind, WIRE_KIND_WRITECOMBINE);
	map = (struct backend_map){ .buffer_id = buffer.id,
				    .device_id = ids[0],
				    .account = ACCOUNT };
	ck_assert_int_eq(backend->ops->map(backend, &map, &mapping, &map_fd, &failure), -EXDEV);
	map.device_id = ids[1];
	ck_assert_int_eq(backend->ops->map(backend, &map, &mapping, &map_fd, &failure), 0);
	close(map_fd);
	close(fd);
	ck_assert_int_eq(fixture_dispatch(), 0);
}
END_TEST

START_TEST(test_device_address_space)
{
	static const char *const devices[] = { "5 bits 20", "6 bits 32" };
	struct backend_failure failure = { 0 };
	struct backend_mapping mapping;
	struct backend_map map;
	struct held a, b;
	int map_fd;

	fixture_reopen(devices, 2);
	/* 2^20 less the first 64 KiB are 240 pages; a guard page each. */
	hold(&a, "sim:5", 119 * PAGE, WIRE_DIR_BIDIRECTIONAL, 0);
	hold(&b, "sim:5", 119 * PAGE, WIRE_DIR_BIDIRECTIONAL, 0);
	ck_assert_uint_ne(a.address, b.address);
	map = (struct backend_map){ .buffer_id = a.buffer.id,
				    .device_id = device_id("sim:5"),
				    .account = ACCOUNT };
	ck_assert_int_eq(backend->ops->map(backend, &map, &mapping, &map_fd, &failure), -ENOSPC);
	ck_assert_uint_eq(failure.reason, WIRE_REASON_DEVICE_ADDRESS_SPACE);
	ck_assert(failure.retry);
	drop(&b);
	ck_assert_int_eq(backend->ops->map(backend, &map, &mapping, &map_fd, &failure), 0);
	close(map_fd);
	drop(&a);
}
END_TEST

START_TEST(test_addresses_are_not_reused_soon)
{
	struct backend_mapping mapping;
	struct backend_map map;
	uint64_t total, last;
	unsigned int i, count;
	struct held a;
	int map_fd;

	hold(&a, "sim:1", PAGE, WIRE_DIR_BIDIRECTIONAL, 0);
	last = a.address;
	map = (struct backend_map){ .buffer_id = a.buffer.id,
				    .device_id = device_id("sim:1"),
				    .account = ACCOUNT };
	for (i = 0; i < 500; i++) {
		struct wire_segment segment;

		ck_assert_int_eq(backend->ops->map(backend, &map, &mapping, &map_fd, NULL), 0);
		ck_assert_int_eq(backend->ops->segments(backend, mapping.id, 0, &segment, 1, &count,
							&total),
				 0);
		ck_assert_uint_gt(segment.dma_address, last);
		last = segment.dma_address;
		close(map_fd);
		ck_assert_int_eq(fixture_dispatch(), 0);
	}
	drop(&a);
}
END_TEST

START_TEST(test_device_passes_to_another_account)
{
	struct backend_mapping mapping;
	struct backend_map map;
	struct held a;
	int map_fd;

	hold(&a, "sim:0", PAGE, WIRE_DIR_BIDIRECTIONAL, 0);
	close(a.map_fd);
	ck_assert_int_eq(fixture_dispatch(), 0);
	map = (struct backend_map){ .buffer_id = a.buffer.id,
				    .device_id = device_id("sim:0"),
				    .account = ACCOUNT + 1 };
	ck_assert_int_eq(backend->ops->map(backend, &map, &mapping, &a.map_fd, NULL), 0);
	map.account = ACCOUNT;
	ck_assert_int_eq(backend->ops->map(backend, &map, &mapping, &map_fd, NULL), -EBUSY);
	drop(&a);
}
END_TEST

/* A holder with our own uid can open the pipe's other direction; nothing may come of it. */
START_TEST(test_nothing_goes_through_a_mapping_fd)
{
	struct held a;
	char path[32];
	int other;

	hold(&a, "sim:0", PAGE, WIRE_DIR_BIDIRECTIONAL, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", a.map_fd);
	other = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	ck_assert_int_ge(other, 0);
	while (write(other, path, sizeof(path)) > 0)
		;
	fixture_settle();
	ck_assert_uint_eq(fixture_unmapped(a.mapping.id), 0);
	close(other);
	fixture_settle();
	ck_assert_uint_eq(fixture_unmapped(a.mapping.id), 0);
	close(a.map_fd);
	ck_assert_int_eq(fixture_dispatch(), 0);
	ck_assert_uint_eq(fixture_unmapped(a.mapping.id), 1);
	a.map_fd = -1;
	drop(&a);
}
END_TEST

START_TEST(test_punched_holes)
{
	struct backend_failure failure;
	struct held a;

	hold(&a, "sim:0", 4 * PAGE, WIRE_DIR_BIDIRECTIONAL, 0);
	memset(a.bytes, 1, 4 * PAGE);
	ck_assert_int_eq(fallocate(a.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2 * PAGE),
			 0);
	ck_assert_int_eq(copy("sim:0", a.address + 2 * PAGE, a.address, 1, &failure), 0);
	ck_assert_uint_eq(a.bytes[0], 1);
	ck_assert_uint_eq(a.bytes[1], 0);
	drop(&a);
}
END_TEST

START_TEST(test_closing_with_everything_alive)
{
	struct held a, b;

	hold(&a, "sim:0", PAGE, WIRE_DIR_BIDIRECTIONAL, 0);
	hold(&b, "sim:3", 4 * PAGE, WIRE_DIR_BIDIRECTIONAL, 0);
	b.bytes[0] = 42;
	fixture_reopen(NULL, 0); /* the old one is closed */
	ck_assert_uint_eq(b.bytes[0], 42); /* clients keep their memory */
	b.bytes[4 * PAGE - 1] = 1;
	munmap(a.bytes, PAGE);
	munmap(b.bytes, 4 * PAGE);
	close(a.fd);
	close(b.fd);
	close(a.map_fd);
	close(b.map_fd);
	fixture_forget();
}
END_TEST

START_TEST(test_config)
{
	static const struct {
		const char *lines[2];
		const char *complaint; /* NULL: fine */
	} cases[] = {
		{ { "0 bits 28 segment 4294967295 iommu coherent" }, NULL },
		{ { "9999\tbits 64 no-iommu noncoherent segment 4K" }, NULL },
		{ { "0 bits 28", "1 bits 30" }, NULL },
		{ { "" }, "begins with the device's number" },
		{ { "sim:0 bits 28" }, "begins with the device's number" },
		{ { "-1 bits 28" }, "begins with the device's number" },
		{ { "10000 bits 28" }, "begins with the device's number" },
		{ { "0" }, "how many address bits" },
		{ { "0 bits" }, "'bits' needs a number" },
		{ { "0 bits 11" }, "'bits' needs a number" },
		{ { "0 bits 65" }, "'bits' needs a number" },
		{ { "0 bits 0x20" }, "'bits' needs a number" },
		{ { "0 bits 32 segment 100" }, "'segment' needs" },
		{ { "0 bits 32 segment 64KB" }, "'segment' needs" },
		{ { "0 bits 32 segment 18446744073709551616" }, "'segment' needs" },
		{ { "0 bits 32 segment 18014398509481985K" }, "'segment' needs" },
		{ { "0 bits 32 iommu snooping" }, "unknown word 'snooping'" },
		{ { "0 bits 32", "0 bits 30" }, "there twice" },
		{ { "0 bits 32 iommu iommu iommu iommu iommu iommu iommu iommu iommu iommu iommu "
		    "iommu iommu iommu iommu iommu iommu iommu iommu iommu iommu" },
		  "too long" },
	};
	struct backend *other;
	unsigned int i;
	char why[512];

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct backend_config config = {
			.sim_devices = cases[i].lines,
			.nr_sim_devices = cases[i].lines[1] ? 2 : 1,
		};
		int r = backend_open(&other, "sim", false, &config, NULL, NULL, why);

		if (cases[i].complaint) {
			ck_assert_msg(r == -EINVAL, "case %u: %d", i, r);
			ck_assert_msg(strstr(why, cases[i].complaint), "case %u: %s", i, why);
		} else {
			ck_assert_msg(r == 0, "case %u: %s", i, why);
			other->ops->close(other);
		}
	}
}
END_TEST

START_TEST(test_choice)
{
	const struct backend_ops *const *table = backend_table();
	struct backend *other = NULL;
	unsigned int i;
	char why[512];

	for (i = 0; table[i]; i++)
		if (strcmp(table[i]->name, "sim") == 0)
			break;
	ck_assert_ptr_nonnull(table[i]);
	ck_assert_ptr_null(table[i + 1]); /* the last resort */
	ck_assert_int_eq(backend_open(&other, "nonsense", true, NULL, NULL, NULL, why), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "'nonsense'"));
	ck_assert_ptr_nonnull(strstr(why, "kmod, sim"));
	if (access("/dev/dmabroker", F_OK) == 0)
		return; /* a machine with the helper takes that */
	ck_assert_int_eq(backend_open(&other, "kmod", true, NULL, NULL, NULL, why), -ENODEV);
	ck_assert_ptr_nonnull(strstr(why, "modprobe dmabroker"));
	ck_assert_int_eq(backend_open(&other, "auto", false, NULL, NULL, NULL, why), -ENODEV);
	ck_assert_ptr_nonnull(strstr(why, "modprobe dmabroker"));
	ck_assert_ptr_null(other);
	ck_assert_int_eq(backend_open(&other, "auto", true, NULL, NULL, NULL, why), 0);
	ck_assert_str_eq(other->ops->name, "sim");
	ck_assert_ptr_nonnull(strstr(why, "modprobe dmabroker"));
	other->ops->close(other);
}
END_TEST

Suite *fixture_suite(void)
{
	Suite *suite = suite_create("backend-sim-dma");
	TCase *tcase = tcase_create("devices");

	tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_copy);
	tcase_add_test(tcase, test_each_device_has_its_own_addresses);
	tcase_add_test(tcase, test_faults);
	tcase_add_test(tcase, test_bad_transfers);
	tcase_add_test(tcase, test_scattered_and_contiguous);
	tcase_add_test(tcase, test_beyond_mask);
	tcase_add_test(tcase, test_mixed_coherence);
	tcase_add_test(tcase, test_device_address_space);
	tcase_add_test(tcase, test_addresses_are_not_reused_soon);
	tcase_add_test(tcase, test_device_passes_to_another_account);
	tcase_add_test(tcase, test_nothing_goes_through_a_mapping_fd);
	tcase_add_test(tcase, test_punched_holes);
	tcase_add_test(tcase, test_closing_with_everything_alive);
	tcase_add_test(tcase, test_config);
	tcase_add_test(tcase, test_choice);
	suite_add_tcase(suite, tcase);
	return suite;
}
