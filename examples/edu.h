/* SPDX-License-Identifier: MIT */
/*
 * A user-space driver for QEMU's "edu" PCI device: a DMA engine with 4 KiB of memory of its own.
 * The caller needs write access to the device's resource0 file, which an administrator gives.
 */
#ifndef EXAMPLES_EDU_H
#define EXAMPLES_EDU_H

#include <stddef.h>
#include <stdint.h>

/* The longest transfer. The device has a byte more, but QEMU ends the machine if it is used. */
#define EDU_TRANSFER_MAX_BYTES 4095

struct edu;

/**
 * edu_open() - map the device's registers
 * @ret:         the device; edu_close() it
 * @device_name: as the broker names it: "pci:0000:00:03.0"
 *
 * Return: 0, -EINVAL (not a PCI device's name), -ENXIO (it is no edu), or -errno of open or mmap.
 */
int edu_open(struct edu **ret, const char *device_name);
void edu_close(struct edu *edu);

/**
 * edu_read_memory() - let the device fetch bytes from memory into its own
 * @edu:          the device
 * @dma_address:  where, in the device's address space
 * @length_bytes: 1 to EDU_TRANSFER_MAX_BYTES
 *
 * Return: 0, -EINVAL, or -ETIMEDOUT when the device does not finish within two seconds.
 */
int edu_read_memory(struct edu *edu, uint64_t dma_address, size_t length_bytes);

/**
 * edu_write_memory() - let the device store bytes of its own into memory
 * @edu:          the device
 * @dma_address:  where, in the device's address space
 * @length_bytes: 1 to EDU_TRANSFER_MAX_BYTES
 *
 * Return: as edu_read_memory().
 */
int edu_write_memory(struct edu *edu, uint64_t dma_address, size_t length_bytes);

/* Start such a write and do not wait; edu_wait() does. For tests that race with it. */
int edu_start_write(struct edu *edu, uint64_t dma_address, size_t length_bytes);
int edu_wait(struct edu *edu);

#endif /* EXAMPLES_EDU_H */
