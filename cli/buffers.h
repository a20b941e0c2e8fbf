/* SPDX-License-Identifier: MIT */
/* "buffers" and "buffer show". */
#ifndef CLI_BUFFERS_H
#define CLI_BUFFERS_H

#include "cli/cli.h"

extern const struct option_line buffers_options[];

int buffers_run(struct cli *cli, struct options *options);
int buffer_show_run(struct cli *cli, struct options *options);

#endif /* CLI_BUFFERS_H */
