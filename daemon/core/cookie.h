/* SPDX-License-Identifier: MIT */
/*
 * The 256 bytes that the backend keeps with every buffer: all a restarted daemon needs to charge
 * it to the right account again. Written by the daemon alone, read by the daemon alone, on the
 * same machine; the version still counts, because the daemon may be upgraded while buffers live.
 *
 *	  0  magic        "DMBC"
 *	  4  version      1
 *	  6  direction    enum wire_direction
 *	  7  flags        COOKIE_POOL: no client has seen it yet
 *	  8  uid          of the process that asked
 *	 12  pid
 *	 16  account_uid  of the account, with the unit below
 *	 20  reserved     0
 *	 24  secret       with an fd of the buffer, re-claims it
 *	 40  name
 *	 72  layout
 *	160  unit         of the account, NUL-padded
 *
 * What is often empty comes last, for backends that keep no trailing zeroes.
 */
#ifndef DMABROKER_CORE_COOKIE_H
#define DMABROKER_CORE_COOKIE_H

#include "daemon/core/ledger.h"

#define COOKIE_SIZE 256
#define COOKIE_POOL (1u << 0)

struct cookie {
	uint8_t flags;
	uint8_t direction;
	uint32_t uid;
	uint32_t pid;
	uint32_t account_uid;
	uint8_t secret[16];
	char name[WIRE_NAME_SIZE];
	struct wire_layout layout;
	char unit[UNIT_SIZE];
};

void cookie_write(const struct cookie *cookie, uint8_t ret_bytes[static COOKIE_SIZE]);

/* -EPROTO: these bytes are not a cookie of a version that this daemon knows. */
int cookie_read(const uint8_t bytes[static COOKIE_SIZE], struct cookie *ret);

#endif /* DMABROKER_CORE_COOKIE_H */
