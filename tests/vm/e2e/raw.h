/* SPDX-License-Identifier: MIT */
/* A client without the library, for what the library would never say. */
#ifndef TESTS_VM_RAW_H
#define TESTS_VM_RAW_H

#include "proto/packet.h"

struct raw {
	int sock;
	uint32_t serial;
	struct packet reply; /* the latest */
};

/* Connects and says HELLO; dies if that fails. */
void raw_connect(struct raw *raw);
void raw_close(struct raw *raw);

/* Sends without waiting; -EAGAIN when the socket is full. */
int raw_send(struct raw *raw, uint16_t op, const void *body, size_t size);

/*
 * Sends and waits for the answer. NULL when it was refused: the reason is in *@ret_reason, 0 when
 * it was not. What it points to is good until the next call.
 */
const void *raw_call(struct raw *raw, uint16_t op, const void *body, size_t size,
		     uint32_t *ret_reason);
/* The same with an fd in the request. */
const void *raw_call_fd(struct raw *raw, uint16_t op, int fd, uint32_t *ret_reason);

#endif
