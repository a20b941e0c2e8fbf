/* SPDX-License-Identifier: GPL-2.0 */
/* Attributes of bound devices, for whichever bus; see sysfs.c. */
#ifndef DMABROKER_SYSFS_H
#define DMABROKER_SYSFS_H

#include <linux/sysfs.h>

extern const struct attribute_group *dmab_sysfs_groups[];

#endif /* DMABROKER_SYSFS_H */
