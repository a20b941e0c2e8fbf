/* SPDX-License-Identifier: MIT */
/*
 * Every allocation has a secret of 16 bytes, and a system call for each would be felt. So random
 * bytes are fetched 1024 at a time; each is handed out once and wiped here.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/random.h"

int random_bytes(void *ret, size_t bytes)
{
	static unsigned char stock[1024];
	static size_t left;

	assert(bytes <= 256);
	if (left < bytes) {
		size_t have = 0;

		left = 0;
		while (have < sizeof(stock)) {
			ssize_t n = getrandom(stock + have, sizeof(stock) - have, GRND_NONBLOCK);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return -errno;
			have += (size_t)n;
		}
		left = sizeof(stock);
	}
	left -= bytes;
	memcpy(ret, stock + left, bytes);
	explicit_bzero(stock + left, bytes);
	return 0;
}
