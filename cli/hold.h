/* SPDX-License-Identifier: MIT */
/* Waiting while buffers are held: for a signal, or for a command. */
#ifndef CLI_HOLD_H
#define CLI_HOLD_H

#include <signal.h>
#include <dmabroker/dmabroker.h>

/**
 * struct hold - signals, from before the first buffer is obtained
 * @signals:   they come through this fd and no other way
 * @inherited: the mask that a command gets
 */
struct hold {
	int signals;
	sigset_t inherited;
};

/* 0 or -errno. From here on SIGINT, SIGTERM and SIGHUP end nothing by themselves. */
int hold_init(struct hold *hold);
void hold_fini(struct hold *hold);

/* Until one of them comes. What happens to the connection meanwhile is told. */
void hold_wait(struct hold *hold, struct dmabroker *broker);

/*
 * Runs @command with @fd inherited and its number in DMABROKER_FD. Signals are passed on to it.
 * Returns its exit status, or 128 and the signal that ended it, as shells count; 127 and 126 if it
 * could not be found or run.
 */
int hold_run(struct hold *hold, struct dmabroker *broker, char **command, int fd);

#endif /* CLI_HOLD_H */
