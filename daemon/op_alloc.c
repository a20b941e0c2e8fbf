/* SPDX-License-Identifier: MIT */
/*
 * ALLOC: charge first, allocate second.
 *
 * The whole request is charged before any of its buffers exists, so it is granted or refused as a
 * whole. Each buffer then takes its part of the charge with it into the ledger, where it stays
 * until the backend proves that the memory is back. That is also how everything is undone when
 * the request fails half way or its reply cannot be sent: the fds are closed here, and the proof
 * that follows releases the charges.
 *
 * The daemon's own copies of the fds are closed as soon as the reply is on its way.
 */
#include <errno.h>
#include <string.h>

#include "proto/cleanup.h"
#include "daemon/core/cookie.h"
#include "daemon/dispatch.h"
#include "daemon/pool.h"
#include "daemon/random.h"

/* More than any machine has, and far from where sums overflow. */
#define SIZE_MAX_BYTES (1ull << 40)

struct job {
	struct request *request;
	struct wire_alloc body;
	uint64_t size_bytes; /* of each, in whole pages */
	bool plain; /* a buffer from the pool would do */
	struct charge charge;
	struct backend_alloc alloc;
	struct wire_alloc_reply reply;
	unsigned int nr_made;
	uint64_t ids[WIRE_FDS_MAX];
	int fds[WIRE_FDS_MAX];
};

static bool check_layout(struct request *request, const struct wire_alloc *body)
{
	const struct wire_layout *layout = &body->layout;

	if (!layout->fourcc)
		return true;
	if (layout->nr_planes < 1 || layout->nr_planes > WIRE_PLANES_MAX) {
		request_refuse(request, WIRE_REASON_BAD_ARGUMENT, WIRE_PLANES_MAX,
			       layout->nr_planes, false, "an image has 1 to %u planes",
			       WIRE_PLANES_MAX);
		return false;
	}
	for (uint32_t i = 0; i < layout->nr_planes; i++) {
		if (layout->planes[i].offset_bytes < body->size_bytes)
			continue;
		request_refuse(request, WIRE_REASON_BAD_ARGUMENT, body->size_bytes,
			       layout->planes[i].offset_bytes, false,
			       "plane %u of the image starts beyond the buffer's end", i);
		return false;
	}
	return true;
}

/* They choose the memory; that policy would not let them be mapped is better said now. */
static bool check_devices(struct job *job)
{
	struct request *request = job->request;

	for (uint32_t i = 0; i < job->body.nr_devices; i++) {
		const struct device *device =
			device_find(request->broker->ledger, job->body.devices[i]);

		if (!device) {
			request_refuse(request, WIRE_REASON_UNKNOWN_DEVICE, 0, job->body.devices[i],
				       false, "there is no device %u; list the devices",
				       job->body.devices[i]);
			return false;
		}
		if (device->info.flags & WIRE_DEVICE_SYSTEM)
			continue;
		job->plain = false;
		if (job->body.direction == WIRE_DIR_NONE) {
			request_refuse(request, WIRE_REASON_DIRECTION_NONE, 0, device->info.id,
				       false,
				       "a buffer with direction none can never be mapped, so no "
				       "device can be named for it");
			return false;
		}
		if (!request_may_use_device(request, device))
			return false;
	}
	return true;
}

static bool check(struct job *job)
{
	struct request *request = job->request;
	const struct wire_alloc *body = &job->body;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < sizeof(body->reserved) / sizeof(body->reserved[0]); i++) {
		if (!body->reserved[i])
			continue;
		request_refuse(request, WIRE_REASON_RESERVED_NOT_ZERO, 0, body->reserved[i], false,
			       "ALLOC: a reserved field is set; send zero");
		return false;
	}
	if (body->size_bytes == 0 || body->size_bytes > SIZE_MAX_BYTES) {
		request_refuse(request, WIRE_REASON_SIZE, SIZE_MAX_BYTES, body->size_bytes, false,
			       "a buffer has 1 to %llu bytes", SIZE_MAX_BYTES);
		return false;
	}
	if (body->count == 0 || body->count > request->broker->fds_max) {
		request_refuse(request, WIRE_REASON_COUNT, request->broker->fds_max, body->count,
			       false, "one request can ask for 1 to %u buffers",
			       request->broker->fds_max);
		return false;
	}
	if (body->kind < WIRE_KIND_COHERENT || body->kind > WIRE_KIND_NONCOHERENT) {
		request_refuse(request, WIRE_REASON_UNKNOWN_KIND, 0, body->kind, false,
			       "%u is no kind of memory that can be allocated; ask for coherent, "
			       "writecombine or noncoherent",
			       body->kind);
		return false;
	}
	if (body->attributes & ~(uint64_t)WIRE_ATTRIBUTES_KNOWN) {
		request_refuse(request, WIRE_REASON_UNKNOWN_ATTRIBUTE, WIRE_ATTRIBUTES_KNOWN,
			       body->attributes, false,
			       "attribute bits %#llx are not known here; leave them out",
			       (unsigned long long)(body->attributes &
						    ~(uint64_t)WIRE_ATTRIBUTES_KNOWN));
		return false;
	}
	if (body->direction > WIRE_DIR_NONE) {
		request_refuse(request, WIRE_REASON_UNKNOWN_DIRECTION, WIRE_DIR_NONE,
			       body->direction, false, "there is no direction %u", body->direction);
		return false;
	}
	if (body->nr_devices > WIRE_DEVICES_MAX) {
		request_refuse(request, WIRE_REASON_BAD_ARGUMENT, WIRE_DEVICES_MAX,
			       body->nr_devices, false, "at most %u devices can be named",
			       WIRE_DEVICES_MAX);
		return false;
	}
	if (!wire_text_ok(body->name, sizeof(body->name))) {
		request_refuse(request, WIRE_REASON_BAD_ARGUMENT, sizeof(body->name) - 1, 0, false,
			       "a buffer's name is at most %zu printable ASCII characters",
			       sizeof(body->name) - 1);
		return false;
	}
	job->size_bytes = (body->size_bytes + page - 1) / page * page;
	job->plain = body->attributes == 0 && body->direction == WIRE_DIR_BIDIRECTIONAL;
	return check_layout(request, body) && check_devices(job);
}

static bool charge(struct job *job)
{
	bool contiguous = job->body.attributes & WIRE_ATTR_FORCE_CONTIGUOUS;
	uint64_t bytes = job->size_bytes * job->body.count; /* below 2^48 */
	const struct amounts want = {
		.of[QUOTA_BYTES] = bytes,
		.of[QUOTA_CONTIGUOUS_BYTES] = contiguous ? bytes : 0,
		.of[QUOTA_BUFFERS] = job->body.count,
	};
	struct shortfall shortfall;

	if (broker_charge(job->request->broker, job->request->client, &want, &job->charge,
			  &shortfall) == 0)
		return true;
	request_refuse_shortfall(job->request, &shortfall);
	return false;
}

/* What the backend is told of every buffer of this request. */
static int prepare(struct job *job)
{
	const struct client *client = job->request->client;
	struct cookie cookie = {
		.direction = (uint8_t)job->body.direction,
		.uid = client->uid,
		.pid = client->pid,
		.account_uid = client->account->uid,
		.layout = job->body.layout,
	};
	int r;

	r = random_bytes(job->reply.secret, sizeof(job->reply.secret));
	if (r < 0)
		return r;
	memcpy(cookie.secret, job->reply.secret, sizeof(cookie.secret));
	memcpy(cookie.name, job->body.name, sizeof(cookie.name));
	memcpy(cookie.unit, client->account->unit, sizeof(cookie.unit));
	cookie_write(&cookie, job->alloc.cookie);
	job->alloc.size_bytes = job->body.size_bytes;
	job->alloc.kind = job->body.kind;
	job->alloc.direction = job->body.direction;
	job->alloc.attributes = job->body.attributes;
	job->alloc.devices = job->body.devices;
	job->alloc.nr_devices = job->body.nr_devices;
	return 0;
}

static int obtain(struct job *job, struct backend_buffer *ret, int *ret_fd,
		  struct backend_failure *failure)
{
	struct broker *broker = job->request->broker;
	struct backend *backend = broker->backend;
	int r;

	if (job->plain &&
	    pool_take(broker->pool, job->size_bytes, job->body.kind, ret, ret_fd) == 0) {
		if (backend->ops->buffer_set_cookie(backend, ret->id, job->alloc.cookie) == 0)
			return 0;
		*ret_fd = fd_close(*ret_fd);
	}
	r = backend->ops->buffer_alloc(backend, &job->alloc, ret, ret_fd, failure);
	if (r == -ENOMEM && pool_drain(broker->pool)) {
		broker_settle(broker);
		r = backend->ops->buffer_alloc(backend, &job->alloc, ret, ret_fd, failure);
	}
	return r;
}

static void describe(struct job *job, const struct backend_buffer *got)
{
	struct wire_alloc_reply *reply = &job->reply;

	if (job->nr_made == 0) {
		reply->size_bytes = got->size_bytes;
		reply->attributes = got->attributes;
		reply->alignment_bytes = got->alignment_bytes;
		reply->effective_kind = got->effective_kind;
		reply->contiguous = got->contiguous;
		memcpy(reply->region, got->region, sizeof(reply->region) - 1);
		return;
	}
	/* What is true of all of them. */
	reply->attributes &= got->attributes;
	reply->contiguous &= got->contiguous;
	if (got->alignment_bytes < reply->alignment_bytes)
		reply->alignment_bytes = got->alignment_bytes;
}

/* One buffer, allocated, in the ledger and held by the client. */
static int make_one(struct job *job, struct backend_failure *failure)
{
	const struct client *client = job->request->client;
	bool contiguous = job->body.attributes & WIRE_ATTR_FORCE_CONTIGUOUS;
	const struct amounts part = {
		.of[QUOTA_BYTES] = job->size_bytes,
		.of[QUOTA_CONTIGUOUS_BYTES] = contiguous ? job->size_bytes : 0,
		.of[QUOTA_BUFFERS] = 1,
	};
	struct charge own = { 0 };
	struct backend_buffer got;
	struct buffer *buffer;
	struct hold *hold;
	_cleanup_fd_ int fd = -1;
	int r;

	r = obtain(job, &got, &fd, failure);
	if (r < 0)
		return r;
	charge_split(&job->charge, &part, &own);
	if (got.size_bytes != job->size_bytes)
		charge_adjust_bytes(&own, got.size_bytes);
	r = buffer_new(job->request->broker->ledger, &own,
		       &(struct buffer_params){ .id = got.id,
						.size_bytes = got.size_bytes,
						.uid = client->uid,
						.pid = client->pid,
						.direction = job->body.direction,
						.name = job->body.name,
						.layout = &job->body.layout },
		       &buffer);
	if (r < 0) {
		charge_release(&own);
		return r;
	}
	/* From here on closing the fd leads to the proof that frees the buffer in the ledger. */
	r = hold_new(job->request->client, buffer, false, &hold);
	if (r < 0)
		return r;
	describe(job, &got);
	job->ids[job->nr_made] = got.id;
	job->fds[job->nr_made] = TAKE_FD(fd);
	job->nr_made++;
	return 0;
}

static void undo(struct job *job)
{
	charge_release(&job->charge);
	for (unsigned int i = 0; i < job->nr_made; i++)
		hold_free(hold_find(job->request->client, job->ids[i]));
}

static enum handled run(struct job *job)
{
	struct backend_failure failure = { 0 };
	int r;

	r = prepare(job);
	while (r == 0 && job->nr_made < job->body.count)
		r = make_one(job, &failure);
	if (r < 0) {
		undo(job);
		request_refuse_failure(job->request, &failure, r);
		return HANDLED;
	}
	job->reply.count = job->nr_made;
	r = request_reply_fds(job->request, &job->reply, sizeof(job->reply), job->ids,
			      job->nr_made * sizeof(job->ids[0]), job->fds, job->nr_made);
	if (r == 0) {
		charge_release(&job->charge); /* it is empty */
		return HANDLED;
	}
	undo(job);
	return r == -ETOOMANYREFS ? HANDLED_LATER : HANDLED;
}

enum handled op_ALLOC(struct request *request)
{
	struct job job;
	enum handled handled;

	/* Everything but the two long arrays. */
	memset(&job, 0, offsetof(struct job, ids));
	job.request = request;
	request_body(request, &job.body);
	if (!check(&job) || !charge(&job))
		return HANDLED;
	handled = run(&job);
	for (unsigned int i = 0; i < job.nr_made; i++)
		fd_close(job.fds[i]);
	return handled;
}
