/* SPDX-License-Identifier: MIT */
/*
 * The DMA engine of the sim backend's devices: what a driver would do with a device's registers.
 * It goes through the mappings of the device and nothing else, so a wrong address, a wrong
 * direction or a forgotten sync shows on any laptop.
 */
#ifndef DMABROKER_SIM_H
#define DMABROKER_SIM_H

#include "types.h"
#include "request.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct dmabroker_sim_dma_params - a copy by a simulated device
 * @struct_size:  DMABROKER_SIM_DMA_PARAMS_INIT sets it
 * @device:       such as "sim:0"
 * @source:       DMA address within a mapping of the device that it may read
 * @destination:  DMA address within a mapping of the device that it may write
 * @length_bytes: 1 to 1 MiB; source and destination may overlap
 */
struct dmabroker_sim_dma_params {
	size_t struct_size;
	const char *device;
	uint64_t source;
	uint64_t destination;
	uint64_t length_bytes;
};

#define DMABROKER_SIM_DMA_PARAMS_INIT DMABROKER_PARAMS_INIT(dmabroker_sim_dma_params)

/**
 * dmabroker_sim_dma_copy() - let a simulated device copy
 * @broker: the connection
 * @params: what to where
 *
 * Ownership: unchanged.
 * Blocking:  until the copy is done.
 * Threads:   any.
 *
 * Return: 0, -EFAULT (an address that is not mapped for the device, a direction that does not
 *         allow it, or an address beyond the mask; the refusal says which), -EOPNOTSUPP (real
 *         devices have registers of their own), -ENODEV, -EACCES, -EINVAL, -E2BIG, -ETIMEDOUT,
 *         -ECONNRESET, -ENOTCONN, -EPROTO, -ENOMEM, -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_sim_dma_copy(struct dmabroker *broker,
					 const struct dmabroker_sim_dma_params *params);

/**
 * dmabroker_sim_dma_copy_start() - dmabroker_sim_dma_copy() without waiting
 * @broker:      the connection
 * @params:      what to where; copied
 * @async:       NULL: the timeout as deadline and no callback
 * @ret_request: nothing to take. May be NULL
 *
 * Ownership: the caller owns one reference of the request.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, -EINVAL, -E2BIG, -ENODEV (a name no device can have), -ENOTCONN, -ENOMEM,
 *         -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_sim_dma_copy_start(struct dmabroker *broker,
					       const struct dmabroker_sim_dma_params *params,
					       const struct dmabroker_async *async,
					       struct dmabroker_request **ret_request);

#ifdef __cplusplus
}
#endif

#endif /* DMABROKER_SIM_H */
