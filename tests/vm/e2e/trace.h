/* SPDX-License-Identifier: MIT */
/* The kernel's DMA trace events: what drivers really asked the DMA API for. */
#ifndef TESTS_VM_TRACE_H
#define TESTS_VM_TRACE_H

void trace_start(void);
void trace_stop(void);
/* What the two mappings of one buffer must have left in the trace. */
void check_trace_of_copy(void);

#endif
