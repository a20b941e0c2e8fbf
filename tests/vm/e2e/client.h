/* SPDX-License-Identifier: MIT */
/* What tests do through the library, with every failure reported where it happens. */
#ifndef TESTS_VM_CLIENT_H
#define TESTS_VM_CLIENT_H

#include <dmabroker/dmabroker.h>

#include "e2e.h"

/* These die when the library refuses, with the refusal's own words. */
struct dmabroker *client_connect(void);
struct dmabroker_buffer *client_alloc(struct dmabroker *broker, uint64_t size_bytes, uint32_t kind,
				      uint64_t attributes, unsigned int nr_devices);
void *client_mmap(struct dmabroker_buffer *buffer, uint32_t access);
struct dmabroker_mapping *client_map(struct dmabroker_buffer *buffer, unsigned int device,
				     uint32_t direction);
struct dmabroker_token client_share(struct dmabroker_buffer *buffer, uint32_t flags);
struct dmabroker_buffer *client_open(struct dmabroker *broker, struct dmabroker_token token);

/* These return what the library did. */
int client_try_alloc(struct dmabroker *broker, uint64_t size_bytes, uint32_t kind,
		     uint64_t attributes, unsigned int nr_devices, struct dmabroker_buffer **ret);
int client_try_map(struct dmabroker_buffer *buffer, unsigned int device, uint32_t direction,
		   struct dmabroker_mapping **ret);

/* A call of the library went well; or was refused with this errno (positive) and reason. */
bool check_done(int result, const char *name);
bool check_refused(int result, int error, uint32_t reason, const char *name);
/* For a failed check's "seen". */
const char *last_refusal(void);

uint64_t buffer_id(const struct dmabroker_buffer *buffer);
/* What the device has to use for this byte of the buffer. */
uint64_t dma_address(const struct dmabroker_mapping *mapping, uint64_t offset_bytes);
/* How many bytes from there on have consecutive addresses; at most @size. */
size_t dma_room(const struct dmabroker_mapping *mapping, uint64_t offset_bytes, size_t size);

/* What root sees of an account; zeroes where there is none. */
struct account {
	uint64_t bytes;
	uint64_t buffers;
	uint64_t mappings;
};
void ledger_account(struct dmabroker *root, uid_t uid, struct account *ret);
unsigned int ledger_count_buffers(struct dmabroker *root, uid_t uid);
bool ledger_has_buffer(struct dmabroker *root, uint64_t id, uid_t uid);

#endif
