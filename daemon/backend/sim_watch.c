// SPDX-License-Identifier: MIT
/*
 * Proof that the last user of a buffer is gone.
 *
 * Each fd that leaves is a file description of its own, and inotify reports the end of each: after
 * its last dup, in any process, and after the last mmap made through it. That is a reason to look,
 * not the proof, because events cannot be counted: equal ones that wait behind each other are
 * merged into one, and a full queue drops them. The proof is a lease (sim_memfd_sole()), which the
 * kernel grants only while ours is the only description, and that no mapping lives.
 *
 * The event comes slightly before the kernel has let go of the description, so that a look can
 * come too early with no event left to follow. A buffer that saw a close and is still in use is
 * therefore a suspect: it is looked at again after 1 ms, 2 ms, 4 ms and so on, in the end once a
 * minute. Suspects with the same patience wait in one queue, which so is in order of time.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/backend/sim.h"
#include "proto/cleanup.h"

#define READ_BYTES     16384
#define READS_MAX      64 /* in one dispatch: more than the kernel's queue holds */
#define RECHECKS_BATCH 4096 /* in one dispatch */

uint64_t sim_now_mono_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void timer_set(struct sim *sim, uint64_t mono_ms)
{
	struct itimerspec spec = {
		.it_value = {
			.tv_sec = (time_t)(mono_ms / 1000),
			.tv_nsec = (long)(mono_ms % 1000) * 1000000,
		},
	};

	timerfd_settime(sim->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
	sim->timer_mono_ms = mono_ms;
}

static void suspect_remove(struct sim *sim, struct sim_buffer *buffer)
{
	if (!buffer->suspect_level)
		return;
	TAILQ_REMOVE(&sim->suspects[buffer->suspect_level - 1], buffer, of_suspects);
	buffer->suspect_level = 0;
}

static void suspect_queue(struct sim *sim, struct sim_buffer *buffer, unsigned int level)
{
	suspect_remove(sim, buffer);
	buffer->suspect_level = (uint8_t)level;
	TAILQ_INSERT_TAIL(&sim->suspects[level - 1], buffer, of_suspects);
}

/* Look again later: in 1 ms at the level above SIM_SUSPECT_NOW, then twice as late with each. */
static void suspect_later(struct sim *sim, struct sim_buffer *buffer, unsigned int level)
{
	if (level > SIM_SUSPECT_LEVELS)
		level = SIM_SUSPECT_LEVELS;
	suspect_queue(sim, buffer, level);
	buffer->deadline_mono_ms = sim_now_mono_ms() + (1ull << (level - SIM_SUSPECT_NOW - 1));
	if (!sim->timer_mono_ms || buffer->deadline_mono_ms < sim->timer_mono_ms)
		timer_set(sim, buffer->deadline_mono_ms);
}

/* End the buffer if nobody uses it any more. Return: it is gone. */
static bool end_if_unused(struct sim *sim, struct sim_buffer *buffer)
{
	uint64_t id = buffer->id;

	if (buffer->nr_mappings || sim_memfd_sole(buffer->fd) != 1)
		return false;
	sim_buffer_free(sim, buffer);
	if (sim->backend.sink && sim->backend.sink->buffer_freed)
		sim->backend.sink->buffer_freed(sim->backend.userdata, id);
	return true;
}

bool sim_watch_check(struct sim *sim, struct sim_buffer *buffer)
{
	if (end_if_unused(sim, buffer))
		return true;
	/* With a mapping alive there is nothing to look for: its end brings us here again. */
	if (buffer->closed_once && !buffer->nr_mappings)
		suspect_later(sim, buffer, SIM_SUSPECT_NOW + 1);
	return false;
}

/* Events were lost: everybody is a suspect. */
static void suspect_all(struct sim *sim)
{
	struct sim_buffer *buffer;
	uint64_t id = 0;

	while ((buffer = sim_table_next(&sim->buffers, id))) {
		id = buffer->id;
		buffer->closed_once = true;
		suspect_queue(sim, buffer, SIM_SUSPECT_NOW);
	}
}

static void event_handle(struct sim *sim, const struct inotify_event *event)
{
	struct sim_buffer *buffer;

	if (event->mask & IN_Q_OVERFLOW) {
		suspect_all(sim);
		return;
	}
	if (!(event->mask & IN_CLOSE))
		return;
	HASH_FIND(of_watches, sim->by_watch, &event->wd, sizeof(event->wd), buffer);
	if (!buffer)
		return; /* freed since */
	buffer->closed_once = true;
	if (buffer->suspect_level != SIM_SUSPECT_NOW)
		suspect_queue(sim, buffer, SIM_SUSPECT_NOW);
}

static void events_read(struct sim *sim)
{
	_Alignas(struct inotify_event) char buf[READ_BYTES];
	unsigned int i;

	for (i = 0; i < READS_MAX; i++) {
		ssize_t n = read(sim->inotify_fd, buf, sizeof(buf));
		const char *at = buf;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		while (at < buf + n) {
			const struct inotify_event *event = (const struct inotify_event *)at;

			event_handle(sim, event);
			at += sizeof(*event) + event->len;
		}
	}
}

/* However many events came for a buffer, it is looked at once. */
void sim_watch_read(struct sim *sim)
{
	struct sim_buffer *buffer;

	events_read(sim);
	while ((buffer = TAILQ_FIRST(&sim->suspects[SIM_SUSPECT_NOW - 1]))) {
		suspect_remove(sim, buffer);
		sim_watch_check(sim, buffer);
	}
}

/* Let the timer fire for whoever is due first. */
static void timer_rearm(struct sim *sim)
{
	uint64_t first_mono_ms = 0;
	unsigned int level;

	for (level = SIM_SUSPECT_NOW + 1; level <= SIM_SUSPECT_LEVELS; level++) {
		struct sim_buffer *head = TAILQ_FIRST(&sim->suspects[level - 1]);

		if (head && (!first_mono_ms || head->deadline_mono_ms < first_mono_ms))
			first_mono_ms = head->deadline_mono_ms;
	}
	timer_set(sim, first_mono_ms);
}

void sim_watch_recheck(struct sim *sim)
{
	unsigned int level, budget = RECHECKS_BATCH;
	uint64_t now = sim_now_mono_ms(), expirations;
	struct sim_buffer *buffer;

	if (read(sim->timer_fd, &expirations, sizeof(expirations)) < 0)
		return;
	for (level = SIM_SUSPECT_NOW + 1; level <= SIM_SUSPECT_LEVELS; level++) {
		while (budget && (buffer = TAILQ_FIRST(&sim->suspects[level - 1])) &&
		       buffer->deadline_mono_ms <= now) {
			budget--;
			suspect_remove(sim, buffer);
			if (!end_if_unused(sim, buffer) && !buffer->nr_mappings)
				suspect_later(sim, buffer, level + 1);
		}
	}
	timer_rearm(sim);
}

int sim_watch_add(struct sim *sim, struct sim_buffer *buffer)
{
	int watch = sim_memfd_watch(buffer->fd, sim->inotify_fd);

	if (watch < 0)
		return watch;
	buffer->watch = watch;
	HASH_ADD(of_watches, sim->by_watch, watch, sizeof(buffer->watch), buffer);
	if (!buffer->of_watches.tbl) {
		inotify_rm_watch(sim->inotify_fd, watch);
		buffer->watch = -1;
		return -ENOMEM;
	}
	return 0;
}

void sim_watch_remove(struct sim *sim, struct sim_buffer *buffer)
{
	suspect_remove(sim, buffer);
	if (buffer->watch < 0)
		return;
	HASH_DELETE(of_watches, sim->by_watch, buffer);
	inotify_rm_watch(sim->inotify_fd, buffer->watch);
	buffer->watch = -1;
}

static int epoll_add(struct sim *sim, int fd, uint64_t what)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = what };

	return epoll_ctl(sim->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

int sim_watch_init(struct sim *sim)
{
	unsigned int i;
	int r;

	for (i = 0; i < SIM_SUSPECT_LEVELS; i++)
		TAILQ_INIT(&sim->suspects[i]);
	sim->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (sim->inotify_fd < 0)
		return -errno;
	sim->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (sim->timer_fd < 0)
		return -errno;
	r = epoll_add(sim, sim->inotify_fd, SIM_READY_INOTIFY);
	if (r < 0)
		return r;
	return epoll_add(sim, sim->timer_fd, SIM_READY_TIMER);
}

void sim_watch_fini(struct sim *sim)
{
	sim->inotify_fd = fd_close(sim->inotify_fd);
	sim->timer_fd = fd_close(sim->timer_fd);
}
