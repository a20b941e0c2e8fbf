// SPDX-License-Identifier: GPL-2.0
/*
 * dmabroker-pci: the driver of PCI devices that user space drives.
 *
 * It has no table of ids, so it takes no device by itself: an administrator names it in the
 * device's driver_override. It enables the device and never requests its regions, because the
 * kernel refuses user mappings of regions that a driver has requested. Bus mastering is off but
 * while a mapping exists.
 *
 * Bound devices have the attributes dmabroker/streaming_mask_bits, dmabroker/coherent_mask_bits,
 * dmabroker/account and dmabroker/reason.
 */
#include "pci.h"

#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sysfs.h>

#include "device.h"
#include "sysfs.h"

static struct pci_driver stub;

static void pci_master_on(struct device *dev)
{
	pci_set_master(to_pci_dev(dev));
}

/*
 * Reading back makes sure that the write has arrived. What the device had started by then is on its
 * way to memory: it is waited for.
 */
static void pci_master_off(struct device *dev)
{
	struct pci_dev *pdev = to_pci_dev(dev);
	u16 command;

	pci_clear_master(pdev);
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	if (PCI_POSSIBLE_ERROR(command))
		return; /* unplugged: it cannot do anything any more */
	if (!pci_wait_for_pending_transaction(pdev))
		pci_warn(pdev,
			 "transactions are still pending after bus mastering was turned off\n");
}

static bool pci_can_reset(struct device *dev)
{
	/* What pci_reset_supported() looks at, which is the PCI core's own. */
	return to_pci_dev(dev)->reset_methods[0];
}

/* Not pci_reset_function(): it waits for the lock under which remove() waits for the caller. */
static int pci_reset(struct device *dev)
{
	int err = pci_try_reset_function(to_pci_dev(dev));

	return err == -EAGAIN ? -EBUSY : err;
}

static bool pci_is_ours(struct device *dev)
{
	if (!dev_is_pci(dev))
		return false;
	/* Bridges only pass on what others start. */
	return pci_is_bridge(to_pci_dev(dev)) || READ_ONCE(dev->driver) == &stub.driver;
}

static const struct dmab_device_ops pci_device_ops = {
	.bus = "pci",
	.master_on = pci_master_on,
	.master_off = pci_master_off,
	.can_reset = pci_can_reset,
	.reset = pci_reset,
	.is_ours = pci_is_ours,
};

static int stub_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct dmab_device *device;
	int err;

	err = pci_enable_device(pdev);
	if (err)
		return err;
	pci_clear_master(pdev);

	err = dmab_device_register(&pdev->dev, &pci_device_ops, &device);
	if (err) {
		pci_disable_device(pdev);
		return err;
	}
	pci_set_drvdata(pdev, device);
	return 0;
}

static void stub_remove(struct pci_dev *pdev)
{
	dmab_device_unregister(pci_get_drvdata(pdev));
	pci_disable_device(pdev);
}

static struct pci_driver stub = {
	.name = "dmabroker-pci",
	.probe = stub_probe,
	.remove = stub_remove,
	.dev_groups = dmab_sysfs_groups,
};

/**
 * dmab_pci_init() - the stub driver can be bound
 *
 * Return: 0 or -errno.
 */
int dmab_pci_init(void)
{
	return pci_register_driver(&stub);
}

/**
 * dmab_pci_fini() - all devices are unbound
 */
void dmab_pci_fini(void)
{
	pci_unregister_driver(&stub);
}
