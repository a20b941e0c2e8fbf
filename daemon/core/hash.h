/* SPDX-License-Identifier: MIT */
/*
 * uthash as the ledger uses it: running out of memory fails the one insertion (the element's
 * hh.tbl is then NULL) and never the process; and a keyed hash for what strangers choose.
 */
#ifndef DMABROKER_CORE_HASH_H
#define DMABROKER_CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* SipHash-2-4: without the key nobody can predict or collide it. */
uint64_t siphash(const uint64_t key[static 2], const void *data, size_t data_bytes);

#endif /* DMABROKER_CORE_HASH_H */
