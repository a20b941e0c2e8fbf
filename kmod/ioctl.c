// SPDX-License-Identifier: GPL-2.0
/*
 * Size-first ioctls.
 *
 * Each struct begins with its size as the caller knows it, so structs can grow without new ioctl
 * numbers: a smaller one is filled up with zeroes, a bigger one is accepted as long as its unknown
 * tail is zero. The number is compared without the size that _IOWR() puts into it, or a bigger
 * struct would be another ioctl.
 *
 * Handlers reply themselves instead of having the dispatcher copy on success, because an ioctl
 * that gives out a file descriptor must install it after the reply has been copied: an fd that
 * another thread can already use cannot be taken back.
 */
#include "ioctl.h"

#include <linux/ioctl.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

static const struct dmab_op *op_find(const struct dmab_op *ops, size_t nr_ops, unsigned int cmd)
{
	const unsigned int mask = ~(_IOC_SIZEMASK << _IOC_SIZESHIFT);
	size_t i;

	for (i = 0; i < nr_ops; i++)
		if ((ops[i].cmd & mask) == (cmd & mask))
			return &ops[i];
	return NULL;
}

/**
 * dmab_ioctl() - serve one ioctl
 * @ops:     the table
 * @nr_ops:  its rows
 * @context: for the handler
 * @cmd:     as user space gave it
 * @user:    the address of the struct
 *
 * Return: what the handler returns, -ENOTTY, -EINVAL for a size below what the op needs, -E2BIG for
 * a bigger struct with something unknown in it, -EFAULT, -ENOMEM.
 */
long dmab_ioctl(const struct dmab_op *ops, size_t nr_ops, void *context, unsigned int cmd,
		unsigned long user)
{
	const struct dmab_op *op = op_find(ops, nr_ops, cmd);
	struct dmab_request request = { .context = context, .user = (void __user *)user };
	u32 user_size;
	long ret;

	if (!op)
		return -ENOTTY;
	if (get_user(user_size, (u32 __user *)request.user))
		return -EFAULT;
	if (user_size < op->min_size)
		return -EINVAL;
	if (user_size > PAGE_SIZE)
		return -E2BIG;

	request.arg = kmalloc(op->known_size, GFP_KERNEL);
	if (!request.arg)
		return -ENOMEM;
	request.reply_size = min_t(size_t, user_size, op->known_size);

	ret = copy_struct_from_user(request.arg, op->known_size, request.user, user_size);
	if (ret == 0) {
		/* Read again by the copy: another thread may have changed it, and it is echoed. */
		*(u32 *)request.arg = user_size;
		ret = op->handler(&request);
	}

	kfree(request.arg);
	return ret;
}

/**
 * dmab_request_reply() - copy the struct back
 * @request: whose @arg is complete
 *
 * Return: 0 or -EFAULT.
 */
int dmab_request_reply(const struct dmab_request *request)
{
	if (copy_to_user(request->user, request->arg, request->reply_size))
		return -EFAULT;
	return 0;
}
