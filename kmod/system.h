/* SPDX-License-Identifier: GPL-2.0 */
/* The module's own allocating devices; see system.c. */
#ifndef DMABROKER_SYSTEM_H
#define DMABROKER_SYSTEM_H

#include <linux/scatterlist.h>
#include <linux/types.h>

int dmab_system_init(void);
void dmab_system_fini(void);
bool dmab_system_has(bool coherent);
bool dmab_system_bounces(void);
u64 dmab_system_required_mask(void);
void *dmab_system_alloc(bool coherent, size_t size_bytes, u64 phys_limit, unsigned long dma_attrs,
			dma_addr_t *ret_dma, struct page **ret_page);
void dmab_system_free(bool coherent, size_t size_bytes, void *cookie, dma_addr_t dma,
		      unsigned long dma_attrs);
int dmab_system_clean(struct sg_table *sgt);

#endif /* DMABROKER_SYSTEM_H */
