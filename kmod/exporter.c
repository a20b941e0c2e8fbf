// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers as dma-bufs.
 *
 * Each time a buffer is opened it becomes one more dma-buf over the same memory, with one more
 * reference to the buffer. A dma-buf has one file, whose mode all its fds share, so a read-only
 * share has to be another dma-buf anyway; and an open dma-buf cannot be found again safely: the
 * struct dma_buf may outlive its file (an O_PATH descriptor on the name in /proc is enough), with
 * no way to tell from outside. What implicit synchronisation needs to be common, the reservation
 * object, is common: it is the buffer's.
 *
 * User mappings are PFNMAP on every path, so that nothing can pin a page and keep it beyond the
 * buffer's life. mmap() only checks: a mapping is in the file's tree, where it can be found and
 * zapped, only after mmap() has returned, so pages are put in by the first fault, all at once.
 *
 * There are three tables of operations. A vmap that fails is a kernel WARNING, which any V4L2 user
 * could provoke, whereas a missing one is an ordinary refusal; so buffers without a kernel mapping
 * and read-only shares have tables without. In the first table it cannot fail, because the mapping
 * was made with the buffer.
 */
#include "exporter.h"

#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/iosys-map.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "buffer.h"
#include "compat/compat.h"
#include "dma.h"

static const struct dma_buf_ops read_only_ops;

static bool is_read_only(const struct dma_buf *dmabuf)
{
	return dmabuf->ops == &read_only_ops;
}

static struct sg_table *exporter_map(struct dma_buf_attachment *attach,
				     enum dma_data_direction direction)
{
	struct dmab_buffer *buffer = attach->dmabuf->priv;
	struct dmab_dma *dma;
	int err;

	err = dmab_buffer_check_direction(buffer, is_read_only(attach->dmabuf), direction);
	if (err)
		return ERR_PTR(err);

	dma = kzalloc(sizeof(*dma), GFP_KERNEL);
	if (!dma)
		return ERR_PTR(-ENOMEM);
	err = dmab_dma_map(dma, attach->dev, buffer, dma_get_mask(attach->dev), direction, 0);
	if (err) {
		kfree(dma);
		return ERR_PTR(err);
	}
	return &dma->sgt;
}

static void exporter_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			   enum dma_data_direction direction)
{
	struct dmab_dma *dma = container_of(sgt, struct dmab_dma, sgt);

	dmab_dma_unmap(dma);
	kfree(dma);
}

/* The memory is coherent: there is nothing to sync, but stores may still be in a write buffer. */
static int exporter_begin_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	if (is_read_only(dmabuf) && direction != DMA_FROM_DEVICE)
		return -EACCES;
	/* Loads that follow must not be satisfied from before. */
	mb();
	return 0;
}

static int exporter_end_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	if (is_read_only(dmabuf) && direction != DMA_FROM_DEVICE)
		return -EACCES;
	/* Drains write-combining buffers. */
	mb();
	return 0;
}

static vm_fault_t exporter_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct dmab_buffer *buffer = vma->vm_private_data;
	struct page **pages = buffer->memory.pages + vma->vm_pgoff;
	unsigned long address;
	vm_fault_t ret;

	mutex_lock(&buffer->lock);
	/* The page that is needed first, so that the fault is over whatever happens to others. */
	ret = vmf_insert_pfn(vma, vmf->address & PAGE_MASK,
			     page_to_pfn(buffer->memory.pages[vmf->pgoff]));
	for (address = vma->vm_start; ret == VM_FAULT_NOPAGE && address < vma->vm_end;
	     address += PAGE_SIZE) {
		if (vmf_insert_pfn(vma, address, page_to_pfn(*pages++)) != VM_FAULT_NOPAGE)
			break;
		if (IS_ALIGNED(address, PMD_SIZE)) {
			if (fatal_signal_pending(current))
				break;
			cond_resched();
		}
	}
	mutex_unlock(&buffer->lock);
	return ret;
}

static const struct vm_operations_struct exporter_vm_ops = {
	.fault = exporter_fault,
};

static int exporter_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct dmab_buffer *buffer = dmabuf->priv;

	/* A private mapping would be a copy, and ordinary memory that can be pinned. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_pgoff > buffer->memory.nr_pages ||
	    vma_pages(vma) > buffer->memory.nr_pages - vma->vm_pgoff)
		return -EINVAL;
	if (is_read_only(dmabuf)) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}

	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = dmab_memory_pgprot(&buffer->memory, vma->vm_page_prot);
	vma->vm_ops = &exporter_vm_ops;
	vma->vm_private_data = buffer;
	return 0;
}

static int exporter_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct dmab_buffer *buffer = dmabuf->priv;

	iosys_map_set_vaddr(map, buffer->memory.vaddr);
	return 0;
}

static void exporter_release(struct dma_buf *dmabuf)
{
	dmab_buffer_put(dmabuf->priv);
}

static const struct dma_buf_ops writable_ops = {
	.map_dma_buf = exporter_map,
	.unmap_dma_buf = exporter_unmap,
	.begin_cpu_access = exporter_begin_cpu_access,
	.end_cpu_access = exporter_end_cpu_access,
	.mmap = exporter_mmap,
	.vmap = exporter_vmap,
	.release = exporter_release,
};

static const struct dma_buf_ops no_kernel_mapping_ops = {
	.map_dma_buf = exporter_map,
	.unmap_dma_buf = exporter_unmap,
	.begin_cpu_access = exporter_begin_cpu_access,
	.end_cpu_access = exporter_end_cpu_access,
	.mmap = exporter_mmap,
	.release = exporter_release,
};

static const struct dma_buf_ops read_only_ops = {
	.map_dma_buf = exporter_map,
	.unmap_dma_buf = exporter_unmap,
	.begin_cpu_access = exporter_begin_cpu_access,
	.end_cpu_access = exporter_end_cpu_access,
	.mmap = exporter_mmap,
	.release = exporter_release,
};

/**
 * dmab_exporter_export() - one more dma-buf over a buffer's memory
 * @buffer:    the buffer; the dma-buf gets a reference of its own
 * @read_only: one through which nobody can write
 * @ret:       the dma-buf, with one reference; dma_buf_put() ends it
 *
 * Return: 0 or -errno.
 */
int dmab_exporter_export(struct dmab_buffer *buffer, bool read_only, struct dma_buf **ret)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;

	if (read_only)
		info.ops = &read_only_ops;
	else if (buffer->memory.vaddr)
		info.ops = &writable_ops;
	else
		info.ops = &no_kernel_mapping_ops;
	info.exp_name = "dmabroker";
	info.size = buffer->memory.size_bytes;
	info.flags = read_only ? O_RDONLY : O_RDWR;
	info.resv = &buffer->resv;
	info.priv = buffer;

	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);

	/* From here only dma_buf_put() undoes it, and that calls exporter_release(). */
	dmab_buffer_get(buffer);
	*ret = dmabuf;
	return 0;
}

/**
 * dmab_exporter_by_fd() - which buffer is this
 * @fd:            of the calling process
 * @ret:           a reference to the buffer
 * @ret_read_only: whether the fd carries no right to write
 *
 * Return: 0, or -EBADF if the fd is not open or not a dma-buf of this module.
 */
int dmab_exporter_by_fd(int fd, struct dmab_buffer **ret, bool *ret_read_only)
{
	struct dma_buf *dmabuf = dma_buf_get(fd);

	if (IS_ERR(dmabuf))
		return -EBADF;
	if (dmabuf->ops != &writable_ops && dmabuf->ops != &no_kernel_mapping_ops &&
	    dmabuf->ops != &read_only_ops) {
		dma_buf_put(dmabuf);
		return -EBADF;
	}

	*ret = dmab_buffer_get(dmabuf->priv);
	*ret_read_only = is_read_only(dmabuf);
	dma_buf_put(dmabuf);
	return 0;
}
