// SPDX-License-Identifier: MIT
/*
 * Lines of the report. Several processes write them, so each line is one write(), and the counters
 * are in memory that all of them share. The process that began is the one whose end prints the
 * closing line, also when it dies: a report without one is a report of a crash.
 */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "e2e.h"
#include "report.h"

struct counters {
	atomic_uint passed;
	atomic_uint failed;
};

static struct counters *counters;
static pid_t first_pid;

void report_init(void)
{
	counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (counters == MAP_FAILED) {
		perror("e2e: mmap");
		exit(2);
	}
	first_pid = getpid();
}

static void put_line(const char *text)
{
	size_t done = 0, size = strlen(text);

	while (done < size) {
		ssize_t n = write(STDOUT_FILENO, text + done, size - done);

		if (n <= 0)
			_exit(3);
		done += (size_t)n;
	}
}

int report_end(void)
{
	char line[128];

	snprintf(line, sizeof(line), "%u passed, %u failed\n", atomic_load(&counters->passed),
		 atomic_load(&counters->failed));
	put_line(line);
	return atomic_load(&counters->failed) ? 1 : 0;
}

unsigned int failed_checks(void)
{
	return atomic_load(&counters->failed);
}

/* What was seen may be a sentence of the broker's, with whatever is in it: one line it stays. */
static void flatten(char *text)
{
	for (; *text; text++)
		if (*text == '\n')
			*text = ' ';
}

bool check(bool ok, const char *name, const char *seen, ...)
{
	char line[1200], what[800];
	va_list args;

	va_start(args, seen);
	vsnprintf(what, sizeof(what), seen, args);
	va_end(args);
	flatten(what);
	if (ok)
		snprintf(line, sizeof(line), "ok %s\n", name);
	else
		snprintf(line, sizeof(line), "not ok %s (%s)\n", name, what);
	put_line(line);
	atomic_fetch_add(ok ? &counters->passed : &counters->failed, 1);
	return ok;
}

void die(const char *format, ...)
{
	char line[1200], what[800];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	flatten(what);
	snprintf(line, sizeof(line), "not ok the test could not go on: %s\n", what);
	put_line(line);
	atomic_fetch_add(&counters->failed, 1);
	if (getpid() == first_pid)
		report_end();
	_exit(1);
}
