/* SPDX-License-Identifier: MIT */
/*
 * The connection object and the parts it is made of.
 *
 * Lock order: there is one lock, struct dmabroker.lock, and it is a leaf: no callback, no poll()
 * and no destructor that could take it again runs under it. Functions below that say "locked"
 * want it held.
 *
 * References: struct dmabroker.refs counts the user's own, one for each buffer and mapping the
 * user holds, and one for each request the user holds. What only the library holds (requests
 * nobody keeps, results nobody has taken) counts nothing, so that it cannot keep a connection
 * alive that nobody can reach.
 */
#ifndef DMABROKER_BROKER_H
#define DMABROKER_BROKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "client-lib/src/fail.h"
#include "dmabroker/dmabroker.h"
#include "proto/cleanup.h"
#include "proto/packet.h"

struct call;
struct event;
struct hold;

TAILQ_HEAD(call_list, call);
TAILQ_HEAD(event_list, event);
TAILQ_HEAD(hold_list, hold);
TAILQ_HEAD(request_list, dmabroker_request);

enum link_state {
	LINK_CONNECTING, /* connect() has yet to succeed */
	LINK_UP,
	LINK_LOST,
};

/* Names of devices that were asked for lately. Ids never change, so only an event ends this. */
#define DEVICE_CACHE_SIZE 16

struct device_cache {
	struct {
		char name[WIRE_DEVICE_NAME_SIZE];
		uint32_t id;
	} entries[DEVICE_CACHE_SIZE];
	unsigned int nr;
	unsigned int next;
};

struct dmabroker {
	atomic_uint refs;
	pid_t pid; /* whose this is; a forked child differs */
	uid_t uid; /* as the broker saw it */
	unsigned int process; /* the same, cheaper to ask; 0: unknown */
	pthread_mutex_t lock;

	/* link.c */
	enum link_state link;
	int sock;
	char *socket_path;
	uint64_t next_try_mono_us; /* while CONNECTING */
	uint64_t try_pause_us;
	bool hello_done;
	struct wire_hello_reply hello;
	struct dmabroker_info info;

	/* call.c: one message each */
	uint32_t last_serial;
	struct call_list outbox; /* not sent yet, the oldest first */
	struct call_list in_flight; /* await a reply, the oldest first */

	/* request.c: one operation of the user each */
	uint64_t timeout_us;
	struct request_list pending; /* by deadline; without those a thread waits for itself */
	struct request_list done; /* their callbacks are due */
	struct request_list dead; /* freed when the lock is given up */

	/* loop.c */
	int epoll_fd; /* -1 until somebody asks for it */
	int kick_fd; /* in epoll_fd: dispatch has something to do */
	int wake_fd; /* for the thread that polls: look again */
	bool polling; /* a waiting thread polls the socket; others wait for handed_over */
	bool dispatching;
	unsigned int nr_waiters;
	uint64_t announced_mono_us; /* the deadline an event loop knows of */
	pthread_cond_t handed_over;

	/* event.c */
	struct event_list events;
	unsigned int nr_events;
	dmabroker_event_fn event_handler;
	void *event_userdata;
	dmabroker_log_fn log_handler;
	void *log_userdata;

	/* hold.c */
	struct hold *holds; /* by id of the buffer */
	struct hold_list parked;
	unsigned int nr_opening; /* opens whose reply is not there yet */

	struct device_cache devices;
};

/* broker.c */
int broker_new(struct dmabroker **ret);
bool broker_is_mine(const struct dmabroker *broker);
/* Take the lock; -ECHILD (and a refusal) in a forked child. */
int broker_enter(struct dmabroker *broker);
/* Give it up and free what died under it. */
void broker_leave(struct dmabroker *broker);
uint64_t now_mono_us(void);

/* link.c, locked */
/* Send and read what there is; for a thread that waits no further than @until, which may be NULL. */
void link_io(struct dmabroker *broker, const struct dmabroker_request *until);
void link_lost(struct dmabroker *broker, int error, const char *text);
void link_watch(struct dmabroker *broker);

/* loop.c, locked */
void loop_kick(struct dmabroker *broker);
void loop_wake(struct dmabroker *broker);
int loop_wait(struct dmabroker *broker, struct dmabroker_request *request);

/* event.c, locked */
void event_received(struct dmabroker *broker, const struct packet *packet);
void event_disconnected(struct dmabroker *broker, int error);
/* Deliver all that are there now; gives the lock up meanwhile. */
void events_deliver(struct dmabroker *broker);
void events_clear(struct dmabroker *broker);
void broker_log(struct dmabroker *broker, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* names.c, locked */
void device_cache_clear(struct device_cache *cache);

#endif /* DMABROKER_BROKER_H */
