/* SPDX-License-Identifier: MIT */
/*
 * Failures, with their reason, per thread. Every function of the library that returns a negative
 * errno goes through here last, on the caller's thread, so that dmabroker_get_refusal() always
 * speaks of the same failure as the errno. The text is copied: what it came from may be freed by
 * the time somebody prints it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client-lib/src/fail.h"
#include "proto/wire.h"

static _Thread_local struct {
	struct dmabroker_refusal refusal;
	char text[sizeof(((struct wire_refusal *)0)->text)];
} last;

int fail_with(int error, enum dmabroker_reason reason, uint64_t limit, uint64_t value,
	      const char *text)
{
	const struct dmabroker_refusal refusal = {
		.error = -error, .reason = reason, .limit = limit, .value = value, .text = text
	};

	return fail_refusal(&refusal);
}

int fail_refusal(const struct dmabroker_refusal *refusal)
{
	last.refusal = *refusal;
	if (refusal->text != last.text)
		snprintf(last.text, sizeof(last.text), "%s", refusal->text);
	last.refusal.text = last.text;
	return -refusal->error;
}

int fail(int error, const char *text)
{
	return fail_with(error, DMABROKER_REASON_NONE, 0, 0, text ? text : fail_text(error));
}

const struct dmabroker_refusal *dmabroker_get_refusal(void)
{
	last.refusal.text = last.text;
	return &last.refusal;
}

const char *fail_text(int error)
{
	switch (-error) {
	case ECHILD:
		return "This connection belongs to the parent process; connect again after fork.";
	case ENOTCONN:
		return "The connection to the broker has ended; connect again.";
	case ECONNRESET:
		return "The broker closed the connection before it answered; connect again.";
	case ETIMEDOUT:
		return "The broker did not answer in time; try again, or allow more time.";
	case ECANCELED:
		return "The request was cancelled.";
	case EPROTO:
		return "The broker's answer made no sense; its version may not fit this library's.";
	case ENOMEM:
		return "This process has no memory left.";
	case EMFILE:
		return "This process has too many open files; close some, or raise RLIMIT_NOFILE.";
	case EINPROGRESS:
		return "The request has not ended yet; wait for it first.";
	case ENODATA:
		return "What the request obtained has been taken before.";
	case EALREADY:
		return "The request has ended before.";
	case EBUSY:
		return "Another dispatch of this connection is running.";
	default:
		return strerrordesc_np(-error) ? strerrordesc_np(-error) : "Unknown error.";
	}
}

int params_copy(void *dst, size_t dst_bytes, size_t min_bytes, const void *src)
{
	/* Far above any struct to come: more is a size nobody has set. */
	const size_t sane_bytes = 4096;
	const uint8_t *bytes = src;
	size_t src_bytes = 0;

	if (src)
		memcpy(&src_bytes, src, sizeof(src_bytes));
	if (src_bytes < min_bytes || src_bytes > sane_bytes)
		return fail_with(-EINVAL, DMABROKER_REASON_BAD_ARGUMENT, min_bytes, src_bytes,
				 "A parameter struct has no size; initialise it with its macro.");
	for (size_t i = dst_bytes; i < src_bytes; i++)
		if (bytes[i])
			return fail_with(-E2BIG, DMABROKER_REASON_UNKNOWN_TAIL, dst_bytes,
					 src_bytes,
					 "A parameter struct sets fields that this version of the "
					 "library does not know; install a newer one.");
	memset(dst, 0, dst_bytes);
	memcpy(dst, src, src_bytes < dst_bytes ? src_bytes : dst_bytes);
	return 0;
}
