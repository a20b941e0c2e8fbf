/* SPDX-License-Identifier: MIT */
/*
 * The buffer object: made when the broker granted one, freed by the user; and the token, which is
 * a buffer's name for others. How buffers are asked for is in obtain.c, the CPU's access to their
 * memory in memory.c.
 */
#include <string.h>

#include "client-lib/src/buffer.h"
#include "client-lib/src/hold.h"
#include "client-lib/src/list.h"
#include "client-lib/src/request.h"

int buffer_new(struct dmabroker *broker, const struct wire_buffer *wire, int fd,
	       struct dmabroker_buffer **ret)
{
	struct dmabroker_buffer *buffer = calloc(1, sizeof(*buffer));

	if (!buffer || hold_get(broker, wire->id) < 0) {
		free(buffer);
		fd_close(fd);
		hold_unwanted(broker, wire->id);
		return -ENOMEM;
	}
	buffer->broker = broker;
	buffer->fd = fd;
	buffer->wire = *wire;
	buffer_info_fill(&buffer->info, &buffer->wire);
	*ret = buffer;
	return 0;
}

struct dmabroker_buffer *buffer_release(struct dmabroker_buffer *buffer)
{
	struct dmabroker *broker;

	if (!buffer)
		return NULL;
	broker = buffer->broker;
	/* First: when the broker reads the message, the memory may be on its way back already. */
	fd_close(buffer->fd);
	if (broker_is_mine(broker)) {
		pthread_mutex_lock(&broker->lock);
		hold_put(broker, buffer->wire.id, buffer->outlives);
		broker_leave(broker);
	}
	free(buffer);
	return NULL;
}

struct dmabroker_buffer *dmabroker_free(struct dmabroker_buffer *buffer)
{
	struct dmabroker *broker;

	if (!buffer)
		return NULL;
	broker = buffer->broker;
	buffer_release(buffer);
	dmabroker_unref(broker);
	return NULL;
}

const struct dmabroker_buffer_info *dmabroker_buffer_get_info(const struct dmabroker_buffer *buffer)
{
	return &buffer->info;
}

int dmabroker_buffer_get_fd(const struct dmabroker_buffer *buffer)
{
	/* Constant to the user: what is noted is only that the fd may have been passed on. */
	((struct dmabroker_buffer *)buffer)->outlives = true;
	return buffer->fd;
}

struct share_request {
	struct dmabroker_request request;
	struct wire_share share;
	struct wire_token token;
};

static int share_send(struct dmabroker_request *request)
{
	const struct wire_share *share = &((struct share_request *)request)->share;

	return request_call(request, WIRE_OP_BUFFER_SHARE, share, sizeof(*share), -1);
}

static int share_reply(struct dmabroker_request *request, uint16_t op, struct packet *packet)
{
	struct wire_token *token = &((struct share_request *)request)->token;

	wire_body_copy(token, sizeof(*token), packet->bytes, packet->size_bytes);
	return 0;
}

static const struct request_ops share_ops = { .send = share_send, .reply = share_reply };

static int share_new(struct dmabroker_buffer *buffer, uint32_t flags,
		     const struct dmabroker_async *async, struct dmabroker_request **ret)
{
	struct share_request *request;
	int r;

	r = request_new(buffer->broker, &share_ops, sizeof(*request), async, &request);
	if (r < 0)
		return r;
	request->share = (struct wire_share){ .id = buffer->wire.id, .flags = flags };
	buffer->outlives = true;
	*ret = &request->request;
	return 0;
}

int dmabroker_share_start(struct dmabroker_buffer *buffer, uint32_t flags,
			  const struct dmabroker_async *async,
			  struct dmabroker_request **ret_request)
{
	struct dmabroker_request *request;
	int r;

	r = share_new(buffer, flags, async, &request);
	return r < 0 ? r : request_start(request, ret_request);
}

int dmabroker_request_take_token(struct dmabroker_request *request,
				 struct dmabroker_token *ret_token)
{
	int r = request_taking(request, &share_ops);

	if (r < 0)
		return r;
	memcpy(ret_token->bytes, ((struct share_request *)request)->token.token,
	       sizeof(ret_token->bytes));
	return 0;
}

int dmabroker_share(struct dmabroker_buffer *buffer, uint32_t flags,
		    struct dmabroker_token *ret_token)
{
	_cleanup_request_ struct dmabroker_request *request = NULL;
	int r;

	r = share_new(buffer, flags, NULL, &request);
	if (r == 0)
		r = request_run(request);
	return r < 0 ? r : dmabroker_request_take_token(request, ret_token);
}

_Static_assert(sizeof(((struct dmabroker_token *)0)->bytes) == WIRE_TOKEN_SIZE, "tokens agree");

void dmabroker_token_to_text(const struct dmabroker_token *token,
			     char ret_text[DMABROKER_TOKEN_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < sizeof(token->bytes); i++) {
		ret_text[2 * i] = digits[token->bytes[i] >> 4];
		ret_text[2 * i + 1] = digits[token->bytes[i] & 15];
	}
	ret_text[2 * sizeof(token->bytes)] = '\0';
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int dmabroker_token_from_text(const char *text, struct dmabroker_token *ret_token)
{
	struct dmabroker_token token = { 0 };
	size_t nr = 2 * sizeof(token.bytes);

	for (size_t i = 0; i < nr; i++) {
		int value = digit(text[i]);

		if (value < 0)
			nr = 0; /* too short, or something else: found out below */
		else
			token.bytes[i / 2] |= (uint8_t)(i % 2 ? value : value << 4);
	}
	if (nr == 0 || text[nr] != '\0')
		return fail_with(-EINVAL, DMABROKER_REASON_BAD_ARGUMENT, 0, 0,
				 "A token is 32 hexadecimal digits.");
	*ret_token = token;
	return 0;
}
