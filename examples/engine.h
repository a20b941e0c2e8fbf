/* SPDX-License-Identifier: MIT */
/*
 * A DMA engine that copies within a mapped buffer: QEMU's edu device driven from here, or a device
 * of the broker's sim backend. What a driver for real hardware would have in this place.
 */
#ifndef EXAMPLES_ENGINE_H
#define EXAMPLES_ENGINE_H

#include <dmabroker/dmabroker.h>

struct engine;

/**
 * engine_open() - drive a device
 * @broker: the connection; borrowed, must outlive the engine
 * @device: "sim:0", or "pci:..." of an edu whose resource0 this program may write
 * @ret:    the engine; engine_close() it
 *
 * Return: 0, or -errno.
 */
int engine_open(struct dmabroker *broker, const char *device, struct engine **ret);
void engine_close(struct engine *engine);

const char *engine_device(const struct engine *engine);

/**
 * engine_copy() - let the device copy from one place of a buffer to another, by its own addresses
 * @engine:      the device
 * @mapping:     the buffer as this device sees it
 * @from_bytes:  offset in the buffer
 * @to_bytes:    offset in the buffer
 * @length_bytes: how much; both ranges lie within the mapping
 *
 * Return: 0, -EINVAL (past the end of the mapping), -ETIMEDOUT (the device does not finish), or
 *         what the sim backend reports.
 */
int engine_copy(struct engine *engine, const struct dmabroker_mapping *mapping, uint64_t from_bytes,
		uint64_t to_bytes, uint64_t length_bytes);

#endif /* EXAMPLES_ENGINE_H */
