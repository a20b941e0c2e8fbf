/* SPDX-License-Identifier: MIT */
/*
 * dmabrokerctl: the broker on the command line.
 *
 * A table of commands; each is a file that turns its arguments into calls of the library (or, for
 * "device", into writes to /sys) and the answers into text or JSON. --help is made from the same
 * table. Exit statuses are those of enum status, but for a command run by "alloc" or "open", whose
 * status is passed on.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/alloc.h"
#include "cli/buffers.h"
#include "cli/device.h"
#include "cli/list.h"
#include "cli/status.h"
#include <config.h>

static const char alloc_details[] =
	"\nEach buffer is mapped to each device named (\"system\" only has a say in what memory\n"
	"is chosen), shown, and released at the end: at once, with --hold at a signal, or when\n"
	"COMMAND ends. COMMAND inherits the first buffer's file descriptor, its number is in\n"
	"DMABROKER_FD, and the exit status is COMMAND's.";

static const char open_details[] =
	"\nTOKEN is what \"alloc --share\" printed, and is good while that command runs. The\n"
	"buffer is used and released as by \"alloc\".";

static const char bind_details[] =
	"\nDEVICE is pci:0000:00:03.0 or 0000:00:03.0. The masks that are not given come from\n"
	"/etc/dmabroker/devices.conf, else the kernel's 32 bits stay. A device that another\n"
	"driver has is only taken with --force or if that file says \"bind = yes\" for it.\n"
	"Needs root.";

static const char set_mask_details[] =
	"\nRefused while the device has mappings. --mask alone sets both masks. Needs root.";

static const char release_details[] =
	"\nA device without a reset method stays with the account that used it last, because\n"
	"turning it on again wakes whatever that one left in it. This says that nothing goes on\n"
	"in it. Needs root.";

const struct command commands[] = {
	{ "status", "", "how the broker is, and your account", NULL, NULL, status_run },
	{ "doctor", "", "which backend and why, what you may do, why you were refused", NULL, NULL,
	  doctor_run },
	{ "devices", "", "devices that buffers can be mapped to", NULL, NULL, devices_run },
	{ "device bind", "DEVICE", "give a PCI device to the broker", bind_details,
	  device_bind_options, device_bind_run },
	{ "device unbind", "DEVICE", "take a PCI device back from the broker", NULL,
	  device_unbind_options, device_unbind_run },
	{ "device set-mask", "DEVICE", "say how many address bits a device drives",
	  set_mask_details, device_set_mask_options, device_set_mask_run },
	{ "device release", "DEVICE", "let another account have a device", release_details, NULL,
	  device_release_run },
	{ "alloc", "[-- COMMAND [ARG...]]", "get buffers, map them, hold them", alloc_details,
	  alloc_options, alloc_run },
	{ "open", "TOKEN [-- COMMAND [ARG...]]", "use a buffer that was shared", open_details,
	  open_options, open_run },
	{ "buffers", "", "live buffers and who is charged for them", NULL, list_options,
	  buffers_run },
	{ "buffer show", "ID", "one buffer with its mappings", NULL, NULL, buffer_show_run },
	{ "clients", "", "connections to the broker", NULL, list_options, clients_run },
	{ "accounts", "", "who is charged with how much", NULL, list_options, accounts_run },
	{},
};

/* What comes before the command. -1 to go on, else an exit status. */
static int parse_global(struct cli *cli, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "socket", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{},
	};
	int id;

	opterr = 0;
	while ((id = getopt_long(argc, argv, "+:hV", longs, NULL)) >= 0) {
		switch (id) {
		case 'j':
			cli->json = true;
			break;
		case 's':
			cli->socket = optarg;
			break;
		case 'h':
			print_main_help();
			return STATUS_DONE;
		case 'V':
			printf("dmabrokerctl %s\n", DMABROKER_VERSION);
			return STATUS_DONE;
		case ':':
			return wrong_usage(cli, "%s needs a value", argv[optind - 1]);
		default:
			return wrong_usage(cli, "there is no option %s here, or it takes no value",
					   argv[optind - 1]);
		}
	}
	return -1;
}

/* How many words of @argv name @command; 0 if it is another one. */
static int matches(const struct command *command, int argc, char **argv)
{
	const char *space = strchr(command->name, ' ');
	size_t length = space ? (size_t)(space - command->name) : strlen(command->name);

	if (strncmp(argv[0], command->name, length) != 0 || argv[0][length])
		return 0;
	if (!space)
		return 1;
	return argc > 1 && strcmp(argv[1], space + 1) == 0 ? 2 : 0;
}

static bool is_group(const char *word)
{
	size_t length = strlen(word);

	for (const struct command *command = commands; command->name; command++)
		if (strncmp(command->name, word, length) == 0 && command->name[length] == ' ')
			return true;
	return false;
}

static int run_group(const struct cli *cli, int argc, char **argv)
{
	char prefix[16];

	if (argc > 1 && strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0)
		return wrong_usage(cli, "there is no command '%s %s'", argv[0], argv[1]);
	snprintf(prefix, sizeof(prefix), "%s ", argv[0]);
	if (argc < 2) {
		char words[80] = "";

		for (const struct command *command = commands; command->name; command++)
			if (strncmp(command->name, prefix, strlen(prefix)) == 0)
				snprintf(words + strlen(words), sizeof(words) - strlen(words),
					 "%s%s", words[0] ? ", " : "",
					 command->name + strlen(prefix));
		return wrong_usage(cli, "'%s' needs a second word: %s", argv[0], words);
	}
	for (const struct command *command = commands; command->name; command++)
		if (strncmp(command->name, prefix, strlen(prefix)) == 0)
			printf("dmabrokerctl %s %s\n    %s\n", command->name, command->arguments,
			       command->summary);
	return STATUS_DONE;
}

static int run(int argc, char **argv)
{
	struct cli cli = {};
	struct options options;
	int status = parse_global(&cli, argc, argv);

	if (status >= 0)
		return status;
	argc -= optind;
	argv += optind;
	if (argc == 0)
		return wrong_usage(&cli, "which command?");
	for (const struct command *command = commands; command->name; command++) {
		int nr_words = matches(command, argc, argv);

		if (!nr_words)
			continue;
		cli.command = command;
		/* getopt_long() skips one, the program's name. */
		options_init(&options, &cli, argc - nr_words + 1, argv + nr_words - 1);
		return command->run(&cli, &options);
	}
	if (is_group(argv[0]))
		return run_group(&cli, argc, argv);
	return wrong_usage(&cli, "there is no command '%s'", argv[0]);
}

int main(int argc, char **argv)
{
	int status = run(argc, argv);

	/* An answer that did not arrive is none. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		complain("cannot write to standard output: %s", strerror(errno));
		if (status == STATUS_DONE)
			status = STATUS_REFUSED;
	}
	return status;
}
