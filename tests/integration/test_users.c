/* SPDX-License-Identifier: MIT */
/*
 * Several users at one broker: what one may never do to another, and what happens to memory when
 * its user is killed. Runs as root, which becomes each of them at connect().
 */
#include <check.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "proto/cleanup.h"
#include "suites.h"

static struct raw one, two;

static void setup(void)
{
	raw_hello_as(&one, shared_socket(), USER1);
	raw_hello_as(&two, shared_socket(), USER2);
}

static void teardown(void)
{
	raw_close(&one);
	raw_close(&two);
}

/* The words, too, are those for what does not exist. */
static void refused_alike(uint16_t op, const void *body, const void *nonsense, size_t bytes)
{
	struct wire_refusal real, none;

	real = *raw_refused(&two, WIRE_REASON_UNKNOWN_BUFFER, op, body, bytes, NULL, 0);
	none = *raw_refused(&two, WIRE_REASON_UNKNOWN_BUFFER, op, nonsense, bytes, NULL, 0);
	ck_assert_uint_eq(real.error, none.error);
	ck_assert_uint_eq(real.limit, none.limit);
	ck_assert_uint_eq(real.retry, none.retry);
	ck_assert_int_eq(strncmp(real.text, none.text, 17), 0); /* up to the number */
	ck_assert_str_eq(strchr(real.text, 't'), strchr(real.text, 't'));
}

START_TEST(guessing_ids)
{
	struct wire_id id, nonsense = { .id = 1ull << 60 };
	struct wire_share share = { 0 }, no_share = { .id = 1ull << 60 };
	struct wire_map map = { .device_id = 2, .direction = WIRE_DIR_TO_DEVICE }, no_map = map;
	struct wire_list list = { 0 }, no_list = { .of_id = 1ull << 60 };
	int fd;

	no_map.buffer_id = 1ull << 60;
	raw_alloc(&one, 4096, 1, &id.id, &fd);
	refused_alike(WIRE_OP_BUFFER_SHOW, &id, &nonsense, sizeof(id));
	refused_alike(WIRE_OP_BUFFER_RELEASE, &id, &nonsense, sizeof(id));
	share.id = id.id;
	refused_alike(WIRE_OP_BUFFER_SHARE, &share, &no_share, sizeof(share));
	map.buffer_id = id.id;
	refused_alike(WIRE_OP_MAP, &map, &no_map, sizeof(map));
	list.of_id = id.id;
	refused_alike(WIRE_OP_MAPPING_LIST, &list, &no_list, sizeof(list));
	/* It still is whose it was. */
	raw_release(&one, id.id);
	fd_close(fd);
}
END_TEST

START_TEST(guessing_tokens)
{
	struct wire_share share = { 0 };
	struct wire_token token;
	int fd;

	raw_alloc(&one, 4096, 1, &share.id, &fd);
	memcpy(&token, raw_call(&one, WIRE_OP_BUFFER_SHARE, &share, sizeof(share), NULL, 0),
	       sizeof(token));
	for (unsigned int bit = 0; bit < 8 * WIRE_TOKEN_SIZE; bit++) {
		struct wire_token guess = token;

		guess.token[bit / 8] ^= (uint8_t)(1 << bit % 8);
		raw_refused(&two, WIRE_REASON_UNKNOWN_TOKEN, WIRE_OP_BUFFER_OPEN, &guess,
			    sizeof(guess), NULL, 0);
	}
	raw_refused(&two, WIRE_REASON_UNKNOWN_TOKEN, WIRE_OP_BUFFER_OPEN,
		    &(struct wire_token){ { 0 } }, sizeof(token), NULL, 0);
	fd_close(fd);
}
END_TEST

START_TEST(lists_show_own)
{
	static const uint16_t ops[] = { WIRE_OP_BUFFER_LIST, WIRE_OP_MAPPING_LIST,
					WIRE_OP_CLIENT_LIST, WIRE_OP_ACCOUNT_LIST };
	const struct wire_list_reply *list;
	struct wire_list ask = { .flags = WIRE_LIST_ALL };
	uint64_t id;
	int fd;

	raw_alloc(&one, 4096, 1, &id, &fd);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		raw_refused(&two, WIRE_REASON_NOT_ADMINISTRATOR, ops[i], &ask, sizeof(ask), NULL,
			    0);
	ask.flags = 0;
	list = raw_call(&two, WIRE_OP_BUFFER_LIST, &ask, sizeof(ask), NULL, 0);
	for (uint32_t i = 0; i < list->count; i++)
		ck_assert_uint_eq(((const struct wire_buffer *)(list + 1))[i].owner_uid, USER2);
	list = raw_call(&two, WIRE_OP_CLIENT_LIST, &ask, sizeof(ask), NULL, 0);
	ck_assert_uint_ge(list->count, 1);
	for (uint32_t i = 0; i < list->count; i++)
		ck_assert_uint_eq(((const struct wire_client *)(list + 1))[i].uid, USER2);
	list = raw_call(&two, WIRE_OP_ACCOUNT_LIST, &ask, sizeof(ask), NULL, 0);
	ck_assert_uint_eq(list->count, 1);
	ck_assert_uint_eq(((const struct wire_account *)(list + 1))->uid, USER2);
	fd_close(fd);
}
END_TEST

START_TEST(root_sees_all)
{
	const struct wire_list_reply *list;
	struct wire_list ask = { .flags = WIRE_LIST_ALL };
	struct wire_buffer shown;
	bool seen = false;
	struct raw root;
	uint64_t id;
	int fd;

	raw_hello(&root, shared_socket());
	raw_alloc(&one, 4096, 1, &id, &fd);
	do {
		list = raw_call(&root, WIRE_OP_BUFFER_LIST, &ask, sizeof(ask), NULL, 0);
		for (uint32_t i = 0; i < list->count; i++)
			seen |= ((const struct wire_buffer *)(list + 1))[i].id == id;
		ask.cursor = list->cursor;
	} while (ask.cursor);
	ck_assert(seen);
	memcpy(&shown, raw_call(&root, WIRE_OP_BUFFER_SHOW, &id, sizeof(id), NULL, 0),
	       sizeof(shown));
	ck_assert_uint_eq(shown.owner_uid, USER1);
	ck_assert_uint_eq(shown.flags & WIRE_BUFFER_HELD, 0);
	/* Seeing is not holding. */
	raw_refused(&root, WIRE_REASON_UNKNOWN_BUFFER, WIRE_OP_BUFFER_RELEASE, &id, sizeof(id),
		    NULL, 0);
	fd_close(fd);
	raw_close(&root);
}
END_TEST

/* A DMA address is for the account that mapped, even if the buffer is shared. */
START_TEST(segments_are_private)
{
	struct wire_segments ask = { 0 };
	struct wire_sync sync = { .flags = WIRE_SYNC_FOR_CPU };
	struct wire_mapping mapping;
	uint32_t devices[4];
	uint64_t id;
	int fd, mapping_fd;

	ck_assert_uint_ge(raw_devices(&one, devices, 4), 1);
	raw_alloc(&one, 4096, 1, &id, &fd);
	raw_call(&two, WIRE_OP_BUFFER_HOLD, NULL, 0, &fd, 1);
	mapping = raw_map(&one, id, devices[0], WIRE_DIR_BIDIRECTIONAL, &mapping_fd);
	ask.mapping_id = mapping.id;
	raw_call(&one, WIRE_OP_MAPPING_SEGMENTS, &ask, sizeof(ask), NULL, 0);
	raw_refused(&two, WIRE_REASON_UNKNOWN_MAPPING, WIRE_OP_MAPPING_SEGMENTS, &ask, sizeof(ask),
		    NULL, 0);
	sync.mapping_id = mapping.id;
	raw_refused(&two, WIRE_REASON_UNKNOWN_MAPPING, WIRE_OP_MAPPING_SYNC, &sync, sizeof(sync),
		    NULL, 0);
	fd_close(mapping_fd);
	fd_close(fd);
	raw_settles(&one, 0, 0, PATIENCE_MS);
}
END_TEST

START_TEST(default_quota)
{
	struct wire_status_reply status = raw_status(&two);
	struct wire_alloc request = raw_alloc_request(4096, 1);
	const struct wire_refusal *refusal;
	uint64_t ids[256];
	int fds[256], other_fd;

	ck_assert_uint_eq(status.own_bytes_limit, 64ull << 20);
	ck_assert_uint_eq(status.own_buffers_limit, 256);
	ck_assert_uint_eq(status.own_buffers, 0);
	request.size_bytes = (64ull << 20) + 1;
	refusal = raw_refused(&two, WIRE_REASON_QUOTA_BYTES, WIRE_OP_ALLOC, &request,
			      sizeof(request), NULL, 0);
	ck_assert_uint_eq(refusal->limit, 64ull << 20);
	ck_assert_uint_eq(refusal->value, (64ull << 20) + 4096);
	for (unsigned int i = 0; i < 256; i += 8)
		raw_alloc(&two, 4096, 8, ids + i, fds + i);
	request.size_bytes = 4096;
	refusal = raw_refused(&two, WIRE_REASON_QUOTA_BUFFERS, WIRE_OP_ALLOC, &request,
			      sizeof(request), NULL, 0);
	ck_assert_uint_eq(refusal->limit, 256);
	ck_assert_uint_eq(refusal->value, 257);
	ck_assert_uint_eq(refusal->retry, 1);
	/* Others do not notice. */
	raw_alloc(&one, 4096, 1, ids, &other_fd);
	fd_close(other_fd);
	/* One closed, one granted, at once: the broker looks again before it refuses. */
	fd_close(fds[100]);
	raw_alloc(&two, 4096, 1, ids, fds + 100);
	fds_close(fds, 256);
	raw_settles(&two, 0, 0, PATIENCE_MS);
	raw_settles(&one, 0, 0, PATIENCE_MS);
}
END_TEST

struct doomed_report {
	struct wire_token token;
	uint64_t shared_id;
};

/* 100 buffers, 200 mappings, one of the buffers named to others; then it waits for its end. */
static void doomed_client(int report_fd)
{
	struct doomed_report report;
	struct wire_share share = { 0 };
	uint32_t devices[4];
	uint64_t ids[100];
	struct raw raw;
	int fds[100], mapping_fd;

	raw_hello(&raw, shared_socket());
	ck_assert_uint_ge(raw_devices(&raw, devices, 4), 2);
	for (unsigned int i = 0; i < 100; i += 4)
		raw_alloc(&raw, 4096, 4, ids + i, fds + i);
	for (unsigned int i = 0; i < 200; i++)
		raw_map(&raw, ids[i / 2], devices[i % 2], WIRE_DIR_BIDIRECTIONAL, &mapping_fd);
	share.id = report.shared_id = ids[42];
	memcpy(&report.token, raw_call(&raw, WIRE_OP_BUFFER_SHARE, &share, sizeof(share), NULL, 0),
	       sizeof(report.token));
	ck_assert_int_eq(write(report_fd, &report, sizeof(report)), sizeof(report));
	for (;;)
		pause();
}

START_TEST(killed_client)
{
	struct doomed_report report;
	struct wire_buffer shown;
	int pipe_fds[2], status, opened;
	pid_t child;

	raw_settles(&one, 0, 0, PATIENCE_MS);
	ck_assert_int_eq(pipe(pipe_fds), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		raw_close(&one);
		raw_close(&two);
		if (setresuid(USER1, USER1, USER1) < 0)
			_exit(1);
		doomed_client(pipe_fds[1]);
	}
	fd_close(pipe_fds[1]);
	ck_assert_int_eq(read(pipe_fds[0], &report, sizeof(report)), sizeof(report));
	fd_close(pipe_fds[0]);
	raw_settles(&one, 100, 200, 0);
	raw_call(&two, WIRE_OP_BUFFER_OPEN, &report.token, sizeof(report.token), NULL, 0);
	opened = packet_take_fd(&two.reply, 0);

	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	/* All gone but the one that the other user has, which stays, charged to its owner. */
	raw_settles(&one, 1, 0, PATIENCE_MS);
	memcpy(&shown,
	       raw_call(&two, WIRE_OP_BUFFER_SHOW, &report.shared_id, sizeof(uint64_t), NULL, 0),
	       sizeof(shown));
	ck_assert_uint_eq(shown.owner_uid, USER1);
	ck_assert_uint_eq(shown.owner_pid, (uint32_t)child);
	ck_assert_uint_eq(raw_status(&two).own_buffers, 0);
	raw_refused(&two, WIRE_REASON_UNKNOWN_TOKEN, WIRE_OP_BUFFER_OPEN, &report.token,
		    sizeof(report.token), NULL, 0);
	fd_close(opened);
	raw_settles(&one, 0, 0, PATIENCE_MS);
}
END_TEST

/* Charged to nobody's account if it has none: such a peer hears so, and no more. */
START_TEST(no_account)
{
	const struct wire_hello hello = { .version_min = WIRE_VERSION,
					  .version_max = WIRE_VERSION };
	struct raw stranger;

	if (raw_status(&one).unit[0])
		return; /* in a unit, it is charged to the unit */
	raw_open_as(&stranger, shared_socket(), 100000);
	raw_refused(&stranger, WIRE_REASON_ACCOUNT_NOT_ALLOWED, WIRE_OP_HELLO, &hello,
		    sizeof(hello), NULL, 0);
	raw_dropped(&stranger);
	raw_close(&stranger);
}
END_TEST

Suite *suite_users(void)
{
	Suite *suite = suite_create("users");
	TCase *tcase = tcase_create("users");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, guessing_ids);
	tcase_add_test(tcase, guessing_tokens);
	tcase_add_test(tcase, lists_show_own);
	tcase_add_test(tcase, root_sees_all);
	tcase_add_test(tcase, segments_are_private);
	tcase_add_test(tcase, default_quota);
	tcase_add_test(tcase, killed_client);
	tcase_add_test(tcase, no_account);
	suite_add_tcase(suite, tcase);
	return suite;
}
