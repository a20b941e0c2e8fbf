// SPDX-License-Identifier: MIT
/*
 * The memory of a simulated buffer: a sealed memfd.
 *
 * Nobody ever gets the file description that memfd_create() made. Each fd that leaves, and our
 * own, is opened anew through /proc/self/fd, for three reasons: a read-only one really is
 * read-only; the kernel reports its close, of the last dup and the last mmap, to inotify; and it
 * is counted where a lease looks, so that "does anybody else have this open" has an exact answer
 * (sim_memfd_sole()). The mode is 0600 because a read-only fd could otherwise be reopened for
 * writing through /proc by anybody; it still can by the broker's own uid, which is one reason why
 * the broker has a uid of its own.
 *
 * The size is sealed and every page is there before anybody sees the fd, so touching the memory
 * never ends in SIGBUS because the machine had promised more than it has.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/backend/sim.h"
#include "proto/cleanup.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008u
#endif

#define STEP_BYTES (64ull << 20)

static int memfd_make(void)
{
	int fd = memfd_create("dmabroker", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* before 6.3 */
		fd = memfd_create("dmabroker", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? -errno : fd;
}

/* In steps, so that a signal costs one step and not all that was done so far. */
static int memfd_fill(int fd, uint64_t size_bytes)
{
	uint64_t done = 0;

	while (done < size_bytes) {
		uint64_t step = size_bytes - done < STEP_BYTES ? size_bytes - done : STEP_BYTES;

		if (fallocate(fd, 0, (off_t)done, (off_t)step) == 0)
			done += step;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/**
 * sim_memfd_new() - make zeroed memory of a fixed size
 * @size_bytes: a multiple of the page size
 * @ret_fd:     read-write. Not to be given out: give out what sim_memfd_reopen() makes of it
 *
 * Return: 0, or -errno.
 */
int sim_memfd_new(uint64_t size_bytes, int *ret_fd)
{
	_cleanup_fd_ int fd = -1, own = -1;
	int r;

	fd = memfd_make();
	if (fd < 0)
		return fd;
	if (fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)size_bytes) < 0)
		return -errno;
	r = memfd_fill(fd, size_bytes);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	r = sim_memfd_reopen(fd, O_RDWR, &own);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(own);
	return 0;
}

/* Another file description of the same memory. */
int sim_memfd_reopen(int fd, int flags, int *ret_fd)
{
	char path[32];
	int new_fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	new_fd = open(path, flags | O_CLOEXEC);
	if (new_fd < 0)
		return -errno;
	*ret_fd = new_fd;
	return 0;
}

/* Report closes to @inotify_fd. Return: the watch, or -errno. */
int sim_memfd_watch(int fd, int inotify_fd)
{
	char path[32];
	int watch;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	watch = inotify_add_watch(inotify_fd, path, IN_CLOSE);
	return watch < 0 ? -errno : watch;
}

/**
 * sim_memfd_sole() - is @fd's the only file description of its memory
 * @fd: read-write, made by sim_memfd_new()
 *
 * A write lease is granted only if nobody else has the file open, for reading or for writing; an
 * mmap counts, because it keeps its file description. The lease is dropped at once. Should
 * somebody open the memory in between, the kernel announces that by a signal, which by default
 * would be one that kills: ask for one that is ignored.
 *
 * Return: 1 if it is, 0 if not, or -errno.
 */
int sim_memfd_sole(int fd)
{
	if (fcntl(fd, F_SETSIG, SIGWINCH) < 0)
		return -errno;
	if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (fcntl(fd, F_SETLEASE, F_UNLCK) < 0)
		return -errno;
	return 1;
}

/*
 * Give the pages back now. Closing the last description would do it too, were it not for fds
 * opened with O_PATH: they grant nothing, are counted nowhere, and keep the file alive.
 */
int sim_memfd_empty(int fd, uint64_t size_bytes)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)size_bytes) < 0)
		return -errno;
	return 0;
}
