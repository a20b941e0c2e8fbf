/* SPDX-License-Identifier: MIT */
/*
 * Cookies to bytes and back. The bytes come from the kernel, which keeps them as they were, yet
 * another daemon or version may have written them: strings are terminated here, and anything that
 * does not start as expected is refused rather than guessed at.
 */
#include <errno.h>
#include <string.h>

#include "daemon/core/cookie.h"

#define MAGIC	0x43424d44u
#define VERSION 1

struct stored {
	uint32_t magic;
	uint16_t version;
	uint8_t direction;
	uint8_t flags;
	uint32_t uid;
	uint32_t pid;
	uint32_t account_uid;
	uint32_t reserved;
	uint8_t secret[16];
	char name[WIRE_NAME_SIZE];
	struct wire_layout layout;
	char unit[UNIT_SIZE];
};

_Static_assert(sizeof(struct stored) == COOKIE_SIZE, "a cookie fills its bytes, without padding");

void cookie_write(const struct cookie *cookie, uint8_t ret_bytes[static COOKIE_SIZE])
{
	struct stored stored = {
		.magic = MAGIC,
		.version = VERSION,
		.direction = cookie->direction,
		.flags = cookie->flags,
		.uid = cookie->uid,
		.pid = cookie->pid,
		.layout = cookie->layout,
		.account_uid = cookie->account_uid,
	};

	memcpy(stored.secret, cookie->secret, sizeof(stored.secret));
	memcpy(stored.name, cookie->name, strnlen(cookie->name, sizeof(stored.name) - 1));
	memcpy(stored.unit, cookie->unit, strnlen(cookie->unit, sizeof(stored.unit) - 1));
	memcpy(ret_bytes, &stored, sizeof(stored));
}

int cookie_read(const uint8_t bytes[static COOKIE_SIZE], struct cookie *ret)
{
	struct stored stored;

	memcpy(&stored, bytes, sizeof(stored));
	if (stored.magic != MAGIC || stored.version != VERSION)
		return -EPROTO;

	*ret = (struct cookie){
		.flags = stored.flags,
		.direction = stored.direction,
		.uid = stored.uid,
		.pid = stored.pid,
		.account_uid = stored.account_uid,
		.layout = stored.layout,
	};
	memcpy(ret->secret, stored.secret, sizeof(ret->secret));
	memcpy(ret->name, stored.name, sizeof(ret->name) - 1);
	memcpy(ret->unit, stored.unit, sizeof(ret->unit) - 1);
	return 0;
}
