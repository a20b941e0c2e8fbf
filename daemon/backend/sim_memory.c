// SPDX-License-Identifier: MIT
/*
 * How much memory the machine can give without hurting anybody.
 *
 * Filling a memfd on a full machine calls the OOM killer, and a limit on our own cgroup kills us.
 * So the kernel is asked first: what it calls available, less a reserve, and what is left below
 * the limit of every cgroup we are in. Asking takes longer than making a small buffer, so each
 * answer is good for an eighth of what it left over, or a second, whichever ends first.
 *
 * This is no accounting: others take memory at the same time. The quota on the machine's total is
 * the promise; this turns the rest into refusals.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/backend/sim.h"
#include "proto/cleanup.h"

#define CGROUP_ROOT	  "/sys/fs/cgroup"
#define LOOK_AGAIN_MS	  1000
#define RESERVE_SHARE	  16
#define RESERVE_MAX_BYTES (512ull << 20)

/* A whole small file as a string. Return: bytes, or -errno. */
static ssize_t file_read(const char *path, char *buf, size_t bytes)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, bytes - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return n;
}

/* The number behind "@key " at the start of a line. */
static bool line_number(const char *text, const char *key, uint64_t *ret)
{
	size_t length = strlen(key);

	while (text) {
		if (strncmp(text, key, length) == 0)
			return sscanf(text + length, "%" SCNu64, ret) == 1;
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return false;
}

void sim_memory_init(struct sim_memory *memory)
{
	char buf[4096], *path, *end;

	*memory = (struct sim_memory){ 0 };
	if (file_read("/proc/self/cgroup", buf, sizeof(buf)) < 0)
		return;
	path = strstr(buf, "0::/");
	if (!path || (path != buf && path[-1] != '\n'))
		return;
	path += strlen("0::");
	end = strchr(path, '\n');
	if (end)
		*end = '\0';
	if (strlen(path) < sizeof(memory->cgroup))
		strcpy(memory->cgroup, path);
}

/* Bytes left below the limit of one cgroup; UINT64_MAX when it has none. */
static uint64_t cgroup_left(const char *folder)
{
	uint64_t limit, current, cache = 0;
	char path[512], buf[4096];

	snprintf(path, sizeof(path), CGROUP_ROOT "%s/memory.max", folder);
	if (file_read(path, buf, sizeof(buf)) < 0 || sscanf(buf, "%" SCNu64, &limit) != 1)
		return UINT64_MAX; /* "max", or the root, or no such controller */
	snprintf(path, sizeof(path), CGROUP_ROOT "%s/memory.current", folder);
	if (file_read(path, buf, sizeof(buf)) < 0 || sscanf(buf, "%" SCNu64, &current) != 1)
		return UINT64_MAX;
	snprintf(path, sizeof(path), CGROUP_ROOT "%s/memory.stat", folder);
	if (file_read(path, buf, sizeof(buf)) >= 0)
		line_number(buf, "inactive_file ", &cache);
	if (current > cache)
		current -= cache;
	else
		current = 0;
	return limit > current ? limit - current : 0;
}

static uint64_t cgroups_left(const char *cgroup)
{
	uint64_t least = UINT64_MAX;
	char folder[256];
	char *slash;

	snprintf(folder, sizeof(folder), "%s", cgroup);
	while ((slash = strrchr(folder, '/')) && slash[1]) {
		uint64_t left = cgroup_left(folder);

		if (left < least)
			least = left;
		*slash = '\0';
	}
	return least;
}

/* What can be taken now, the reserve already off. */
static int bytes_left(const struct sim_memory *memory, uint64_t *ret)
{
	uint64_t total_kib, available_kib, reserve, left, least;
	char buf[4096];
	ssize_t n;

	n = file_read("/proc/meminfo", buf, sizeof(buf));
	if (n < 0)
		return (int)n;
	if (!line_number(buf, "MemTotal:", &total_kib) ||
	    !line_number(buf, "MemAvailable:", &available_kib))
		return -EIO;
	reserve = total_kib * 1024 / RESERVE_SHARE;
	if (reserve > RESERVE_MAX_BYTES)
		reserve = RESERVE_MAX_BYTES;
	left = available_kib * 1024;
	left = left > reserve ? left - reserve : 0;
	least = cgroups_left(memory->cgroup);
	least -= least / RESERVE_SHARE;
	*ret = least < left ? least : left;
	return 0;
}

/**
 * sim_memory_take() - may this be taken without endangering the machine?
 * @memory:         what is known
 * @size_bytes:     how much
 * @ret_most_bytes: how much may be; filled with -ENOMEM
 *
 * Return: 0, -ENOMEM, or -errno when it cannot be found out.
 */
int sim_memory_take(struct sim_memory *memory, uint64_t size_bytes, uint64_t *ret_most_bytes)
{
	uint64_t now = sim_now_mono_ms(), left;
	int r;

	if (size_bytes <= memory->granted_bytes && now - memory->looked_mono_ms < LOOK_AGAIN_MS) {
		memory->granted_bytes -= size_bytes;
		return 0;
	}
	memory->granted_bytes = 0;
	r = bytes_left(memory, &left);
	if (r < 0)
		return r;
	memory->looked_mono_ms = now;
	if (size_bytes > left) {
		*ret_most_bytes = left;
		return -ENOMEM;
	}
	memory->granted_bytes = (left - size_bytes) / 8;
	return 0;
}
