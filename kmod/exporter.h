/* SPDX-License-Identifier: GPL-2.0 */
/* Buffers as dma-bufs; see exporter.c. */
#ifndef DMABROKER_EXPORTER_H
#define DMABROKER_EXPORTER_H

#include <linux/dma-buf.h>
#include <linux/types.h>

struct dmab_buffer;

int dmab_exporter_export(struct dmab_buffer *buffer, bool read_only, struct dma_buf **ret);
int dmab_exporter_by_fd(int fd, struct dmab_buffer **ret, bool *ret_read_only);

#endif /* DMABROKER_EXPORTER_H */
