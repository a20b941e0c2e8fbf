/* SPDX-License-Identifier: MIT */
/* Which buffers this connection holds, as the broker counts: at most one hold of each. */
#ifndef DMABROKER_HOLD_H
#define DMABROKER_HOLD_H

#include "client-lib/src/broker.h"

/* All locked. */

/* One object more for this buffer. -ENOMEM: then the caller still has to hold_unwanted(). */
int hold_get(struct dmabroker *broker, uint64_t buffer_id);
/* One object less; the last one releases, if the memory may outlive one of them. */
void hold_put(struct dmabroker *broker, uint64_t buffer_id, bool outlives);
/* The broker granted a hold that no object stands for. */
void hold_unwanted(struct dmabroker *broker, uint64_t buffer_id);
/* An open has been answered, or never will be. */
void holds_opened(struct dmabroker *broker);
/* No open is under way: release what was parked. */
void holds_unpark(struct dmabroker *broker);
void holds_clear(struct dmabroker *broker);

#endif /* DMABROKER_HOLD_H */
