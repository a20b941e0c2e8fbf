/* SPDX-License-Identifier: GPL-2.0 */
/* /dev/dmabroker; see chardev.c. */
#ifndef DMABROKER_CHARDEV_H
#define DMABROKER_CHARDEV_H

int dmab_chardev_init(void);
void dmab_chardev_fini(void);

#endif /* DMABROKER_CHARDEV_H */
