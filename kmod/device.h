/* SPDX-License-Identifier: GPL-2.0 */
/* Devices that buffers can be mapped for; see device.c. */
#ifndef DMABROKER_DEVICE_H
#define DMABROKER_DEVICE_H

#include <linux/device.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include <linux/dmabroker.h>

struct dmab_device;
struct iommu_group;

/**
 * struct dmab_device_ops - what a bus knows of its devices
 * @bus:           its name in lists and the prefix of names
 * @master_on:     let the device start transactions
 * @master_off:    stop it and wait until those under way have arrived
 * @can_reset:     can it be reset on its own
 * @reset:         do it; called with no mapping alive. 0, -EBUSY if somebody else is at it, -errno
 * @is_ours:       is this other device, of the same IOMMU group, bound to the same stub, or
 *                 something that cannot start transactions of its own
 */
struct dmab_device_ops {
	const char *bus;
	void (*master_on)(struct device *dev);
	void (*master_off)(struct device *dev);
	bool (*can_reset)(struct device *dev);
	int (*reset)(struct device *dev);
	bool (*is_ours)(struct device *dev);
};

/**
 * struct dmab_device - a device that a stub driver is bound to, or "system"
 * @ref:      one for the stub and one for each mapping
 * @ops:      of its bus
 * @dev:      the device; not to be touched once @gone, and NULL for "system"
 * @id:       its id
 * @name:     as in lists
 * @group:    its IOMMU group, NULL without an IOMMU; a reference, until it is unregistered
 * @coherent: it snoops the CPU caches
 * @iommu:    an IOMMU translates for it
 * @lock:     of all that follows. What lists show is written under dmab_registry_lock too
 * @gone:     the stub has let go of it
 * @mappings: of struct dmab_mapping
 * @nr_mappings: how many
 * @unmapped_at: when the last one went, in jiffies
 * @master:   bus mastering is on
 * @streaming_bits: address bits it drives in mappings
 * @coherent_bits:  and for coherent memory
 * @account:  who has used it since its last reset, 0 for nobody
 * @reason:   why it is not usable, empty if it is
 */
struct dmab_device {
	struct kref ref;
	const struct dmab_device_ops *ops;
	struct device *dev;
	u64 id;
	char name[DMABROKER_DEVICE_NAME_SIZE];
	struct iommu_group *group;
	bool coherent;
	bool iommu;
	struct mutex lock; /* of what follows */
	bool gone;
	struct list_head mappings;
	u64 nr_mappings;
	unsigned long unmapped_at;
	bool master;
	unsigned int streaming_bits;
	unsigned int coherent_bits;
	u64 account;
	char reason[DMABROKER_REASON_SIZE];
};

int dmab_device_init_system(void);
void dmab_device_fini_system(void);
int dmab_device_register(struct device *dev, const struct dmab_device_ops *ops,
			 struct dmab_device **ret);
void dmab_device_unregister(struct dmab_device *device);
void dmab_device_put(struct dmab_device *device);
struct dmab_device *dmab_device_by_id(u32 id);
bool dmab_device_is_system(const struct dmab_device *device);
bool dmab_device_is_usable(const struct dmab_device *device);
unsigned int dmab_device_narrow_bits(const struct dmab_device *device);
int dmab_device_set_masks(struct dmab_device *device, unsigned int streaming_bits,
			  unsigned int coherent_bits);
void dmab_device_add_mapping(struct dmab_device *device, struct list_head *link);
void dmab_device_quiesce(struct dmab_device *device);
void dmab_device_remove_mapping(struct dmab_device *device, struct list_head *link);
void dmab_device_describe(const struct dmab_device *device, struct dmabroker_device *ret);

int dmab_account_enter(struct dmab_device *device, u64 account, bool *ret_entered);
void dmab_account_leave(struct dmab_device *device);
int dmab_account_release(struct dmab_device *device);

#endif /* DMABROKER_DEVICE_H */
