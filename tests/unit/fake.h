/* SPDX-License-Identifier: MIT */
/*
 * A broker played by the test itself, packet by packet, on a socket of its own. The library's
 * asynchronous forms never block, so one thread can be both ends, and every order of events can be
 * had on purpose. Everything here fails the running test when something is not as it should be.
 */
#ifndef DMABROKER_TEST_FAKE_H
#define DMABROKER_TEST_FAKE_H

#include <check.h>
#include <dmabroker/dmabroker.h>

#include "proto/cleanup.h"
#include "proto/packet.h"

struct fake {
	char dir[64];
	char path[96];
	int listener;
	int sock; /* of the one client, or -1 */
	struct packet packet; /* received last */
	struct wire_header header; /* of it */
	struct dmabroker *broker; /* the library's end */
};

extern struct fake fake;

/* Fixture: listens; ends by checking that no fd is left open. */
void fake_setup(void);
void fake_teardown(void);

struct dmabroker_connect_params fake_params(void);
void fake_accept(void);
/* Connected and greeted: fake.broker is up. */
void fake_connect(void);
/* The broker dies. */
void fake_die(void);

/* The next packet is a request for @op; returns its body. */
const void *fake_request(enum wire_op op);
/* Nothing has been sent. */
void fake_silent(void);

void fake_send(uint32_t serial, uint16_t op, uint16_t flags, const void *body, size_t body_bytes,
	       const void *more, size_t more_bytes, const int *fds, unsigned int nr_fds);
/* Answer the last request. */
void fake_reply(const void *body, size_t body_bytes, const int *fds, unsigned int nr_fds);
void fake_reply_to(struct wire_header header, const void *body, size_t body_bytes, const int *fds,
		   unsigned int nr_fds);
void fake_refuse(uint32_t error, enum wire_reason reason, const char *text);
/* Answer an ALLOC with buffers of these ids, all of them memfds. */
void fake_reply_alloc(struct wire_header header, const uint64_t *ids, unsigned int nr);
void fake_event(enum wire_event event, const void *body, size_t body_bytes);

/* The next packet is a BUFFER_RELEASE that wants no reply, for this buffer. */
void fake_released(uint64_t id);

/* Let the library read and run callbacks; returns what dispatch did. */
int fake_dispatch(void);

struct dmabroker_alloc_params fake_alloc_params(unsigned int count);
int fake_memfd(void);
unsigned int count_fds(void);

int fake_main(Suite *suite);

#endif /* DMABROKER_TEST_FAKE_H */
