/* SPDX-License-Identifier: MIT */
/* "devices", "clients" and "accounts", and what all listings share. */
#ifndef CLI_LIST_H
#define CLI_LIST_H

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/table.h"

extern const struct option_line list_options[];

/* Arguments of a listing: nothing but --all. 0, or -1 with @options->status set. */
int list_parse(struct options *options, bool *ret_all);

/* { "@name": [...] }; consumes @array. */
void list_print(const char *name, struct json_object *array);

/* A user, or "-" where an account is a unit's and no user's. */
void list_cell_uid(struct table *table, uint32_t uid);

int devices_run(struct cli *cli, struct options *options);
int clients_run(struct cli *cli, struct options *options);
int accounts_run(struct cli *cli, struct options *options);

#endif /* CLI_LIST_H */
