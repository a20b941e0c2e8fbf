// SPDX-License-Identifier: MIT
/*
 * A read-only share, and everything that could make it writable: by user2, who got it by token, and
 * by a second process of user1, who may use the devices. Each way is also tried on a read-write
 * share, where it has to work: else the attack would prove nothing.
 */
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client.h"
#include "examples/edu.h"

#define SIZE_BYTES ((size_t)64 * KIB)
#define LENGTH	   EDU_TRANSFER_MAX_BYTES

struct shares {
	struct dmabroker_token read_only;
	struct dmabroker_token read_write;
};

static sigjmp_buf fault_jump;

static void on_fault(int signal)
{
	siglongjmp(fault_jump, signal);
}

/* The signal that writing this byte provokes, or 0. */
static int write_faults(volatile uint8_t *at, uint8_t value)
{
	const struct sigaction action = { .sa_handler = on_fault };
	struct sigaction old_segv, old_bus;
	int got;

	sigaction(SIGSEGV, &action, &old_segv);
	sigaction(SIGBUS, &action, &old_bus);
	got = sigsetjmp(fault_jump, 1);
	if (!got)
		*at = value;
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGBUS, &old_bus, NULL);
	return got;
}

static int try_mmap(int fd, int protection, int flags)
{
	void *memory = mmap(NULL, SIZE_BYTES, protection, flags, fd, 0);

	if (memory == MAP_FAILED)
		return errno;
	munmap(memory, SIZE_BYTES);
	return 0;
}

static int try_mprotect(int fd)
{
	void *memory = mmap(NULL, SIZE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	int err;

	if (memory == MAP_FAILED)
		die("mmap for reading: %s", strerror(errno));
	err = mprotect(memory, SIZE_BYTES, PROT_READ | PROT_WRITE) ? errno : 0;
	munmap(memory, SIZE_BYTES);
	return err;
}

/* Opened anew it would have the mode that was asked for now. */
static int try_reopen(int fd)
{
	char path[64];
	int again, err;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again < 0)
		return errno;
	err = try_mmap(again, PROT_READ | PROT_WRITE, MAP_SHARED);
	close(again);
	return err;
}

static int try_sync_write(int fd)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE };

	return ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync) ? errno : 0;
}

/* A debugger's way to write what is mapped for reading. */
static bool try_proc_mem(volatile uint8_t *memory)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	const uint8_t byte = 0x99;
	ssize_t n;

	if (fd < 0)
		die("/proc/self/mem: %s", strerror(errno));
	n = pwrite(fd, &byte, 1, (off_t)(uintptr_t)memory);
	close(fd);
	return n == 1;
}

static void attack_memory(struct dmabroker_buffer *share)
{
	int fd = dmabroker_buffer_get_fd(share), err;
	volatile uint8_t *memory;
	void *writable;

	check(dmabroker_buffer_get_info(share)->flags & DMABROKER_BUFFER_READ_ONLY,
	      "read-only: the holder is told", "flags 0x%x",
	      dmabroker_buffer_get_info(share)->flags);
	memory = client_mmap(share, 0);
	check(memory[0] == 0x42, "read-only: it can be read", "it reads 0x%02x", memory[0]);
	err = dmabroker_mmap(share, DMABROKER_CPU_READ | DMABROKER_CPU_WRITE, &writable);
	check(err == -EACCES, "read-only: the library maps it not for writing", "it said %d", err);
	err = try_mmap(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
	check(err == EACCES, "read-only: mmap for writing is refused", "%s", strerror(err));
	err = try_mmap(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	check(err != 0, "read-only: a private mapping is refused", "it was made");
	err = try_mprotect(fd);
	check(err == EACCES, "read-only: mprotect is refused", "%s", strerror(err));
	err = write_faults(memory, 0x43);
	check(err == SIGSEGV, "read-only: a write is SIGSEGV", "it is signal %d", err);
	check(!try_proc_mem(memory), "read-only: a write through /proc/self/mem is refused",
	      "it was accepted, the byte is 0x%02x", memory[0]);
	err = try_reopen(fd);
	check(err != 0, "read-only: reopening it through /proc/self/fd gives no writing",
	      "it can be written now");
	check(fcntl(fd, F_SETFL, O_RDWR) < 0 || (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY,
	      "read-only: fcntl changes nothing", "its mode is 0x%x", fcntl(fd, F_GETFL));
	err = try_sync_write(fd);
	check(err == EACCES, "read-only: CPU access for writing is refused", "%s", strerror(err));
	check(write(fd, "x", 1) < 0, "read-only: write(2) is refused", "it was accepted");
	check(memory[0] == 0x42, "read-only: the byte is what it was", "it is 0x%02x", memory[0]);
}

static void control_memory(struct dmabroker_buffer *share)
{
	int fd = dmabroker_buffer_get_fd(share);
	volatile uint8_t *memory = client_mmap(share, 0);
	int err;

	err = try_mmap(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
	check(err == 0, "read-write: mmap for writing works", "%s", strerror(err));
	err = try_mprotect(fd);
	check(err == 0, "read-write: mprotect works", "%s", strerror(err));
	err = write_faults(memory + 1, 0x43);
	check(err == 0 && memory[1] == 0x43, "read-write: a write works", "signal %d, 0x%02x", err,
	      memory[1]);
	err = try_sync_write(fd);
	check(err == 0, "read-write: CPU access for writing works", "%s", strerror(err));
}

static void attack_broker(struct dmabroker *broker, struct dmabroker_buffer *share)
{
	struct dmabroker_buffer *again;
	struct dmabroker_token token;

	check_refused(dmabroker_share(share, 0, &token), EACCES, DMABROKER_REASON_READ_ONLY,
		      "read-only: it cannot be shared read-write");
	check_done(dmabroker_share(share, DMABROKER_SHARE_READ_ONLY, &token),
		   "read-only: it can be shared read-only");
	if (!check_done(dmabroker_from_fd(broker, dmabroker_buffer_get_fd(share), &again),
			"read-only: its fd can be shown to the broker"))
		return;
	check(dmabroker_buffer_get_info(again)->flags & DMABROKER_BUFFER_READ_ONLY,
	      "read-only: which gives no more than the fd has", "flags 0x%x",
	      dmabroker_buffer_get_info(again)->flags);
	dmabroker_free(again);
}

static void user2(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *share;
	struct shares shares;

	(void)argument;
	hear(root, &shares, sizeof(shares));
	share = client_open(broker, shares.read_only);
	attack_memory(share);
	attack_broker(broker, share);
	dmabroker_free(share);
	share = client_open(broker, shares.read_write);
	control_memory(share);
	dmabroker_free(share);
}

/* The first page through a device whose memory is not that page. */
static void device_writes(struct edu *edu, struct dmabroker_mapping *mapping)
{
	if (edu_write_memory(edu, dma_address(mapping, PAGE), LENGTH) < 0)
		die("the device does not answer");
}

static void attack_with_device(struct dmabroker_buffer *share, struct dmabroker_buffer *whole)
{
	volatile uint8_t *memory = client_mmap(whole, 0);
	struct dmabroker_mapping *mapping;
	struct edu *edu;
	void *at;

	check_refused(client_try_map(share, 0, DMABROKER_DIR_FROM_DEVICE, &mapping), EACCES,
		      DMABROKER_REASON_READ_ONLY, "read-only: a mapping from a device is refused");
	check_refused(client_try_map(share, 0, DMABROKER_DIR_BIDIRECTIONAL, &mapping), EACCES,
		      DMABROKER_REASON_READ_ONLY, "read-only: a mapping both ways is refused");
	mapping = client_map(share, 0, DMABROKER_DIR_TO_DEVICE);
	at = mmap(NULL, SIZE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		  dmabroker_mapping_get_fd(mapping), 0);
	check(at == MAP_FAILED, "read-only: the mapping's fd cannot be mapped", "it can be");
	if (edu_open(&edu, device_names[0]) < 0)
		die("the registers of %s: %s", device_names[0], strerror(errno));
	memset((void *)memory, 0x42, 2 * PAGE);
	if (edu_read_memory(edu, dma_address(mapping, 0), LENGTH) < 0)
		die("the device does not answer");
	memset((void *)(memory + PAGE), 0x10, LENGTH);
	device_writes(edu, mapping);
	check(filled_with(memory + PAGE, 0x10, LENGTH),
	      "read-only: a device's write does not arrive", "the byte is 0x%02x", memory[PAGE]);
	dmabroker_unmap(mapping);
	mapping = client_map(whole, 0, DMABROKER_DIR_FROM_DEVICE);
	device_writes(edu, mapping);
	check(filled_with(memory + PAGE, 0x42, LENGTH),
	      "read-write: it does, and with the right bytes", "the byte is 0x%02x", memory[PAGE]);
	dmabroker_unmap(mapping);
	edu_close(edu);
}

static void user1_again(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect(), *other = client_connect();
	struct dmabroker_buffer *share, *shown;
	struct dmabroker_mapping *mapping;
	struct shares shares;

	(void)argument;
	hear(root, &shares, sizeof(shares));
	share = client_open(broker, shares.read_only);
	if (check_done(dmabroker_from_fd(other, dmabroker_buffer_get_fd(share), &shown),
		       "read-only: an fd can be shown on another connection"))
		check_refused(client_try_map(shown, 0, DMABROKER_DIR_BIDIRECTIONAL, &mapping),
			      EACCES, DMABROKER_REASON_READ_ONLY,
			      "read-only: a mapping both ways is refused there too");
	attack_with_device(share, client_open(other, shares.read_write));
}

static void user1(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffer =
		client_alloc(broker, SIZE_BYTES, DMABROKER_KIND_COHERENT, 0, 2);
	uint8_t *memory = client_mmap(buffer, 0);
	struct shares shares;

	(void)argument;
	memset(memory, 0x42, SIZE_BYTES);
	shares.read_only = client_share(buffer, DMABROKER_SHARE_READ_ONLY);
	shares.read_write = client_share(buffer, 0);
	say(root, &shares, sizeof(shares));
	await_nod(root);
}

void test_read_only(void)
{
	struct actor *owner, *other;
	struct shares shares;

	give_registers("user1");
	owner = actor_start("user1", user1, NULL);
	hear(owner, &shares, sizeof(shares));
	other = actor_start("user2", user2, NULL);
	say(other, &shares, sizeof(shares));
	actor_end(other);
	other = actor_start("user1", user1_again, NULL);
	say(other, &shares, sizeof(shares));
	actor_end(other);
	nod(owner);
	actor_end(owner);
}
