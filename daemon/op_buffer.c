/* SPDX-License-Identifier: MIT */
/*
 * Buffers that exist: release, show, list, and the ways to become a holder: by token, or by
 * showing an fd.
 *
 * Ids can be guessed, so they carry no right. What a client may not see is refused in the same
 * words as what does not exist.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/cleanup.h"
#include "daemon/op_list.h"
#include "daemon/random.h"

void request_refuse_unknown_buffer(struct request *request, uint64_t id)
{
	request_refuse(
		request, WIRE_REASON_UNKNOWN_BUFFER, 0, id, false,
		"there is no buffer %llu that this connection holds; allocate it, open it by "
		"token, or show its fd",
		(unsigned long long)id);
}

static int describe(struct request *request, struct buffer *buffer, struct wire_buffer *ret)
{
	struct backend *backend = request->broker->backend;
	const struct hold *hold = hold_find(request->client, buffer->id);
	enum wire_owned_by owned_by = WIRE_OWNED_BY_BOTH;
	struct backend_buffer live;
	int r;

	r = backend->ops->buffer_get(backend, buffer->id, &live);
	if (r < 0)
		return r;
	backend->ops->owned_by(backend, buffer->id, &owned_by);
	*ret = (struct wire_buffer){
		.id = buffer->id,
		.size_bytes = buffer->size_bytes,
		.attributes = live.attributes,
		.alignment_bytes = live.alignment_bytes,
		.syncs_done = live.syncs_done,
		.syncs_saved = live.syncs_saved,
		.kind = live.kind,
		.effective_kind = live.effective_kind,
		.direction = buffer->direction,
		.nr_mappings = live.nr_mappings,
		.owner_uid = buffer->uid,
		.owner_pid = buffer->pid,
		.owned_by = owned_by,
		.flags = (live.contiguous ? WIRE_BUFFER_CONTIGUOUS : 0) |
			 (hold ? WIRE_BUFFER_HELD : 0) |
			 (hold && hold->read_only ? WIRE_BUFFER_READ_ONLY : 0),
	};
	memcpy(ret->name, buffer->name, sizeof(ret->name));
	memcpy(ret->region, live.region, sizeof(ret->region) - 1);
	snprintf(ret->owner_unit, sizeof(ret->owner_unit), "%s", buffer->charge.account->unit);
	if (buffer->layout)
		ret->layout = *buffer->layout;
	return 0;
}

enum handled op_BUFFER_RELEASE(struct request *request)
{
	struct wire_id body;
	struct hold *hold;

	request_body(request, &body);
	hold = hold_find(request->client, body.id);
	if (!hold) {
		request_refuse_unknown_buffer(request, body.id);
		return HANDLED;
	}
	hold_free(hold);
	request_reply(request, NULL, 0, NULL, 0);
	return HANDLED;
}

enum handled op_BUFFER_SHOW(struct request *request)
{
	struct wire_buffer reply;
	struct buffer *buffer;
	struct wire_id body;

	request_body(request, &body);
	broker_settle(request->broker);
	buffer = buffer_find(request->broker->ledger, body.id);
	if (!buffer || !buffer_visible(buffer, request->client) ||
	    describe(request, buffer, &reply) < 0)
		request_refuse_unknown_buffer(request, body.id);
	else
		request_reply(request, &reply, sizeof(reply), NULL, 0);
	return HANDLED;
}

enum handled op_BUFFER_LIST(struct request *request)
{
	struct account *account;
	struct buffer *buffer, *last = NULL;
	struct wire_list list;
	struct page page;

	if (!page_begin(&page, request, sizeof(struct wire_buffer), false, &list))
		return HANDLED;
	account = list.flags & WIRE_LIST_ALL ? NULL : request->client->account;
	broker_settle(request->broker);
	for (buffer = buffer_after(request->broker->ledger, account, list.cursor); buffer;
	     buffer = buffer_after(request->broker->ledger, account, buffer->seq)) {
		struct wire_buffer *entry = page_add(&page);

		if (!entry) {
			page_send(&page, last->seq, 0);
			return HANDLED;
		}
		/* Gone since a moment ago: the report is on its way. */
		if (describe(request, buffer, entry) < 0)
			page.count--;
		last = buffer;
		buffer_mark(buffer, account);
	}
	page_send(&page, 0, 0);
	return HANDLED;
}

enum handled op_BUFFER_SHARE(struct request *request)
{
	struct shortfall shortfall;
	struct wire_share body;
	struct wire_token reply;
	struct token *token;
	struct hold *hold;
	bool read_only;
	int r;

	request_body(request, &body);
	if (body.reserved || (body.flags & ~WIRE_SHARE_READ_ONLY)) {
		request_refuse(request, WIRE_REASON_RESERVED_NOT_ZERO, WIRE_SHARE_READ_ONLY,
			       body.flags, false,
			       "BUFFER_SHARE: a reserved field or an unknown flag is set");
		return HANDLED;
	}
	hold = hold_find(request->client, body.id);
	if (!hold) {
		request_refuse_unknown_buffer(request, body.id);
		return HANDLED;
	}
	read_only = body.flags & WIRE_SHARE_READ_ONLY;
	if (hold->read_only && !read_only) {
		request_refuse(request, WIRE_REASON_READ_ONLY, 0, body.id, false,
			       "buffer %llu is held read-only and can be shared read-only only",
			       (unsigned long long)body.id);
		return HANDLED;
	}
	r = random_bytes(reply.token, sizeof(reply.token));
	if (r == 0)
		r = token_new(hold, reply.token, read_only, &shortfall, &token);
	if (r == -EDQUOT)
		request_refuse_shortfall(request, &shortfall);
	else if (r < 0)
		request_refuse(request, WIRE_REASON_NO_MEMORY, 0, 0, true,
			       "the broker is out of memory for a token; try again");
	else
		request_reply(request, &reply, sizeof(reply), NULL, 0);
	return HANDLED;
}

enum handled op_BUFFER_OPEN(struct request *request)
{
	struct backend *backend = request->broker->backend;
	struct backend_failure failure = { 0 };
	struct client *client = request->client;
	struct wire_buffer reply;
	struct wire_token body;
	struct buffer *buffer;
	struct token *token;
	struct hold *hold;
	bool held, held_read_only;
	_cleanup_fd_ int fd = -1;
	int r;

	request_body(request, &body);
	token = token_find(request->broker->ledger, body.token);
	if (!token) {
		request_refuse(request, WIRE_REASON_UNKNOWN_TOKEN, 0, 0, false,
			       "there is no such token; it ends when its maker releases the buffer "
			       "or disconnects");
		return HANDLED;
	}
	buffer = token->buffer;
	r = backend->ops->buffer_open(backend, buffer->id, token->read_only, &fd, &failure);
	if (r < 0) {
		request_refuse_failure(request, &failure, r);
		return HANDLED;
	}
	hold = hold_find(client, buffer->id);
	held = hold;
	held_read_only = hold && hold->read_only;
	r = hold_new(client, buffer, token->read_only, &hold);
	if (r == 0)
		r = describe(request, buffer, &reply);
	if (r < 0) {
		request_refuse_failure(request, &failure, r);
	} else {
		/* This fd's right, whatever else the client holds. */
		reply.flags &= ~WIRE_BUFFER_READ_ONLY;
		reply.flags |= token->read_only ? WIRE_BUFFER_READ_ONLY : 0;
		r = request_reply_fds(request, &reply, sizeof(reply), NULL, 0, &fd, 1);
	}
	/* hold_find() again: a connection that was dropped lost all it held. */
	hold = hold_find(client, buffer->id);
	if (r < 0 && hold) {
		hold->read_only = held_read_only;
		if (!held)
			hold_free(hold);
	}
	return r == -ETOOMANYREFS ? HANDLED_LATER : HANDLED;
}

enum handled op_BUFFER_HOLD(struct request *request)
{
	struct backend *backend = request->broker->backend;
	struct buffer *buffer;
	struct wire_buffer reply;
	struct hold *hold;
	bool read_only;
	uint64_t id;
	int r;

	r = backend->ops->buffer_query(backend, request->packet->fds[0], &id, &read_only);
	buffer = r == 0 ? buffer_find(request->broker->ledger, id) : NULL;
	if (!buffer) {
		request_refuse(request, WIRE_REASON_WRONG_FD_KIND, 0, 0, false,
			       "this fd is not a buffer of this broker");
		return HANDLED;
	}
	/* What it is, is known now: closing it here does not wait for anybody. */
	fd_close(packet_take_fd(request->packet, 0));
	r = hold_new(request->client, buffer, read_only, &hold);
	if (r == 0)
		r = describe(request, buffer, &reply);
	if (r < 0)
		request_refuse(request, WIRE_REASON_NO_MEMORY, 0, 0, true,
			       "the broker cannot look at the buffer: %s", strerror(-r));
	else
		request_reply(request, &reply, sizeof(reply), NULL, 0);
	return HANDLED;
}
