// SPDX-License-Identifier: GPL-2.0
/*
 * Which account a device belongs to.
 *
 * What a user leaves in a device survives switching bus mastering off and on, and DMA addresses
 * repeat: the first mapping of the next user could wake a transfer of the last one, into memory
 * that is now somebody else's. A device therefore passes to another account only through a reset.
 * One that cannot be reset stays with its account until an administrator, who may know that it is
 * idle, releases it.
 *
 * The numbers mean nothing here but same or not the same.
 */
#include <linux/errno.h>
#include <linux/lockdep.h>

#include "device.h"
#include "events.h"
#include "registry.h"

static void account_set(struct dmab_device *device, u64 account)
{
	mutex_lock(&dmab_registry_lock);
	device->account = account;
	dmab_event_emit(DMABROKER_EVENT_DEVICE_CHANGED, device->id, 0);
	mutex_unlock(&dmab_registry_lock);
}

/**
 * dmab_account_admit() - may an account map something for a device
 * @device:  the device, its lock held
 * @account: not 0
 *
 * Resets the device if it belongs to another account; then it belongs to nobody.
 *
 * Return: 0, -EBUSY while another account has it mapped or the reset cannot be done right now,
 * -EPERM if it cannot be reset.
 */
int dmab_account_admit(struct dmab_device *device, u64 account)
{
	int err;

	lockdep_assert_held(&device->lock);

	if (!device->account || device->account == account)
		return 0;
	if (device->nr_mappings)
		return -EBUSY;
	if (!device->ops->can_reset(device->dev))
		return -EPERM;
	err = device->ops->reset(device->dev);
	if (err)
		return err == -EBUSY ? -EBUSY : -EPERM;

	account_set(device, 0);
	return 0;
}

/**
 * dmab_account_take() - an admitted account has mapped something for a device
 * @device:  the device, its lock held
 * @account: to which it belongs from now on
 */
void dmab_account_take(struct dmab_device *device, u64 account)
{
	lockdep_assert_held(&device->lock);

	if (device->account != account)
		account_set(device, account);
}

/**
 * dmab_account_release() - an administrator says that the next account may have the device
 * @device: the device
 *
 * Return: 0, -EBUSY while a mapping lives, -ENODEV.
 */
int dmab_account_release(struct dmab_device *device)
{
	int err = 0;

	mutex_lock(&device->lock);
	if (device->gone)
		err = -ENODEV;
	else if (device->nr_mappings)
		err = -EBUSY;
	else if (device->account)
		account_set(device, 0);
	mutex_unlock(&device->lock);
	return err;
}
