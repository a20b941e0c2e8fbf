/* SPDX-License-Identifier: GPL-2.0 */
/* The lists of /dev/dmabroker; see list.c. */
#ifndef DMABROKER_LIST_H
#define DMABROKER_LIST_H

struct dmab_request;

int dmab_list_devices(struct dmab_request *request);
int dmab_list_buffers(struct dmab_request *request);
int dmab_list_mappings(struct dmab_request *request);

#endif /* DMABROKER_LIST_H */
