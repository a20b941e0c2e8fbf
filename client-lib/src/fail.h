/* SPDX-License-Identifier: MIT */
/* What a failing function leaves for dmabroker_get_refusal(). */
#ifndef DMABROKER_FAIL_H
#define DMABROKER_FAIL_H

#include "dmabroker/types.h"

/* Remember, for the calling thread, and return @error (negative). */
int fail(int error, const char *text);
int fail_with(int error, enum dmabroker_reason reason, uint64_t limit, uint64_t value,
	      const char *text);
int fail_refusal(const struct dmabroker_refusal *refusal);

/* A sentence for an errno that no better one is known for. */
const char *fail_text(int error);

/**
 * params_copy() - take a caller's parameter struct of whatever version
 * @dst:       this version's struct; what the caller's lacks is zeroed
 * @dst_bytes: its size
 * @min_bytes: its size in the first version
 * @src:       starts with its size
 *
 * Return: 0, -EINVAL (no size there), -E2BIG (fields this version does not know are set).
 */
int params_copy(void *dst, size_t dst_bytes, size_t min_bytes, const void *src);

#endif /* DMABROKER_FAIL_H */
