/* SPDX-License-Identifier: MIT */
/*
 * uthash as the ledger uses it: running out of memory fails the one insertion (the element's
 * hh.tbl is then NULL) and never the process. Every key is a uint64_t that no stranger can choose:
 * a number given out in order, or a keyed hash. So mixing it is one multiplication.
 */
#ifndef DMABROKER_CORE_HASH_H
#define DMABROKER_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline unsigned int hash_number(const void *key)
{
	uint64_t number;

	memcpy(&number, key, sizeof(number));
	return (unsigned int)(number * 0x9e3779b97f4a7c15ull >> 32);
}

#define HASH_NONFATAL_OOM		     1
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = hash_number(keyptr))
#include <uthash.h>

/* SipHash-2-4: without the key nobody can predict or collide it. */
uint64_t siphash(const uint64_t key[static 2], const void *data, size_t data_bytes);

#endif /* DMABROKER_CORE_HASH_H */
