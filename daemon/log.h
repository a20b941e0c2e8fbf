/* SPDX-License-Identifier: MIT */
/*
 * Logging that never blocks. Levels are those of syslog.h. What cannot be written at once is
 * counted, and the count is part of the broker's status.
 */
#ifndef DMABROKER_LOG_H
#define DMABROKER_LOG_H

#include <stdint.h>
#include <syslog.h>

/* Whom a message is about; its uid is what the rate limit counts. */
struct log_peer {
	uint32_t uid;
	uint32_t pid;
	const char *op; /* NULL: none */
	uint32_t serial;
};

/* Messages above @level are dropped. Until then LOG_INFO. */
void log_open(int level);
void log_close(void);

/* "error", "warning", "info", "debug" or a number; -EINVAL. */
int log_level_parse(const char *text, int *ret_level);

void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_peer(int level, const struct log_peer *peer, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Messages that could not be written, since the start. */
uint64_t log_nr_lost(void);

#endif /* DMABROKER_LOG_H */
