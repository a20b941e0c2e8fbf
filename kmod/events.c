// SPDX-License-Identifier: GPL-2.0
/*
 * What happened, in order, for those who hold /dev/dmabroker open.
 *
 * One ring for the whole module, filled under dmab_registry_lock in the same critical section that
 * changes what the lists show. A list copied under that lock therefore reflects exactly the events
 * up to the sequence number read there. Readers have only a position in the ring: emitting an event
 * allocates nothing and cannot fail, and a reader that sleeps too long is told once that it has
 * lost something instead of holding memory for ever.
 */
#include "events.h"

#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include <linux/dmabroker.h>

#include "registry.h"

/* Enough for a client's death with a few thousand buffers; 192 KiB. */
#define EVENTS_KEPT 8192
/* How many are copied to user space at a time, through the stack. */
#define EVENTS_AT_ONCE 16

static struct {
	spinlock_t lock; /* of @ring and @last */
	struct dmabroker_event *ring;
	u64 last; /* sequence number of the latest event, 0 before the first */
	wait_queue_head_t wait;
} events = {
	.lock = __SPIN_LOCK_UNLOCKED(events.lock),
	.wait = __WAIT_QUEUE_HEAD_INITIALIZER(events.wait),
};

/**
 * dmab_events_init() - before any other function of this file
 *
 * Return: 0 or -ENOMEM.
 */
int dmab_events_init(void)
{
	events.ring = kvcalloc(EVENTS_KEPT, sizeof(*events.ring), GFP_KERNEL);
	return events.ring ? 0 : -ENOMEM;
}

/**
 * dmab_events_fini() - when nobody can emit or read any more
 */
void dmab_events_fini(void)
{
	kvfree(events.ring);
	events.ring = NULL;
}

/**
 * dmab_event_emit() - tell every reader
 * @type:      DMABROKER_EVENT_*
 * @device_id: the device concerned, or 0
 * @id:        the buffer or mapping concerned, or 0
 */
void dmab_event_emit(u32 type, u32 device_id, u64 id)
{
	struct dmabroker_event *event;

	lockdep_assert_held(&dmab_registry_lock);

	spin_lock(&events.lock);
	events.last++;
	event = &events.ring[events.last % EVENTS_KEPT];
	event->seq = events.last;
	event->type = type;
	event->device_id = device_id;
	event->id = id;
	spin_unlock(&events.lock);

	wake_up_interruptible(&events.wait);
}

/**
 * dmab_event_seq() - sequence number of the latest event
 *
 * Stable only while dmab_registry_lock is held.
 *
 * Return: the number, 0 before the first event.
 */
u64 dmab_event_seq(void)
{
	u64 seq;

	spin_lock(&events.lock);
	seq = events.last;
	spin_unlock(&events.lock);
	return seq;
}

/**
 * dmab_event_reader_init() - start reading after the latest event
 * @reader: of a file that is being opened
 */
void dmab_event_reader_init(struct dmab_event_reader *reader)
{
	mutex_init(&reader->lock);
	reader->next = dmab_event_seq() + 1;
}

static bool reader_has_event(struct dmab_event_reader *reader)
{
	return READ_ONCE(reader->next) <= dmab_event_seq();
}

/* Returns how many were copied, or -EOVERFLOW after moving the reader behind the latest event. */
static int reader_peek(struct dmab_event_reader *reader, struct dmabroker_event *copies, size_t max)
{
	int count = 0;

	spin_lock(&events.lock);
	if (events.last >= reader->next + EVENTS_KEPT) {
		WRITE_ONCE(reader->next, events.last + 1);
		count = -EOVERFLOW;
	} else {
		while (count < max && reader->next + count <= events.last) {
			copies[count] = events.ring[(reader->next + count) % EVENTS_KEPT];
			count++;
		}
	}
	spin_unlock(&events.lock);
	return count;
}

/* All that is there now and fits. The reader moves on only behind what has reached user space. */
static ssize_t reader_copy(struct dmab_event_reader *reader, char __user *user, size_t size)
{
	struct dmabroker_event copies[EVENTS_AT_ONCE];
	size_t done = 0;

	while (size - done >= sizeof(copies[0])) {
		size_t room = min_t(size_t, (size - done) / sizeof(copies[0]), EVENTS_AT_ONCE);
		int count;

		/* What is lost in the middle of a read is told by the next one. */
		if (done && dmab_event_seq() >= reader->next + EVENTS_KEPT)
			break;
		count = reader_peek(reader, copies, room);
		if (count < 0)
			return count;
		if (count == 0)
			break;
		if (copy_to_user(user + done, copies, count * sizeof(copies[0])))
			return done ? done : -EFAULT;
		WRITE_ONCE(reader->next, reader->next + count);
		done += count * sizeof(copies[0]);
	}
	return done;
}

/**
 * dmab_event_read() - read() of /dev/dmabroker
 * @reader:   of the file
 * @user:     where to
 * @size:     how much fits; only whole events are copied
 * @nonblock: do not wait for the first one
 *
 * Return: bytes copied, -EINVAL if not even one event fits, -EAGAIN, -EOVERFLOW once if the reader
 * has fallen too far behind, -EFAULT, -ERESTARTSYS.
 */
ssize_t dmab_event_read(struct dmab_event_reader *reader, char __user *user, size_t size,
			bool nonblock)
{
	ssize_t done;
	int err;

	if (size < sizeof(struct dmabroker_event))
		return -EINVAL;

	for (;;) {
		if (mutex_lock_interruptible(&reader->lock))
			return -ERESTARTSYS;
		done = reader_copy(reader, user, size);
		mutex_unlock(&reader->lock);
		if (done)
			return done;
		if (nonblock)
			return -EAGAIN;
		err = wait_event_interruptible(events.wait, reader_has_event(reader));
		if (err)
			return err;
	}
}

/**
 * dmab_event_poll() - poll() of /dev/dmabroker
 * @reader: of the file
 * @file:   the file
 * @wait:   the caller's
 *
 * Return: EPOLLIN when a read would not wait.
 */
__poll_t dmab_event_poll(struct dmab_event_reader *reader, struct file *file, poll_table *wait)
{
	poll_wait(file, &events.wait, wait);
	return reader_has_event(reader) ? EPOLLIN | EPOLLRDNORM : 0;
}
