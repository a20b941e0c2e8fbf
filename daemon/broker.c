/* SPDX-License-Identifier: MIT */
/*
 * The broker: puts the backend, the ledger and the event loop together.
 *
 * The ledger follows the backend. At the start it is filled from the backend's list of what lives,
 * so that a restarted daemon charges everybody as before. Later the backend reports what ended,
 * and that alone releases charges: that a client said "release", or died, proves nothing about
 * memory.
 *
 * Two budgets of file descriptors are set here. Unread fds that are on their way count against
 * this uid's RLIMIT_NOFILE; every connection can have one reply unread, so connections times the
 * most fds in a reply must stay below. With few fds to spend, replies get smaller before
 * connections get fewer than a machine needs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/cleanup.h"
#include "daemon/broker.h"
#include "daemon/closer.h"
#include "daemon/connection.h"
#include "daemon/core/cookie.h"
#include "daemon/listener.h"
#include "daemon/pool.h"
#include "daemon/random.h"

#define FILES_SPARE	 64
#define CLIENTS_MAX	 4096
#define CLIENTS_AT_LEAST 64

/* How long what ended may go unnoticed when nobody asks. */
#define SETTLE_MS 2

/* The account of memory about which nothing is known any more. */
#define UNIT_UNKNOWN "unknown"

uint64_t broker_now_mono_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void broadcast(struct broker *broker, enum wire_event event, const void *body,
		      size_t body_bytes)
{
	const struct wire_header header = { .size = (uint32_t)(sizeof(header) + body_bytes),
					    .op = event,
					    .flags = WIRE_FLAG_EVENT };
	struct connection *connection, *next;

	for (connection = TAILQ_FIRST(&broker->connections); connection; connection = next) {
		next = TAILQ_NEXT(connection, link);
		if (connection->said_hello)
			connection_send(connection, &header, sizeof(header), body, body_bytes);
	}
}

static void device_describe(const struct backend_device *device, struct wire_device *ret)
{
	*ret = (struct wire_device){
		.id = device->id,
		.flags = device->flags & ~WIRE_DEVICE_ALLOWED,
		.streaming_mask_bits = device->streaming_mask_bits,
		.coherent_mask_bits = device->coherent_mask_bits,
		.max_segment_bytes = device->max_segment_bytes,
	};
	memcpy(ret->bus, device->bus, sizeof(ret->bus) - 1);
	memcpy(ret->name, device->name, sizeof(ret->name) - 1);
	memcpy(ret->reason, device->reason, sizeof(ret->reason) - 1);
}

static void device_learn(struct broker *broker, const struct backend_device *device)
{
	struct wire_device info;
	bool added;
	int r;

	device_describe(device, &info);
	r = device_update(broker->ledger, &info, &added);
	if (r < 0) {
		log_line(LOG_ERR, "device %s is left out: %s", info.name, strerror(-r));
		return;
	}
	if (added)
		log_line(LOG_INFO, "device %s: %s, %u address bits%s%s", info.name,
			 info.flags & WIRE_DEVICE_USABLE ? "usable" : "not usable",
			 info.streaming_mask_bits, info.reason[0] ? ": " : "", info.reason);
	/* A device that changed is told of as one that came: who keeps a list replaces it there. */
	broadcast(broker, WIRE_EVENT_DEVICE_ADDED, &info, sizeof(info));
}

static void sink_buffer_freed(void *userdata, uint64_t id)
{
	struct broker *broker = userdata;
	struct buffer *buffer = buffer_find(broker->ledger, id);

	if (buffer)
		buffer_free(buffer);
	else
		pool_buffer_freed(broker->pool, id);
}

static void sink_mapping_freed(void *userdata, uint64_t id)
{
	struct broker *broker = userdata;

	mapping_free(mapping_find(broker->ledger, id));
}

static void sink_mapping_ended(void *userdata, uint64_t id)
{
	struct broker *broker = userdata;
	struct mapping *mapping = mapping_find(broker->ledger, id);
	const struct {
		struct wire_header header;
		struct wire_id body;
	} message = { .header = { .size = sizeof(message),
				  .op = WIRE_EVENT_MAPPING_ENDED,
				  .flags = WIRE_FLAG_EVENT },
		      .body = { .id = id } };

	if (!mapping || (mapping->info.flags & WIRE_MAPPING_DEVICE_GONE))
		return;
	mapping->info.flags |= WIRE_MAPPING_DEVICE_GONE;
	if (mapping->client)
		connection_send(mapping->client->userdata, &message, sizeof(message), NULL, 0);
}

static void sink_device_changed(void *userdata, uint32_t id)
{
	struct broker *broker = userdata;
	struct backend_device device;

	/* It may be gone again; then that is the next event. */
	if (broker->backend->ops->device_get(broker->backend, id, &device) == 0)
		device_learn(broker, &device);
}

static void sink_device_removed(void *userdata, uint32_t id)
{
	struct broker *broker = userdata;
	struct device *device = device_find(broker->ledger, id);

	if (!device)
		return;
	log_line(LOG_INFO, "device %s is gone", device->info.name);
	broadcast(broker, WIRE_EVENT_DEVICE_REMOVED, &device->info, sizeof(device->info));
	device_free(device);
}

static void devices_list(struct broker *broker)
{
	struct backend_device device = { 0 };
	struct device *known, *next;

	for (known = TAILQ_FIRST(&broker->ledger->device_list); known; known = next) {
		next = TAILQ_NEXT(known, ledger_link);
		if (broker->backend->ops->device_get(broker->backend, known->info.id, &device) ==
		    -ENODEV)
			sink_device_removed(broker, known->info.id);
	}
	device.id = 0;
	while (broker->backend->ops->device_next(broker->backend, device.id, &device) == 0)
		device_learn(broker, &device);
}

/* Events were lost. What ended in the meantime is no longer in the backend's list. */
static void sink_resync(void *userdata)
{
	struct broker *broker = userdata;
	struct backend *backend = broker->backend;
	struct backend_buffer lives;
	struct backend_mapping maps;
	struct mapping *mapping, *next_mapping;
	struct buffer *buffer, *next_buffer;

	log_line(LOG_NOTICE, "the backend's events were lost; listing everything again");
	for (mapping = TAILQ_FIRST(&broker->ledger->mapping_list); mapping;
	     mapping = next_mapping) {
		int r = backend->ops->mapping_get(backend, mapping->info.id, &maps);

		next_mapping = TAILQ_NEXT(mapping, ledger_link);
		if (r == -ENOENT)
			mapping_free(mapping);
		else if (r == 0 && (maps.flags & WIRE_MAPPING_DEVICE_GONE))
			sink_mapping_ended(broker, mapping->info.id);
	}
	for (buffer = TAILQ_FIRST(&broker->ledger->buffer_list); buffer; buffer = next_buffer) {
		next_buffer = TAILQ_NEXT(buffer, ledger_link);
		if (backend->ops->buffer_get(backend, buffer->id, &lives) == -ENOENT)
			buffer_free(buffer);
	}
	devices_list(broker);
}

static const struct backend_sink sink = {
	.buffer_freed = sink_buffer_freed,
	.mapping_freed = sink_mapping_freed,
	.mapping_ended = sink_mapping_ended,
	.device_changed = sink_device_changed,
	.device_removed = sink_device_removed,
	.resync = sink_resync,
};

/* A buffer that lived before this daemon did: charged as its cookie says, held by nobody. */
static int restore_buffer(struct broker *broker, const struct backend_buffer *found)
{
	struct ledger *ledger = broker->ledger;
	bool contiguous = found->attributes & WIRE_ATTR_FORCE_CONTIGUOUS;
	const struct amounts want = {
		.of[QUOTA_BYTES] = found->size_bytes,
		.of[QUOTA_CONTIGUOUS_BYTES] = contiguous ? found->size_bytes : 0,
		.of[QUOTA_BUFFERS] = 1,
	};
	struct charge charge = { 0 };
	struct cookie cookie;
	struct account *account;
	struct buffer *buffer;
	int r;

	if (cookie_read(found->cookie, &cookie) < 0)
		cookie = (struct cookie){ .uid = UID_OF_UNIT,
					  .account_uid = UID_OF_UNIT,
					  .unit = UNIT_UNKNOWN };
	/* The last daemon's ready buffers go with its fds. */
	if (cookie.flags & COOKIE_POOL)
		return 0;
	r = account_get(ledger, cookie.account_uid, cookie.unit, &account);
	if (r < 0)
		return r;
	charge_take(&charge, ledger, account, NULL, &want, NULL);
	account_unref(account);
	r = buffer_new(ledger, &charge,
		       &(struct buffer_params){ .id = found->id,
						.size_bytes = found->size_bytes,
						.uid = cookie.uid,
						.pid = cookie.pid,
						.direction = cookie.direction,
						.name = cookie.name,
						.layout = &cookie.layout },
		       &buffer);
	if (r < 0)
		charge_release(&charge);
	return r;
}

static int restore_mapping(struct broker *broker, const struct backend_mapping *found)
{
	const struct amounts want = { .of[QUOTA_MAPPINGS] = 1 };
	const struct wire_mapping info = {
		.id = found->id,
		.buffer_id = found->buffer_id,
		.attributes = found->attributes,
		.size_bytes = found->size_bytes,
		.device_id = found->device_id,
		.direction = found->direction,
		.flags = found->flags,
		.nr_segments = found->nr_segments,
	};
	struct account *account = account_find(broker->ledger, found->account);
	struct charge charge = { 0 };
	struct mapping *mapping;
	int r = 0;

	if (account)
		account_ref(account);
	else
		r = account_get(broker->ledger, UID_OF_UNIT, UNIT_UNKNOWN, &account);
	if (r < 0)
		return r;
	charge_take(&charge, broker->ledger, account, NULL, &want, NULL);
	account_unref(account);
	r = mapping_new(broker->ledger, &charge, NULL, &info, &mapping);
	if (r < 0)
		charge_release(&charge);
	return r;
}

static int restore(struct broker *broker)
{
	struct backend *backend = broker->backend;
	struct backend_buffer buffer = { 0 };
	struct backend_mapping mapping = { 0 };
	int r = 0;

	devices_list(broker);
	while (r == 0 && backend->ops->buffer_next(backend, buffer.id, &buffer) == 0)
		r = restore_buffer(broker, &buffer);
	while (r == 0 && backend->ops->mapping_next(backend, 0, mapping.id, &mapping) == 0)
		r = restore_mapping(broker, &mapping);
	if (r == 0 && broker->ledger->buffers)
		log_line(LOG_NOTICE, "%u buffers from before this start are charged again",
			 HASH_COUNT(broker->ledger->buffers));
	return r;
}

/*
 * Something ended. Whoever needs to know it now calls broker_settle(); for the rest it can wait a
 * moment, so that a client that frees and asks again is not kept waiting by the freeing.
 */
static void on_backend(evutil_socket_t fd, short what, void *userdata)
{
	struct broker *broker = userdata;
	const struct timeval delay = { .tv_usec = SETTLE_MS * 1000 };

	event_del(broker->backend_event);
	event_add(broker->settle_event, &delay);
}

static void on_settle(evutil_socket_t fd, short what, void *userdata)
{
	struct broker *broker = userdata;

	broker_settle(broker);
	event_add(broker->backend_event, NULL);
}

void broker_settle(struct broker *broker)
{
	int r = broker->backend->ops->dispatch(broker->backend);

	if (r < 0)
		log_line(LOG_ERR, "the %s backend cannot report what ended: %s",
			 broker->backend->ops->name, strerror(-r));
}

int broker_charge(struct broker *broker, struct client *client, const struct amounts *want,
		  struct charge *charge, struct shortfall *ret_shortfall)
{
	int r = charge_take(charge, broker->ledger, client->account, &client->limits, want,
			    ret_shortfall);

	if (r != -EDQUOT)
		return r;
	if (ret_shortfall->reason == WIRE_REASON_MACHINE_TOTAL)
		pool_drain(broker->pool);
	broker_settle(broker);
	return charge_take(charge, broker->ledger, client->account, &client->limits, want,
			   ret_shortfall);
}

static void on_reap(evutil_socket_t fd, short what, void *userdata)
{
	connection_reap_all(userdata);
}

static void on_hello_timeout(evutil_socket_t fd, short what, void *userdata)
{
	struct broker *broker = userdata;
	uint64_t timeout_ms = broker->config->hello_timeout_s * 1000ull;
	uint64_t now_mono_ms = broker_now_mono_ms();
	struct connection *connection;

	while ((connection = TAILQ_FIRST(&broker->silent))) {
		uint64_t due_mono_ms = connection->accepted_mono_ms + timeout_ms;

		if (due_mono_ms > now_mono_ms) {
			uint64_t left_ms = due_mono_ms - now_mono_ms;

			event_add(broker->hello_event,
				  &(struct timeval){
					  .tv_sec = (time_t)(left_ms / 1000),
					  .tv_usec = (suseconds_t)(left_ms % 1000 * 1000) });
			return;
		}
		connection_drop(connection, "it did not say HELLO in time");
	}
}

static uint64_t machine_total(const struct config *config)
{
	uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (config->machine_total_bytes)
		return config->machine_total_bytes;
	return pages * page / 100 * config->machine_total_percent;
}

static void budget_files(struct broker *broker, uint64_t nr_files)
{
	uint64_t files = nr_files > 2 * FILES_SPARE ? nr_files - FILES_SPARE : FILES_SPARE;
	uint64_t clients = broker->config->clients_max;

	if (!clients) {
		clients = files / WIRE_FDS_MAX;
		if (clients < CLIENTS_AT_LEAST)
			clients = CLIENTS_AT_LEAST;
		if (clients > CLIENTS_MAX)
			clients = CLIENTS_MAX;
	}
	/* Each connection is an fd of our own, too. */
	if (clients > files / 2)
		clients = files / 2;
	broker->clients_max = (unsigned int)clients;
	broker->fds_max =
		(unsigned int)(files / clients < WIRE_FDS_MAX ? files / clients : WIRE_FDS_MAX);
	if (broker->fds_max < WIRE_FDS_MAX)
		log_line(LOG_NOTICE,
			 "with %llu file descriptors and %u clients a reply carries at most %u "
			 "buffers; raise LimitNOFILE= for more",
			 (unsigned long long)nr_files, broker->clients_max, broker->fds_max);
}

static int open_backend(struct broker *broker, char ret_error[static 768])
{
	const struct config *config = broker->config;
	const struct backend_config backend_config = {
		.sim_devices = (const char *const *)config->sim_devices,
		.nr_sim_devices = config->nr_sim_devices,
	};
	int r;

	r = backend_open(&broker->backend, config->backend, false, &backend_config, &sink, broker,
			 broker->backend_why);
	if (r < 0) {
		snprintf(ret_error, 768, "%s", broker->backend_why);
		return r;
	}
	log_line(LOG_INFO, "%s", broker->backend_why);
	broker->backend_event = event_new(broker->base,
					  broker->backend->ops->get_fd(broker->backend),
					  EV_READ | EV_PERSIST, on_backend, broker);
	broker->settle_event = event_new(broker->base, -1, 0, on_settle, broker);
	if (!broker->backend_event || !broker->settle_event)
		return -ENOMEM;
	event_priority_set(broker->backend_event, PRIORITY_REQUESTS);
	event_priority_set(broker->settle_event, PRIORITY_REQUESTS);
	return event_add(broker->backend_event, NULL) < 0 ? -ENOMEM : 0;
}

int broker_new(struct event_base *base, const struct config *config, uint64_t nr_files,
	       struct broker **ret, char ret_error[static 768])
{
	_cleanup_(cleanup_broker) struct broker *broker = calloc(1, sizeof(*broker));
	uint64_t token_key[2];
	int r;

	snprintf(ret_error, 768, "out of memory");
	if (!broker)
		return -ENOMEM;
	broker->base = base;
	broker->config = config;
	broker->started_mono_ms = broker_now_mono_ms();
	TAILQ_INIT(&broker->connections);
	TAILQ_INIT(&broker->silent);
	TAILQ_INIT(&broker->dropped);
	budget_files(broker, nr_files);
	broker->reap_event = event_new(base, -1, 0, on_reap, broker);
	broker->hello_event = evtimer_new(base, on_hello_timeout, broker);
	if (!broker->reap_event || !broker->hello_event)
		return -ENOMEM;
	event_priority_set(broker->reap_event, PRIORITY_CONTROL);
	event_priority_set(broker->hello_event, PRIORITY_CONTROL);

	r = random_bytes(token_key, sizeof(token_key));
	if (r < 0) {
		snprintf(ret_error, 768, "the kernel has no random numbers yet: %s", strerror(-r));
		return r;
	}
	r = ledger_new(machine_total(config), token_key, &broker->ledger);
	if (r == 0)
		r = closer_new(base, &broker->closer);
	if (r == 0)
		r = pool_new(broker, &broker->pool);
	if (r == 0)
		r = open_backend(broker, ret_error);
	if (r == 0)
		r = restore(broker);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(broker);
	return 0;
}

struct broker *broker_free(struct broker *broker)
{
	if (!broker)
		return NULL;
	while (!TAILQ_EMPTY(&broker->connections))
		connection_free(TAILQ_FIRST(&broker->connections));
	while (!TAILQ_EMPTY(&broker->dropped))
		connection_free(TAILQ_FIRST(&broker->dropped));
	listener_free(broker->listener);
	closer_free(broker->closer);
	pool_free(broker->pool);
	if (broker->backend_event)
		event_free(broker->backend_event);
	if (broker->settle_event)
		event_free(broker->settle_event);
	if (broker->backend)
		broker->backend->ops->close(broker->backend);
	ledger_free(broker->ledger);
	if (broker->reap_event)
		event_free(broker->reap_event);
	if (broker->hello_event)
		event_free(broker->hello_event);
	free(broker);
	return NULL;
}
