// SPDX-License-Identifier: MIT
/*
 * Topics that need a machine made for them: a device with a reset method, memory beyond what a
 * device reaches, a kernel told to bounce everything, two devices that the IOMMU cannot tell apart.
 */
#include <string.h>
#include <unistd.h>

#include "kmod.h"

#define NVME_CC	    0x14
#define NVME_CSTS   0x1c
#define NVME_AQA    0x24
#define NVME_ASQ    0x28
#define NVME_ACQ    0x30
#define NVME_ENABLE 0x00460001
#define NVME_READY  1

static uint32_t nvme_read(const struct edu *nvme, unsigned int at)
{
	return *(volatile uint32_t *)(nvme->registers + at);
}

static void nvme_write(const struct edu *nvme, unsigned int at, uint32_t value)
{
	*(volatile uint32_t *)(nvme->registers + at) = value;
}

static bool nvme_is_ready(const struct edu *nvme)
{
	return nvme_read(nvme, NVME_CSTS) & NVME_READY;
}

/* Left running: what the next account must not inherit. */
static void nvme_start(const struct edu *nvme, uint64_t queues)
{
	nvme_write(nvme, NVME_AQA, 0x001f001f);
	nvme_write(nvme, NVME_ASQ, (uint32_t)queues);
	nvme_write(nvme, NVME_ASQ + 4, (uint32_t)(queues >> 32));
	nvme_write(nvme, NVME_ACQ, (uint32_t)(queues + 4096));
	nvme_write(nvme, NVME_ACQ + 4, (uint32_t)(queues >> 32));
	nvme_write(nvme, NVME_CC, NVME_ENABLE);
	if (!nvme_is_ready(nvme))
		die("the nvme does not become ready");
}

static int map_as(int buffer_fd, const struct edu *nvme, uint64_t account)
{
	struct dmabroker_map map;

	map_prepare(&map, buffer_fd, nvme, DMABROKER_DIR_BIDIRECTIONAL);
	map.account = account;
	return map_for(&map);
}

/* An nvme has a reset method: it goes from account to account and forgets what the last one did. */
void test_reset(void)
{
	static const uint64_t accounts[] = { 7, 8, 7 };
	struct edu nvme = { .bits = 64 };
	struct dmabroker_device device;
	unsigned int i;
	int fd;

	if (pci_find("0x1b36\n", "0x0010\n", &nvme, 1) != 1)
		die("there is no nvme");
	edu_bind(&nvme);
	nvme_write(&nvme, NVME_CC, 0);
	edu_device(&nvme, &device);
	check(device.flags & DMABROKER_DEVICE_RESET, "the nvme can be reset");
	edu_device(&edus[0], &device);
	check(!(device.flags & DMABROKER_DEVICE_RESET), "an edu cannot");

	fd = alloc_good(8192, DMABROKER_KIND_COHERENT, 0, NULL);
	for (i = 0; i < ARRAY_LENGTH(accounts); i++) {
		int first = map_as(fd, &nvme, accounts[i]), second;

		check_errno(first, 0, "account %llu maps", (unsigned long long)accounts[i]);
		check(!nvme_is_ready(&nvme), "and finds the device not running");
		nvme_start(&nvme, edu_address(first, 0));
		second = map_as(fd, &nvme, accounts[i]);
		close(first);
		check(second >= 0 && nvme_is_ready(&nvme), "the same account does not reset it");
		check_errno(map_as(fd, &nvme, 99), -EBUSY, "nobody else gets it meanwhile");
		close(second);
		check(nvme_is_ready(&nvme) && !edu_bus_master(&nvme),
		      "it would still run, but for its bus mastering");
		edu_device(&nvme, &device);
		check(device.account == accounts[i], "it stays the account's");
	}
	close(fd);
	edu_unbind(&nvme);
}

/* 64-bit and 32-bit devices without an IOMMU, and more than 4 GiB of memory. */
void test_high(void)
{
	struct dmabroker_alloc alloc;
	struct dmabroker_map map;
	uint32_t wide = edus[0].id;
	int fds[80], high = -1;
	unsigned int count, i;
	bool low = true;

	/* Memory for the wide device may lie anywhere; enough of it lies high. */
	for (count = 0; count < ARRAY_LENGTH(fds) && high < 0; count++) {
		alloc_prepare(&alloc, 16 * MIB, DMABROKER_KIND_COHERENT, 0);
		alloc.devices = (uintptr_t)&wide;
		alloc.nr_devices = 1;
		if (call(DMABROKER_IOC_ALLOC, &alloc))
			die("allocating for the wide device");
		fds[count] = alloc.fd;
		map_prepare(&map, alloc.fd, &edus[0], DMABROKER_DIR_BIDIRECTIONAL);
		if (map_for(&map) < 0)
			die("mapping for the wide device");
		if (edu_address(map.fd, 0) >= 1ull << 32 &&
		    edu_address(map.fd, 16 * MIB - 1) >= 1ull << 32)
			high = alloc.fd;
		close(map.fd);
	}
	check(high >= 0, "memory for the 64-bit device lies above 4 GiB");
	map_prepare(&map, high, &edus[1], DMABROKER_DIR_BIDIRECTIONAL);
	check_errno(map_for(&map), -ERANGE, "the 32-bit device does not reach it");
	while (count)
		close(fds[--count]);

	for (i = 0; i < 64; i++) {
		int fd = alloc_good(16 * MIB, DMABROKER_KIND_COHERENT, 0, NULL);

		map_prepare(&map, fd, &edus[1], DMABROKER_DIR_BIDIRECTIONAL);
		low &= map_for(&map) >= 0;
		close(map.fd);
		fds[i] = fd;
	}
	check(low, "1 GiB for both devices is reached by both");
	while (i)
		close(fds[--i]);
}

/* swiotlb=force and no IOMMU. */
void test_forced_bounce(void)
{
	struct dmabroker_alloc alloc;
	struct dmabroker_map map;
	int fd;

	alloc_prepare(&alloc, 1 * MIB, DMABROKER_KIND_COHERENT, 0);
	fd = alloc_for(&alloc, 2);
	check_errno(fd, machine.coherent ? 0 : -EOPNOTSUPP,
		    "coherent memory, where the kernel bounces everything");
	if (fd < 0)
		return;
	map_prepare(&map, fd, &edus[1], DMABROKER_DIR_BIDIRECTIONAL);
	check_errno(map_for(&map), -EOPNOTSUPP, "is not mapped through bounce buffers");
	close(fd);
}

/* Both edu devices behind one PCI bridge: one IOMMU group, one address space. */
void test_shared_group(void)
{
	struct dmabroker_device device;
	int fd = alloc_good(4096, DMABROKER_KIND_COHERENT, 0, NULL);
	int mapping_fd;

	edu_device(&edus[0], &device);
	check(!(device.flags & DMABROKER_DEVICE_SHARED), "both devices of the group are ours");
	edu_unbind(&edus[1]);
	edu_device(&edus[0], &device);
	check(device.flags & DMABROKER_DEVICE_SHARED,
	      "a group with a device that is not ours is shared");
	edu_bind(&edus[1]);
	edu_device(&edus[0], &device);
	check(!(device.flags & DMABROKER_DEVICE_SHARED), "and when it comes back it is not");

	mapping_fd = map_as(fd, &edus[0], 7);
	check_errno(mapping_fd, 0, "an account maps for one device");
	close(map_as(fd, &edus[1], 7));
	edu_attribute_write(&edus[1], "account", "0");
	check_errno(map_as(fd, &edus[1], 8), -EPERM,
		    "another account does not get the other device, which sees the same addresses");
	edu_device(&edus[1], &device);
	check(device.account == 0, "nor does it own it after the attempt");
	close(mapping_fd);
	check_errno(map_as(fd, &edus[1], 8), -EPERM, "nor when nothing is mapped any more");
	edu_attribute_write(&edus[0], "account", "0");
	mapping_fd = map_as(fd, &edus[1], 8);
	check_errno(mapping_fd, 0, "it does when the administrator has released the first one");
	close(mapping_fd);
	edu_attribute_write(&edus[1], "account", "0");
	close(fd);
}
