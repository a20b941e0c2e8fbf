// SPDX-License-Identifier: MIT
/* What a holder can do with the memory, and what nobody can make of a read-only share. */
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kmod.h"

#define SIZE (16 * 4096)

static int try_map(int fd, size_t size, int prot, int flags, off_t offset)
{
	void *memory = mmap(NULL, size, prot, flags, fd, offset);

	if (memory == MAP_FAILED)
		return -errno;
	munmap(memory, size);
	return 0;
}

static sigjmp_buf fault_jump;

static void on_fault(int signal)
{
	siglongjmp(fault_jump, signal);
}

/* The signal that a write provokes, or 0. */
static int write_faults(volatile uint8_t *at)
{
	struct sigaction action = { .sa_handler = on_fault }, old_segv, old_bus;
	int got;

	sigaction(SIGSEGV, &action, &old_segv);
	sigaction(SIGBUS, &action, &old_bus);
	got = sigsetjmp(fault_jump, 1);
	if (!got)
		*at = 1;
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGBUS, &old_bus, NULL);
	return got;
}

static int reopen(int fd, int flags)
{
	char path[64];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	if (again < 0)
		return -errno;
	close(again);
	return 0;
}

/* A page that can be pinned stays readable after it has been given to somebody else. */
static bool can_be_pinned(void *memory)
{
	struct iovec iov = { .iov_base = memory, .iov_len = 4096 };
	int pipes[2];
	ssize_t n;

	if (pipe(pipes))
		die("pipe");
	n = vmsplice(pipes[1], &iov, 1, 0);
	close(pipes[0]);
	close(pipes[1]);
	return n > 0;
}

static void test_mmap(int fd)
{
	uint8_t *memory, *part;
	unsigned int i;
	bool same = true;

	check_errno(try_map(fd, SIZE, PROT_READ, MAP_PRIVATE, 0), -EINVAL,
		    "mmap: private mappings are refused, for reading");
	check_errno(try_map(fd, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0), -EINVAL,
		    "mmap: private mappings are refused, for writing");
	check_errno(try_map(fd, SIZE + 4096, PROT_READ, MAP_SHARED, 0), -EINVAL,
		    "mmap: a page too much");
	check_errno(try_map(fd, 4096, PROT_READ, MAP_SHARED, SIZE), -EINVAL,
		    "mmap: behind the end");
	check_errno(try_map(fd, SIZE, PROT_READ, MAP_SHARED, 4096), -EINVAL,
		    "mmap: across the end");

	memory = map_memory(fd, SIZE, PROT_READ | PROT_WRITE);
	part = mmap(NULL, 2 * 4096, PROT_READ, MAP_SHARED, fd, 3 * 4096);
	if (part == MAP_FAILED)
		die("mmap of a part");
	for (i = 0; i < SIZE; i++)
		memory[i] = (uint8_t)(i / 4096 + i);
	for (i = 0; i < 2 * 4096; i++)
		same &= part[i] == memory[3 * 4096 + i];
	check(same, "mmap: a part is that part");
	/* A hole splits the mapping: each piece must still find its own pages. */
	munmap(memory + 4096, 4096);
	check(memory[2 * 4096] == part[0] - 1 && memory[0] == 0,
	      "mmap: a hole in it changes nothing");
	check(!can_be_pinned(memory), "mmap: its pages cannot be pinned");
	munmap(part, 2 * 4096);
	munmap(memory, 4096);
	munmap(memory + 2 * 4096, SIZE - 2 * 4096);
}

/* Pages come with the first touch, so a split before it must find its own too. */
static void test_split_before_touch(int fd)
{
	uint8_t *memory = map_memory(fd, SIZE, PROT_READ | PROT_WRITE);

	memory[5 * 4096] = 55;
	munmap(memory, SIZE);
	memory = map_memory(fd, SIZE, PROT_READ | PROT_WRITE);
	munmap(memory, 4 * 4096);
	check(memory[5 * 4096] == 55, "mmap: split before the first touch");
	munmap(memory + 4 * 4096, SIZE - 4 * 4096);

	memory = map_memory(fd, SIZE, PROT_READ | PROT_WRITE);
	memory = mremap(memory, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + 64 * SIZE);
	check(memory != MAP_FAILED && memory[5 * 4096] == 55, "mmap: moved before the first touch");
	if (memory == MAP_FAILED)
		return;
	check(mremap(memory, SIZE, 2 * SIZE, MREMAP_MAYMOVE) == MAP_FAILED,
	      "mmap: cannot be made longer");
	munmap(memory, SIZE);
}

static void test_read_only(uint64_t id, int fd)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ };
	struct dmabroker_buffer_query query = {};
	int ro = open_good(id, true);
	volatile uint8_t *writable = map_memory(fd, SIZE, PROT_READ | PROT_WRITE);
	volatile uint8_t *memory = map_memory(ro, SIZE, PROT_READ);

	writable[7] = 77;
	check(memory[7] == 77, "read-only: it is the same memory");
	query.fd = ro;
	check(call(DMABROKER_IOC_BUFFER_QUERY, &query) == 0 && query.buffer.id == id &&
		      query.flags == DMABROKER_OPEN_READ_ONLY,
	      "read-only: query tells");
	check((fcntl(ro, F_GETFL) & O_ACCMODE) == O_RDONLY, "read-only: the fd is O_RDONLY");
	check_errno(try_map(ro, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, 0), -EACCES,
		    "read-only: mmap for writing");
	check_errno(try_map(ro, SIZE, PROT_WRITE, MAP_SHARED, 0), -EACCES,
		    "read-only: mmap for writing alone");
	check_errno(try_map(ro, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0), -EINVAL,
		    "read-only: a private mapping");
	check_errno(mprotect((void *)memory, SIZE, PROT_READ | PROT_WRITE) ? -errno : 0, -EACCES,
		    "read-only: mprotect");
	check(write_faults(memory) == SIGSEGV, "read-only: a write is SIGSEGV");
	check(reopen(ro, O_RDWR) != 0, "read-only: cannot be reopened read-write through /proc");
	check(reopen(ro, O_RDONLY) != 0, "read-only: nor read-only");
	check(reopen(fd, O_RDWR) != 0, "nor can the read-write one");
	check(fcntl(ro, F_SETFL, O_RDWR) == 0 && (fcntl(ro, F_GETFL) & O_ACCMODE) == O_RDONLY,
	      "read-only: fcntl changes nothing");
	check_errno(ioctl(ro, DMA_BUF_IOCTL_SYNC, &sync) ? -errno : 0, 0,
		    "read-only: begin CPU access for reading");
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ;
	check_errno(ioctl(ro, DMA_BUF_IOCTL_SYNC, &sync) ? -errno : 0, 0,
		    "read-only: end CPU access for reading");
	sync.flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_WRITE;
	check_errno(ioctl(ro, DMA_BUF_IOCTL_SYNC, &sync) ? -errno : 0, -EACCES,
		    "read-only: begin CPU access for writing");
	check_errno(ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync) ? -errno : 0, 0,
		    "begin CPU access for writing");
	sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE;
	check_errno(ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync) ? -errno : 0, 0,
		    "end CPU access for writing");
	check(!can_be_pinned((void *)memory), "read-only: its pages cannot be pinned");

	munmap((void *)memory, SIZE);
	munmap((void *)writable, SIZE);
	close(ro);
}

/* "Really freed" is the last of everything that reaches the memory. */
static void test_lifetime(void)
{
	uint64_t id;
	int fd = alloc_good(SIZE, DMABROKER_KIND_COHERENT, 0, &id);
	uint8_t *memory = map_memory(fd, SIZE, PROT_READ | PROT_WRITE);
	int ro, rw, mapping_fd, path_fd;
	char path[64];

	memory[0] = 42;
	close(fd);
	sleep_ms(50);
	check(buffer_lives(id, NULL) && memory[0] == 42, "lives on in an mmap");
	ro = open_good(id, true);
	munmap(memory, SIZE);
	sleep_ms(50);
	check(buffer_lives(id, NULL), "lives on in a read-only fd");
	rw = open_good(id, false);
	close(ro);
	check((fcntl(rw, F_GETFL) & O_ACCMODE) == O_RDWR,
	      "can be opened read-write when only a read-only fd is left");
	mapping_fd = map_good(rw, &edus[1], DMABROKER_DIR_BIDIRECTIONAL);
	close(rw);
	sleep_ms(50);
	check(buffer_lives(id, NULL), "lives on in a mapping");
	rw = open_good(id, false);
	close(mapping_fd);
	memory = map_memory(rw, SIZE, PROT_READ);
	check(memory[0] == 42, "and has kept its contents");
	munmap(memory, SIZE);

	/* A name that is held without a file: the struct dma_buf outlives its file. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", rw);
	path_fd = open(path, O_PATH | O_CLOEXEC);
	if (path_fd < 0)
		die("O_PATH");
	close(rw);
	sleep_ms(50);
	check(buffer_lives(id, NULL), "lives on in an O_PATH descriptor");
	rw = open_good(id, false);
	memory = map_memory(rw, SIZE, PROT_READ);
	check(memory[0] == 42, "and can be opened beside it");
	munmap(memory, SIZE);
	close(rw);
	close(path_fd);
	check(buffer_goes(id), "is gone when all of them are");
}

void test_rights(void)
{
	static const struct {
		unsigned int kind;
		uint64_t attributes;
	} flavours[] = {
		{ DMABROKER_KIND_COHERENT, 0 },
		{ DMABROKER_KIND_WRITECOMBINE, DMABROKER_ATTR_FORCE_CONTIGUOUS },
		{ DMABROKER_KIND_COHERENT,
		  DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_KERNEL_MAPPING },
	};
	size_t i;

	for (i = 0; i < ARRAY_LENGTH(flavours); i++) {
		uint64_t id;
		int fd = alloc_good(SIZE, flavours[i].kind, flavours[i].attributes, &id);

		test_mmap(fd);
		test_split_before_touch(fd);
		test_read_only(id, fd);
		close(fd);
		check(buffer_goes(id), "gone");
	}
	test_lifetime();
}
