/* SPDX-License-Identifier: MIT */
/*
 * The asynchronous forms in an event loop, against the real broker: many at once, cancelled at
 * every moment, past their deadline. The account is the witness that nothing is leaked.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "library.h"
#include "raw.h"

static unsigned int nr_ended, nr_well, nr_cancelled, nr_late;

static void loop_once(void)
{
	struct pollfd pollfd = { .fd = dmabroker_get_fd(broker) };
	int ms = dmabroker_get_timeout_ms(broker);

	pollfd.events = (short)dmabroker_get_events(broker);
	poll(&pollfd, 1, ms < 0 || ms > PATIENCE_MS ? PATIENCE_MS : ms);
	ok(dmabroker_dispatch(broker));
}

static void on_alloc(struct dmabroker_request *request, int result, void *userdata)
{
	struct dmabroker_buffer *buffers[4];
	unsigned int count = *(unsigned int *)userdata;

	nr_ended++;
	nr_cancelled += result == -ECANCELED;
	nr_late += result == -ETIMEDOUT;
	nr_well += result == 0;
	/* Every second one is left to whoever frees the request. */
	if (result < 0 || nr_ended % 2)
		return;
	ok(dmabroker_request_take_buffers(request, count, buffers));
	for (unsigned int i = 0; i < count; i++)
		dmabroker_free(buffers[i]);
}

static void start(unsigned int *count, uint64_t deadline_us, struct dmabroker_request **ret)
{
	struct dmabroker_alloc_params params = alloc_params(4096, *count);
	struct dmabroker_async async = DMABROKER_ASYNC_INIT;

	async.callback = on_alloc;
	async.userdata = count;
	async.deadline_mono_us = deadline_us;
	ok(dmabroker_alloc_start(broker, &params, &async, ret));
}

START_TEST(many_allocations_at_once)
{
	unsigned int counts[] = { 1, 2, 3, 4 };

	nr_ended = nr_well = 0;
	for (int i = 0; i < 200; i++)
		start(&counts[i % 4], 0, NULL);
	while (nr_ended < 200)
		loop_once();
	ck_assert_uint_gt(nr_well, 0);
	settles(0);
}
END_TEST

START_TEST(allocations_cancelled_at_any_moment)
{
	struct dmabroker_request *requests[100];
	unsigned int counts[] = { 1, 4 };

	nr_ended = nr_well = nr_cancelled = 0;
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 100; i++)
			start(&counts[i % 2], 0, &requests[i]);
		/* Some unsent, some on the way, some answered, some delivered. */
		for (int i = 0; i < round; i++)
			loop_once();
		for (int i = 0; i < 100; i++) {
			int r = i % 3 ? dmabroker_request_cancel(requests[i]) : 0;

			ck_assert(r == 0 || r == -EALREADY);
			dmabroker_request_unref(requests[i]);
		}
		while (nr_ended < 100 * (round + 1u))
			loop_once();
	}
	ck_assert_uint_gt(nr_cancelled, 0);
	ck_assert_uint_gt(nr_well, 0);
	settles(0);
}
END_TEST

START_TEST(allocations_past_their_deadline)
{
	unsigned int count = 2;

	nr_ended = nr_late = nr_well = 0;
	for (int i = 0; i < 100; i++)
		start(&count, now_us() + i * 50, NULL);
	while (nr_ended < 100)
		loop_once();
	ck_assert_uint_gt(nr_late, 0);
	settles(0);
}
END_TEST

static void on_connect(struct dmabroker_request *request, int result, void *userdata)
{
	*(int *)userdata = result;
}

START_TEST(a_connection_without_blocking)
{
	struct dmabroker_connect_params params = DMABROKER_CONNECT_PARAMS_INIT;
	struct dmabroker_alloc_params alloc = alloc_params(4096, 1);
	struct dmabroker_async async = DMABROKER_ASYNC_INIT;
	struct dmabroker *saved = broker, *other;
	struct dmabroker_request *request;
	struct dmabroker_buffer *buffer;
	int result = 1;

	params.client_name = "loop";
	async.callback = on_connect;
	async.userdata = &result;
	ok(dmabroker_connect_start(&params, &async, &other, NULL));
	/* Asked before anybody answers. */
	ok(dmabroker_alloc_start(other, &alloc, NULL, &request));
	broker = other;
	while (result == 1)
		loop_once();
	broker = saved;
	ck_assert_int_eq(result, 0);
	ok(dmabroker_request_wait(request));
	ok(dmabroker_request_take_buffers(request, 1, &buffer));
	dmabroker_request_unref(request);
	dmabroker_free(buffer);
	dmabroker_unref(other);
}
END_TEST

START_TEST(maps_and_syncs_without_blocking)
{
	struct dmabroker_map_params params = DMABROKER_MAP_PARAMS_INIT;
	struct dmabroker_buffer *buffer = alloc_one(65536);
	struct dmabroker_mapping *mappings[8];
	struct dmabroker_request *requests[8];
	char names[2][64];

	ck_assert_int_eq(two_devices(names), 0);
	params.device = names[0];
	for (int i = 0; i < 8; i++)
		ok(dmabroker_map_start(buffer, &params, NULL, &requests[i]));
	dmabroker_request_cancel(requests[3]);
	for (int i = 0; i < 8; i++) {
		mappings[i] = NULL;
		if (i == 3) {
			ck_assert_int_eq(dmabroker_request_wait(requests[i]), -ECANCELED);
		} else {
			ok(dmabroker_request_wait(requests[i]));
			ok(dmabroker_request_take_mapping(requests[i], &mappings[i]));
		}
		dmabroker_request_unref(requests[i]);
	}
	for (int i = 0; i < 8; i++) {
		if (!mappings[i])
			continue;
		ok(dmabroker_sync_start(mappings[i], DMABROKER_SYNC_DEVICE, 0, 0, NULL,
					&requests[i]));
		ok(dmabroker_request_wait(requests[i]));
		dmabroker_request_unref(requests[i]);
		dmabroker_unmap(mappings[i]);
	}
	dmabroker_free(buffer);
}
END_TEST

Suite *suite_library_loop(void)
{
	Suite *suite = suite_create("library_loop");
	TCase *tcase = tcase_create("library_loop");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, library_setup, library_teardown);
	tcase_add_test(tcase, many_allocations_at_once);
	tcase_add_test(tcase, allocations_cancelled_at_any_moment);
	tcase_add_test(tcase, allocations_past_their_deadline);
	tcase_add_test(tcase, a_connection_without_blocking);
	tcase_add_test(tcase, maps_and_syncs_without_blocking);
	suite_add_tcase(suite, tcase);
	return suite;
}
