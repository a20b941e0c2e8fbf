// SPDX-License-Identifier: MIT
/*
 * Runs the topics named on the command line and prints a line for every check. The last line counts
 * the checks of all processes that took part; a process that died has counted as a failed one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "e2e.h"
#include "report.h"

static const struct {
	const char *name;
	void (*run)(void);
} topics[] = {
	{ "copy", test_copy },
	{ "trace", test_trace },
	{ "refused", test_refused },
	{ "left-out", test_left_out },
	{ "one-segment", test_one_segment },
	{ "zero", test_zero },
	{ "full", test_full },
	{ "kill", test_kill },
	{ "charge", test_charge },
	{ "guess", test_guess },
	{ "read-only", test_read_only },
	{ "import", test_import },
	{ "suite", test_suite },
	{ "suite-short", test_suite_short },
	{ "library", test_library },
	{ "unread", test_unread },
	{ "race", test_race },
	{ "unbind", test_unbind },
	{ "unload", test_unload },
};

struct machine machine = { .iommu = true, .coherent = true, .bits = { 28, 32 } };
const char *const device_names[2] = { "pci:0000:00:03.0", "pci:0000:00:04.0" };

static void usage(void)
{
	fprintf(stderr, "Usage: e2e [--no-iommu] [--noncoherent] [--cma] [--bits N N] TOPIC...\n");
	exit(2);
}

static void run_topic(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(topics); i++) {
		if (strcmp(topics[i].name, name) == 0) {
			printf("# %s\n", name);
			fflush(stdout);
			topics[i].run();
			return;
		}
	}
	die("there is no topic '%s'", name);
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--no-iommu") == 0) {
			machine.iommu = false;
		} else if (strcmp(argv[i], "--noncoherent") == 0) {
			machine.coherent = false;
		} else if (strcmp(argv[i], "--cma") == 0) {
			machine.cma = true;
		} else if (strcmp(argv[i], "--bits") == 0 && i + 2 < argc) {
			machine.bits[0] = (unsigned int)atoi(argv[++i]);
			machine.bits[1] = (unsigned int)atoi(argv[++i]);
		} else {
			usage();
		}
	}
	if (i == argc)
		usage();
	report_init();
	for (; i < argc; i++)
		run_topic(argv[i]);
	return report_end();
}
