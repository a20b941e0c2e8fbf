// SPDX-License-Identifier: GPL-2.0
/*
 * Live objects by id.
 *
 * An object gets its id before it exists for anybody else, so that the id can be part of the reply
 * to user space, and becomes visible only when the reply has been delivered and nothing can fail
 * any more. The place in the set is reserved with the id: publishing needs no memory.
 *
 * The sets hold no references. An object removes itself as the last act of its life; until then
 * whoever finds it must take a reference only if there is one left to take.
 */
#include "registry.h"

#include <linux/err.h>
#include <linux/lockdep.h>

/* Of the sets, and of all that a list shows; the order of locks is in registry.h. */
DEFINE_MUTEX(dmab_registry_lock);
struct dmab_set dmab_buffers = { .entries = XARRAY_INIT(dmab_buffers.entries, 0) };
struct dmab_set dmab_mappings = { .entries = XARRAY_INIT(dmab_mappings.entries, 0) };
struct dmab_set dmab_devices = { .entries = XARRAY_INIT(dmab_devices.entries, 0) };

/**
 * dmab_set_reserve() - give an object its id
 * @set:    which objects
 * @ret_id: the id
 *
 * Return: 0 or -ENOMEM.
 */
int dmab_set_reserve(struct dmab_set *set, u64 *ret_id)
{
	u64 id;
	int err;

	mutex_lock(&dmab_registry_lock);
	id = ++set->last_id;
	mutex_unlock(&dmab_registry_lock);

	err = xa_reserve(&set->entries, id, GFP_KERNEL);
	if (err)
		return err;

	*ret_id = id;
	return 0;
}

/**
 * dmab_set_cancel() - give back the place of an object that was never published
 * @set: which objects
 * @id:  from dmab_set_reserve()
 */
void dmab_set_cancel(struct dmab_set *set, u64 id)
{
	xa_release(&set->entries, id);
}

/**
 * dmab_set_publish() - make an object visible
 * @set:   which objects
 * @id:    from dmab_set_reserve()
 * @entry: the object
 */
void dmab_set_publish(struct dmab_set *set, u64 id, void *entry)
{
	lockdep_assert_held(&dmab_registry_lock);
	xa_store(&set->entries, id, entry, GFP_KERNEL);
	set->count++;
}

/**
 * dmab_set_remove() - an object is gone
 * @set: which objects
 * @id:  of a published object
 */
void dmab_set_remove(struct dmab_set *set, u64 id)
{
	lockdep_assert_held(&dmab_registry_lock);
	xa_erase(&set->entries, id);
	set->count--;
}

/**
 * dmab_set_find() - look a published object up
 * @set: which objects
 * @id:  of the object
 *
 * Return: the object, without a reference, or NULL.
 */
void *dmab_set_find(struct dmab_set *set, u64 id)
{
	lockdep_assert_held(&dmab_registry_lock);
	return xa_load(&set->entries, id);
}
