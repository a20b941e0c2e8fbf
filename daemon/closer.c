/* SPDX-License-Identifier: MIT */
/*
 * Closing what strangers sent.
 *
 * Whoever can send a message can put any fd into it, and close its own copy: then ours is the last
 * one, and what close() does is for the sender to choose. A TCP socket with SO_LINGER and unsent
 * data waits for as long as its l_linger says; a file of a FUSE file system waits for the answer of
 * a server that may be the sender's. It makes no difference whether the message was read: closing a
 * socket closes what lies unread in it.
 *
 * So such fds are closed in a thread of their own, one for each connection at most: the connection
 * is not read meanwhile and stays charged, which bounds both the threads and the fds. Lingering is
 * turned off first, which makes the common case short. A socket is read to its end there, so that
 * lingering can be turned off for what lies in it, too.
 *
 * A thread touches its job and nothing else of the daemon. It outlives the closer if it must.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "proto/cleanup.h"
#include "daemon/broker.h"
#include "daemon/closer.h"

#define STACK_BYTES (64 * 1024)

struct job {
	struct closer *closer;
	void (*done)(void *userdata);
	void *userdata;
	int sock;
	struct packet packet;
	STAILQ_ENTRY(job) link;
};

/* nr_refs, gone and finished are under the lock. */
struct closer {
	pthread_mutex_t lock;
	unsigned int nr_refs; /* one of the broker, one of each thread */
	bool gone;
	STAILQ_HEAD(, job) finished;
	int wake_fd;
	struct event *event;
};

static void closer_unref(struct closer *closer)
{
	bool last;

	pthread_mutex_lock(&closer->lock);
	last = --closer->nr_refs == 0;
	pthread_mutex_unlock(&closer->lock);
	if (!last)
		return;
	fd_close(closer->wake_fd);
	pthread_mutex_destroy(&closer->lock);
	free(closer);
}

static void on_finished(evutil_socket_t fd, short what, void *userdata)
{
	struct closer *closer = userdata;
	uint64_t count;
	struct job *job;

	/* It only wakes; the list says what there is. */
	if (read(closer->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	for (;;) {
		pthread_mutex_lock(&closer->lock);
		job = STAILQ_FIRST(&closer->finished);
		if (job)
			STAILQ_REMOVE_HEAD(&closer->finished, link);
		pthread_mutex_unlock(&closer->lock);
		if (!job)
			return;
		job->done(job->userdata);
		free(job);
	}
}

int closer_new(struct event_base *base, struct closer **ret)
{
	struct closer *closer = calloc(1, sizeof(*closer));

	if (!closer)
		return -ENOMEM;
	pthread_mutex_init(&closer->lock, NULL);
	closer->nr_refs = 1;
	STAILQ_INIT(&closer->finished);
	closer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (closer->wake_fd >= 0)
		closer->event =
			event_new(base, closer->wake_fd, EV_READ | EV_PERSIST, on_finished, closer);
	if (!closer->event || event_priority_set(closer->event, PRIORITY_CONTROL) < 0 ||
	    event_add(closer->event, NULL) < 0) {
		closer_free(closer);
		return -ENOMEM;
	}
	*ret = closer;
	return 0;
}

struct closer *closer_free(struct closer *closer)
{
	struct job *job;

	if (!closer)
		return NULL;
	if (closer->event)
		event_free(closer->event);
	pthread_mutex_lock(&closer->lock);
	closer->gone = true;
	while ((job = STAILQ_FIRST(&closer->finished))) {
		STAILQ_REMOVE_HEAD(&closer->finished, link);
		free(job);
	}
	pthread_mutex_unlock(&closer->lock);
	closer_unref(closer);
	return NULL;
}

bool closer_needed(const struct packet *packet)
{
	for (unsigned int i = 0; i < packet->nr_fds; i++)
		if (packet->fds[i] >= 0)
			return true;
	return false;
}

static void close_fds(struct packet *packet)
{
	const struct linger off = { 0 };

	for (unsigned int i = 0; i < packet->nr_fds; i++)
		if (packet->fds[i] >= 0) /* what is no socket does not linger */
			(void)setsockopt(packet->fds[i], SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	packet_fini(packet);
}

void closer_now(struct packet *packet, int sock)
{
	close_fds(packet);
	if (sock < 0)
		return;
	/* It is shut down, so this has an end. */
	while (packet_recv(packet, sock, MSG_DONTWAIT) > 0)
		close_fds(packet);
	fd_close(sock);
}

static void *job_run(void *userdata)
{
	struct job *job = userdata;
	struct closer *closer = job->closer;
	const uint64_t one = 1;
	bool gone;

	closer_now(&job->packet, job->sock);

	pthread_mutex_lock(&closer->lock);
	gone = closer->gone;
	if (!gone)
		STAILQ_INSERT_TAIL(&closer->finished, job, link);
	pthread_mutex_unlock(&closer->lock);
	if (gone)
		free(job);
	/* If that fails, the count is full, and it is awake already. */
	else
		(void)!write(closer->wake_fd, &one, sizeof(one));
	closer_unref(closer);
	return NULL;
}

/* Signals are for the event loop. */
static int thread_start(struct job *job)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int error;

	error = pthread_attr_init(&attr);
	if (error)
		return -error;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attr, job_run, job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return -error;
}

int closer_run(struct closer *closer, struct packet *packet, int sock, void (*done)(void *userdata),
	       void *userdata)
{
	struct job *job = malloc(sizeof(*job));
	int r = -ENOMEM;

	if (job) {
		job->closer = closer;
		job->done = done;
		job->userdata = userdata;
		job->sock = sock;
		job->packet = *packet;
		pthread_mutex_lock(&closer->lock);
		closer->nr_refs++;
		pthread_mutex_unlock(&closer->lock);
		r = thread_start(job);
		if (r < 0) {
			closer_unref(closer);
			free(job);
		}
	}
	if (r < 0)
		closer_now(packet, sock);
	packet->nr_fds = 0;
	return r;
}
