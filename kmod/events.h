/* SPDX-License-Identifier: GPL-2.0 */
/* The stream of events; see events.c. */
#ifndef DMABROKER_EVENTS_H
#define DMABROKER_EVENTS_H

#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/types.h>

/**
 * struct dmab_event_reader - one open file's place in the stream
 * @lock: one read() at a time
 * @next: sequence number of the event it reads next
 */
struct dmab_event_reader {
	struct mutex lock; /* of @next */
	u64 next;
};

int dmab_events_init(void);
void dmab_events_fini(void);
void dmab_event_emit(u32 type, u32 device_id, u64 id);
u64 dmab_event_seq(void);
void dmab_event_reader_init(struct dmab_event_reader *reader);
ssize_t dmab_event_read(struct dmab_event_reader *reader, char __user *user, size_t size,
			bool nonblock);
__poll_t dmab_event_poll(struct dmab_event_reader *reader, struct file *file, poll_table *wait);

#endif /* DMABROKER_EVENTS_H */
