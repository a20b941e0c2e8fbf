/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every check of the kernel's version is in this folder: the rest of the module is written for the
 * newest kernel that it supports, and this header gives older ones what they lack. The oldest is
 * 6.1. An entry goes away when its kernel is no longer supported.
 */
#ifndef DMABROKER_COMPAT_H
#define DMABROKER_COMPAT_H

#include <linux/mm.h>
#include <linux/module.h>
#include <linux/version.h>

#ifndef CONFIG_64BIT
#error "dmabroker keeps 64-bit ids in xarrays and supports 64-bit machines only"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

/* The biggest order of the page allocator was exclusive until 6.4 and renamed in 6.8. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define MAX_PAGE_ORDER (MAX_ORDER - 1)
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
#define MAX_PAGE_ORDER MAX_ORDER
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define DMAB_IMPORT_DMA_BUF() MODULE_IMPORT_NS(DMA_BUF)
#else
#define DMAB_IMPORT_DMA_BUF() MODULE_IMPORT_NS("DMA_BUF")
#endif

#endif /* DMABROKER_COMPAT_H */
