/* SPDX-License-Identifier: MIT */
/* The life of a request: callbacks, deadlines, cancel, waiting, what arrives too late; events. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "tests/unit/fake.h"

static const struct wire_status_reply status = { .backend = "fake", .uid = 7 };

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct {
	unsigned int nr;
	int result;
	struct dmabroker_request *kept;
	bool again; /* start another from the callback */
} seen;

static int query_start(const struct dmabroker_async *async, struct dmabroker_request **ret)
{
	struct dmabroker_query_params params = DMABROKER_QUERY_PARAMS_INIT;

	params.type = DMABROKER_QUERY_STATUS;
	return dmabroker_query_start(fake.broker, &params, async, ret);
}

static void on_end(struct dmabroker_request *request, int result, void *userdata)
{
	ck_assert_ptr_eq(userdata, &seen);
	ck_assert_int_eq(result, dmabroker_request_get_result(request));
	ck_assert_int_eq(dmabroker_dispatch(fake.broker), -EBUSY);
	seen.nr++;
	seen.result = result;
	if (seen.again) {
		struct dmabroker_async async = DMABROKER_ASYNC_INIT;

		async.callback = on_end;
		async.userdata = &seen;
		seen.again = false;
		ck_assert_int_eq(query_start(&async, NULL), 0);
	} else if (!seen.kept) {
		seen.kept = dmabroker_request_ref(request);
	}
}

static struct dmabroker_async async_new(void)
{
	struct dmabroker_async async = DMABROKER_ASYNC_INIT;

	async.callback = on_end;
	async.userdata = &seen;
	return async;
}

static void setup(void)
{
	fake_setup();
	fake_connect();
	memset(&seen, 0, sizeof(seen));
}

static void teardown(void)
{
	seen.kept = dmabroker_request_unref(seen.kept);
	fake_teardown();
}

START_TEST(a_callback_runs_once_in_dispatch)
{
	struct dmabroker_async async = async_new();
	struct dmabroker_list *list;

	ck_assert_int_eq(query_start(&async, NULL), 0);
	fake_request(WIRE_OP_STATUS);
	ck_assert_int_eq(fake_dispatch(), 0);
	ck_assert_uint_eq(seen.nr, 0);
	fake_reply(&status, sizeof(status), NULL, 0);
	ck_assert_uint_eq(seen.nr, 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(fake_dispatch(), 0);
	ck_assert_uint_eq(seen.nr, 1);
	ck_assert_int_eq(seen.result, 0);
	ck_assert_int_eq(dmabroker_request_take_list(seen.kept, &list), 0);
	ck_assert_uint_eq(dmabroker_list_status(list, 0)->uid, 7);
	ck_assert_ptr_null(dmabroker_list_status(list, 1));
	ck_assert_ptr_null(dmabroker_list_device(list, 0));
	ck_assert_int_eq(dmabroker_request_take_list(seen.kept, &list), -ENODATA);
	dmabroker_list_free(list);
}
END_TEST

START_TEST(a_callback_may_start_another)
{
	struct dmabroker_async async = async_new();

	seen.again = true;
	ck_assert_int_eq(query_start(&async, NULL), 0);
	for (int i = 0; i < 2; i++) {
		fake_request(WIRE_OP_STATUS);
		fake_reply(&status, sizeof(status), NULL, 0);
		ck_assert_int_eq(fake_dispatch(), 0);
	}
	ck_assert_uint_eq(seen.nr, 2);
}
END_TEST

START_TEST(waiting_leaves_the_callback_to_dispatch)
{
	struct dmabroker_async async = async_new();
	struct dmabroker_request *request;
	struct pollfd pollfd = { .fd = dmabroker_get_fd(fake.broker), .events = POLLIN };

	ck_assert_int_eq(query_start(&async, &request), 0);
	fake_dispatch();
	ck_assert_int_eq(poll(&pollfd, 1, 0), 0);
	fake_request(WIRE_OP_STATUS);
	fake_reply(&status, sizeof(status), NULL, 0);
	ck_assert_int_eq(dmabroker_request_wait(request), 0);
	ck_assert_uint_eq(seen.nr, 0);
	/* The socket is read, and still the loop is told. */
	ck_assert_int_eq(poll(&pollfd, 1, 0), 1);
	ck_assert_int_eq(dmabroker_get_timeout_ms(fake.broker), 0);
	ck_assert_int_eq(fake_dispatch(), 0);
	ck_assert_uint_eq(seen.nr, 1);
	ck_assert_int_eq(poll(&pollfd, 1, 0), 0);
	dmabroker_request_unref(request);
}
END_TEST

START_TEST(a_deadline_ends_a_request_in_dispatch)
{
	struct dmabroker_async async = async_new();
	int ms;

	ck_assert_int_eq(dmabroker_get_timeout_ms(fake.broker), -1);
	async.deadline_mono_us = now_us() + 30000;
	ck_assert_int_eq(query_start(&async, NULL), 0);
	ms = dmabroker_get_timeout_ms(fake.broker);
	ck_assert_int_gt(ms, 0);
	ck_assert_int_le(ms, 30);
	poll(NULL, 0, ms);
	ck_assert_int_eq(fake_dispatch(), 0);
	ck_assert_uint_eq(seen.nr, 1);
	ck_assert_int_eq(seen.result, -ETIMEDOUT);
	ck_assert_int_eq(dmabroker_request_get_refusal(seen.kept)->error, ETIMEDOUT);
	/* The answer that comes after all is no surprise. */
	fake_request(WIRE_OP_STATUS);
	fake_reply(&status, sizeof(status), NULL, 0);
	ck_assert_int_eq(fake_dispatch(), 0);
	ck_assert_uint_eq(seen.nr, 1);
}
END_TEST

START_TEST(deadlines_are_kept_in_order)
{
	static const unsigned int after_ms[] = { 500, 30, 200, 40, 100000 };
	struct dmabroker_request *requests[5];
	struct dmabroker_async async = async_new();
	uint64_t start = now_us();

	for (int i = 0; i < 5; i++) {
		async.deadline_mono_us = start + after_ms[i] * 1000;
		ck_assert_int_eq(query_start(&async, &requests[i]), 0);
	}
	ck_assert_int_le(dmabroker_get_timeout_ms(fake.broker), 30);
	poll(NULL, 0, 60);
	fake_dispatch();
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(dmabroker_request_get_result(requests[i]),
				 after_ms[i] < 60 ? -ETIMEDOUT : -EINPROGRESS);
		dmabroker_request_unref(requests[i]);
	}
	ck_assert_int_gt(dmabroker_get_timeout_ms(fake.broker), 50);
}
END_TEST

START_TEST(no_deadline_is_none)
{
	struct dmabroker_async async = async_new();

	async.deadline_mono_us = DMABROKER_NO_DEADLINE;
	ck_assert_int_eq(query_start(&async, NULL), 0);
	ck_assert_int_eq(dmabroker_get_timeout_ms(fake.broker), -1);
}
END_TEST

START_TEST(a_wait_keeps_its_deadline)
{
	struct dmabroker_async async = async_new();
	struct dmabroker_request *request;
	uint64_t start = now_us();

	async.deadline_mono_us = start + 40000;
	ck_assert_int_eq(query_start(&async, &request), 0);
	ck_assert_int_eq(dmabroker_request_wait(request), -ETIMEDOUT);
	ck_assert_uint_ge(now_us() - start, 40000);
	ck_assert_uint_lt(now_us() - start, 4000000);
	ck_assert_int_eq(dmabroker_request_wait(request), -ETIMEDOUT);
	dmabroker_request_unref(request);
}
END_TEST

START_TEST(blocking_calls_keep_the_timeout)
{
	struct dmabroker_alloc_params params = fake_alloc_params(1);
	struct dmabroker_buffer *buffer = NULL;
	uint64_t start = now_us();

	ck_assert_int_eq(dmabroker_set_timeout_ms(fake.broker, 40), 0);
	ck_assert_int_eq(dmabroker_alloc(fake.broker, &params, &buffer), -ETIMEDOUT);
	ck_assert_uint_ge(now_us() - start, 40000);
	ck_assert_ptr_null(buffer);
}
END_TEST

START_TEST(cancel_ends_a_request_once)
{
	struct dmabroker_async async = async_new();
	struct dmabroker_request *request;

	ck_assert_int_eq(query_start(&async, &request), 0);
	ck_assert_int_eq(dmabroker_request_get_result(request), -EINPROGRESS);
	ck_assert_ptr_null(dmabroker_request_get_refusal(request));
	ck_assert_int_eq(dmabroker_request_cancel(request), 0);
	ck_assert_int_eq(dmabroker_request_cancel(request), -EALREADY);
	ck_assert_int_eq(dmabroker_request_get_result(request), -ECANCELED);
	ck_assert_uint_eq(seen.nr, 0);
	fake_request(WIRE_OP_STATUS);
	fake_reply(&status, sizeof(status), NULL, 0);
	for (int i = 0; i < 3; i++)
		fake_dispatch();
	ck_assert_uint_eq(seen.nr, 1);
	ck_assert_int_eq(seen.result, -ECANCELED);
	dmabroker_request_unref(request);
}
END_TEST

/* While the socket is full requests queue here; a cancelled one is then never sent. */
START_TEST(what_is_queued_can_be_cancelled_unsent)
{
	struct dmabroker_request *requests[2000];
	struct pollfd pollfd = { .fd = dmabroker_get_fd(fake.broker), .events = POLLIN };
	int small = 1, nr = 0, nr_read = 0, last;

	setsockopt(fake.sock, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	fake_dispatch();
	while (nr < 2000)
		ck_assert_int_eq(query_start(NULL, &requests[nr++]), 0);
	/* One at the end, after what is far more than a socket holds. */
	last = nr - 1;
	ck_assert_int_eq(dmabroker_request_cancel(requests[last]), 0);
	while (nr_read < nr - 1) {
		fake_request(WIRE_OP_STATUS);
		fake_reply(&status, sizeof(status), NULL, 0);
		nr_read++;
		if (nr_read % 64 == 0) {
			ck_assert_int_eq(poll(&pollfd, 1, 5000), 1);
			ck_assert_int_eq(fake_dispatch(), 0);
		}
	}
	fake_silent();
	for (int i = 0; i < nr; i++) {
		int r = dmabroker_request_wait(requests[i]);

		ck_assert_int_eq(r, i == last ? -ECANCELED : 0);
		dmabroker_request_unref(requests[i]);
	}
	ck_assert_int_eq(poll(&pollfd, 1, 0), 0);
}
END_TEST

START_TEST(a_refusal_is_of_the_request_and_of_the_thread)
{
	struct dmabroker_request *request;

	ck_assert_int_eq(query_start(NULL, &request), 0);
	fake_request(WIRE_OP_STATUS);
	fake_refuse(EPERM, WIRE_REASON_NOT_ADMINISTRATOR, "Not\nyours.\x1b[2J");
	ck_assert_int_eq(dmabroker_request_wait(request), -EPERM);
	ck_assert_uint_eq(dmabroker_request_get_refusal(request)->reason,
			  DMABROKER_REASON_NOT_ADMINISTRATOR);
	ck_assert_str_eq(dmabroker_request_get_refusal(request)->text, "Not?yours.?[2J");
	dmabroker_request_unref(request);
	ck_assert_str_eq(dmabroker_get_refusal()->text, "Not?yours.?[2J");
	ck_assert_int_eq(dmabroker_get_refusal()->error, EPERM);
}
END_TEST

START_TEST(takes_of_another_kind_are_refused)
{
	struct dmabroker_request *request;
	struct dmabroker_buffer *buffer;
	struct dmabroker_mapping *mapping;
	struct dmabroker_token token;
	struct dmabroker_list *list;

	ck_assert_int_eq(query_start(NULL, &request), 0);
	ck_assert_int_eq(dmabroker_request_take_list(request, &list), -EINPROGRESS);
	fake_request(WIRE_OP_STATUS);
	fake_reply(&status, sizeof(status), NULL, 0);
	ck_assert_int_eq(dmabroker_request_wait(request), 0);
	ck_assert_int_eq(dmabroker_request_take_buffers(request, 1, &buffer), -EINVAL);
	ck_assert_int_eq(dmabroker_request_take_mapping(request, &mapping), -EINVAL);
	ck_assert_int_eq(dmabroker_request_take_token(request, &token), -EINVAL);
	dmabroker_request_unref(request); /* with its list in it */
}
END_TEST

static void *cancel_later(void *request)
{
	poll(NULL, 0, 30);
	return (void *)(intptr_t)dmabroker_request_cancel(request);
}

START_TEST(a_cancel_wakes_the_thread_that_waits)
{
	struct dmabroker_request *request;
	uint64_t start = now_us();
	pthread_t thread;
	void *result;

	ck_assert_int_eq(query_start(NULL, &request), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, cancel_later, request), 0);
	ck_assert_int_eq(dmabroker_request_wait(request), -ECANCELED);
	ck_assert_uint_lt(now_us() - start, 3000000);
	pthread_join(thread, &result);
	ck_assert_ptr_null(result);
	dmabroker_request_unref(request);
}
END_TEST

static void *wait_for(void *request)
{
	return (void *)(intptr_t)dmabroker_request_wait(request);
}

/* A poll() does not notice that another thread has read what it waits for. */
START_TEST(a_dispatch_that_reads_wakes_who_waits)
{
	uint64_t start = now_us();

	for (int i = 0; i < 100; i++) {
		struct dmabroker_request *requests[3];
		pthread_t threads[3];
		void *result;

		for (int j = 0; j < 3; j++) {
			ck_assert_int_eq(query_start(NULL, &requests[j]), 0);
			ck_assert_int_eq(pthread_create(&threads[j], NULL, wait_for, requests[j]),
					 0);
		}
		for (int j = 0; j < 3; j++) {
			fake_request(WIRE_OP_STATUS);
			fake_reply(&status, sizeof(status), NULL, 0);
			ck_assert_int_eq(fake_dispatch(), 0);
		}
		for (int j = 0; j < 3; j++) {
			pthread_join(threads[j], &result);
			ck_assert_ptr_null(result);
			dmabroker_request_unref(requests[j]);
		}
	}
	ck_assert_uint_lt(now_us() - start, 4000000);
}
END_TEST

static void *start_later(void *unused)
{
	struct dmabroker_async async = async_new();

	poll(NULL, 0, 30);
	async.deadline_mono_us = now_us() + 20000;
	ck_assert_int_eq(query_start(&async, NULL), 0);
	return NULL;
}

/* The loop sleeps without a deadline; another thread brings one. */
START_TEST(a_new_deadline_wakes_the_loop)
{
	struct pollfd pollfd = { .fd = dmabroker_get_fd(fake.broker), .events = POLLIN };
	uint64_t start = now_us();
	pthread_t thread;

	fake_dispatch();
	ck_assert_int_eq(pthread_create(&thread, NULL, start_later, NULL), 0);
	while (seen.nr == 0) {
		int ms = dmabroker_get_timeout_ms(fake.broker);

		poll(&pollfd, 1, ms < 0 ? 4000 : ms);
		ck_assert_uint_lt(now_us() - start, 3000000);
		fake_dispatch();
	}
	ck_assert_int_eq(seen.result, -ETIMEDOUT);
	pthread_join(thread, NULL);
}
END_TEST

START_TEST(requests_nobody_keeps_go_with_the_connection)
{
	struct dmabroker_async async = async_new();

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(query_start(&async, NULL), 0);
	fake_request(WIRE_OP_STATUS);
	fake_reply(&status, sizeof(status), NULL, 0);
	fake.broker = dmabroker_unref(fake.broker);
	ck_assert_uint_eq(seen.nr, 0);
}
END_TEST

static struct {
	unsigned int nr_added, nr_removed, nr_ended, nr_lost;
	uint64_t mapping_id;
	char name[WIRE_DEVICE_NAME_SIZE];
} events;

static void on_event(struct dmabroker *broker, const struct dmabroker_event *event, void *userdata)
{
	ck_assert_ptr_eq(broker, fake.broker);
	switch (event->type) {
	case DMABROKER_EVENT_DEVICE_ADDED:
		events.nr_added++;
		snprintf(events.name, sizeof(events.name), "%s", event->device->name);
		break;
	case DMABROKER_EVENT_DEVICE_REMOVED:
		events.nr_removed++;
		break;
	case DMABROKER_EVENT_MAPPING_ENDED:
		events.nr_ended++;
		events.mapping_id = event->mapping_id;
		break;
	case DMABROKER_EVENT_LOST:
		events.nr_lost++;
		break;
	}
}

START_TEST(events_are_told)
{
	struct wire_device device = { .id = 3, .name = "sim:0" };
	const struct wire_id id = { .id = 99 };

	memset(&events, 0, sizeof(events));
	fake_event(WIRE_EVENT_DEVICE_ADDED, &device, sizeof(device)); /* nobody wants it */
	fake_dispatch();
	ck_assert_int_eq(dmabroker_set_event_handler(fake.broker, on_event, NULL), 0);
	memset(device.bus, 'x', sizeof(device.bus)); /* without an end */
	fake_event(WIRE_EVENT_DEVICE_ADDED, &device, sizeof(device));
	fake_event(WIRE_EVENT_DEVICE_REMOVED, &device, sizeof(device));
	fake_event(WIRE_EVENT_MAPPING_ENDED, &id, sizeof(id));
	fake_event(99, &id, sizeof(id)); /* from a later version */
	fake_dispatch();
	ck_assert_uint_eq(events.nr_added, 1);
	ck_assert_str_eq(events.name, "sim:0");
	ck_assert_uint_eq(events.nr_removed, 1);
	ck_assert_uint_eq(events.nr_ended, 1);
	ck_assert_uint_eq(events.mapping_id, 99);
}
END_TEST

START_TEST(events_nobody_fetches_are_bounded)
{
	const struct wire_id id = { .id = 99 };

	memset(&events, 0, sizeof(events));
	ck_assert_int_eq(dmabroker_set_event_handler(fake.broker, on_event, NULL), 0);
	for (int i = 0; i < 3000; i++) {
		struct dmabroker_request *request;

		fake_event(WIRE_EVENT_MAPPING_ENDED, &id, sizeof(id));
		if (i % 50)
			continue;
		/* Blocking calls read, and tell nobody. */
		ck_assert_int_eq(query_start(NULL, &request), 0);
		fake_request(WIRE_OP_STATUS);
		fake_reply(&status, sizeof(status), NULL, 0);
		ck_assert_int_eq(dmabroker_request_wait(request), 0);
		dmabroker_request_unref(request);
	}
	ck_assert_uint_eq(events.nr_ended, 0);
	fake_dispatch();
	ck_assert_uint_eq(events.nr_ended, 1024);
	ck_assert_uint_eq(events.nr_lost, 1);
	fake_event(WIRE_EVENT_MAPPING_ENDED, &id, sizeof(id));
	fake_dispatch();
	fake_dispatch();
	ck_assert_uint_gt(events.nr_ended, 1024);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib_request");
	TCase *tcase = tcase_create("lib_request");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 20);
	tcase_add_test(tcase, a_callback_runs_once_in_dispatch);
	tcase_add_test(tcase, a_callback_may_start_another);
	tcase_add_test(tcase, waiting_leaves_the_callback_to_dispatch);
	tcase_add_test(tcase, a_deadline_ends_a_request_in_dispatch);
	tcase_add_test(tcase, deadlines_are_kept_in_order);
	tcase_add_test(tcase, no_deadline_is_none);
	tcase_add_test(tcase, a_wait_keeps_its_deadline);
	tcase_add_test(tcase, blocking_calls_keep_the_timeout);
	tcase_add_test(tcase, cancel_ends_a_request_once);
	tcase_add_test(tcase, what_is_queued_can_be_cancelled_unsent);
	tcase_add_test(tcase, a_refusal_is_of_the_request_and_of_the_thread);
	tcase_add_test(tcase, takes_of_another_kind_are_refused);
	tcase_add_test(tcase, a_cancel_wakes_the_thread_that_waits);
	tcase_add_test(tcase, a_dispatch_that_reads_wakes_who_waits);
	tcase_add_test(tcase, a_new_deadline_wakes_the_loop);
	tcase_add_test(tcase, requests_nobody_keeps_go_with_the_connection);
	tcase_add_test(tcase, events_are_told);
	tcase_add_test(tcase, events_nobody_fetches_are_bounded);
	suite_add_tcase(suite, tcase);
	return fake_main(suite);
}
