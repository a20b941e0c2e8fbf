// SPDX-License-Identifier: GPL-2.0
/*
 * What an administrator can say of a bound device, in the directory "dmabroker" of the device.
 *
 * The driver data of a bound device is its struct dmab_device. The driver core creates these files
 * after probe() and removes them, waiting for whoever is in one, before remove(): the device is
 * there as long as a function of this file runs.
 */
#include "sysfs.h"

#include <linux/device.h>
#include <linux/kstrtox.h>

#include "device.h"

static int parse_bits(const char *text, unsigned int *ret)
{
	unsigned int bits;
	int err;

	err = kstrtouint(text, 0, &bits);
	if (err)
		return err;
	if (bits < 1 || bits > 64)
		return -EINVAL;
	*ret = bits;
	return 0;
}

static ssize_t streaming_mask_bits_show(struct device *dev, struct device_attribute *attr,
					char *text)
{
	struct dmab_device *device = dev_get_drvdata(dev);

	return sysfs_emit(text, "%u\n", READ_ONCE(device->streaming_bits));
}

static ssize_t streaming_mask_bits_store(struct device *dev, struct device_attribute *attr,
					 const char *text, size_t size)
{
	unsigned int bits;
	int err;

	err = parse_bits(text, &bits);
	if (!err)
		err = dmab_device_set_masks(dev_get_drvdata(dev), bits, 0);
	return err ?: size;
}
static DEVICE_ATTR_RW(streaming_mask_bits);

static ssize_t coherent_mask_bits_show(struct device *dev, struct device_attribute *attr,
				       char *text)
{
	struct dmab_device *device = dev_get_drvdata(dev);

	return sysfs_emit(text, "%u\n", READ_ONCE(device->coherent_bits));
}

static ssize_t coherent_mask_bits_store(struct device *dev, struct device_attribute *attr,
					const char *text, size_t size)
{
	unsigned int bits;
	int err;

	err = parse_bits(text, &bits);
	if (!err)
		err = dmab_device_set_masks(dev_get_drvdata(dev), 0, bits);
	return err ?: size;
}
static DEVICE_ATTR_RW(coherent_mask_bits);

static ssize_t account_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct dmab_device *device = dev_get_drvdata(dev);

	return sysfs_emit(text, "%llu\n", READ_ONCE(device->account));
}

/* Writing 0 releases the device: the administrator knows that nothing goes on in it. */
static ssize_t account_store(struct device *dev, struct device_attribute *attr, const char *text,
			     size_t size)
{
	u64 account;
	int err;

	err = kstrtou64(text, 0, &account);
	if (!err && account)
		err = -EINVAL;
	if (!err)
		err = dmab_account_release(dev_get_drvdata(dev));
	return err ?: size;
}
static DEVICE_ATTR_RW(account);

/* Empty if the device can be used. Whoever sets a mask learns here what came of it. */
static ssize_t reason_show(struct device *dev, struct device_attribute *attr, char *text)
{
	struct dmab_device *device = dev_get_drvdata(dev);
	ssize_t size;

	mutex_lock(&device->lock);
	size = sysfs_emit(text, "%s\n", device->reason);
	mutex_unlock(&device->lock);
	return size;
}
static DEVICE_ATTR_RO(reason);

static struct attribute *device_attrs[] = {
	&dev_attr_streaming_mask_bits.attr,
	&dev_attr_coherent_mask_bits.attr,
	&dev_attr_account.attr,
	&dev_attr_reason.attr,
	NULL,
};

static const struct attribute_group device_group = {
	.name = "dmabroker",
	.attrs = device_attrs,
};

const struct attribute_group *dmab_sysfs_groups[] = { &device_group, NULL };
