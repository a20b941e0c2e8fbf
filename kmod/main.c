// SPDX-License-Identifier: GPL-2.0
/*
 * dmabroker.ko: memory for devices, given out as file descriptors.
 *
 * This module is the privileged end of dmabrokerd, which holds /dev/dmabroker and decides who gets
 * what. The module only does what it is asked and cleans up after everybody: a buffer is a dma-buf,
 * a mapping is an fd, and when the last one is closed, by whoever, for whatever reason, what it
 * stood for is gone.
 *
 *	chardev.c, ioctl.c, list.c    /dev/dmabroker
 *	events.c, registry.c          what lives, what happened; the order of locks is in registry.h
 *	buffer.c, exporter.c          buffers, and their dma-bufs
 *	memory.c, pages.c,            where memory comes from
 *	  contiguous.c, system.c
 *	device.c, account.c, sysfs.c  devices, and whose they are
 *	pci.c                         the stub driver that binds them
 *	mapping.c, mapping_fd.c,      buffers mapped for devices
 *	  dma.c
 *	compat/                       older kernels
 */
#include <linux/init.h>
#include <linux/module.h>

#include "chardev.h"
#include "compat/compat.h"
#include "device.h"
#include "events.h"
#include "pci.h"
#include "system.h"

static int __init dmabroker_init(void)
{
	int err;

	err = dmab_events_init();
	if (err)
		return err;
	err = dmab_system_init();
	if (err)
		goto err_events;
	err = dmab_device_init_system();
	if (err)
		goto err_system;
	err = dmab_pci_init();
	if (err)
		goto err_device;
	err = dmab_chardev_init();
	if (err)
		goto err_pci;
	return 0;

err_pci:
	dmab_pci_fini();
err_device:
	dmab_device_fini_system();
err_system:
	dmab_system_fini();
err_events:
	dmab_events_fini();
	return err;
}

/* No fd of the module is open, or it could not be unloaded: there is no buffer and no mapping. */
static void __exit dmabroker_exit(void)
{
	dmab_chardev_fini();
	dmab_pci_fini();
	dmab_device_fini_system();
	dmab_system_fini();
	dmab_events_fini();
}

module_init(dmabroker_init);
module_exit(dmabroker_exit);

MODULE_DESCRIPTION("DMA memory for user space, under the policy of dmabrokerd");
MODULE_LICENSE("GPL");
DMAB_IMPORT_DMA_BUF();
