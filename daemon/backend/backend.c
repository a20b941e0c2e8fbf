// SPDX-License-Identifier: MIT
/*
 * The list of backends and how one is chosen.
 *
 * Order is preference. "auto" takes the first that says it can work here, and stops before sim
 * unless it was told that simulation is welcome: somebody whose module failed to load must hear
 * that, not find out later that no device was ever involved. A backend named outright is opened
 * or fails; nothing else is tried in its place.
 *
 * The sentence that backend_open() fills is the one `doctor` shows, so it names every backend
 * that was asked and what it answered.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/backend/backend.h"

#define WHY_SIZE    512
#define REASON_SIZE 256

static const struct backend_ops *const table[] = {
	&backend_kmod_ops,
	&backend_sim_ops,
	NULL,
};

const struct backend_ops *const *backend_table(void)
{
	return table;
}

__attribute__((format(printf, 2, 3))) static void why_add(char why[static WHY_SIZE],
							  const char *format, ...)
{
	size_t used = strlen(why);
	va_list args;

	va_start(args, format);
	vsnprintf(why + used, WHY_SIZE - used, format, args);
	va_end(args);
}

static const struct backend_ops *ops_find(const char *name)
{
	unsigned int i;

	for (i = 0; table[i]; i++)
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
	return NULL;
}

int backend_check_name(const char *name, char ret_why[static WHY_SIZE])
{
	unsigned int i;

	if (strcmp(name, "auto") == 0 || ops_find(name))
		return 0;
	ret_why[0] = '\0';
	why_add(ret_why, "there is no backend '%.64s'; there are: auto", name);
	for (i = 0; table[i]; i++)
		why_add(ret_why, ", %s", table[i]->name);
	return -ENOENT;
}

/* Open one whose probe succeeded. */
static int ops_open(struct backend **ret, const struct backend_ops *ops,
		    const struct backend_config *config, const struct backend_sink *sink,
		    void *userdata, char why[static WHY_SIZE])
{
	struct backend_config own = config ? *config : (struct backend_config){ 0 };
	char error[REASON_SIZE] = "";
	int r;

	own.ret_error = error;
	r = ops->open(ret, &own, sink, userdata);
	if (r < 0)
		why_add(why, "backend %s does not start: %s", ops->name,
			error[0] ? error : strerror(-r));
	return r;
}

static int open_named(struct backend **ret, const char *name, const struct backend_config *config,
		      const struct backend_sink *sink, void *userdata, char why[static WHY_SIZE])
{
	const struct backend_ops *ops = ops_find(name);
	char reason[REASON_SIZE] = "";
	int r;

	if (!ops)
		return backend_check_name(name, why);
	if (ops->probe(reason) < 0) {
		why_add(why, "backend %s was asked for and cannot work here: %s", name, reason);
		return -ENODEV;
	}
	r = ops_open(ret, ops, config, sink, userdata, why);
	if (r < 0)
		return r;
	why_add(why, "backend %s, as asked for", name);
	return 0;
}

int backend_open(struct backend **ret, const char *name, bool allow_sim,
		 const struct backend_config *config, const struct backend_sink *sink,
		 void *userdata, char ret_why[static 512])
{
	char tried[WHY_SIZE] = "";
	unsigned int i;

	ret_why[0] = '\0';
	if (strcmp(name, "auto") != 0)
		return open_named(ret, name, config, sink, userdata, ret_why);

	for (i = 0; table[i]; i++) {
		char reason[REASON_SIZE] = "";

		if (table[i] == &backend_sim_ops && !allow_sim) {
			why_add(tried, "%s%s: simulates, and nobody asked for that (--backend sim)",
				tried[0] ? "; " : "", table[i]->name);
			continue;
		}
		if (table[i]->probe(reason) == 0) {
			char failed[WHY_SIZE] = "";

			if (ops_open(ret, table[i], config, sink, userdata, failed) == 0) {
				why_add(ret_why, "backend %s, the best that works here",
					table[i]->name);
				if (tried[0])
					why_add(ret_why, " (%s)", tried);
				return 0;
			}
			snprintf(reason, sizeof(reason), "%.*s", REASON_SIZE - 1, failed);
		}
		why_add(tried, "%s%s: %s", tried[0] ? "; " : "", table[i]->name, reason);
	}
	why_add(ret_why, "no backend works here: %s", tried);
	return -ENODEV;
}
