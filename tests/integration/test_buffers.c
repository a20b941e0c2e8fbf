/* SPDX-License-Identifier: MIT */
/*
 * What one user can do: allocate, release, map, share with another connection of its own; and that
 * the account follows what is really in use, not what was said.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "proto/cleanup.h"
#include "suites.h"

static struct raw raw;

static void setup(void)
{
	raw_hello(&raw, shared_socket());
}

static void teardown(void)
{
	raw_close(&raw);
}

static uint8_t *map_memory(int fd, size_t bytes, int protection)
{
	void *memory = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);

	ck_assert_msg(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	return memory;
}

START_TEST(alloc_and_release)
{
	struct wire_status_reply before = raw_status(&raw), with;
	uint64_t ids[5];
	uint8_t *memory;
	int fds[5];

	raw_alloc(&raw, 5000, 5, ids, fds);
	with = raw_status(&raw);
	ck_assert_uint_eq(with.own_buffers, before.own_buffers + 5);
	ck_assert_uint_eq(with.own_bytes, before.own_bytes + 5 * 8192);
	for (unsigned int i = 0; i < 5; i++) {
		ck_assert_int_eq(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		memory = map_memory(fds[i], 8192, PROT_READ | PROT_WRITE);
		for (unsigned int j = 0; j < 8192; j++)
			ck_assert_uint_eq(memory[j], 0);
		memset(memory, 0xa5, 8192);
		ck_assert_int_eq(munmap(memory, 8192), 0);
		raw_release(&raw, ids[i]);
	}
	/* Released, and still charged: the memory is still here. */
	ck_assert_uint_eq(raw_status(&raw).own_buffers, before.own_buffers + 5);
	fds_close(fds, 5);
	raw_settles(&raw, before.own_buffers, before.own_mappings, PATIENCE_MS);
}
END_TEST

/* Closing the fd keeps an mmap alive, and the charge with it. */
START_TEST(mmap_stays_charged)
{
	struct wire_status_reply before = raw_status(&raw);
	uint8_t *memory;
	uint64_t id;
	int fd;

	raw_alloc(&raw, 4096, 1, &id, &fd);
	memory = map_memory(fd, 4096, PROT_READ | PROT_WRITE);
	fd_close(fd);
	raw_release(&raw, id);
	ck_assert_uint_eq(raw_status(&raw).own_buffers, before.own_buffers + 1);
	memory[17] = 1;
	ck_assert_int_eq(munmap(memory, 4096), 0);
	raw_settles(&raw, before.own_buffers, before.own_mappings, PATIENCE_MS);
}
END_TEST

/* Never the bytes of whoever had it before, warm or not. */
START_TEST(always_zero)
{
	for (unsigned int round = 0; round < 100; round++) {
		uint8_t *memory;
		uint64_t id;
		int fd;

		raw_alloc(&raw, 65536, 1, &id, &fd);
		memory = map_memory(fd, 65536, PROT_READ | PROT_WRITE);
		for (unsigned int i = 0; i < 65536; i++)
			if (memory[i])
				ck_abort_msg("round %u: byte %u is %#x", round, i, memory[i]);
		memset(memory, 0xff, 65536);
		munmap(memory, 65536);
		raw_release(&raw, id);
		fd_close(fd);
	}
}
END_TEST

START_TEST(show_and_list)
{
	struct wire_alloc request = raw_alloc_request(4096, 1);
	const struct wire_list_reply *list;
	struct wire_list ask = { 0 };
	struct wire_buffer shown;
	bool listed = false;
	uint64_t id;
	int fd;

	request.layout = (struct wire_layout){ .fourcc = 0x34325258,
					       .width = 32,
					       .height = 32,
					       .nr_planes = 1,
					       .planes[0].pitch_bytes = 128 };
	memcpy(request.name, "picture", 8);
	id = *(const uint64_t *)((const struct wire_alloc_reply *)raw_call(
					 &raw, WIRE_OP_ALLOC, &request, sizeof(request), NULL, 0) +
				 1);
	fd = packet_take_fd(&raw.reply, 0);
	memcpy(&shown, raw_call(&raw, WIRE_OP_BUFFER_SHOW, &id, sizeof(id), NULL, 0),
	       sizeof(shown));
	ck_assert_uint_eq(shown.id, id);
	ck_assert_uint_eq(shown.size_bytes, 4096);
	ck_assert_str_eq(shown.name, "picture");
	ck_assert_uint_eq(shown.owner_pid, (uint32_t)getpid());
	ck_assert_uint_eq(shown.owner_uid, geteuid());
	ck_assert_uint_eq(shown.flags & (WIRE_BUFFER_HELD | WIRE_BUFFER_READ_ONLY),
			  WIRE_BUFFER_HELD);
	ck_assert_mem_eq(&shown.layout, &request.layout, sizeof(shown.layout));
	do {
		list = raw_call(&raw, WIRE_OP_BUFFER_LIST, &ask, sizeof(ask), NULL, 0);
		for (uint32_t i = 0; i < list->count; i++)
			listed |= ((const struct wire_buffer *)(list + 1))[i].id == id;
		ask.cursor = list->cursor;
	} while (ask.cursor);
	ck_assert(listed);
	fd_close(fd);
}
END_TEST

/* Each exactly once, whatever the page size, with some going away between the pages. */
START_TEST(list_pages)
{
	bool seen[60] = { false };
	struct wire_list ask = { 0 };
	unsigned int nr_seen = 0, pages = 0;
	uint64_t ids[60];
	int fds[60];

	for (unsigned int i = 0; i < 60; i += 4)
		raw_alloc(&raw, 4096, 4, ids + i, fds + i);
	do {
		const struct wire_list_reply *list =
			raw_call(&raw, WIRE_OP_BUFFER_LIST, &ask, sizeof(ask), NULL, 0);
		const struct wire_buffer *entry = (const struct wire_buffer *)(list + 1);

		for (uint32_t i = 0; i < list->count; i++) {
			for (unsigned int j = 0; j < 60; j++) {
				if (entry[i].id != ids[j])
					continue;
				ck_assert(!seen[j]);
				seen[j] = true;
				nr_seen++;
			}
		}
		ask.cursor = list->cursor;
		if (pages++ == 1)
			fds_close(fds, 12); /* all were seen, the last of the page among them */
	} while (ask.cursor);
	ck_assert_uint_gt(pages, 3);
	ck_assert_uint_eq(nr_seen, 60);
	fds_close(fds, 60);
}
END_TEST

START_TEST(map_and_segments)
{
	uint32_t devices[4];
	unsigned int nr;
	struct wire_map bad = { .direction = WIRE_DIR_NONE };
	const struct wire_list_reply *list;
	const struct wire_segment *segment;
	struct wire_mapping mapping;
	struct wire_segments ask = { 0 };
	uint64_t id, length_bytes = 0;
	int fd, mapping_fd;

	/* A device that cannot be reset stays with whom it served, and USER1 is to have it. */
	if (geteuid() == 0) {
		raw_close(&raw);
		raw_hello_as(&raw, shared_socket(), USER1);
	}
	nr = raw_devices(&raw, devices, 4);
	ck_assert_uint_ge(nr, 1);
	raw_alloc(&raw, 65536, 1, &id, &fd);
	mapping = raw_map(&raw, id, devices[0], WIRE_DIR_BIDIRECTIONAL, &mapping_fd);
	ck_assert_uint_ge(mapping.nr_segments, 1);
	ask.mapping_id = mapping.id;
	list = raw_call(&raw, WIRE_OP_MAPPING_SEGMENTS, &ask, sizeof(ask), NULL, 0);
	ck_assert_uint_eq(list->total, mapping.nr_segments);
	segment = (const struct wire_segment *)(list + 1);
	for (uint32_t i = 0; i < list->count; i++)
		length_bytes += segment[i].length_bytes;
	ck_assert_uint_eq(length_bytes, 65536);

	bad.buffer_id = id;
	bad.device_id = devices[0];
	raw_refused(&raw, WIRE_REASON_DIRECTION_NONE, WIRE_OP_MAP, &bad, sizeof(bad), NULL, 0);
	bad.direction = 7;
	raw_refused(&raw, WIRE_REASON_UNKNOWN_DIRECTION, WIRE_OP_MAP, &bad, sizeof(bad), NULL, 0);
	bad.direction = WIRE_DIR_TO_DEVICE;
	bad.attributes = WIRE_ATTR_FORCE_CONTIGUOUS;
	raw_refused(&raw, WIRE_REASON_UNKNOWN_ATTRIBUTE, WIRE_OP_MAP, &bad, sizeof(bad), NULL, 0);
	bad.attributes = 0;
	bad.device_id = 1;
	raw_refused(&raw, WIRE_REASON_DEVICE_SYSTEM, WIRE_OP_MAP, &bad, sizeof(bad), NULL, 0);
	bad.device_id = 0xfffffff0;
	raw_refused(&raw, WIRE_REASON_UNKNOWN_DEVICE, WIRE_OP_MAP, &bad, sizeof(bad), NULL, 0);
	bad.device_id = devices[0];
	bad.buffer_id = 1ull << 60;
	raw_refused(&raw, WIRE_REASON_UNKNOWN_BUFFER, WIRE_OP_MAP, &bad, sizeof(bad), NULL, 0);
	bad.buffer_id = id;
	bad.mask_bits = 65;
	raw_refused(&raw, WIRE_REASON_BAD_ARGUMENT, WIRE_OP_MAP, &bad, sizeof(bad), NULL, 0);
	bad.mask_bits = 0;
	bad.reserved = 1;
	raw_refused(&raw, WIRE_REASON_RESERVED_NOT_ZERO, WIRE_OP_MAP, &bad, sizeof(bad), NULL, 0);

	fd_close(mapping_fd);
	raw_release(&raw, id);
	fd_close(fd);
}
END_TEST

START_TEST(hold_by_fd)
{
	struct raw other;
	struct wire_buffer shown;
	uint64_t id;
	int fd;

	raw_hello(&other, shared_socket());
	raw_alloc(&raw, 4096, 1, &id, &fd);
	/* The id gives no right, not even within the account. */
	raw_refused(&other, WIRE_REASON_UNKNOWN_BUFFER, WIRE_OP_BUFFER_RELEASE, &id, sizeof(id),
		    NULL, 0);
	memcpy(&shown, raw_call(&other, WIRE_OP_BUFFER_HOLD, NULL, 0, &fd, 1), sizeof(shown));
	ck_assert_uint_eq(shown.id, id);
	ck_assert_uint_eq(shown.flags & WIRE_BUFFER_READ_ONLY, 0);
	raw_release(&other, id);
	raw_refused(&other, WIRE_REASON_UNKNOWN_BUFFER, WIRE_OP_BUFFER_RELEASE, &id, sizeof(id),
		    NULL, 0);
	fd_close(fd);
	raw_close(&other);
}
END_TEST

static struct wire_token share(struct raw *from, uint64_t id, uint32_t flags)
{
	const struct wire_share request = { .id = id, .flags = flags };
	struct wire_token token;

	memcpy(&token, raw_call(from, WIRE_OP_BUFFER_SHARE, &request, sizeof(request), NULL, 0),
	       sizeof(token));
	return token;
}

START_TEST(token_ends_with_release)
{
	struct wire_token token;
	struct raw other;
	uint64_t id;
	int fd, opened;

	raw_hello(&other, shared_socket());
	raw_alloc(&raw, 4096, 1, &id, &fd);
	token = share(&raw, id, 0);
	raw_call(&other, WIRE_OP_BUFFER_OPEN, &token, sizeof(token), NULL, 0);
	opened = packet_take_fd(&other.reply, 0);
	if (_i) {
		raw_release(&raw, id);
		raw_refused(&other, WIRE_REASON_UNKNOWN_TOKEN, WIRE_OP_BUFFER_OPEN, &token,
			    sizeof(token), NULL, 0);
	} else {
		struct wire_token wrong = token;

		wrong.token[15] ^= 1;
		raw_refused(&other, WIRE_REASON_UNKNOWN_TOKEN, WIRE_OP_BUFFER_OPEN, &wrong,
			    sizeof(wrong), NULL, 0);
		raw_call(&other, WIRE_OP_BUFFER_OPEN, &token, sizeof(token), NULL, 0);
	}
	fd_close(opened);
	fd_close(fd);
	raw_close(&other);
}
END_TEST

START_TEST(token_ends_with_maker)
{
	struct wire_token token;
	struct raw maker;
	uint64_t id;
	int fd;

	raw_hello(&maker, shared_socket());
	raw_alloc(&maker, 4096, 1, &id, &fd);
	token = share(&maker, id, 0);
	raw_close(&maker);
	for (int64_t start_ms = now_ms(); raw_status(&raw).nr_clients > 1;)
		if (now_ms() - start_ms > 500)
			break; /* others may be connected to a broker that is not ours */
	raw_refused(&raw, WIRE_REASON_UNKNOWN_TOKEN, WIRE_OP_BUFFER_OPEN, &token, sizeof(token),
		    NULL, 0);
	fd_close(fd);
}
END_TEST

START_TEST(read_only_share)
{
	const struct wire_share widen = { 0 };
	struct wire_share request;
	struct wire_token token;
	struct wire_buffer shown;
	struct raw other;
	uint32_t devices[4];
	struct wire_map map = { .direction = WIRE_DIR_BIDIRECTIONAL };
	uint64_t id;
	uint8_t *memory;
	int fd, opened;

	raw_hello(&other, shared_socket());
	raw_alloc(&raw, 4096, 1, &id, &fd);
	token = share(&raw, id, WIRE_SHARE_READ_ONLY);
	memcpy(&shown, raw_call(&other, WIRE_OP_BUFFER_OPEN, &token, sizeof(token), NULL, 0),
	       sizeof(shown));
	opened = packet_take_fd(&other.reply, 0);
	ck_assert_uint_eq(shown.flags & WIRE_BUFFER_READ_ONLY, WIRE_BUFFER_READ_ONLY);
	ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0),
			 MAP_FAILED);
	memory = map_memory(opened, 4096, PROT_READ);
	ck_assert_int_ne(mprotect(memory, 4096, PROT_READ | PROT_WRITE), 0);
	munmap(memory, 4096);

	/* What is held read-only is mapped and shared read-only. */
	request = widen;
	request.id = id;
	raw_refused(&other, WIRE_REASON_READ_ONLY, WIRE_OP_BUFFER_SHARE, &request, sizeof(request),
		    NULL, 0);
	share(&other, id, WIRE_SHARE_READ_ONLY);
	ck_assert_uint_ge(raw_devices(&other, devices, 4), 1);
	map.buffer_id = id;
	map.device_id = devices[0];
	raw_refused(&other, WIRE_REASON_READ_ONLY, WIRE_OP_MAP, &map, sizeof(map), NULL, 0);
	/* Showing the read-only fd again gives no more; showing a read-write one does. */
	raw_call(&other, WIRE_OP_BUFFER_HOLD, NULL, 0, &opened, 1);
	raw_refused(&other, WIRE_REASON_READ_ONLY, WIRE_OP_BUFFER_SHARE, &request, sizeof(request),
		    NULL, 0);
	raw_call(&other, WIRE_OP_BUFFER_HOLD, NULL, 0, &fd, 1);
	share(&other, id, 0);
	fd_close(opened);
	fd_close(fd);
	raw_close(&other);
}
END_TEST

/* Replies with fds wait for each other; their order and number stay right. */
START_TEST(pipelined_allocs)
{
	struct wire_alloc request = raw_alloc_request(4096, 2);
	struct wire_status_reply before = raw_status(&raw);
	uint32_t first = 0;
	int fds[60];

	for (unsigned int i = 0; i < 30; i++) {
		int64_t serial =
			raw_send(&raw, WIRE_OP_ALLOC, 0, &request, sizeof(request), NULL, 0);

		ck_assert_int_gt(serial, 0);
		first = first ? first : (uint32_t)serial;
	}
	for (unsigned int i = 0; i < 30; i++) {
		raw_reply(&raw, WIRE_OP_ALLOC);
		ck_assert_uint_eq(((struct wire_header *)raw.reply.bytes)->serial, first + i);
		ck_assert_uint_eq(raw.reply.nr_fds, 2);
		fds[2 * i] = packet_take_fd(&raw.reply, 0);
		fds[2 * i + 1] = packet_take_fd(&raw.reply, 1);
	}
	ck_assert_uint_eq(raw_status(&raw).own_buffers, before.own_buffers + 60);
	fds_close(fds, 60);
	raw_settles(&raw, before.own_buffers, before.own_mappings, PATIENCE_MS);
}
END_TEST

/* A client that sends and never reads is stopped, not served without end, and not dropped. */
START_TEST(slow_reader)
{
	struct raw other;
	unsigned int sent = 0;

	while (sent < 100000 && raw_send(&raw, WIRE_OP_STATUS, 0, NULL, 0, NULL, 0) > 0)
		sent++;
	ck_assert_uint_lt(sent, 100000);
	raw_hello(&other, shared_socket());
	raw_alive(&other);
	raw_close(&other);
	for (unsigned int i = 0; i < sent; i++)
		raw_reply(&raw, WIRE_OP_STATUS);
	raw_alive(&raw);
}
END_TEST

Suite *suite_buffers(void)
{
	Suite *suite = suite_create("buffers");
	TCase *tcase = tcase_create("buffers");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, alloc_and_release);
	tcase_add_test(tcase, mmap_stays_charged);
	tcase_add_test(tcase, always_zero);
	tcase_add_test(tcase, show_and_list);
	tcase_add_test(tcase, list_pages);
	tcase_add_test(tcase, map_and_segments);
	tcase_add_test(tcase, hold_by_fd);
	tcase_add_loop_test(tcase, token_ends_with_release, 0, 2);
	tcase_add_test(tcase, token_ends_with_maker);
	tcase_add_test(tcase, read_only_share);
	tcase_add_test(tcase, pipelined_allocs);
	tcase_add_test(tcase, slow_reader);
	suite_add_tcase(suite, tcase);
	return suite;
}
