// SPDX-License-Identifier: MIT
/* The stream of events: order, one number with the lists, overflow, readers of their own. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "kmod.h"

static uint64_t list_seq(void)
{
	struct dmabroker_buffer buffer;
	struct dmabroker_list list = { .entries = (uintptr_t)&buffer,
				       .entry_size = sizeof(buffer),
				       .capacity = 1 };

	if (call(DMABROKER_IOC_BUFFER_LIST, &list))
		die("DMABROKER_IOC_BUFFER_LIST");
	return list.event_seq;
}

static int open_reader(int flags)
{
	int fd = open("/dev/dmabroker", O_RDWR | O_CLOEXEC | flags);

	if (fd < 0)
		die("open /dev/dmabroker");
	return fd;
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1 && (poll_fd.revents & POLLIN);
}

static void test_stream(void)
{
	struct dmabroker_event events[4];
	int reader = open_reader(O_NONBLOCK), later;
	uint64_t id, before, seq;
	int fd, mapping_fd;

	check(read(reader, events, sizeof(events)) < 0 && errno == EAGAIN,
	      "nothing has happened since the open");
	check(!readable(reader, 0), "poll says the same");
	check(read(reader, events, sizeof(events[0]) - 1) < 0 && errno == EINVAL,
	      "less than an event is refused");

	fd = alloc_good(4096, DMABROKER_KIND_COHERENT, 0, &id);
	mapping_fd = map_good(fd, &edus[1], DMABROKER_DIR_BIDIRECTIONAL);
	while (read(reader, events, sizeof(events)) > 0)
		;
	before = list_seq();
	close(fd);
	close(mapping_fd);
	check(readable(reader, 1000), "poll tells of events");
	check(read(reader, events, sizeof(events[0]) * 3 / 2) == sizeof(events[0]),
	      "a read copies whole events");
	check(events[0].type == DMABROKER_EVENT_MAPPING_FREED &&
		      events[0].device_id == edus[1].id && events[0].seq == before + 1,
	      "the mapping goes first");
	check(read(reader, events, sizeof(events)) == sizeof(events[0]) &&
		      events[0].type == DMABROKER_EVENT_BUFFER_FREED && events[0].id == id &&
		      events[0].seq == before + 2,
	      "then the buffer, and each once");
	check(read(reader, events, sizeof(events)) < 0 && errno == EAGAIN, "and nothing else");
	seq = list_seq();
	check(seq == before + 2, "the list has the number of the last event");
	check(!buffer_lives(id, NULL), "and the buffer is not in it");

	later = open_reader(O_NONBLOCK);
	check(!readable(later, 0), "a later reader starts after all this");
	close(later);
	close(reader);
}

static void test_overflow(void)
{
	struct dmabroker_event events[64];
	int reader = open_reader(O_NONBLOCK), other = open_reader(O_NONBLOCK);
	uint64_t next = list_seq() + 1;
	unsigned int i;
	bool dense = true;
	ssize_t n;

	for (i = 0; i < 8192 + 10; i++) {
		close(alloc_good(4096, DMABROKER_KIND_COHERENT, DMABROKER_ATTR_NO_KERNEL_MAPPING,
				 NULL));
		if (i % 100 == 0) {
			while ((n = read(other, events, sizeof(events))) > 0) {
				ssize_t j;

				for (j = 0; j < n / (ssize_t)sizeof(events[0]); j++)
					dense &= events[j].seq == next++;
			}
		}
	}
	check(dense && next > 8000, "who keeps up gets every number");
	check(readable(reader, 0), "who does not is told");
	check(read(reader, events, sizeof(events)) < 0 && errno == EOVERFLOW, "with EOVERFLOW");
	check(read(reader, events, sizeof(events)) < 0 && errno == EAGAIN, "once");
	close(alloc_good(4096, DMABROKER_KIND_COHERENT, 0, NULL));
	check(read(reader, events, sizeof(events)) == sizeof(events[0]), "and reads on");
	close(reader);
	close(other);
}

static void *close_later(void *argument)
{
	sleep_ms(100);
	close(*(int *)argument);
	return NULL;
}

static void test_blocking(void)
{
	struct dmabroker_event event;
	int reader = open_reader(0);
	int fd = alloc_good(4096, DMABROKER_KIND_COHERENT, 0, NULL);
	pthread_t thread;

	if (pthread_create(&thread, NULL, close_later, &fd))
		die("pthread_create");
	check(read(reader, &event, sizeof(event)) == sizeof(event) &&
		      event.type == DMABROKER_EVENT_BUFFER_FREED,
	      "a blocking read waits for an event");
	pthread_join(thread, NULL);
	close(reader);
}

void test_events(void)
{
	test_stream();
	test_blocking();
	test_overflow();
}
