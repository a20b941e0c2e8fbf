/* SPDX-License-Identifier: MIT */
/* Buffers the user holds or is about to. */
#ifndef DMABROKER_BUFFER_INTERNAL_H
#define DMABROKER_BUFFER_INTERNAL_H

#include <stdatomic.h>

#include "client-lib/src/broker.h"

struct dmabroker_buffer {
	struct dmabroker *broker; /* a reference once the user has the buffer */
	int fd;
	atomic_bool outlives; /* somebody may keep the memory after this object is gone */
	struct wire_buffer wire;
	struct dmabroker_buffer_info info; /* points into @wire */
};

/*
 * Locked. Make the object for a hold the broker granted. Takes @fd, also on failure; on failure
 * the hold is given back too.
 */
int buffer_new(struct dmabroker *broker, const struct wire_buffer *wire, int fd,
	       struct dmabroker_buffer **ret);
/* Not locked. Close, release, free; not the user's reference on the broker. */
struct dmabroker_buffer *buffer_release(struct dmabroker_buffer *buffer);

#endif /* DMABROKER_BUFFER_INTERNAL_H */
