/* SPDX-License-Identifier: MIT */
/* What the broker is measured against, and the broker itself, as child processes. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <sys/types.h>

struct peer {
	pid_t pid;
	int sock; /* of the raw peer; -1 for a broker */
	char dir[64]; /* of a broker: its socket and configuration; removed with it */
	char socket_path[96];
};

/**
 * peer_start_raw() - the least that a server handing out fds could do
 * @ret: the child; it answers each packet with one packet of the same length and one fd
 *
 * Return: 0 or -errno.
 */
int peer_start_raw(struct peer *ret);

/**
 * peer_start_broker() - dmabrokerd on the sim backend, on a socket of its own
 * @daemon: path of dmabrokerd
 * @config: the text of its configuration file
 * @ret:    the child
 *
 * Return: 0 or -errno.
 */
int peer_start_broker(const char *daemon, const char *config, struct peer *ret);
void peer_stop(struct peer *peer);

#endif /* BENCH_PEER_H */
