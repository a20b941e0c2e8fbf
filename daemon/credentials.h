/* SPDX-License-Identifier: MIT */
/* Who a peer is, as the kernel tells it. */
#ifndef DMABROKER_CREDENTIALS_H
#define DMABROKER_CREDENTIALS_H

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/core/ledger.h"

#define CREDENTIALS_GROUPS_MAX 1024

/**
 * struct credentials - read once, when a peer connects
 * @uid:           who it ran as when it connected
 * @pid:           which process, for people to read; never looked up again
 * @groups:        its primary and supplementary groups; owned
 * @nr_groups:     how many
 * @unit:          first non-slice unit of its cgroup, or "user-UID.slice"; empty if unknown
 * @unit_verified: the kernel vouches that @unit is this very process's
 * @evasive:       it had ended when it was looked at, or hides where it is
 */
struct credentials {
	uid_t uid;
	pid_t pid;
	gid_t *groups;
	size_t nr_groups;
	char unit[UNIT_SIZE];
	bool unit_verified;
	bool evasive;
};

/* Never blocks. 0 or -errno; without a unit it succeeds. */
int credentials_read(int sock, struct credentials *ret);
void credentials_fini(struct credentials *credentials);

/* The unit in the text of a /proc/PID/cgroup; empty when there is none. */
void credentials_parse_cgroup(const char *text, char ret_unit[static UNIT_SIZE]);

#endif /* DMABROKER_CREDENTIALS_H */
