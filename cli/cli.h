/* SPDX-License-Identifier: MIT */
/* What all commands share: the command table's entries, options, messages, exit statuses. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define _cleanup_(f)  __attribute__((cleanup(f)))
#define _cleanup_buf_ _cleanup_(cleanup_free)

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

/* Exit statuses. They are an interface: scripts tell "no" from "not there" by them. */
enum status {
	STATUS_DONE = 0,
	STATUS_REFUSED = 1, /* by the broker, or by the kernel for the device commands */
	STATUS_USAGE = 2,
	STATUS_NO_BROKER = 3,
};

struct cli;
struct options;

/**
 * struct option_line - an option as it is parsed and as --help shows it
 * @name:     without the dashes
 * @argument: what its value is called, NULL if it takes none
 * @id:       what options_next() returns for it
 * @help:     half a sentence
 */
struct option_line {
	const char *name;
	const char *argument;
	int id;
	const char *help;
};

/**
 * struct command - one command
 * @name:      the words that are typed, one or two
 * @arguments: what follows them in the usage line, options left out
 * @summary:   half a sentence for the list of commands
 * @details:   paragraphs for its --help, or NULL
 * @options:   its own options, ended by one without a name; or NULL
 * @run:       does it and returns an exit status
 */
struct command {
	const char *name;
	const char *arguments;
	const char *summary;
	const char *details;
	const struct option_line *options;
	int (*run)(struct cli *cli, struct options *options);
};

/**
 * struct cli - this run of the program
 * @command: NULL until it is known
 * @socket:  --socket, or NULL for where the library looks
 * @json:    --json
 */
struct cli {
	const struct command *command;
	const char *socket;
	bool json;
};

#define OPTIONS_MAX	  24
#define OPTIONS_WORDS_MAX 2

/**
 * struct options - a walk over a command's arguments
 * @words:    arguments that are no options, before a "--"
 * @nr_words: how many
 * @rest:     what follows a "--", ended by NULL; NULL where there was no "--"
 * @status:   valid when options_next() returned -1: exit with it
 */
struct options {
	struct cli *cli;
	int argc;
	char **argv;
	const char *words[OPTIONS_WORDS_MAX];
	unsigned int nr_words;
	char **rest;
	int status;
	struct option longs[OPTIONS_MAX];
};

extern const struct command commands[]; /* ended by one without a name */

/* options.c */
void options_init(struct options *options, struct cli *cli, int argc, char **argv);

/*
 * The next option of the command's own: its id, with its value; 0 at the end; -1 when all is said
 * (--help) or wrong, with @options->status set. --json and --socket are taken care of.
 */
int options_next(struct options *options, const char **ret_value);

/* After the end: exactly @nr_words, and no "--". 0, or -1 with @options->status set. */
int options_want_words(struct options *options, unsigned int nr_words);

/* Both, for a command with no options of its own. */
int options_only_words(struct options *options, unsigned int nr_words);

void print_main_help(void);
void print_command_help(const struct command *command);

/* message.c: sentences on standard error, after the program's name */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);
/* The same, pointing to --help. Returns STATUS_USAGE. */
__attribute__((format(printf, 2, 3))) int wrong_usage(const struct cli *cli, const char *format,
						      ...);

/* Ends the program: nothing here is worth going on with less. What was obtained is released. */
__attribute__((noreturn)) void out_of_memory(void);

#endif /* CLI_CLI_H */
