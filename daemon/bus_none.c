/* SPDX-License-Identifier: MIT */
/*
 * The bus of a build without sd-bus: there is none. The daemon's only way out is its socket, which
 * is all that clients use; what is lost is `busctl` and whatever else watches over D-Bus.
 */
#include <string.h>

#include "daemon/bus.h"
#include "daemon/log.h"

int bus_new(struct broker *broker, const char *address, struct bus **ret)
{
	if (strcmp(address, "none") != 0)
		log_line(LOG_INFO, "This dmabrokerd was built without D-Bus; --bus is ignored");
	*ret = NULL;
	return 0;
}

struct bus *bus_free(struct bus *bus)
{
	return NULL;
}
