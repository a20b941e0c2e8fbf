// SPDX-License-Identifier: MIT
/*
 * QEMU's edu device, driven from here: its registers through sysfs, its DMA engine, and the stub
 * driver's files. A transfer takes 100 ms, whatever its size, and less than 4096 bytes.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kmod.h"

#define PCI		     "/sys/bus/pci"
#define REGISTER_SOURCE	     0x80
#define REGISTER_DESTINATION 0x88
#define REGISTER_COUNT	     0x90
#define REGISTER_COMMAND     0x98
#define COMMAND_START	     1
#define COMMAND_TO_MEMORY    2
#define DEVICE_BUFFER	     0x40000
#define DEVICE_BUFFER_SIZE   4096
/* QEMU takes a transfer that ends where the device's buffer ends for one beyond it, and exits. */
#define TRANSFER_MAX   2048
#define REGISTERS_SIZE 0x1000

struct edu edus[2];

static void read_text(const char *address, const char *name, char *text, size_t size)
{
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), PCI "/devices/%s/%s", address, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
}

static int compare_addresses(const void *a, const void *b)
{
	const struct edu *x = a, *y = b;

	return strcmp(x->address, y->address);
}

unsigned int pci_find(const char *vendor, const char *device, struct edu *ret,
		      unsigned int capacity)
{
	DIR *dir = opendir(PCI "/devices");
	struct dirent *entry;
	unsigned int found = 0;

	if (!dir)
		die("opendir " PCI "/devices");
	while ((entry = readdir(dir)) && found < capacity) {
		char text[2][16];

		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= sizeof(ret->address))
			continue;
		read_text(entry->d_name, "vendor", text[0], sizeof(text[0]));
		read_text(entry->d_name, "device", text[1], sizeof(text[1]));
		if (strcmp(text[0], vendor) == 0 && strcmp(text[1], device) == 0)
			strcpy(ret[found++].address, entry->d_name);
	}
	closedir(dir);
	qsort(ret, found, sizeof(*ret), compare_addresses);
	return found;
}

void edu_find_all(void)
{
	unsigned int found = pci_find("0x1234\n", "0x11e8\n", edus, ARRAY_LENGTH(edus));
	unsigned int i;

	if (found != ARRAY_LENGTH(edus))
		die("found %u edu devices instead of two", found);
	for (i = 0; i < found; i++) {
		edus[i].bits = machine.bits[i];
		edu_bind(&edus[i]);
	}
}

/* What lists say of the device. Its id is a new one after each bind: found by name. */
static bool device_by_name(const char *address, struct dmabroker_device *ret)
{
	struct dmabroker_device devices[16];
	struct dmabroker_list list = { .entries = (uintptr_t)devices,
				       .entry_size = sizeof(devices[0]),
				       .capacity = ARRAY_LENGTH(devices) };
	char name[64];
	uint32_t i;

	snprintf(name, sizeof(name), "pci:%s", address);
	if (call(DMABROKER_IOC_DEVICE_LIST, &list))
		die("DMABROKER_IOC_DEVICE_LIST");
	for (i = 0; i < list.count; i++) {
		if (strcmp(devices[i].name, name) == 0) {
			*ret = devices[i];
			return true;
		}
	}
	return false;
}

void edu_device(const struct edu *edu, struct dmabroker_device *ret)
{
	if (!device_by_name(edu->address, ret))
		die("device %s is not in the list", edu->address);
}

int edu_attribute_write(const struct edu *edu, const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), PCI "/devices/%s/dmabroker/%s", edu->address, name);
	return write_file(path, value);
}

static void map_registers(struct edu *edu)
{
	char path[128];
	void *registers;
	int fd;

	snprintf(path, sizeof(path), PCI "/devices/%s/resource0", edu->address);
	fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	if (fd < 0)
		die("open %s", path);
	registers = mmap(NULL, REGISTERS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (registers == MAP_FAILED)
		die("mmap %s", path);
	close(fd);
	edu->registers = registers;
}

void edu_bind(struct edu *edu)
{
	struct dmabroker_device device;
	char path[128], bits[8];
	int err;

	snprintf(path, sizeof(path), PCI "/devices/%s/driver_override", edu->address);
	if (write_file(path, "dmabroker-pci"))
		die("write %s", path);
	if (!device_by_name(edu->address, &device)) {
		snprintf(path, sizeof(path), PCI "/devices/%s/driver/unbind", edu->address);
		write_file(path, edu->address); /* from another driver, if there is one */
		err = write_file(PCI "/drivers/dmabroker-pci/bind", edu->address);
		if (err) {
			errno = -err;
			die("bind %s", edu->address);
		}
	}
	snprintf(bits, sizeof(bits), "%u", edu->bits);
	if (edu_attribute_write(edu, "streaming_mask_bits", bits) ||
	    edu_attribute_write(edu, "coherent_mask_bits", bits) ||
	    edu_attribute_write(edu, "account", "0"))
		die("setting masks of %s", edu->address);
	edu_device(edu, &device);
	edu->id = device.id;
	map_registers(edu);
}

void edu_unbind(struct edu *edu)
{
	munmap((void *)edu->registers, REGISTERS_SIZE);
	if (write_file(PCI "/drivers/dmabroker-pci/unbind", edu->address))
		die("unbind %s", edu->address);
}

/* As the device itself has it. */
bool edu_bus_master(const struct edu *edu)
{
	char path[128];
	uint16_t command = 0;
	int fd;

	snprintf(path, sizeof(path), PCI "/devices/%s/config", edu->address);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, &command, sizeof(command), 4) != sizeof(command))
		die("read %s", path);
	close(fd);
	return command & 4;
}

static void register_write(struct edu *edu, unsigned int at, uint64_t value)
{
	*(volatile uint64_t *)(edu->registers + at) = value;
}

void edu_start(struct edu *edu, uint64_t dma_address, uint64_t size_bytes, bool to_memory)
{
	if (size_bytes >= DEVICE_BUFFER_SIZE)
		die("a transfer of more than the device holds");
	register_write(edu, REGISTER_SOURCE, to_memory ? DEVICE_BUFFER : dma_address);
	register_write(edu, REGISTER_DESTINATION, to_memory ? dma_address : DEVICE_BUFFER);
	register_write(edu, REGISTER_COUNT, size_bytes);
	__sync_synchronize();
	register_write(edu, REGISTER_COMMAND, COMMAND_START | (to_memory ? COMMAND_TO_MEMORY : 0));
}

void edu_wait(struct edu *edu)
{
	uint64_t end = now_us() + 10000000;

	while (*(volatile uint64_t *)(edu->registers + REGISTER_COMMAND) & COMMAND_START) {
		if (now_us() > end)
			die("%s does not finish its transfer", edu->address);
		sleep_ms(1);
	}
	__sync_synchronize();
}

uint64_t edu_address(int mapping_fd, uint64_t offset_bytes)
{
	struct dmabroker_mapping_segment segments[64];
	struct dmabroker_mapping_segments request = { .entries = (uintptr_t)segments,
						      .capacity = ARRAY_LENGTH(segments) };
	uint32_t i;

	do {
		if (call_fd(mapping_fd, DMABROKER_MAPPING_IOC_SEGMENTS, &request))
			die("DMABROKER_MAPPING_IOC_SEGMENTS");
		for (i = 0; i < request.count; i++) {
			if (offset_bytes < segments[i].length_bytes)
				return segments[i].dma_address + offset_bytes;
			offset_bytes -= segments[i].length_bytes;
		}
		request.first += request.count;
	} while (request.first < request.total);
	die("the segments end before the buffer");
}

void edu_copy(struct edu *edu, int mapping_fd, uint64_t from_bytes, uint64_t to_bytes,
	      uint64_t size_bytes)
{
	uint64_t done;

	for (done = 0; done < size_bytes; done += TRANSFER_MAX) {
		uint64_t part = size_bytes - done;

		if (part > TRANSFER_MAX)
			part = TRANSFER_MAX;
		edu_start(edu, edu_address(mapping_fd, from_bytes + done), part, false);
		edu_wait(edu);
		edu_start(edu, edu_address(mapping_fd, to_bytes + done), part, true);
		edu_wait(edu);
	}
}
