/* SPDX-License-Identifier: MIT */
/*
 * Options: getopt_long() driven by the table that --help is printed from, so that the two cannot
 * differ. The global options are taken anywhere before "--", also behind the command.
 *
 * The parser runs in the mode that hands out other words in their order ("-"), because the usual
 * one moves them together with what stands behind "--", and then nobody can tell the two apart.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

/* Above any letter. */
enum {
	ID_JSON = 1000,
	ID_SOCKET,
	ID_HELP,
};

static const struct option_line global_options[] = {
	{ "json", NULL, ID_JSON, "print JSON" },
	{ "socket", "PATH", ID_SOCKET, "the broker's socket" },
	{ "help", NULL, ID_HELP, "print this" },
	{},
};

static struct option *add_longs(struct option *at, const struct option_line *lines)
{
	for (; lines && lines->name; lines++)
		*at++ = (struct option){
			.name = lines->name,
			.has_arg = lines->argument ? required_argument : no_argument,
			.val = lines->id,
		};
	return at;
}

void options_init(struct options *options, struct cli *cli, int argc, char **argv)
{
	struct option *end;

	*options = (struct options){ .cli = cli, .argc = argc, .argv = argv };
	end = add_longs(options->longs, global_options);
	end = add_longs(end, cli->command->options);
	*end = (struct option){};
	optind = 0; /* start anew, also in glibc's eyes */
	opterr = 0;
}

static int stop(struct options *options, int status)
{
	options->status = status;
	return -1;
}

static int take_word(struct options *options, const char *word)
{
	if (options->nr_words == OPTIONS_WORDS_MAX)
		return stop(options,
			    wrong_usage(options->cli, "'%s' is one argument too many", word));
	options->words[options->nr_words++] = word;
	return 0;
}

int options_next(struct options *options, const char **ret_value)
{
	struct cli *cli = options->cli;

	for (;;) {
		int before = optind ? optind : 1;
		int id = getopt_long(options->argc, options->argv, "-:h", options->longs, NULL);

		switch (id) {
		case -1:
			if (before < options->argc && strcmp(options->argv[before], "--") == 0)
				options->rest = options->argv + before + 1;
			return 0;
		case 1:
			if (take_word(options, optarg) < 0)
				return -1;
			break;
		case ID_JSON:
			cli->json = true;
			break;
		case ID_SOCKET:
			cli->socket = optarg;
			break;
		case 'h':
		case ID_HELP:
			print_command_help(cli->command);
			return stop(options, STATUS_DONE);
		case ':':
			return stop(options, wrong_usage(cli, "%s needs a value",
							 options->argv[optind - 1]));
		case '?':
			return stop(options,
				    wrong_usage(cli,
						"there is no option %s here, or it takes no value",
						options->argv[before]));
		default:
			*ret_value = optarg;
			return id;
		}
	}
}

int options_only_words(struct options *options, unsigned int nr_words)
{
	const char *value;

	if (options_next(options, &value) < 0)
		return -1;
	return options_want_words(options, nr_words);
}

int options_want_words(struct options *options, unsigned int nr_words)
{
	if (options->rest)
		return stop(options, wrong_usage(options->cli, "nothing may follow here after --"));
	if (options->nr_words > nr_words)
		return stop(options, wrong_usage(options->cli, "'%s' is one argument too many",
						 options->words[nr_words]));
	if (options->nr_words < nr_words)
		return stop(options, wrong_usage(options->cli, "it needs %s",
						 options->cli->command->arguments));
	return 0;
}

static void print_options(const struct option_line *lines)
{
	char left[40];

	for (; lines && lines->name; lines++) {
		snprintf(left, sizeof(left), "--%s%s%s", lines->name, lines->argument ? " " : "",
			 lines->argument ? lines->argument : "");
		printf("  %-24s %s\n", left, lines->help);
	}
}

void print_command_help(const struct command *command)
{
	printf("Usage: dmabrokerctl %s [OPTION]...%s%s\n\n%c%s.\n", command->name,
	       command->arguments[0] ? " " : "", command->arguments,
	       command->summary[0] - 'a' + 'A', command->summary + 1);
	if (command->details)
		printf("%s\n", command->details);
	printf("\nOptions:\n");
	print_options(command->options);
	print_options(global_options);
}

void print_main_help(void)
{
	char left[64];

	printf("Usage: dmabrokerctl [--json] [--socket PATH] COMMAND ...\n\nCommands:\n");
	for (const struct command *command = commands; command->name; command++) {
		snprintf(left, sizeof(left), "%s%s%s", command->name,
			 command->arguments[0] ? " " : "", command->arguments);
		printf("  %-24s %s\n", left, command->summary);
	}
	printf("\nOptions:\n");
	print_options(global_options);
	printf("  %-24s %s\n", "--version", "print the version");
	printf("\nEach command has its own --help.\n"
	       "Exit status: 0 done, 1 refused (standard error has the reason), 2 wrong usage,\n"
	       "3 no broker.\n");
}
