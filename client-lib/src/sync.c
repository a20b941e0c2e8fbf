/* SPDX-License-Identifier: MIT */
/*
 * Who may touch a range now, CPU or device. Where the mapping's fd can, it does it at once: no
 * message, no connection needed, and the asynchronous form has ended when it returns. Otherwise it
 * is a request like any other.
 */
#include <linux/dmabroker-mapping.h>
#include <sys/ioctl.h>

#include "client-lib/src/mapping.h"
#include "client-lib/src/request.h"

struct sync_request {
	struct dmabroker_request request;
	struct wire_sync sync;
};

_Static_assert(DMABROKER_SYNC_CPU == WIRE_SYNC_FOR_CPU &&
		       DMABROKER_SYNC_CPU == DMABROKER_SYNC_FOR_CPU &&
		       DMABROKER_SYNC_DEVICE == WIRE_SYNC_FOR_DEVICE &&
		       DMABROKER_SYNC_DEVICE == DMABROKER_SYNC_FOR_DEVICE,
	       "the flags agree");

static int sync_send(struct dmabroker_request *request)
{
	const struct wire_sync *sync = &((struct sync_request *)request)->sync;

	return request_call(request, WIRE_OP_MAPPING_SYNC, sync, sizeof(*sync), -1);
}

static int sync_reply(struct dmabroker_request *request, uint16_t op, struct packet *packet)
{
	return 0;
}

static const struct request_ops sync_ops = { .send = sync_send, .reply = sync_reply };

static bool sync_by_fd(const struct dmabroker_mapping *mapping)
{
	return dmabroker_mapping_get_info(mapping)->flags & DMABROKER_MAPPING_SYNC_BY_FD;
}

static int fd_sync(const struct dmabroker_mapping *mapping, uint32_t for_whom,
		   uint64_t offset_bytes, uint64_t size_bytes)
{
	struct dmabroker_mapping_sync sync = { .size = sizeof(sync),
					       .flags = for_whom,
					       .offset_bytes = offset_bytes,
					       .size_bytes = size_bytes };

	return ioctl(dmabroker_mapping_get_fd(mapping), DMABROKER_MAPPING_IOC_SYNC, &sync) < 0
		       ? -errno
		       : 0;
}

static const char *fd_sync_text(int error)
{
	switch (-error) {
	case EINVAL:
		return "The range goes past the end of the mapping.";
	case ENODEV:
		return "The device of this mapping is gone; unmap, and map to another.";
	case EPERM:
		return "The mapping's direction does not allow this sync.";
	default:
		return NULL;
	}
}

static int sync_new(struct dmabroker_mapping *mapping, uint32_t for_whom, uint64_t offset_bytes,
		    uint64_t size_bytes, const struct dmabroker_async *async,
		    struct dmabroker_request **ret)
{
	struct sync_request *request;
	int r;

	r = request_new(mapping_get_broker(mapping), &sync_ops, sizeof(*request), async, &request);
	if (r < 0)
		return r;
	request->sync = (struct wire_sync){ .mapping_id = dmabroker_mapping_get_info(mapping)->id,
					    .offset_bytes = offset_bytes,
					    .size_bytes = size_bytes,
					    .flags = for_whom };
	*ret = &request->request;
	return 0;
}

int dmabroker_sync_start(struct dmabroker_mapping *mapping, uint32_t for_whom,
			 uint64_t offset_bytes, uint64_t size_bytes,
			 const struct dmabroker_async *async,
			 struct dmabroker_request **ret_request)
{
	struct dmabroker_request *request;
	int r;

	if (for_whom != DMABROKER_SYNC_CPU && for_whom != DMABROKER_SYNC_DEVICE)
		return fail_with(-EINVAL, DMABROKER_REASON_BAD_ARGUMENT, DMABROKER_SYNC_DEVICE,
				 for_whom,
				 "A sync is for DMABROKER_SYNC_CPU or for DMABROKER_SYNC_DEVICE.");
	r = sync_new(mapping, for_whom, offset_bytes, size_bytes, async, &request);
	if (r < 0)
		return r;
	if (!sync_by_fd(mapping))
		return request_start(request, ret_request);
	r = fd_sync(mapping, for_whom, offset_bytes, size_bytes);
	return request_ended_at_once(request, r, fd_sync_text(r), ret_request);
}

static int sync_run(struct dmabroker_mapping *mapping, uint32_t for_whom, uint64_t offset_bytes,
		    uint64_t size_bytes)
{
	_cleanup_request_ struct dmabroker_request *request = NULL;
	int r;

	if (sync_by_fd(mapping)) {
		r = fd_sync(mapping, for_whom, offset_bytes, size_bytes);
		return r < 0 ? fail(r, fd_sync_text(r)) : 0;
	}
	r = sync_new(mapping, for_whom, offset_bytes, size_bytes, NULL, &request);
	return r < 0 ? r : request_run(request);
}

int dmabroker_sync_for_cpu(struct dmabroker_mapping *mapping, uint64_t offset_bytes,
			   uint64_t size_bytes)
{
	return sync_run(mapping, DMABROKER_SYNC_CPU, offset_bytes, size_bytes);
}

int dmabroker_sync_for_device(struct dmabroker_mapping *mapping, uint64_t offset_bytes,
			      uint64_t size_bytes)
{
	return sync_run(mapping, DMABROKER_SYNC_DEVICE, offset_bytes, size_bytes);
}
