/* SPDX-License-Identifier: GPL-2.0 */
/* Size-first ioctls as a table; see ioctl.c. */
#ifndef DMABROKER_IOCTL_H
#define DMABROKER_IOCTL_H

#include <linux/types.h>

/**
 * struct dmab_request - one ioctl being served
 * @context: whatever the file is: a mapping, or nothing
 * @arg:     the struct as this module knows it, zeroes for what the caller does not know
 * @user:    where the caller has it
 * @reply_size: how much of it goes back
 */
struct dmab_request {
	void *context;
	void *arg;
	void __user *user;
	size_t reply_size;
};

/**
 * struct dmab_op - a row of the table
 * @cmd:        DMABROKER_IOC_*
 * @min_size:   up to the last field that the op cannot do without
 * @known_size: sizeof the struct
 * @handler:    checks reserved fields, does it, replies with dmab_request_reply()
 */
struct dmab_op {
	unsigned int cmd;
	size_t min_size;
	size_t known_size;
	int (*handler)(struct dmab_request *request);
};

#define DMAB_OP(_cmd, _struct, _last_needed, _handler)                              \
	{                                                                           \
		.cmd = _cmd, .min_size = offsetofend(struct _struct, _last_needed), \
		.known_size = sizeof(struct _struct), .handler = _handler,          \
	}

long dmab_ioctl(const struct dmab_op *ops, size_t nr_ops, void *context, unsigned int cmd,
		unsigned long user);
int dmab_request_reply(const struct dmab_request *request);

#endif /* DMABROKER_IOCTL_H */
