/* SPDX-License-Identifier: MIT */
/*
 * What happens unasked. Events wait in a bounded queue for a dispatch. A program that asked for
 * events and never dispatches must not grow without end, so past the bound they are dropped and
 * one event says so; all of them are levels that a query rebuilds.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client-lib/src/broker.h"
#include "client-lib/src/list.h"

#define EVENTS_MAX 1024

struct event {
	TAILQ_ENTRY(event) broker_link;
	struct dmabroker_event event;
	struct wire_device wire;
	struct dmabroker_device_info device;
};

static struct event *event_queue(struct dmabroker *broker, enum dmabroker_event_type type)
{
	struct event *event;

	if (!broker->event_handler)
		return NULL;
	/* The end of the connection is not lost: it is what the queue is good for. */
	if (broker->nr_events >= EVENTS_MAX && type != DMABROKER_EVENT_DISCONNECTED) {
		if (broker->nr_events > EVENTS_MAX)
			return NULL;
		type = DMABROKER_EVENT_LOST;
	}
	event = calloc(1, sizeof(*event));
	if (!event)
		return NULL;
	event->event.type = type;
	TAILQ_INSERT_TAIL(&broker->events, event, broker_link);
	broker->nr_events++;
	loop_kick(broker);
	return event;
}

void event_received(struct dmabroker *broker, const struct packet *packet)
{
	struct wire_header header;
	struct event *event;
	struct wire_id id;

	memcpy(&header, packet->bytes, sizeof(header));
	switch (header.op) {
	case WIRE_EVENT_DEVICE_ADDED:
	case WIRE_EVENT_DEVICE_REMOVED:
		device_cache_clear(&broker->devices);
		event = event_queue(broker, header.op == WIRE_EVENT_DEVICE_ADDED
						    ? DMABROKER_EVENT_DEVICE_ADDED
						    : DMABROKER_EVENT_DEVICE_REMOVED);
		if (!event || event->event.type == DMABROKER_EVENT_LOST)
			return;
		wire_body_copy(&event->wire, sizeof(event->wire), packet->bytes,
			       packet->size_bytes);
		device_info_fill(&event->device, &event->wire);
		event->event.device = &event->device;
		break;
	case WIRE_EVENT_MAPPING_ENDED:
		wire_body_copy(&id, sizeof(id), packet->bytes, packet->size_bytes);
		event = event_queue(broker, DMABROKER_EVENT_MAPPING_ENDED);
		if (event && event->event.type != DMABROKER_EVENT_LOST)
			event->event.mapping_id = id.id;
		break;
	default:
		broker_log(broker, "The broker sent an event this library does not know: %u.",
			   header.op);
		break;
	}
}

void event_disconnected(struct dmabroker *broker, int error)
{
	struct event *event = event_queue(broker, DMABROKER_EVENT_DISCONNECTED);

	if (event)
		event->event.error = -error;
}

void events_deliver(struct dmabroker *broker)
{
	unsigned int nr = broker->nr_events;
	struct event *event;

	while (nr-- > 0 && (event = TAILQ_FIRST(&broker->events))) {
		dmabroker_event_fn handler = broker->event_handler;
		void *userdata = broker->event_userdata;

		TAILQ_REMOVE(&broker->events, event, broker_link);
		broker->nr_events--;
		if (handler) {
			pthread_mutex_unlock(&broker->lock);
			handler(broker, &event->event, userdata);
			pthread_mutex_lock(&broker->lock);
		}
		free(event);
	}
}

void events_clear(struct dmabroker *broker)
{
	struct event *event;

	while ((event = TAILQ_FIRST(&broker->events))) {
		TAILQ_REMOVE(&broker->events, event, broker_link);
		free(event);
	}
	broker->nr_events = 0;
}

void broker_log(struct dmabroker *broker, const char *format, ...)
{
	char text[256];
	va_list args;

	if (!broker->log_handler)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	broker->log_handler(text, broker->log_userdata);
}

int dmabroker_set_event_handler(struct dmabroker *broker, dmabroker_event_fn handler,
				void *userdata)
{
	int r = broker_enter(broker);

	if (r < 0)
		return r;
	broker->event_handler = handler;
	broker->event_userdata = userdata;
	if (!handler)
		events_clear(broker);
	broker_leave(broker);
	return 0;
}

int dmabroker_set_log_handler(struct dmabroker *broker, dmabroker_log_fn handler, void *userdata)
{
	int r = broker_enter(broker);

	if (r < 0)
		return r;
	broker->log_handler = handler;
	broker->log_userdata = userdata;
	broker_leave(broker);
	return 0;
}
