/* SPDX-License-Identifier: MIT */
/*
 * The library against the real broker: the one at $DMABROKER_SOCKET, or one on the sim backend
 * that main() starts.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "library.h"
#include "raw.h"

struct dmabroker *broker;
static uint64_t buffers_at_start;

uint64_t now_us(void)
{
	return (uint64_t)now_ms() * 1000;
}

struct dmabroker *library_connect(void)
{
	struct dmabroker *connected = NULL;

	ok(dmabroker_connect(NULL, &connected));
	return connected;
}

static struct dmabroker_list *status(struct dmabroker *connected)
{
	struct dmabroker_query_params params = DMABROKER_QUERY_PARAMS_INIT;
	struct dmabroker_list *list = NULL;

	params.type = DMABROKER_QUERY_STATUS;
	ok(dmabroker_query(connected, &params, &list));
	return list;
}

uint64_t own_buffers(void)
{
	struct dmabroker_list *list = status(broker);
	uint64_t nr = dmabroker_list_status(list, 0)->own_buffers;

	dmabroker_list_free(list);
	return nr;
}

void settles(uint64_t buffers)
{
	int64_t deadline_ms = now_ms() + PATIENCE_MS;

	while (own_buffers() != buffers_at_start + buffers) {
		ck_assert_msg(now_ms() < deadline_ms, "charged for %d buffers, not for %d",
			      (int)(own_buffers() - buffers_at_start), (int)buffers);
		poll(NULL, 0, 5);
	}
}

void library_setup(void)
{
	broker = library_connect();
	buffers_at_start = own_buffers();
}

void library_teardown(void)
{
	settles(0);
	broker = dmabroker_unref(broker);
}

struct dmabroker_alloc_params alloc_params(uint64_t size_bytes, uint32_t count)
{
	struct dmabroker_alloc_params params = DMABROKER_ALLOC_PARAMS_INIT;

	params.size_bytes = size_bytes;
	params.count = count;
	return params;
}

struct dmabroker_buffer *alloc_one(uint64_t size_bytes)
{
	struct dmabroker_alloc_params params = alloc_params(size_bytes, 1);
	struct dmabroker_buffer *buffer = NULL;

	ok(dmabroker_alloc(broker, &params, &buffer));
	return buffer;
}

int two_devices(char ret_names[2][64])
{
	const uint32_t wanted = DMABROKER_DEVICE_USABLE | DMABROKER_DEVICE_ALLOWED;
	struct dmabroker_query_params params = DMABROKER_QUERY_PARAMS_INIT;
	struct dmabroker_list *list = NULL;
	unsigned int found = 0;

	params.type = DMABROKER_QUERY_DEVICES;
	ok(dmabroker_query(broker, &params, &list));
	for (size_t i = 0; i < dmabroker_list_count(list) && found < 2; i++) {
		const struct dmabroker_device_info *device = dmabroker_list_device(list, i);

		if ((device->flags & DMABROKER_DEVICE_SYSTEM) || (device->flags & wanted) != wanted)
			continue;
		snprintf(ret_names[found++], 64, "%s", device->name);
	}
	dmabroker_list_free(list);
	return found == 2 ? 0 : -ENODEV;
}

bool on_sim(void)
{
	return strcmp(dmabroker_get_info(broker)->backend, "sim") == 0;
}

int main(void)
{
	struct own_broker own;
	char config[64];
	SRunner *runner;
	bool mine;
	int failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	mine = !getenv("DMABROKER_SOCKET");
	if (mine) {
		snprintf(config, sizeof(config), "[user %u]\ndevices = *\n", getuid());
		own_broker_start(&own, config, (uid_t)-1, 0);
		setenv("DMABROKER_SOCKET", own.socket, 1);
	}
	runner = srunner_create(suite_library());
	srunner_add_suite(runner, suite_library_loop());
	srunner_add_suite(runner, suite_library_threads());
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (mine)
		own_broker_stop(&own);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
