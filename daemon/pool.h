/* SPDX-License-Identifier: MIT */
/* Buffers kept ready: memory that no client has ever seen, charged to the machine alone. */
#ifndef DMABROKER_POOL_H
#define DMABROKER_POOL_H

#include "daemon/broker.h"

int pool_new(struct broker *broker, struct pool **ret);

/* Gives back what is ready. Charges end here, whatever the backend has not yet reported. */
struct pool *pool_free(struct pool *pool);

/*
 * pool_take() - a ready buffer of exactly this size and kind
 * @ret_fd: the caller owns it
 *
 * Return: 0, or -ENOENT. The buffer's cookie is still the pool's.
 */
int pool_take(struct pool *pool, uint64_t size_bytes, enum wire_kind kind,
	      struct backend_buffer *ret, int *ret_fd);

/* Give everything ready back to the machine. Returns whether there was anything. */
bool pool_drain(struct pool *pool);

/* The backend says that a buffer which is not in the ledger is gone: perhaps it was the pool's. */
void pool_buffer_freed(struct pool *pool, uint64_t id);

#endif /* DMABROKER_POOL_H */
