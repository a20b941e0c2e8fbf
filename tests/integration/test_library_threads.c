/* SPDX-License-Identifier: MIT */
/* One connection, many threads: blocking calls, an event loop and cancels at the same time. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "library.h"
#include "raw.h"

#define NR_THREADS 6
#define NR_ROUNDS  150

static atomic_bool stop;
static atomic_uint nr_callbacks;

/* Errors go back through the thread's result: Check's assertions belong to the main thread. */
#define TRY(call)                                      \
	do {                                           \
		int try_ = (call);                     \
                                                       \
		if (try_ < 0)                          \
			return (void *)(intptr_t)try_; \
	} while (0)

static void *allocate(void *arg)
{
	uint8_t mark = (uint8_t)(uintptr_t)arg;

	for (int i = 0; i < NR_ROUNDS; i++) {
		struct dmabroker_alloc_params params = alloc_params(4096, 1 + i % 3);
		struct dmabroker_buffer *buffers[3], *opened;
		struct dmabroker_token token;
		void *address;

		TRY(dmabroker_alloc(broker, &params, buffers));
		TRY(dmabroker_mmap(buffers[0], 0, &address));
		if (*(uint8_t *)address != 0)
			return (void *)(intptr_t)-EUCLEAN;
		memset(address, mark, 4096);
		TRY(dmabroker_share(buffers[0], 0, &token));
		TRY(dmabroker_open(broker, &token, &opened));
		if (dmabroker_buffer_get_info(opened)->id !=
			    dmabroker_buffer_get_info(buffers[0])->id ||
		    ((uint8_t *)address)[4095] != mark)
			return (void *)(intptr_t)-EBADMSG;
		TRY(dmabroker_munmap(buffers[0], address));
		for (uint32_t j = 0; j < params.count; j++)
			dmabroker_free(buffers[j]);
		dmabroker_free(opened);
	}
	return NULL;
}

/* A refusal is the thread's own, however many others are refused meanwhile. */
static void *be_refused(void *unused)
{
	for (int i = 0; i < NR_ROUNDS; i++) {
		struct dmabroker_alloc_params params = alloc_params(4096, 1);
		struct dmabroker_buffer *buffer;

		params.kind = 1000 + i;
		if (dmabroker_alloc(broker, &params, &buffer) != -EINVAL)
			return (void *)(intptr_t)-EBADMSG;
		if (dmabroker_get_refusal()->reason != DMABROKER_REASON_UNKNOWN_KIND ||
		    dmabroker_get_refusal()->value != params.kind)
			return (void *)(intptr_t)-EUCLEAN;
	}
	return NULL;
}

static void on_end(struct dmabroker_request *request, int result, void *userdata)
{
	atomic_fetch_add(&nr_callbacks, 1);
}

/* Starts from one thread what another's dispatch delivers; cancels a third of it. */
static void *start_and_cancel(void *unused)
{
	for (int i = 0; i < NR_ROUNDS; i++) {
		struct dmabroker_alloc_params params = alloc_params(4096, 2);
		struct dmabroker_async async = DMABROKER_ASYNC_INIT;
		struct dmabroker_request *request;

		async.callback = on_end;
		TRY(dmabroker_alloc_start(broker, &params, &async, &request));
		if (i % 3 == 0)
			dmabroker_request_cancel(request);
		else if (i % 3 == 1)
			TRY(dmabroker_request_wait(request));
		dmabroker_request_unref(request);
	}
	return NULL;
}

static void *dispatch(void *unused)
{
	struct pollfd pollfd = { .fd = dmabroker_get_fd(broker), .events = POLLIN };

	if (pollfd.fd < 0)
		return (void *)(intptr_t)pollfd.fd;
	while (!atomic_load(&stop) || atomic_load(&nr_callbacks) < NR_ROUNDS) {
		int ms = dmabroker_get_timeout_ms(broker);

		poll(&pollfd, 1, ms < 0 || ms > 50 ? 50 : ms);
		TRY(dmabroker_dispatch(broker));
	}
	return NULL;
}

static void join(pthread_t thread, const char *what)
{
	void *result;

	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_msg(!result, "%s: %d", what, (int)(intptr_t)result);
}

START_TEST(threads_share_a_connection)
{
	pthread_t threads[NR_THREADS], refuser, starter, loop;

	atomic_store(&stop, false);
	atomic_store(&nr_callbacks, 0);
	ck_assert_int_eq(pthread_create(&loop, NULL, dispatch, NULL), 0);
	ck_assert_int_eq(pthread_create(&refuser, NULL, be_refused, NULL), 0);
	ck_assert_int_eq(pthread_create(&starter, NULL, start_and_cancel, NULL), 0);
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, allocate, (void *)(i + 1)), 0);
	for (int i = 0; i < NR_THREADS; i++)
		join(threads[i], "a thread that allocates");
	join(refuser, "the thread that is refused");
	join(starter, "the thread that starts and cancels");
	atomic_store(&stop, true);
	join(loop, "the thread that dispatches");
	ck_assert_uint_eq(atomic_load(&nr_callbacks), NR_ROUNDS);
	settles(0);
}
END_TEST

static void *keep_waiting(void *request)
{
	return (void *)(intptr_t)dmabroker_request_wait(request);
}

/* A thread that waits long must not keep others from their answers, or them it. */
START_TEST(nobody_waits_for_somebody_else)
{
	struct dmabroker_request *requests[NR_THREADS];
	struct dmabroker_query_params params = DMABROKER_QUERY_PARAMS_INIT;
	pthread_t threads[NR_THREADS];
	uint64_t start = now_us();

	params.type = DMABROKER_QUERY_DOCTOR;
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < NR_THREADS; i++) {
			ok(dmabroker_query_start(broker, &params, NULL, &requests[i]));
			ck_assert_int_eq(
				pthread_create(&threads[i], NULL, keep_waiting, requests[i]), 0);
		}
		dmabroker_free(alloc_one(4096));
		for (int i = 0; i < NR_THREADS; i++) {
			join(threads[i], "a thread that waits");
			dmabroker_request_unref(requests[i]);
		}
	}
	/* One answer missed would cost the timeout of 30 seconds. */
	ck_assert_uint_lt(now_us() - start, 25000000);
}
END_TEST

Suite *suite_library_threads(void)
{
	Suite *suite = suite_create("library_threads");
	TCase *tcase = tcase_create("library_threads");

	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, library_setup, library_teardown);
	tcase_add_test(tcase, threads_share_a_connection);
	tcase_add_test(tcase, nobody_waits_for_somebody_else);
	suite_add_tcase(suite, tcase);
	return suite;
}
