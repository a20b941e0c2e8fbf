/* SPDX-License-Identifier: MIT */
/*
 * Who a peer is: uid and pid from the socket, groups from the kernel (never from the user
 * database, which would ask the network and block), the unit from the peer's cgroup.
 *
 * A pid alone proves nothing: it may belong to somebody else by the time its cgroup is read. So
 * the pid is taken from a pidfd of the peer, and the pidfd is checked to be alive after reading:
 * as long as it was, the pid was not used again. Kernels before 6.5 have no pidfd for a peer;
 * there the unit is read all the same and marked as unverified, good to restrict with and never
 * to grant by.
 *
 * What is in no unit has another account than what is in one, and is in no unit's section of the
 * configuration. So nobody may get there by choice: a peer that let a child connect and end, or
 * that went so deep into cgroups that the kernel cannot name its own, is marked as evasive.
 *
 * A unit's name proves nothing either when a user can choose it: a user manager runs services by
 * any name, a container has an init of its own. Only the first unit below the root counts, which
 * the system manager made; everything below user-UID.slice is that user's, whatever it is called.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/cleanup.h"
#include "daemon/credentials.h"

/* Missing from the headers of Debian 12. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static int read_groups(int sock, struct credentials *credentials, gid_t primary)
{
	gid_t groups[CREDENTIALS_GROUPS_MAX];
	socklen_t bytes = sizeof(groups);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) < 0) {
		/* More groups than anybody has: those it has are not known, so it has none. */
		if (errno != ERANGE && errno != ENODATA && errno != ENOPROTOOPT)
			return -errno;
		bytes = 0;
	}
	credentials->groups = malloc(bytes + sizeof(gid_t));
	if (!credentials->groups)
		return -ENOMEM;
	credentials->groups[0] = primary;
	memcpy(credentials->groups + 1, groups, bytes);
	credentials->nr_groups = 1 + bytes / sizeof(gid_t);
	return 0;
}

/* A small file of procfs, NUL-terminated; longer ones are cut. */
static int read_proc(const char *path, char *ret, size_t ret_bytes)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, ret, ret_bytes - 1);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return 0;
}

/* -1: it exists no more; 0: it cannot be found out. */
static pid_t pidfd_pid(int pidfd)
{
	char path[64], text[512];
	const char *line;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	if (read_proc(path, text, sizeof(text)) < 0)
		return 0;
	line = strstr(text, "Pid:");
	return line ? (pid_t)strtol(line + 4, NULL, 10) : 0;
}

static bool pidfd_alive(int pidfd)
{
	struct pollfd pollfd = { .fd = pidfd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 0;
}

static void read_unit(int sock, struct credentials *credentials)
{
	_cleanup_fd_ int pidfd = -1;
	char path[64], text[4096];
	pid_t pid = credentials->pid;
	socklen_t bytes = sizeof(pidfd);
	int fd = -1, r;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &fd, &bytes) == 0)
		pidfd = fd;
	else if (errno != ENOPROTOOPT && errno != EMFILE && errno != ENFILE && errno != ENOMEM)
		credentials->evasive = true; /* it exists no more */
	if (pidfd >= 0)
		pid = pidfd_pid(pidfd);
	if (pidfd >= 0 && pid < 0)
		credentials->evasive = true; /* likewise */
	if (pid <= 0 || credentials->evasive)
		return;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	r = read_proc(path, text, sizeof(text));
	if ((pidfd >= 0 && !pidfd_alive(pidfd)) || r == -ENAMETOOLONG) {
		credentials->evasive = true;
		return;
	}
	if (r < 0)
		return;
	credentials_parse_cgroup(text, credentials->unit);
	credentials->unit_verified = pidfd >= 0;
}

int credentials_read(int sock, struct credentials *ret)
{
	struct credentials credentials = { 0 };
	struct ucred ucred;
	socklen_t bytes = sizeof(ucred);
	int r;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &ucred, &bytes) < 0)
		return -errno;
	credentials.uid = ucred.uid;
	credentials.pid = ucred.pid;
	r = read_groups(sock, &credentials, ucred.gid);
	if (r < 0)
		return r;
	read_unit(sock, &credentials);
	*ret = credentials;
	return 0;
}

void credentials_fini(struct credentials *credentials)
{
	free(credentials->groups);
	*credentials = (struct credentials){ 0 };
}

static bool ends_with(const char *text, size_t bytes, const char *suffix)
{
	size_t suffix_bytes = strlen(suffix);

	return bytes > suffix_bytes &&
	       memcmp(text + bytes - suffix_bytes, suffix, suffix_bytes) == 0;
}

static bool is_unit(const char *name, size_t bytes)
{
	static const char *const suffixes[] = { ".service", ".scope", ".socket",
						".mount",   ".swap",  ".slice" };

	for (size_t i = 0; i < bytes; i++)
		if (name[i] <= 0x20 || name[i] > 0x7e)
			return false;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (ends_with(name, bytes, suffixes[i]))
			return true;
	return false;
}

/* Is it "user-NUMBER.slice"? */
static bool is_user_slice(const char *name, size_t bytes)
{
	size_t prefix = strlen("user-");
	size_t digits = 0;

	if (bytes <= prefix || memcmp(name, "user-", prefix) != 0)
		return false;
	while (prefix + digits < bytes && name[prefix + digits] >= '0' &&
	       name[prefix + digits] <= '9')
		digits++;
	return digits > 0 && bytes - prefix - digits == strlen(".slice") &&
	       ends_with(name, bytes, ".slice");
}

static void unit_copy(const char *name, size_t bytes, char ret_unit[static UNIT_SIZE])
{
	static const uint64_t key[2] = { 0x6c6f6e67756e6974ull, 0x6e616d6573686173ull };

	if (bytes < UNIT_SIZE)
		snprintf(ret_unit, UNIT_SIZE, "%.*s", (int)bytes, name);
	else
		snprintf(ret_unit, UNIT_SIZE, "%.*s~%016llx", UNIT_SIZE - 18, name,
			 (unsigned long long)siphash(key, name, bytes));
}

static bool parse_path(const char *path, char ret_unit[static UNIT_SIZE])
{
	bool below_user_slice = false;
	unsigned int depth = 0;

	/* "/.." is a cgroup outside of our own namespace: its names are not the manager's. */
	for (; *path == '/'; depth++) {
		const char *name = path + 1;
		size_t bytes = strcspn(name, "/\n");

		/* systemd puts a "_" before names that cgroupfs would mistake for its own. */
		if (bytes && name[0] == '_') {
			name++;
			bytes--;
		}
		if (!is_unit(name, bytes))
			return false;
		if (depth == 1 && below_user_slice && is_user_slice(name, bytes)) {
			unit_copy(name, bytes, ret_unit);
			return true;
		}
		if (!ends_with(name, bytes, ".slice")) {
			unit_copy(name, bytes, ret_unit);
			return true;
		}
		below_user_slice = depth == 0 && bytes == strlen("user.slice") &&
				   memcmp(name, "user.slice", bytes) == 0;
		path = name + bytes;
	}
	return false;
}

void credentials_parse_cgroup(const char *text, char ret_unit[static UNIT_SIZE])
{
	ret_unit[0] = '\0';
	/* The unified hierarchy, or systemd's own beside version 1 controllers. */
	for (const char *line = text; line; line = strchr(line, '\n')) {
		static const char named[] = ":name=systemd:";
		size_t number;

		line += *line == '\n';
		number = strspn(line, "0123456789");
		if (strncmp(line, "0::", 3) == 0 && parse_path(line + 3, ret_unit))
			return;
		if (strncmp(line + number, named, strlen(named)) == 0 &&
		    parse_path(line + number + strlen(named), ret_unit))
			return;
	}
}
