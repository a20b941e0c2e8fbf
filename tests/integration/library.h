/* SPDX-License-Identifier: MIT */
/*
 * What the library's tests share: a connection for each test, buffers, and the account to look at
 * afterwards. They see the public headers only, so the same program runs against the installed
 * library in the VM.
 */
#ifndef DMABROKER_TEST_LIBRARY_H
#define DMABROKER_TEST_LIBRARY_H

#include <check.h>
#include <dmabroker/dmabroker.h>

extern struct dmabroker *broker;

/* Fixture: connects; ends by checking that the account holds nothing of the test any more. */
void library_setup(void);
void library_teardown(void);

/* A call of the library must succeed; else its refusal is shown. */
#define ok(call)                                                                                  \
	do {                                                                                      \
		int ok_ = (call);                                                                 \
                                                                                                  \
		ck_assert_msg(ok_ == 0, "%s: %d: %s", #call, ok_, dmabroker_get_refusal()->text); \
	} while (0)

/* A call must be refused, for this reason. */
#define refused(call, error_, reason_)                                                   \
	do {                                                                             \
		ck_assert_int_eq((call), -(error_));                                     \
		ck_assert_str_eq(dmabroker_reason_name(dmabroker_get_refusal()->reason), \
				 dmabroker_reason_name(DMABROKER_REASON_##reason_));     \
		ck_assert_int_eq(dmabroker_get_refusal()->error, (error_));              \
		ck_assert_uint_gt(strlen(dmabroker_get_refusal()->text), 0);             \
	} while (0)

struct dmabroker *library_connect(void);
struct dmabroker_alloc_params alloc_params(uint64_t size_bytes, uint32_t count);
struct dmabroker_buffer *alloc_one(uint64_t size_bytes);
/* Names of two devices that this user may map to; -ENODEV when there are none. */
int two_devices(char ret_names[2][64]);
bool on_sim(void);

/* What the account is charged, once that is as expected or nothing changes any more. */
uint64_t own_buffers(void);
void settles(uint64_t buffers);
uint64_t now_us(void);

Suite *suite_library(void);
Suite *suite_library_loop(void);
Suite *suite_library_threads(void);

#endif /* DMABROKER_TEST_LIBRARY_H */
