/* SPDX-License-Identifier: MIT */
/* What an administrator decided: the configuration file, parsed. daemon/dmabroker.conf explains. */
#ifndef DMABROKER_CONFIG_H
#define DMABROKER_CONFIG_H

#include <stdbool.h>
#include <stdio.h>

#include "daemon/core/ledger.h"

#define CONFIG_POOLS_MAX 8

enum rule_kind {
	RULE_GROUP,
	RULE_USER,
	RULE_UNIT,
};

/* A [user], [group] or [unit] section. */
struct rule {
	enum rule_kind kind;
	char name[UNIT_SIZE];
	uint32_t id; /* uid or gid */
	bool known; /* the user or group exists on this machine */
	unsigned int set; /* bit (1 << enum quota): this section says it */
	struct amounts limits;
	char **devices; /* patterns */
	unsigned int nr_devices;
};

/* Buffers to keep ready. */
struct pool_config {
	uint64_t size_bytes;
	enum wire_kind kind;
	unsigned int nr;
};

struct config {
	char backend[16];
	char *socket;
	int log_level;
	uint64_t machine_total_bytes; /* 0: machine_total_percent counts */
	unsigned int machine_total_percent;
	unsigned int clients_max; /* 0: as many as the fd limit carries */
	unsigned int hello_timeout_s;
	uint32_t regular_uid_min;
	uint32_t regular_uid_max;
	bool allow_unprotected_devices;
	struct amounts limits;
	struct rule *rules;
	unsigned int nr_rules;
	char **sim_devices;
	unsigned int nr_sim_devices;
	struct pool_config pools[CONFIG_POOLS_MAX];
	unsigned int nr_pools;
	bool pools_set; /* the file says; the defaults are gone */
};

/* The built-in defaults. */
int config_new(struct config **ret);
struct config *config_free(struct config *config);

static inline void cleanup_config(struct config **config)
{
	config_free(*config);
}

/*
 * config_read() - add what a file says
 * @file:      open for reading
 * @name:      for messages
 * @ret_error: "name:line: what and what to do", filled on -EINVAL
 *
 * Return: 0, -EINVAL, -ENOMEM, or -EIO.
 */
int config_read(struct config *config, FILE *file, const char *name, char ret_error[static 512]);

/* "64M", "8192"; "K", "M", "G", "T" are powers of 1024, with or without "iB". -EINVAL, -ERANGE. */
int config_parse_size(const char *text, uint64_t *ret);

#endif /* DMABROKER_CONFIG_H */
