/* SPDX-License-Identifier: MIT */
/*
 * A client without the library: it says anything, right or wrong, and sees every byte that comes
 * back. And the broker to say it to: the one at $DMABROKER_SOCKET, or one of the test's own.
 *
 * Everything here fails the running test when something is not as it should be.
 */
#ifndef DMABROKER_TEST_RAW_H
#define DMABROKER_TEST_RAW_H

#include <sys/resource.h>
#include <sys/types.h>

#include "proto/packet.h"

/* Ordinary users of the tests; the first may use devices wherever anybody may. */
#define USER1 1001
#define USER2 1002
#define USER3 1003

/* How long anything may take. */
#define PATIENCE_MS 5000

/* Check's own assertions work inside of tests only; main() uses what is here, too. */
extern bool inside_test;
void fail_at(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
#define must(condition, ...)                                      \
	do {                                                      \
		if (!(condition))                                 \
			fail_at(__FILE__, __LINE__, __VA_ARGS__); \
	} while (0)

/* As numbers; each side is looked at once. */
#define must_be(a, op, b)                                                                       \
	do {                                                                                    \
		long long _a = (long long)(a), _b = (long long)(b);                             \
		if (!(_a op _b))                                                                \
			fail_at(__FILE__, __LINE__, "%s is %lld, and not %s %lld", #a, _a, #op, \
				_b);                                                            \
	} while (0)

struct raw {
	int sock;
	uint32_t serial; /* of the latest request */
	struct packet reply; /* the latest one */
};

/* Connect, without a word. With a uid: as that user (for root's tests). */
void raw_open(struct raw *raw, const char *socket);
void raw_open_as(struct raw *raw, const char *socket, uid_t uid);

/* The same, and HELLO. */
void raw_hello(struct raw *raw, const char *socket);
void raw_hello_as(struct raw *raw, const char *socket, uid_t uid);
void raw_close(struct raw *raw);

/* Any bytes as one packet. */
void raw_send_bytes(struct raw *raw, const void *bytes, size_t nr, const int *fds,
		    unsigned int nr_fds);

/* A request with a good header; returns its serial, or -EAGAIN when the socket is full. */
int64_t raw_send(struct raw *raw, uint16_t op, uint16_t flags, const void *body, size_t body_bytes,
		 const int *fds, unsigned int nr_fds);

/* The next packet into raw->reply; false at the end of the stream. */
bool raw_recv(struct raw *raw);

/* Nothing comes within @ms. */
void raw_silent(struct raw *raw, int ms);

/* The next packet is the answer to @op. Returns its body. */
const void *raw_reply(struct raw *raw, uint16_t op);

/* Send and get the answer. */
const void *raw_call(struct raw *raw, uint16_t op, const void *body, size_t body_bytes,
		     const int *fds, unsigned int nr_fds);

/* Send and be refused for @reason; the connection must live on. Returns the refusal. */
const struct wire_refusal *raw_refused(struct raw *raw, enum wire_reason reason, uint16_t op,
				       const void *body, size_t body_bytes, const int *fds,
				       unsigned int nr_fds);

/* The connection ends; what came before that is thrown away. */
void raw_dropped(struct raw *raw);

/* It still answers. */
void raw_alive(struct raw *raw);
struct wire_status_reply raw_status(struct raw *raw);

/* A request that is right; tests change what should be wrong. */
struct wire_alloc raw_alloc_request(uint64_t size_bytes, uint32_t count);

/* Allocate; ids and fds are the caller's. */
void raw_alloc(struct raw *raw, uint64_t size_bytes, uint32_t count, uint64_t *ret_ids,
	       int *ret_fds);
void raw_release(struct raw *raw, uint64_t id);

/* Devices that this client may map to; returns how many, at most @capacity. */
unsigned int raw_devices(struct raw *raw, uint32_t *ret_ids, unsigned int capacity);
struct wire_mapping raw_map(struct raw *raw, uint64_t buffer_id, uint32_t device_id,
			    uint32_t direction, int *ret_fd);

/* Wait until the asker's account has this many buffers and mappings; fails after @ms. */
void raw_settles(struct raw *raw, uint64_t buffers, uint64_t mappings, int ms);

void fds_close(int *fds, unsigned int nr);
int64_t now_ms(void);
void pause_ms(int ms);

/* The shared broker: at $DMABROKER_SOCKET, or started by main(). */
const char *shared_socket(void);
bool shared_is_own(void);

/**
 * struct own_broker - one that a test starts for itself
 */
struct own_broker {
	pid_t pid;
	char dir[64];
	char socket[96];
};

/*
 * own_broker_start() - on the sim backend
 * @config:   text of its configuration, may be ""
 * @uid:      whom it runs as; -1: whoever runs the test
 * @nr_files: its limit of open files; 0: as it is
 */
void own_broker_start(struct own_broker *broker, const char *config, uid_t uid, rlim_t nr_files);

/* It must end by itself, without a fault. */
void own_broker_stop(struct own_broker *broker);

/* How many fds a process has open. */
unsigned int count_fds(pid_t pid);

#endif /* DMABROKER_TEST_RAW_H */
