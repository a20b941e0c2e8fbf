/* SPDX-License-Identifier: MIT */
/*
 * Helpers that the backends share: how an op says why it failed, and the checks of a request's
 * own words that every backend makes in the same way, so that the same mistake gets the same
 * refusal everywhere.
 */
#ifndef DMABROKER_BACKEND_FAILURE_H
#define DMABROKER_BACKEND_FAILURE_H

#include "daemon/backend/backend.h"

/**
 * backend_fail() - describe a failure
 * @failure: filled; may be NULL
 * @reason:  decides the errno
 * @limit:   what stood in the way, 0 if nothing has a number
 * @value:   what was asked for
 * @retry:   the same request can succeed later
 * @format:  a sentence: what happened and what to do
 *
 * Return: the negative errno that belongs to @reason, so that callers can return it.
 */
__attribute__((format(printf, 6, 7))) int backend_fail(struct backend_failure *failure,
						       enum wire_reason reason, uint64_t limit,
						       uint64_t value, bool retry,
						       const char *format, ...);

/* "is out of file descriptors": -EMFILE with the words for it, the same for every backend. */
int backend_fail_files(struct backend_failure *failure, const char *what);

/**
 * backend_check_alloc() - what can be said of an allocation without looking at any device
 * @alloc:          the request
 * @page_size:      of the machine
 * @ret_size_bytes: its size rounded up to pages
 * @failure:        filled on failure; may be NULL
 *
 * Return: 0, -EINVAL.
 */
int backend_check_alloc(const struct backend_alloc *alloc, uint64_t page_size,
			uint64_t *ret_size_bytes, struct backend_failure *failure);

/* Address bits that memory of every kind can rely on: the narrower of the device's two masks. */
unsigned int backend_device_bits(const struct backend_device *device);

/**
 * backend_check_map() - the same for a mapping
 * @map:              the request
 * @buffer_direction: what the buffer was allocated for
 * @device:           which device it is for
 * @failure:          filled on failure; may be NULL
 *
 * Return: 0, -EINVAL, -EACCES, -ENODEV.
 */
int backend_check_map(const struct backend_map *map, enum wire_direction buffer_direction,
		      const struct backend_device *device, struct backend_failure *failure);

#endif /* DMABROKER_BACKEND_FAILURE_H */
