/* SPDX-License-Identifier: MIT */
/* Closing what strangers sent, where it cannot hold up the event loop. */
#ifndef DMABROKER_CLOSER_H
#define DMABROKER_CLOSER_H

#include <event2/event.h>

#include "proto/packet.h"

struct closer;

int closer_new(struct event_base *base, struct closer **ret);

/* What is still being closed goes on without anybody to tell. */
struct closer *closer_free(struct closer *closer);

/* Are there fds in the packet that nobody took? */
bool closer_needed(const struct packet *packet);

/**
 * closer_run() - close fds, and a socket with all that lies unread in it
 * @packet:   its fds are taken
 * @sock:     shut down; taken. -1: none
 * @done:     called from the event loop when all is closed, unless closer_free() came before
 * @userdata: for @done
 *
 * Return: 0; -errno: there is no thread for it, and it was done here and now; @done is not called.
 */
int closer_run(struct closer *closer, struct packet *packet, int sock, void (*done)(void *userdata),
	       void *userdata);

/* The same without a thread, and as fast as can be had: for the end of the process. */
void closer_now(struct packet *packet, int sock);

#endif /* DMABROKER_CLOSER_H */
