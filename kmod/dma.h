/* SPDX-License-Identifier: GPL-2.0 */
/* Streaming mappings that are checked before and flushed after; see dma.c. */
#ifndef DMABROKER_DMA_H
#define DMABROKER_DMA_H

#include <linux/device.h>
#include <linux/dma-direction.h>
#include <linux/scatterlist.h>

struct dmab_buffer;

/**
 * struct dmab_dma - a buffer mapped for one struct device
 * @dev:       for whom
 * @sgt:       the pages and the addresses
 * @direction: as mapped
 * @attrs:     DMA_ATTR_*, as mapped
 */
struct dmab_dma {
	struct device *dev;
	struct sg_table sgt;
	enum dma_data_direction direction;
	unsigned long attrs;
};

bool dmab_dma_translates(struct device *dev);
int dmab_dma_map(struct dmab_dma *dma, struct device *dev, struct dmab_buffer *buffer, u64 mask,
		 enum dma_data_direction direction, unsigned long attrs);
void dmab_dma_unmap(struct dmab_dma *dma);

#endif /* DMABROKER_DMA_H */
