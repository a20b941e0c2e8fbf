/* SPDX-License-Identifier: MIT */
/* The PCI part of /sys, as binding a device needs it. */
#ifndef CLI_SYSFS_H
#define CLI_SYSFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYSFS_STUB_DRIVER "dmabroker-pci"
#define SYSFS_TEXT_BYTES  256

/**
 * struct sysfs - where it is
 * @root:    "/sys", or a tree of a test's own
 * @written: NULL, or called after each write with the path below @root. Here a test plays the
 *           kernel. What it returns is what the write gives
 * @context: for @written
 */
struct sysfs {
	const char *root;
	int (*written)(const struct sysfs *sysfs, const char *path, const char *text);
	void *context;
};

/* "/sys", or what DMABROKER_SYSFS says (for tests). */
struct sysfs sysfs_default(void);

/* Does @path (below the root) exist. */
bool sysfs_exists(const struct sysfs *sysfs, const char *path);

/* The first line of a file. 0 or -errno. */
int sysfs_read(const struct sysfs *sysfs, const char *path, char ret[static SYSFS_TEXT_BYTES]);

/* Writes @text in one piece. 0 or -errno. */
int sysfs_write(const struct sysfs *sysfs, const char *path, const char *text);

/* The last part of what a symbolic link points to; empty when there is no link. 0 or -errno. */
int sysfs_link(const struct sysfs *sysfs, const char *path, char ret[static SYSFS_TEXT_BYTES]);

#endif /* CLI_SYSFS_H */
