/* SPDX-License-Identifier: MIT */
/*
 * The life of a request: made, started, ended exactly once, delivered at most once, freed.
 *
 * A request is held by the user (user_refs) and by the library while it is under way or its
 * callback is due (queued). It is freed when neither holds it, never under the lock: it may own
 * buffers, whose release takes the lock. So what dies under the lock waits in the broker's list
 * of the dead for broker_leave().
 *
 * The deadline of a blocking call is kept by the thread that waits; all others are in the list of
 * the pending, sorted. Most have the same timeout, so the place is nearly always the end.
 */
#include <assert.h>
#include <string.h>

#include "client-lib/src/call.h"
#include "client-lib/src/request.h"

uint64_t timeout_us_from_ms(uint64_t timeout_ms)
{
	if (timeout_ms == 0)
		timeout_ms = DMABROKER_TIMEOUT_DEFAULT_MS;
	return timeout_ms < UINT64_MAX / 1000 ? timeout_ms * 1000 : UINT64_MAX;
}

int request_new(struct dmabroker *broker, const struct request_ops *ops, size_t bytes,
		const struct dmabroker_async *async, void *ret)
{
	struct dmabroker_async how = { .struct_size = sizeof(how) };
	struct dmabroker_request *request;
	uint64_t now;
	int r;

	if (!broker_is_mine(broker))
		return fail(-ECHILD, NULL);
	if (async) {
		r = params_copy(&how, sizeof(how), sizeof(how), async);
		if (r < 0)
			return r;
	}
	request = calloc(1, bytes);
	if (!request)
		return fail(-ENOMEM, NULL);
	request->broker = dmabroker_ref(broker);
	request->ops = ops;
	request->user_refs = 1;
	request->callback = how.callback;
	request->userdata = how.userdata;
	request->deadline_mono_us = how.deadline_mono_us;
	if (request->deadline_mono_us == 0) {
		now = now_mono_us();
		pthread_mutex_lock(&broker->lock);
		request->deadline_mono_us = broker->timeout_us < UINT64_MAX - now
						    ? now + broker->timeout_us
						    : UINT64_MAX;
		broker_leave(broker);
	}
	*(struct dmabroker_request **)ret = request;
	return 0;
}

void request_destroy(struct dmabroker_request *request)
{
	if (request->ops->fini)
		request->ops->fini(request);
	free(request->devices);
	free(request->refusal_text);
	free(request);
}

static void pending_insert(struct dmabroker_request *request)
{
	struct dmabroker *broker = request->broker;
	struct dmabroker_request *before;

	TAILQ_FOREACH_REVERSE(before, &broker->pending, request_list, broker_link)
	if (before->deadline_mono_us <= request->deadline_mono_us)
		break;
	if (before)
		TAILQ_INSERT_AFTER(&broker->pending, before, request, broker_link);
	else
		TAILQ_INSERT_HEAD(&broker->pending, request, broker_link);
	request->queued = true;
	if (request->deadline_mono_us < broker->announced_mono_us)
		loop_kick(broker);
}

/* The library lets go of it. */
static void request_unqueue(struct dmabroker_request *request, struct request_list *from)
{
	TAILQ_REMOVE(from, request, broker_link);
	request->queued = false;
}

static void request_ended(struct dmabroker_request *request, int result)
{
	struct dmabroker *broker = request->broker;

	assert(!request->ended);
	request->ended = true;
	request->result = result;
	if (request->call) {
		call_abandon(broker, request->call);
		request->call = NULL;
	}
	if (request->queued)
		request_unqueue(request, &broker->pending);
	if (request->callback) {
		TAILQ_INSERT_TAIL(&broker->done, request, broker_link);
		request->queued = true;
		loop_kick(broker);
	} else if (request->user_refs == 0) {
		TAILQ_INSERT_TAIL(&broker->dead, request, broker_link);
	}
	loop_wake(broker);
	if (request->hello && result < 0)
		link_lost(broker, result, NULL);
}

void request_fail(struct dmabroker_request *request, int error, const char *text)
{
	if (request->ended)
		return;
	/* A refusal that is there already says more. */
	if (request->refusal.error == 0) {
		request->refusal.error = -error;
		request->refusal.text = fail_text(error);
		if (text) {
			request->refusal_text = strdup(text);
			if (request->refusal_text)
				request->refusal.text = request->refusal_text;
		}
	}
	request_ended(request, error);
}

static void request_refused(struct dmabroker_request *request, const struct packet *packet)
{
	struct wire_refusal refusal;

	wire_body_copy(&refusal, sizeof(refusal), packet->bytes, packet->size_bytes);
	for (char *c = refusal.text; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	request->refusal = (struct dmabroker_refusal){ .error = (int)refusal.error,
						       .reason = refusal.reason,
						       .limit = refusal.limit,
						       .value = refusal.value,
						       .retry = refusal.retry };
	request->refusal_text = strdup(refusal.text);
	request->refusal.text = request->refusal_text ? request->refusal_text
						      : fail_text(-(int)refusal.error);
	request_fail(request, -(int)refusal.error, NULL);
}

/* Post the next call: for a device's id, or the operation's own. */
static int request_advance(struct dmabroker_request *request)
{
	int r = request->devices ? devices_resolve(request) : 0;

	return r == 0 ? request->ops->send(request) : r;
}

void request_reply(struct dmabroker_request *request, uint16_t op, struct packet *packet)
{
	struct device_names *devices = request->devices;
	struct wire_header header;
	int r;

	memcpy(&header, packet->bytes, sizeof(header));
	if (header.flags & WIRE_FLAG_REFUSAL) {
		struct wire_refusal refusal;

		wire_body_copy(&refusal, sizeof(refusal), packet->bytes, packet->size_bytes);
		if (!devices || refusal.reason != WIRE_REASON_UNKNOWN_DEVICE ||
		    !devices->from_cache) {
			request_refused(request, packet);
			return;
		}
		/* Perhaps it has come back under another id; ask once more. */
		device_cache_clear(&request->broker->devices);
		devices->nr_known = 0;
		devices->from_cache = false;
		r = request_advance(request);
	} else if (devices && devices->nr_known < devices->nr) {
		r = devices_reply(request, packet);
		if (r == 0)
			r = request_advance(request);
		if (r == 0)
			r = REQUEST_GOES_ON;
	} else {
		r = request->ops->reply(request, op, packet);
		if (r == 0)
			request_ended(request, 0);
	}
	if (r < 0)
		request_fail(request, r, NULL);
}

int request_call(struct dmabroker_request *request, uint16_t op, const void *body,
		 size_t body_bytes, int fd)
{
	struct call *call;
	int r;

	assert(!request->call);
	r = call_new(op, body, body_bytes, fd, &call);
	if (r < 0)
		return r;
	call->request = request;
	request->call = call;
	call_post(request->broker, call);
	return 0;
}

/* Locked. On failure nothing has been sent and nobody will be told. */
static int request_launch(struct dmabroker_request *request)
{
	struct dmabroker *broker = request->broker;
	int r;

	if (broker->link == LINK_LOST)
		return -ENOTCONN;
	if (!request->quiet)
		pending_insert(request);
	r = request_advance(request);
	if (r < 0 && !request->ended) {
		if (request->queued)
			request_unqueue(request, &broker->pending);
		return r;
	}
	return 0;
}

int request_start(struct dmabroker_request *request, struct dmabroker_request **ret_request)
{
	_cleanup_request_ struct dmabroker_request *owned = request;
	int r;

	r = broker_enter(request->broker);
	if (r < 0)
		return r;
	r = request_launch(request);
	broker_leave(request->broker);
	if (r < 0)
		return fail(r, NULL);
	if (ret_request)
		*ret_request = TAKE_PTR(owned);
	return 0;
}

int request_run(struct dmabroker_request *request)
{
	struct dmabroker *broker = request->broker;
	int r;

	r = broker_enter(broker);
	if (r < 0)
		return r;
	request->quiet = true;
	r = request_launch(request);
	if (r == 0)
		r = loop_wait(broker, request);
	broker_leave(broker);
	if (r < 0)
		return request->ended ? fail_refusal(&request->refusal) : fail(r, NULL);
	return 0;
}

int request_ended_at_once(struct dmabroker_request *request, int result, const char *text,
			  struct dmabroker_request **ret_request)
{
	_cleanup_request_ struct dmabroker_request *owned = request;
	int r;

	r = broker_enter(request->broker);
	if (r < 0)
		return r;
	if (result < 0)
		request_fail(request, result, text);
	else
		request_ended(request, 0);
	broker_leave(request->broker);
	if (ret_request)
		*ret_request = TAKE_PTR(owned);
	return 0;
}

void requests_expire(struct dmabroker *broker)
{
	uint64_t now = now_mono_us();
	struct dmabroker_request *request;

	while ((request = TAILQ_FIRST(&broker->pending)) && request->deadline_mono_us <= now)
		request_fail(request, -ETIMEDOUT, NULL);
}

void requests_deliver(struct dmabroker *broker)
{
	/* Only those that are there now: a callback that starts another must not starve the loop. */
	struct dmabroker_request *last = TAILQ_LAST(&broker->done, request_list);
	struct dmabroker_request *request;
	bool was_last = !last;

	while (!was_last) {
		dmabroker_request_fn callback;

		request = TAILQ_FIRST(&broker->done);
		callback = request->callback;
		was_last = request == last;

		request_unqueue(request, &broker->done);
		request->callback = NULL;
		if (request->user_refs++ == 0)
			dmabroker_ref(broker);
		pthread_mutex_unlock(&broker->lock);
		callback(request, request->result, request->userdata);
		dmabroker_request_unref(request);
		pthread_mutex_lock(&broker->lock);
	}
}

struct dmabroker_request *dmabroker_request_ref(struct dmabroker_request *request)
{
	if (request && broker_is_mine(request->broker)) {
		pthread_mutex_lock(&request->broker->lock);
		request->user_refs++;
		broker_leave(request->broker);
	}
	return request;
}

struct dmabroker_request *dmabroker_request_unref(struct dmabroker_request *request)
{
	struct dmabroker *broker;
	bool last;

	/* In a forked child the lock cannot be trusted, and the memory is only a copy. */
	if (!request || !broker_is_mine(request->broker))
		return NULL;
	broker = request->broker;
	pthread_mutex_lock(&broker->lock);
	assert(request->user_refs > 0);
	last = --request->user_refs == 0;
	if (last && !request->queued) {
		/* Ended, or never launched: whatever is under way is queued. */
		TAILQ_INSERT_TAIL(&broker->dead, request, broker_link);
	}
	broker_leave(broker);
	if (last)
		dmabroker_unref(broker);
	return NULL;
}

int dmabroker_request_cancel(struct dmabroker_request *request)
{
	int r = broker_enter(request->broker);

	if (r < 0)
		return r;
	if (request->ended)
		r = -EALREADY;
	else
		request_fail(request, -ECANCELED, NULL);
	broker_leave(request->broker);
	return r < 0 ? fail(r, NULL) : 0;
}

int dmabroker_request_wait(struct dmabroker_request *request)
{
	int r = broker_enter(request->broker);

	if (r < 0)
		return r;
	r = loop_wait(request->broker, request);
	broker_leave(request->broker);
	return r < 0 ? fail_refusal(&request->refusal) : 0;
}

int dmabroker_request_get_result(struct dmabroker_request *request)
{
	int r = broker_enter(request->broker);

	if (r < 0)
		return r;
	r = request->ended ? request->result : -EINPROGRESS;
	broker_leave(request->broker);
	if (r == -EINPROGRESS)
		return fail(r, NULL);
	return r < 0 ? fail_refusal(&request->refusal) : 0;
}

const struct dmabroker_refusal *dmabroker_request_get_refusal(struct dmabroker_request *request)
{
	bool failed;

	if (!broker_is_mine(request->broker))
		return NULL;
	pthread_mutex_lock(&request->broker->lock);
	failed = request->ended && request->result < 0;
	broker_leave(request->broker);
	return failed ? &request->refusal : NULL;
}

int request_taking(struct dmabroker_request *request, const struct request_ops *ops)
{
	if (request->ops != ops)
		return fail_with(-EINVAL, DMABROKER_REASON_BAD_ARGUMENT, 0, 0,
				 "This request is for something else.");
	return dmabroker_request_get_result(request);
}
