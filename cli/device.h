/* SPDX-License-Identifier: MIT */
/* "device ...": what an administrator does with a device. */
#ifndef CLI_DEVICE_H
#define CLI_DEVICE_H

#include "cli/cli.h"

extern const struct option_line device_bind_options[];
extern const struct option_line device_unbind_options[];
extern const struct option_line device_set_mask_options[];

int device_bind_run(struct cli *cli, struct options *options);
int device_unbind_run(struct cli *cli, struct options *options);
int device_set_mask_run(struct cli *cli, struct options *options);
int device_release_run(struct cli *cli, struct options *options);

#endif /* CLI_DEVICE_H */
