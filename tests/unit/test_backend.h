/* SPDX-License-Identifier: MIT */
/* The parts of the program that tests what every backend promises. */
#ifndef DMABROKER_TESTS_TEST_BACKEND_H
#define DMABROKER_TESTS_TEST_BACKEND_H

#include <check.h>

TCase *test_backend_map_case(void);

#endif /* DMABROKER_TESTS_TEST_BACKEND_H */
