/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing attributes of /sys. Each write is one write(2), because the kernel takes each
 * as a whole value, and its result is the kernel's verdict.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/sysfs.h"

struct sysfs sysfs_default(void)
{
	const char *root = secure_getenv("DMABROKER_SYSFS");

	return (struct sysfs){ .root = root ? root : "/sys" };
}

static int full_path(const struct sysfs *sysfs, const char *path, char ret[static 4096])
{
	int length = snprintf(ret, 4096, "%s/%s", sysfs->root, path);

	return length < 4096 ? 0 : -ENAMETOOLONG;
}

bool sysfs_exists(const struct sysfs *sysfs, const char *path)
{
	char full[4096];

	return full_path(sysfs, path, full) == 0 && access(full, F_OK) == 0;
}

int sysfs_read(const struct sysfs *sysfs, const char *path, char ret[static SYSFS_TEXT_BYTES])
{
	char full[4096], text[SYSFS_TEXT_BYTES];
	ssize_t length;
	int fd, r;

	r = full_path(sysfs, path, full);
	if (r < 0)
		return r;
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	length = read(fd, text, sizeof(text) - 1);
	r = length < 0 ? -errno : 0;
	close(fd);
	if (r < 0)
		return r;
	text[length] = '\0';
	text[strcspn(text, "\n")] = '\0';
	memcpy(ret, text, sizeof(text));
	return 0;
}

int sysfs_write(const struct sysfs *sysfs, const char *path, const char *text)
{
	char full[4096];
	ssize_t length;
	int fd, r;

	r = full_path(sysfs, path, full);
	if (r < 0)
		return r;
	/* O_TRUNC means nothing to /sys; it keeps a test's plain files honest. */
	fd = open(full, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	length = write(fd, text, strlen(text));
	r = length < 0 ? -errno : (size_t)length < strlen(text) ? -EIO : 0;
	close(fd);
	if (r == 0 && sysfs->written)
		r = sysfs->written(sysfs, path, text);
	return r;
}

int sysfs_link(const struct sysfs *sysfs, const char *path, char ret[static SYSFS_TEXT_BYTES])
{
	char full[4096], target[4096];
	const char *name;
	ssize_t length;
	int r;

	r = full_path(sysfs, path, full);
	if (r < 0)
		return r;
	length = readlink(full, target, sizeof(target) - 1);
	if (length < 0 && errno != ENOENT)
		return -errno;
	target[length < 0 ? 0 : length] = '\0';
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	if (strlen(name) >= SYSFS_TEXT_BYTES)
		return -ENAMETOOLONG;
	strcpy(ret, name);
	return 0;
}
