/* SPDX-License-Identifier: MIT */
/*
 * The connection object: made, counted, taken apart. See broker.h for the lock and for who holds
 * references.
 *
 * A forked child finds a copy of all this, of which only the file descriptors are shared with the
 * parent. So in a child nothing may be sent, nothing received and no epoll set changed; and the
 * lock may be held by a thread that the child does not have. The child therefore never takes it:
 * every way in asks broker_is_mine() first, and taking a child's copy apart closes the file
 * descriptors and leaves the rest alone.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "client-lib/src/broker.h"
#include "client-lib/src/call.h"
#include "client-lib/src/hold.h"
#include "client-lib/src/request.h"

uint64_t now_mono_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/*
 * Every call asks whether it runs in the process that connected, so the answer must not cost a
 * system call: a page that the kernel empties in a child, however it was forked, holds the
 * process's number. The first connection of a child gives the child a number of its own.
 */
static pthread_once_t process_once = PTHREAD_ONCE_INIT;
static atomic_uint *process_page; /* NULL: the kernel cannot, compare pids */
static atomic_uint process_last;

static void process_init(void)
{
	size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return;
	if (madvise(page, bytes, MADV_WIPEONFORK) < 0)
		munmap(page, bytes);
	else
		process_page = page;
}

static unsigned int process_number(void)
{
	unsigned int none = 0;

	pthread_once(&process_once, process_init);
	if (!process_page)
		return 0;
	/* Of several threads one number stays; the others are never seen. */
	if (atomic_load(process_page) == 0)
		atomic_compare_exchange_strong(process_page, &none,
					       atomic_fetch_add(&process_last, 1) + 1);
	return atomic_load(process_page);
}

bool broker_is_mine(const struct dmabroker *broker)
{
	if (broker->process == 0)
		return broker->pid == getpid();
	return atomic_load_explicit(process_page, memory_order_relaxed) == broker->process;
}

static void broker_destroy(struct dmabroker *broker)
{
	struct dmabroker_request *request;
	bool mine = broker_is_mine(broker);

	fd_close(broker->epoll_fd);
	fd_close(broker->kick_fd);
	fd_close(broker->wake_fd);
	fd_close(broker->sock);
	if (mine) {
		/* Nothing of this can be sent any more, and nobody can look at it. */
		broker->link = LINK_LOST;
		calls_clear(broker);
		while ((request = TAILQ_FIRST(&broker->pending))) {
			TAILQ_REMOVE(&broker->pending, request, broker_link);
			request_destroy(request);
		}
		while ((request = TAILQ_FIRST(&broker->done))) {
			TAILQ_REMOVE(&broker->done, request, broker_link);
			request_destroy(request);
		}
		holds_clear(broker);
		events_clear(broker);
		pthread_cond_destroy(&broker->handed_over);
		pthread_mutex_destroy(&broker->lock);
	}
	free(broker->socket_path);
	free(broker);
}

int broker_new(struct dmabroker **ret)
{
	struct dmabroker *broker = calloc(1, sizeof(*broker));
	pthread_condattr_t attr;
	int r;

	if (!broker)
		return -ENOMEM;
	atomic_init(&broker->refs, 1);
	broker->pid = getpid();
	broker->uid = geteuid();
	broker->process = process_number();
	broker->sock = -1;
	broker->epoll_fd = -1;
	broker->kick_fd = -1;
	broker->wake_fd = -1;
	broker->announced_mono_us = UINT64_MAX;
	TAILQ_INIT(&broker->outbox);
	TAILQ_INIT(&broker->in_flight);
	TAILQ_INIT(&broker->pending);
	TAILQ_INIT(&broker->done);
	TAILQ_INIT(&broker->dead);
	TAILQ_INIT(&broker->events);
	TAILQ_INIT(&broker->parked);

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&broker->handed_over, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&broker->lock, NULL);

	broker->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (broker->sock >= 0)
		broker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (broker->wake_fd < 0) {
		r = -errno;
		broker_destroy(broker);
		return r;
	}
	*ret = broker;
	return 0;
}

int broker_enter(struct dmabroker *broker)
{
	if (!broker_is_mine(broker))
		return fail(-ECHILD, NULL);
	pthread_mutex_lock(&broker->lock);
	return 0;
}

void broker_leave(struct dmabroker *broker)
{
	struct request_list dead = TAILQ_HEAD_INITIALIZER(dead);
	struct dmabroker_request *request;

	TAILQ_CONCAT(&dead, &broker->dead, broker_link);
	pthread_mutex_unlock(&broker->lock);
	while ((request = TAILQ_FIRST(&dead))) {
		TAILQ_REMOVE(&dead, request, broker_link);
		request_destroy(request);
	}
}

struct dmabroker *dmabroker_ref(struct dmabroker *broker)
{
	if (broker)
		atomic_fetch_add_explicit(&broker->refs, 1, memory_order_relaxed);
	return broker;
}

struct dmabroker *dmabroker_unref(struct dmabroker *broker)
{
	if (broker && atomic_fetch_sub_explicit(&broker->refs, 1, memory_order_acq_rel) == 1)
		broker_destroy(broker);
	return NULL;
}

int dmabroker_set_timeout_ms(struct dmabroker *broker, uint64_t timeout_ms)
{
	int r = broker_enter(broker);

	if (r < 0)
		return r;
	broker->timeout_us = timeout_us_from_ms(timeout_ms);
	broker_leave(broker);
	return 0;
}

const struct dmabroker_info *dmabroker_get_info(struct dmabroker *broker)
{
	bool known;

	/* In a child the copy is all there is, and as good. */
	if (!broker_is_mine(broker))
		return broker->hello_done ? &broker->info : NULL;
	pthread_mutex_lock(&broker->lock);
	known = broker->hello_done;
	broker_leave(broker);
	return known ? &broker->info : NULL;
}
