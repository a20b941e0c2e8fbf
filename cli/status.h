/* SPDX-License-Identifier: MIT */
/* "status" and "doctor". */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

#include "cli/cli.h"

int status_run(struct cli *cli, struct options *options);
int doctor_run(struct cli *cli, struct options *options);

#endif /* CLI_STATUS_H */
