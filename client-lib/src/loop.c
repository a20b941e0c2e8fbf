/* SPDX-License-Identifier: MIT */
/*
 * Waiting: for event loops, and for threads that block.
 *
 * One of the threads that wait polls the socket, with the lock given up; the others sleep on
 * handed_over. Whoever reads (that thread, or a dispatch) ends the requests the replies are for,
 * whosever they are, and wakes: the sleepers through the condition, the one that polls through
 * wake_fd, since a poll() does not notice that another has read what it waited for. When the one
 * that polls has what it wanted, one of the sleepers takes its place.
 *
 * An event loop gets an epoll set that holds the socket and kick_fd. The latter says that there
 * is something for dispatch that the socket does not tell: callbacks due because another thread
 * read their reply, or an earlier deadline than the loop was told of.
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "client-lib/src/call.h"
#include "client-lib/src/request.h"

static void signal_fd(int fd)
{
	/* Full means it is readable already. */
	eventfd_write(fd, 1);
}

static void drain_fd(int fd)
{
	eventfd_t value;

	eventfd_read(fd, &value);
}

void loop_kick(struct dmabroker *broker)
{
	if (broker->epoll_fd >= 0 && !broker->dispatching)
		signal_fd(broker->kick_fd);
}

void loop_wake(struct dmabroker *broker)
{
	if (broker->nr_waiters == 0)
		return;
	if (broker->polling)
		signal_fd(broker->wake_fd);
	pthread_cond_broadcast(&broker->handed_over);
}

static int timeout_ms_until(uint64_t deadline_mono_us)
{
	uint64_t now, ms;

	if (deadline_mono_us == UINT64_MAX)
		return -1;
	now = now_mono_us();
	if (deadline_mono_us <= now)
		return 0;
	/* Up, so that the deadline has passed when the time is over. */
	ms = (deadline_mono_us - now + 999) / 1000;
	return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

/* Poll for the others too. The lock is given up meanwhile. */
static void poll_once(struct dmabroker *broker, const struct dmabroker_request *request)
{
	uint64_t deadline_mono_us = request->deadline_mono_us;
	struct pollfd fds[2] = { { .fd = broker->wake_fd, .events = POLLIN },
				 { .fd = -1, .events = POLLIN } };

	if (broker->link == LINK_UP) {
		fds[1].fd = broker->sock;
		if (!TAILQ_EMPTY(&broker->outbox))
			fds[1].events |= POLLOUT;
	} else if (broker->link == LINK_CONNECTING && broker->next_try_mono_us < deadline_mono_us) {
		deadline_mono_us = broker->next_try_mono_us;
	}
	broker->polling = true;
	pthread_mutex_unlock(&broker->lock);
	poll(fds, 2, timeout_ms_until(deadline_mono_us));
	pthread_mutex_lock(&broker->lock);
	broker->polling = false;
	if (fds[0].revents)
		drain_fd(broker->wake_fd);
	link_io(broker, request);
}

static void sleep_once(struct dmabroker *broker, uint64_t deadline_mono_us)
{
	struct timespec until = { .tv_sec = (time_t)(deadline_mono_us / 1000000),
				  .tv_nsec = (long)(deadline_mono_us % 1000000) * 1000 };

	if (deadline_mono_us == UINT64_MAX)
		pthread_cond_wait(&broker->handed_over, &broker->lock);
	else
		pthread_cond_timedwait(&broker->handed_over, &broker->lock, &until);
}

int loop_wait(struct dmabroker *broker, struct dmabroker_request *request)
{
	broker->nr_waiters++;
	while (!request->ended) {
		if (request->deadline_mono_us <= now_mono_us())
			request_fail(request, -ETIMEDOUT, NULL);
		else if (broker->polling)
			sleep_once(broker, request->deadline_mono_us);
		else
			poll_once(broker, request);
	}
	broker->nr_waiters--;
	/* One of those left takes over. */
	if (broker->nr_waiters > 0 && !broker->polling)
		pthread_cond_broadcast(&broker->handed_over);
	return request->result;
}

void link_watch(struct dmabroker *broker)
{
	struct epoll_event event = { .events = EPOLLIN };

	if (broker->epoll_fd < 0 || broker->link == LINK_CONNECTING)
		return;
	if (broker->link == LINK_LOST) {
		epoll_ctl(broker->epoll_fd, EPOLL_CTL_DEL, broker->sock, NULL);
		return;
	}
	if (!TAILQ_EMPTY(&broker->outbox))
		event.events |= EPOLLOUT;
	if (epoll_ctl(broker->epoll_fd, EPOLL_CTL_MOD, broker->sock, &event) < 0)
		epoll_ctl(broker->epoll_fd, EPOLL_CTL_ADD, broker->sock, &event);
}

static int epoll_new(struct dmabroker *broker)
{
	_cleanup_fd_ int epoll_fd = -1;
	_cleanup_fd_ int kick_fd = -1;
	struct epoll_event event = { .events = EPOLLIN };

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		return -errno;
	/* Readable from birth: whatever came before is looked at once. */
	kick_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	if (kick_fd < 0)
		return -errno;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, kick_fd, &event) < 0)
		return -errno;
	if (broker->link == LINK_UP) {
		if (!TAILQ_EMPTY(&broker->outbox))
			event.events |= EPOLLOUT;
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, broker->sock, &event) < 0)
			return -errno;
	}
	broker->kick_fd = TAKE_FD(kick_fd);
	broker->epoll_fd = TAKE_FD(epoll_fd);
	return 0;
}

int dmabroker_get_fd(struct dmabroker *broker)
{
	int r = broker_enter(broker);

	if (r < 0)
		return r;
	if (broker->epoll_fd < 0)
		r = epoll_new(broker);
	if (r == 0)
		r = broker->epoll_fd;
	broker_leave(broker);
	return r < 0 ? fail(r, NULL) : r;
}

int dmabroker_get_events(struct dmabroker *broker)
{
	return broker_is_mine(broker) ? POLLIN : fail(-ECHILD, NULL);
}

int dmabroker_get_timeout_ms(struct dmabroker *broker)
{
	struct dmabroker_request *first;
	uint64_t deadline = UINT64_MAX;
	int r;

	r = broker_enter(broker);
	if (r < 0)
		return r;
	first = TAILQ_FIRST(&broker->pending);
	if (first)
		deadline = first->deadline_mono_us;
	if (broker->link == LINK_CONNECTING && broker->next_try_mono_us < deadline)
		deadline = broker->next_try_mono_us;
	broker->announced_mono_us = deadline;
	if (!TAILQ_EMPTY(&broker->done) || !TAILQ_EMPTY(&broker->events))
		deadline = 0;
	broker_leave(broker);
	return timeout_ms_until(deadline);
}

int dmabroker_dispatch(struct dmabroker *broker)
{
	int r = broker_enter(broker);

	if (r < 0)
		return r;
	if (broker->dispatching) {
		broker_leave(broker);
		return fail(-EBUSY, NULL);
	}
	dmabroker_ref(broker); /* a callback may give up the caller's */
	broker->dispatching = true;
	if (broker->kick_fd >= 0)
		drain_fd(broker->kick_fd);
	link_io(broker, NULL);
	requests_expire(broker);
	requests_deliver(broker);
	events_deliver(broker);
	broker->dispatching = false;
	if (!TAILQ_EMPTY(&broker->done) || !TAILQ_EMPTY(&broker->events))
		loop_kick(broker);
	else if (broker->link == LINK_LOST)
		r = -ENOTCONN;
	broker_leave(broker);
	dmabroker_unref(broker);
	return r < 0 ? fail(r, NULL) : 0;
}
