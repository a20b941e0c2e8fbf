/* SPDX-License-Identifier: MIT */
/*
 * What the tests of backends share: one open backend per test, a sink that counts, and the ways
 * to wait for what ended. Which backend it is comes from the environment variable
 * DMABROKER_TEST_BACKEND ("sim" without it), so that the same cases can run on real hardware.
 */
#ifndef DMABROKER_TESTS_BACKEND_FIXTURE_H
#define DMABROKER_TESTS_BACKEND_FIXTURE_H

#include <check.h>

#include "daemon/backend/backend.h"

extern struct backend *backend; /* of the running test */

/* For a test that needs other devices: set before fixture_setup(), or use fixture_reopen(). */
void fixture_reopen(const char *const *sim_devices, unsigned int nr_sim_devices);

/* What this test allocated so far is not expected to end any more. */
void fixture_forget(void);

void fixture_setup(void);
void fixture_teardown(void);

/* Defined by each program. */
Suite *fixture_suite(void);

/* An ordinary request: coherent, bidirectional, for no particular device. */
struct backend_alloc fixture_alloc(uint64_t size_bytes);
int fixture_do_alloc(const struct backend_alloc *alloc, struct backend_buffer *ret, int *ret_fd);

/* An ordinary mapping: bidirectional, for the account FIXTURE_ACCOUNT. */
#define FIXTURE_ACCOUNT 0x7e57
struct backend_map fixture_map_of(const struct backend_buffer *buffer,
				  const struct backend_device *device);
int fixture_do_map(const struct backend_map *map, struct backend_mapping *ret, int *ret_fd);

/* Two usable devices of the same coherence; there must be such. */
void fixture_two_devices(struct backend_device ret[static 2]);
/* Do all devices here fail to snoop? */
bool fixture_noncoherent(void);

/* dispatch() once. */
int fixture_dispatch(void);
/* dispatch() for as long as something may still come, 50 ms at least. */
void fixture_settle(void);

/* How often the sink heard of it. */
unsigned int fixture_freed(uint64_t buffer_id);
unsigned int fixture_unmapped(uint64_t mapping_id);

struct fixture_heard {
	uint64_t ended_mapping; /* the latest of each */
	uint32_t changed_device;
	uint32_t removed_device;
	unsigned int nr_resyncs;
};

extern struct fixture_heard fixture_heard;

/* One assertion for all of them: each costs a system call, and a VM is slow. */
void fixture_assert_zero(const uint8_t *bytes, size_t size_bytes);

unsigned int fixture_count_fds(void);
unsigned int fixture_lowest_free_fd(void);

#endif /* DMABROKER_TESTS_BACKEND_FIXTURE_H */
