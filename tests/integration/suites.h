/* SPDX-License-Identifier: MIT */
/* The suites of test_broker. Those with "own" start brokers of their own, on the sim backend. */
#ifndef DMABROKER_TEST_SUITES_H
#define DMABROKER_TEST_SUITES_H

#include <check.h>

#include "raw.h"

Suite *suite_framing(void);
Suite *suite_buffers(void);
Suite *suite_users(void); /* needs root: it is several users */
Suite *suite_own(void);
Suite *suite_own_fds(void); /* needs root */

#endif /* DMABROKER_TEST_SUITES_H */
