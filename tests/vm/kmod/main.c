// SPDX-License-Identifier: MIT
/*
 * Runs the topics named on the command line, or all, and prints a line for every check. The last
 * line counts them.
 *
 * What kind of machine this is comes from the command line and not from the module: a module that
 * wrongly said "no IOMMU here" would otherwise excuse itself from the tests.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kmod.h"

static const struct {
	const char *name;
	void (*run)(void);
	bool special; /* runs only if it is named: it needs a machine made for it */
} topics[] = {
	{ "abi", test_abi, false },
	{ "abi-devices", test_abi_devices, false },
	{ "memory", test_memory, false },
	{ "contiguous", test_contiguous, false },
	{ "rights", test_rights, false },
	{ "import", test_import, false },
	{ "mapping", test_mapping, false },
	{ "mapping-errors", test_mapping_errors, false },
	{ "events", test_events, false },
	{ "kill", test_kill, false },
	{ "trace", test_trace, false },
	{ "unmap", test_unmap, false },
	{ "device", test_device, false },
	{ "full", test_full, false },
	{ "stress", test_stress, false },
	{ "unload", test_unload, false },
	{ "reset", test_reset, true },
	{ "high", test_high, true },
	{ "forced-bounce", test_forced_bounce, true },
	{ "shared-group", test_shared_group, true },
	{ "faults", test_faults, true },
};

struct machine machine = { .iommu = true, .coherent = true, .bits = { 28, 32 } };
int broker_fd = -1;

static unsigned int passed, failed;

__attribute__((format(printf, 2, 0))) static void result(bool ok, const char *format, va_list args,
							 const char *more)
{
	printf("%s ", ok ? "ok" : "not ok");
	vprintf(format, args);
	printf("%s\n", more);
	fflush(stdout);
	if (ok)
		passed++;
	else
		failed++;
}

void check(bool ok, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	result(ok, format, args, "");
	va_end(args);
}

void check_errno(int actual, int expected, const char *format, ...)
{
	char more[160] = "";
	va_list args;

	if (actual > 0)
		actual = 0; /* an fd */
	if (actual != expected)
		snprintf(more, sizeof(more), " (got %s instead of %s)",
			 actual ? strerrorname_np(-actual) : "success",
			 expected ? strerrorname_np(-expected) : "success");
	va_start(args, format);
	result(actual == expected, format, args, more);
	va_end(args);
}

void die(const char *format, ...)
{
	va_list args;

	printf("not ok ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(": %s\n%u passed, %u failed\n", strerror(errno), passed, failed + 1);
	exit(1);
}

static void run_topic(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LENGTH(topics); i++) {
		if (strcmp(topics[i].name, name) == 0) {
			printf("# %s\n", name);
			topics[i].run();
			return;
		}
	}
	die("there is no topic '%s'", name);
}

static void usage(void)
{
	printf("Usage: kmod [--no-iommu] [--noncoherent] [--cma] [--bits N N] [TOPIC...]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	int i = 1;
	size_t t;

	for (; i < argc && argv[i][0] == '-'; i++) {
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

	broker_fd = open("/dev/dmabroker", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (broker_fd < 0)
		die("open /dev/dmabroker");
	edu_find_all();

	if (i < argc)
		for (; i < argc; i++)
			run_topic(argv[i]);
	else
		for (t = 0; t < ARRAY_LENGTH(topics); t++)
			if (!topics[t].special)
				run_topic(topics[t].name);

	printf("%u passed, %u failed\n", passed, failed);
	return failed ? 1 : 0;
}
