/* SPDX-License-Identifier: MIT */
/* The socket that clients connect to. */
#ifndef DMABROKER_LISTENER_H
#define DMABROKER_LISTENER_H

#include "daemon/broker.h"

/*
 * listener_new() - accept connections for @broker
 * @sock:      a listening socket, taken on success; -1 to make one at @path
 * @ret_error: filled on failure
 */
int listener_new(struct broker *broker, int sock, const char *path, struct listener **ret,
		 char ret_error[static 256]);

/* Removes the path if listener_new() made it. */
struct listener *listener_free(struct listener *listener);

#endif /* DMABROKER_LISTENER_H */
