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
 * Devices of one IOMMU group share one address space, in which each reaches what is mapped for the
 * others. They belong to one account at a time, all of them.
 *
 * The numbers mean nothing here but same or not the same.
 */
#include <linux/errno.h>
#include <linux/lockdep.h>

#include "device.h"
#include "events.h"
#include "registry.h"

static bool group_allows(const struct dmab_device *device, u64 account)
{
	struct dmab_device *other;
	unsigned long id;

	lockdep_assert_held(&dmab_registry_lock);

	if (!device->group)
		return true;
	xa_for_each(&dmab_devices.entries, id, other)
		if (other->group == device->group && other->account && other->account != account)
			return false;
	return true;
}

static int account_set(struct dmab_device *device, u64 account)
{
	int err = 0;

	mutex_lock(&dmab_registry_lock);
	if (account && !group_allows(device, account)) {
		err = -EPERM;
	} else {
		device->account = account;
		dmab_event_emit(DMABROKER_EVENT_DEVICE_CHANGED, device->id, 0);
	}
	mutex_unlock(&dmab_registry_lock);
	return err;
}

/**
 * dmab_account_enter() - an account is about to map something for a device
 * @device:      the device, its lock held
 * @account:     not 0
 * @ret_entered: it belonged to nobody before, or to another account and has been reset
 *
 * Return: 0 if the device belongs to the account now, -EBUSY while another one has it mapped or
 * the reset cannot be done right now, -EPERM if it cannot be reset or another device of its IOMMU
 * group belongs to another account.
 */
int dmab_account_enter(struct dmab_device *device, u64 account, bool *ret_entered)
{
	int err;

	lockdep_assert_held(&device->lock);

	*ret_entered = false;
	if (device->account == account)
		return 0;
	if (device->account) {
		if (device->nr_mappings)
			return -EBUSY;
		if (!device->ops->can_reset(device->dev))
			return -EPERM;
		err = device->ops->reset(device->dev);
		if (err)
			return err == -EBUSY ? -EBUSY : -EPERM;
		account_set(device, 0);
	}
	err = account_set(device, account);
	*ret_entered = !err;
	return err;
}

/**
 * dmab_account_leave() - nothing came of it, and the device has not been touched
 * @device: the device, its lock held
 */
void dmab_account_leave(struct dmab_device *device)
{
	lockdep_assert_held(&device->lock);
	account_set(device, 0);
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
