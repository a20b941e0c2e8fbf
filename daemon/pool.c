/* SPDX-License-Identifier: MIT */
/*
 * The warm pool. Making a buffer costs several times what handing one over costs, so some are
 * made in advance. Freed buffers never come back here: what one client has seen no other client
 * gets.
 *
 * Filling up competes with the requests it is meant to speed up. So it waits until no request has
 * come for a moment, and then makes one buffer at a time at the lowest priority; as long as
 * requests keep coming, an empty pool costs them nothing but a comparison. After a failure it
 * waits longer: a full machine has better uses for its memory.
 *
 * Ready buffers count against the machine's total only, and are given up first when that is full.
 */
#include <errno.h>
#include <stdlib.h>

#include "proto/cleanup.h"
#include "daemon/core/cookie.h"
#include "daemon/log.h"
#include "daemon/pool.h"

#define QUIET_MS   5
#define FAILURE_MS 1000

/* Made, and not with a client. On its way back to the machine it has no fd any more. */
struct ready {
	struct charge charge;
	struct backend_buffer buffer;
	int fd;
	LIST_ENTRY(ready) link; /* shelf->ready, or pool->leaving */
};

struct shelf {
	struct pool_config config;
	unsigned int nr;
	LIST_HEAD(, ready) ready;
};

struct pool {
	struct broker *broker;
	struct event *timer;
	bool armed;
	uint64_t nr_requests_seen;
	unsigned int nr_shelves;
	struct shelf shelves[CONFIG_POOLS_MAX];
	LIST_HEAD(, ready) leaving;
};

static void arm(struct pool *pool, unsigned int delay_ms)
{
	pool->armed = true;
	pool->nr_requests_seen = pool->broker->nr_requests;
	event_add(pool->timer, &(struct timeval){ .tv_sec = delay_ms / 1000,
						  .tv_usec = delay_ms % 1000 * 1000 });
}

static struct ready *ready_free(struct ready *ready)
{
	fd_close(ready->fd);
	charge_release(&ready->charge);
	LIST_REMOVE(ready, link);
	free(ready);
	return NULL;
}

static int make_one(struct pool *pool, struct shelf *shelf)
{
	const struct amounts want = { .of[QUOTA_BYTES] = shelf->config.size_bytes };
	const struct cookie cookie = { .flags = COOKIE_POOL };
	struct broker *broker = pool->broker;
	struct backend_alloc alloc = {
		.size_bytes = shelf->config.size_bytes,
		.kind = shelf->config.kind,
		.direction = WIRE_DIR_BIDIRECTIONAL,
	};
	_cleanup_buf_ struct ready *ready = calloc(1, sizeof(*ready));
	struct backend_failure failure;
	int r;

	if (!ready)
		return -ENOMEM;
	/* Never the last of it: clients' requests go first. */
	if (broker->ledger->bytes > broker->ledger->bytes_limit / 2)
		return -EDQUOT;
	r = charge_take(&ready->charge, broker->ledger, NULL, &want, &want, NULL);
	if (r < 0)
		return r;
	cookie_write(&cookie, alloc.cookie);
	r = broker->backend->ops->buffer_alloc(broker->backend, &alloc, &ready->buffer, &ready->fd,
					       &failure);
	if (r < 0) {
		charge_release(&ready->charge);
		return r;
	}
	LIST_INSERT_HEAD(&shelf->ready, ready, link);
	shelf->nr++;
	TAKE_PTR(ready);
	return 0;
}

static struct shelf *shelf_to_fill(struct pool *pool)
{
	for (unsigned int i = 0; i < pool->nr_shelves; i++)
		if (pool->shelves[i].nr < pool->shelves[i].config.nr)
			return &pool->shelves[i];
	return NULL;
}

static void on_quiet(evutil_socket_t fd, short what, void *userdata)
{
	struct pool *pool = userdata;
	struct shelf *shelf = shelf_to_fill(pool);
	int r;

	pool->armed = false;
	if (!shelf)
		return;
	if (pool->broker->nr_requests != pool->nr_requests_seen) {
		arm(pool, QUIET_MS);
		return;
	}
	r = make_one(pool, shelf);
	if (r < 0)
		log_line(LOG_DEBUG, "no ready buffer of %llu bytes could be made (%d)",
			 (unsigned long long)shelf->config.size_bytes, -r);
	/* Between two buffers the loop looks at everything else. */
	if (r < 0 || shelf_to_fill(pool))
		arm(pool, r < 0 ? FAILURE_MS : 0);
}

int pool_new(struct broker *broker, struct pool **ret)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	pool->broker = broker;
	pool->nr_shelves = broker->config->nr_pools;
	for (unsigned int i = 0; i < pool->nr_shelves; i++) {
		uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
		struct shelf *shelf = &pool->shelves[i];

		shelf->config = broker->config->pools[i];
		shelf->config.size_bytes = (shelf->config.size_bytes + page - 1) / page * page;
		LIST_INIT(&shelf->ready);
	}
	LIST_INIT(&pool->leaving);
	pool->timer = evtimer_new(broker->base, on_quiet, pool);
	if (!pool->timer) {
		free(pool);
		return -ENOMEM;
	}
	event_priority_set(pool->timer, PRIORITY_IDLE);
	if (shelf_to_fill(pool))
		arm(pool, QUIET_MS);
	*ret = pool;
	return 0;
}

struct pool *pool_free(struct pool *pool)
{
	if (!pool)
		return NULL;
	for (unsigned int i = 0; i < pool->nr_shelves; i++)
		while (!LIST_EMPTY(&pool->shelves[i].ready))
			ready_free(LIST_FIRST(&pool->shelves[i].ready));
	while (!LIST_EMPTY(&pool->leaving))
		ready_free(LIST_FIRST(&pool->leaving));
	event_free(pool->timer);
	free(pool);
	return NULL;
}

int pool_take(struct pool *pool, uint64_t size_bytes, enum wire_kind kind,
	      struct backend_buffer *ret, int *ret_fd)
{
	for (unsigned int i = 0; i < pool->nr_shelves; i++) {
		struct shelf *shelf = &pool->shelves[i];
		struct ready *ready = LIST_FIRST(&shelf->ready);

		if (!ready || shelf->config.kind != kind || shelf->config.size_bytes != size_bytes)
			continue;
		*ret = ready->buffer;
		*ret_fd = TAKE_FD(ready->fd);
		shelf->nr--;
		ready_free(ready);
		if (!pool->armed)
			arm(pool, QUIET_MS);
		return 0;
	}
	return -ENOENT;
}

bool pool_drain(struct pool *pool)
{
	bool any = false;

	for (unsigned int i = 0; i < pool->nr_shelves; i++) {
		struct shelf *shelf = &pool->shelves[i];
		struct ready *ready;

		while ((ready = LIST_FIRST(&shelf->ready))) {
			LIST_REMOVE(ready, link);
			LIST_INSERT_HEAD(&pool->leaving, ready, link);
			ready->fd = fd_close(ready->fd);
			shelf->nr--;
			any = true;
		}
	}
	if (any)
		arm(pool, FAILURE_MS);
	return any;
}

void pool_buffer_freed(struct pool *pool, uint64_t id)
{
	struct ready *ready, *next;

	for (ready = LIST_FIRST(&pool->leaving); ready; ready = next) {
		next = LIST_NEXT(ready, link);
		if (ready->buffer.id == id)
			ready_free(ready);
	}
}
