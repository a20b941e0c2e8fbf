/* SPDX-License-Identifier: MIT */
/* Secrets. */
#ifndef DMABROKER_RANDOM_H
#define DMABROKER_RANDOM_H

#include <stddef.h>

/* Unpredictable bytes; at most 256 at a time. -errno when the kernel has none. */
int random_bytes(void *ret, size_t bytes);

#endif /* DMABROKER_RANDOM_H */
