/* SPDX-License-Identifier: MIT */
/* The connection, and what to say and return when it or a call fails. */
#ifndef CLI_BROKER_H
#define CLI_BROKER_H

#include <dmabroker/dmabroker.h>

#include "cli/cli.h"

static inline void cleanup_broker(struct dmabroker **broker)
{
	dmabroker_unref(*broker);
}

static inline void cleanup_list(struct dmabroker_list **list)
{
	dmabroker_list_free(*list);
}

#define _cleanup_broker_ _cleanup_(cleanup_broker)
#define _cleanup_list_	 _cleanup_(cleanup_list)

/* All return an exit status, having complained where it is not STATUS_DONE. */

int broker_connect(const struct cli *cli, struct dmabroker **ret);

/* The status for the calling thread's last failure in the library, and its sentence. */
int broker_failed(const struct cli *cli, int error);

int broker_query(const struct cli *cli, struct dmabroker *broker, uint32_t type, uint64_t id,
		 struct dmabroker_list **ret);

/*
 * Of all accounts: an administrator gets them without asking, others are refused if @all is set and
 * get their own account's otherwise.
 */
int broker_query_all(const struct cli *cli, struct dmabroker *broker, uint32_t type, bool all,
		     struct dmabroker_list **ret);

#endif /* CLI_BROKER_H */
