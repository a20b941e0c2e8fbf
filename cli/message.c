/* SPDX-License-Identifier: MIT */
/*
 * What goes to standard error. Every sentence says what happened, and what to do where there is
 * something. Texts that came from elsewhere (names that other users chose, the broker's reasons)
 * may hold anything; control characters in them would reach the reader's terminal, so they are
 * replaced here, for all messages at once.
 */
#include <stdarg.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/text.h"

__attribute__((format(printf, 2, 0))) static void print_line(const char *prefix, const char *format,
							     va_list args)
{
	char line[1024];

	vsnprintf(line, sizeof(line), format, args);
	text_make_printable(line);
	fprintf(stderr, "%s: %s\n", prefix, line);
}

void complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_line("dmabrokerctl", format, args);
	va_end(args);
}

int wrong_usage(const struct cli *cli, const char *format, ...)
{
	const char *name = cli->command ? cli->command->name : NULL;
	char prefix[64];
	va_list args;

	snprintf(prefix, sizeof(prefix), "dmabrokerctl%s%s", name ? " " : "", name ? name : "");
	va_start(args, format);
	print_line(prefix, format, args);
	va_end(args);
	fprintf(stderr, "Try '%s --help'.\n", prefix);
	return STATUS_USAGE;
}

void out_of_memory(void)
{
	complain("out of memory");
	exit(STATUS_REFUSED);
}
