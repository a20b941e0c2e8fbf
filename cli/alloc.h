/* SPDX-License-Identifier: MIT */
/* "alloc" and "open". */
#ifndef CLI_ALLOC_H
#define CLI_ALLOC_H

#include <dmabroker/dmabroker.h>

#include "cli/cli.h"

#define ALLOC_DEVICES_MAX DMABROKER_DEVICES_MAX

/**
 * struct alloc_options - what both commands take
 * @size_bytes: of each buffer; 0: not said
 * @count:      how many
 * @devices:    names
 * @share:      make a token of each buffer
 * @hold:       wait for a signal
 * @quiet:      print nothing
 * @command:    NULL, or what to run, ended by NULL
 */
struct alloc_options {
	uint64_t size_bytes;
	unsigned int count;
	uint32_t kind;
	uint64_t attributes;
	uint32_t direction;
	const char *devices[ALLOC_DEVICES_MAX];
	unsigned int nr_devices;
	const char *name;
	bool share, share_read_only;
	bool hold, quiet;
	char **command;
};

extern const struct option_line alloc_options[];
extern const struct option_line open_options[];

int alloc_run(struct cli *cli, struct options *options);
int open_run(struct cli *cli, struct options *options);

/* alloc_options.c: walks over the arguments. 0, or -1 with @options->status set. */
int alloc_options_parse(struct options *options, struct alloc_options *ret);

#endif /* CLI_ALLOC_H */
