/* SPDX-License-Identifier: MIT */
/*
 * Operations under way. Every call that waits for the broker has a form ending in _start, which
 * sends and returns at once with a request; the blocking form is that, dmabroker_request_wait()
 * and a dmabroker_request_take_...() in one.
 *
 * A request ends exactly once: with the answer, at its deadline (-ETIMEDOUT), by
 * dmabroker_request_cancel() (-ECANCELED) or with the connection (-ECONNRESET). Its callback runs
 * after that, once, inside dmabroker_dispatch(). What it obtained is the request's until taken;
 * what nobody takes is given back. An answer that arrives after the deadline or the cancel is
 * given back too: a buffer allocated too late is freed, never leaked.
 */
#ifndef DMABROKER_REQUEST_H
#define DMABROKER_REQUEST_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * typedef dmabroker_request_fn - told when a request has ended
 * @request:  borrowed for the call; take what it obtained, or keep it with
 *            dmabroker_request_ref()
 * @result:   0 or -errno, as dmabroker_request_get_result() says
 * @userdata: from struct dmabroker_async
 *
 * Runs in dmabroker_dispatch() on the thread that called it, with no lock held: it may call
 * anything of this library but dmabroker_dispatch().
 */
typedef void (*dmabroker_request_fn)(struct dmabroker_request *request, int result, void *userdata);

/* As a deadline: none. */
#define DMABROKER_NO_DEADLINE UINT64_MAX

/**
 * struct dmabroker_async - how to wait for an operation
 * @struct_size:      DMABROKER_ASYNC_INIT sets it
 * @deadline_mono_us: when to give up; 0: the connection's timeout from now;
 *                    DMABROKER_NO_DEADLINE: never
 * @callback:         may be NULL: then look with dmabroker_request_get_result() or wait
 * @userdata:         for @callback
 */
struct dmabroker_async {
	size_t struct_size;
	uint64_t deadline_mono_us;
	dmabroker_request_fn callback;
	void *userdata;
};

#define DMABROKER_ASYNC_INIT DMABROKER_PARAMS_INIT(dmabroker_async)

/**
 * dmabroker_request_ref() - keep a request
 * @request: a request, or NULL
 *
 * Ownership: the caller owns one reference more.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: @request.
 * Since: 0.1
 */
DMABROKER_API struct dmabroker_request *dmabroker_request_ref(struct dmabroker_request *request);

/**
 * dmabroker_request_unref() - give up a reference
 * @request: a request, or NULL
 *
 * Does not cancel: a request without references goes on and its callback still runs. With the
 * last reference goes what it obtained and nobody took.
 *
 * Ownership: consumes one reference.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: NULL.
 * Since: 0.1
 */
DMABROKER_API struct dmabroker_request *dmabroker_request_unref(struct dmabroker_request *request);

/**
 * dmabroker_request_cancel() - want no answer any more
 * @request: a request
 *
 * Ends the request with -ECANCELED now; its callback runs in the next dispatch. Whatever the
 * broker still grants is given back when its answer arrives.
 *
 * Ownership: unchanged.
 * Blocking:  never.
 * Threads:   any; a thread in dmabroker_request_wait() on it wakes up.
 *
 * Return: 0, -EALREADY (it has ended before, nothing done), -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_request_cancel(struct dmabroker_request *request);

/**
 * dmabroker_request_wait() - block until a request has ended
 * @request: a request
 *
 * Runs no callbacks; the one of @request still runs in the next dispatch. Any number of threads
 * may wait, on the same request or on different ones, while another dispatches: whoever reads an
 * answer hands it to the one it is for.
 *
 * Ownership: unchanged.
 * Blocking:  until the answer, the deadline or the end of the connection.
 * Threads:   any.
 *
 * Return: what dmabroker_request_get_result() says then, or -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_request_wait(struct dmabroker_request *request);

/**
 * dmabroker_request_get_result() - how did it end
 * @request: a request
 *
 * Ownership: unchanged.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: -EINPROGRESS (it has not ended), 0, the errno of the broker's refusal, -ETIMEDOUT,
 *         -ECANCELED, -ECONNRESET (the connection ended first), -EPROTO (the broker's answer made
 *         no sense; the connection is closed), -ENOMEM (no memory for the answer here),
 *         -ECHILD (after fork).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_request_get_result(struct dmabroker_request *request);

/**
 * dmabroker_request_get_refusal() - why it failed
 * @request: a request
 *
 * Ownership: the request's.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: NULL unless the request has ended with a failure.
 * Since: 0.1
 */
DMABROKER_API const struct dmabroker_refusal *
dmabroker_request_get_refusal(struct dmabroker_request *request);

/**
 * dmabroker_request_take_buffers() - take what an allocation, an open or a from_fd obtained
 * @request:     a request that has ended well
 * @capacity:    how many @ret_buffers has room for; must be what the request asked for
 * @ret_buffers: filled, in the broker's order
 *
 * Ownership: the buffers become the caller's; free each with dmabroker_free().
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, its failure as dmabroker_request_get_result() says, -EINPROGRESS,
 *         -ENODATA (taken before), -EINVAL (another count, or a request for something else).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_request_take_buffers(struct dmabroker_request *request,
						 unsigned int capacity,
						 struct dmabroker_buffer **ret_buffers);

/**
 * dmabroker_request_take_mapping() - take what a dmabroker_map_start() obtained
 * @request:     a request that has ended well
 * @ret_mapping: the mapping
 *
 * Ownership: the mapping becomes the caller's; end it with dmabroker_unmap().
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, its failure, -EINPROGRESS, -ENODATA (taken before), -EINVAL (a request for
 *         something else).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_request_take_mapping(struct dmabroker_request *request,
						 struct dmabroker_mapping **ret_mapping);

/**
 * dmabroker_request_take_list() - take what a dmabroker_query_start() found
 * @request:  a request that has ended well
 * @ret_list: the list
 *
 * Ownership: the list becomes the caller's; release it with dmabroker_list_free().
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, its failure, -EINPROGRESS, -ENODATA (taken before), -EINVAL (a request for
 *         something else).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_request_take_list(struct dmabroker_request *request,
					      struct dmabroker_list **ret_list);

struct dmabroker_token;

/**
 * dmabroker_request_take_token() - take what a dmabroker_share_start() made
 * @request:   a request that has ended well
 * @ret_token: filled
 *
 * Ownership: a plain copy.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, its failure, -EINPROGRESS, -EINVAL (a request for something else).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_request_take_token(struct dmabroker_request *request,
					       struct dmabroker_token *ret_token);

#ifdef __cplusplus
}
#endif

#endif /* DMABROKER_REQUEST_H */
