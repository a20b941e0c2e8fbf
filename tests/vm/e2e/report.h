/* SPDX-License-Identifier: MIT */
/* The beginning and the end of the report; check() and die() are in e2e.h. */
#ifndef TESTS_VM_REPORT_H
#define TESTS_VM_REPORT_H

void report_init(void);
/* Prints the closing line; the exit status. */
int report_end(void);

#endif
