/* SPDX-License-Identifier: MIT */
/*
 * libevent drives sd-bus. sd-bus wants three things of an event loop: to be called when its fd is
 * ready for what get_events() names, to be called at the absolute time get_timeout() names (the
 * deadlines of its calls, or "now" while messages are queued inside it, which no fd shows), and to
 * be asked for both again after every call, because each call changes them.
 *
 * Everything sd-bus sends is sent from its own callbacks, hence from dispatch(), hence followed by
 * rearm(). Whoever would send from elsewhere has to add a way to rearm.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/bus_internal.h"
#include "proto/cleanup.h"

/* So many messages, then the clients on the socket have their turn. */
#define MESSAGES_AT_ONCE 32

struct bus_loop {
	struct event_base *base;
	sd_bus *connection;
	void (*ended)(void *userdata, int error);
	void *userdata;
	struct event *io;
	struct event *timer;
	short armed; /* EV_* of @io */
};

static uint64_t now_mono_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void on_ready(evutil_socket_t fd, short what, void *userdata);

static int rearm_io(struct bus_loop *loop)
{
	int events = sd_bus_get_events(loop->connection);
	int fd = sd_bus_get_fd(loop->connection);
	short wanted = EV_PERSIST;

	if (events < 0)
		return events;
	if (fd < 0)
		return fd;
	if (events & POLLIN)
		wanted |= EV_READ;
	if (events & POLLOUT)
		wanted |= EV_WRITE;
	if (wanted == loop->armed)
		return 0;
	event_del(loop->io);
	loop->armed = 0;
	if (event_assign(loop->io, loop->base, fd, wanted, on_ready, loop) < 0 ||
	    event_add(loop->io, NULL) < 0)
		return -ENOMEM;
	loop->armed = wanted;
	return 0;
}

static int rearm_timer(struct bus_loop *loop)
{
	uint64_t deadline_mono_us, now_us, left_us;
	struct timeval left;
	int r;

	r = sd_bus_get_timeout(loop->connection, &deadline_mono_us);
	if (r < 0)
		return r;
	if (deadline_mono_us == UINT64_MAX) {
		event_del(loop->timer);
		return 0;
	}
	now_us = now_mono_us();
	left_us = deadline_mono_us > now_us ? deadline_mono_us - now_us : 0;
	left.tv_sec = left_us / 1000000;
	left.tv_usec = left_us % 1000000;
	return event_add(loop->timer, &left) < 0 ? -ENOMEM : 0;
}

static int rearm(struct bus_loop *loop)
{
	int r;

	r = rearm_io(loop);
	if (r < 0)
		return r;
	return rearm_timer(loop);
}

static int dispatch(struct bus_loop *loop)
{
	int i, r;

	for (i = 0; i < MESSAGES_AT_ONCE; i++) {
		r = sd_bus_process(loop->connection, NULL);
		if (r < 0)
			return r;
		if (r == 0)
			break;
	}
	if (sd_bus_is_open(loop->connection) <= 0)
		return -ECONNRESET;
	return rearm(loop);
}

static void on_ready(evutil_socket_t fd, short what, void *userdata)
{
	struct bus_loop *loop = userdata;
	int r;

	r = dispatch(loop);
	if (r < 0) {
		event_del(loop->io);
		event_del(loop->timer);
		loop->ended(loop->userdata, r);
	}
}

int bus_loop_new(struct event_base *base, sd_bus *connection,
		 void (*ended)(void *userdata, int error), void *userdata, struct bus_loop **ret)
{
	struct bus_loop *loop;
	int r;

	loop = calloc(1, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	loop->base = base;
	loop->connection = connection;
	loop->ended = ended;
	loop->userdata = userdata;
	loop->io = event_new(base, -1, 0, on_ready, loop);
	loop->timer = evtimer_new(base, on_ready, loop);
	r = loop->io && loop->timer ? rearm(loop) : -ENOMEM;
	if (r < 0) {
		bus_loop_free(loop);
		return r;
	}
	*ret = loop;
	return 0;
}

struct bus_loop *bus_loop_free(struct bus_loop *loop)
{
	if (!loop)
		return NULL;
	if (loop->io)
		event_free(loop->io);
	if (loop->timer)
		event_free(loop->timer);
	free(loop);
	return NULL;
}
