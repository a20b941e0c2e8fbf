/* SPDX-License-Identifier: MIT */
/*
 * Tests of /dev/dmabroker, straight through its ioctls; runs as root in a test machine with two edu
 * devices, without the daemon. Each topic is a file of its own.
 */
#ifndef TESTS_VM_KMOD_H
#define TESTS_VM_KMOD_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <linux/dmabroker.h>

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define KIB		1024ull
#define MIB		(1024ull * 1024)

/* A sentence that tells what is true, and whether it is. */
void check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for a call that returned 0 or -errno. */
void check_errno(int result, int expected, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Something that the tests need does not work: ends the program. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* What the machine is, from the command line. */
struct machine {
	bool iommu; /* devices are behind an IOMMU that translates */
	bool coherent; /* they snoop */
	bool cma;
	unsigned int bits[2]; /* address bits of the two edu devices */
};
extern struct machine machine;

extern int broker_fd; /* /dev/dmabroker, non-blocking */

/* 0 or -errno. Fills in the struct's size if it is 0. */
int call(unsigned long request, void *argument);
int call_fd(int fd, unsigned long request, void *argument);

void alloc_prepare(struct dmabroker_alloc *alloc, uint64_t size_bytes, unsigned int kind,
		   uint64_t attributes);
/* For @nr_devices edu devices; -errno or the fd. */
int alloc_for(struct dmabroker_alloc *alloc, unsigned int nr_devices);
/* What must work, works. */
int alloc_good(uint64_t size_bytes, unsigned int kind, uint64_t attributes, uint64_t *ret_id);
int open_good(uint64_t id, bool read_only);
void *map_memory(int fd, size_t size_bytes, int prot);
bool buffer_lives(uint64_t id, struct dmabroker_buffer *ret);
uint64_t count_buffers(void);
/* Close() hands the file to deferred work only after the last mmap; wait for the list to say so. */
bool buffer_goes(uint64_t id);

struct edu {
	char address[16]; /* 0000:00:03.0 */
	unsigned int bits; /* address bits that it drives */
	uint32_t id;
	volatile uint8_t *registers;
};
extern struct edu edus[2];

void edu_find_all(void);
/* Fills in addresses of up to @capacity devices, in order; returns how many there are. */
unsigned int pci_find(const char *vendor, const char *device, struct edu *ret,
		      unsigned int capacity);
void edu_bind(struct edu *edu);
void edu_unbind(struct edu *edu);
void edu_device(const struct edu *edu, struct dmabroker_device *ret);
bool edu_bus_master(const struct edu *edu);
/* "0" for the attribute file of the stub; 0 or -errno. */
int edu_attribute_write(const struct edu *edu, const char *name, const char *value);
/* Between the device's buffer and memory; less than 4096 bytes. */
void edu_start(struct edu *edu, uint64_t dma_address, uint64_t size_bytes, bool to_memory);
void edu_wait(struct edu *edu);
/* The whole of memory, piece by piece through the segments. */
uint64_t edu_address(int mapping_fd, uint64_t offset_bytes);
void edu_copy(struct edu *edu, int mapping_fd, uint64_t from_bytes, uint64_t to_bytes,
	      uint64_t size_bytes);

#define ACCOUNT 1000
void map_prepare(struct dmabroker_map *map, int buffer_fd, const struct edu *edu,
		 unsigned int direction);
/* -errno or the fd. */
int map_for(struct dmabroker_map *map);
int map_good(int buffer_fd, const struct edu *edu, unsigned int direction);

int write_file(const char *path, const char *text);
void sleep_ms(unsigned int ms);
uint64_t now_us(void);

void test_abi(void);
void test_abi_devices(void);
void test_memory(void);
void test_contiguous(void);
void test_full(void);
void test_rights(void);
void test_import(void);
void test_mapping(void);
void test_mapping_errors(void);
void test_unmap(void);
void test_device(void);
void test_events(void);
void test_kill(void);
void test_trace(void);
void test_unload(void);
void test_reset(void);
void test_high(void);
void test_forced_bounce(void);
void test_shared_group(void);
void test_stress(void);
void test_faults(void);

#endif
