/* SPDX-License-Identifier: MIT */
/*
 * SipHash-2-4, from its published description (Aumasson, Bernstein: "SipHash: a fast short-input
 * PRF", 2012). It names accounts with a fixed key, where it only has to be stable and spread well,
 * and indexes tokens with a random key, where a lookup must tell a guesser nothing.
 */
#include <string.h>

#include "daemon/core/hash.h"

static uint64_t rotate(uint64_t x, unsigned int bits)
{
	return x << bits | x >> (64 - bits);
}

static void rounds(uint64_t v[static 4], unsigned int nr)
{
	while (nr--) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

/* Eight bytes, the first one lowest, on machines of either order. */
static uint64_t word_at(const uint8_t *bytes, size_t nr)
{
	uint64_t word = 0;

	for (size_t i = 0; i < nr; i++)
		word |= (uint64_t)bytes[i] << (8 * i);
	return word;
}

uint64_t siphash(const uint64_t key[static 2], const void *data, size_t data_bytes)
{
	const uint8_t *bytes = data;
	size_t left = data_bytes;
	uint64_t v[4] = {
		key[0] ^ 0x736f6d6570736575ull,
		key[1] ^ 0x646f72616e646f6dull,
		key[0] ^ 0x6c7967656e657261ull,
		key[1] ^ 0x7465646279746573ull,
	};
	uint64_t word;

	for (; left >= 8; left -= 8, bytes += 8) {
		word = word_at(bytes, 8);
		v[3] ^= word;
		rounds(v, 2);
		v[0] ^= word;
	}
	word = (uint64_t)data_bytes << 56 | word_at(bytes, left);
	v[3] ^= word;
	rounds(v, 2);
	v[0] ^= word;
	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
