/* SPDX-License-Identifier: MIT */
/*
 * Bad input, byte by byte. A packet that is no request ends the connection; a request that cannot
 * be done gets exactly one refusal and the connection lives.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

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

static struct wire_header good_header(uint32_t size)
{
	return (struct wire_header){ .size = size, .op = WIRE_OP_STATUS, .serial = 99 };
}

/* Others are not disturbed by a peer that is dropped. */
static void ends(void)
{
	struct raw other;

	raw_dropped(&raw);
	raw_hello(&other, shared_socket());
	raw_alive(&other);
	raw_close(&other);
}

START_TEST(shorter_than_a_header)
{
	const struct wire_header header = good_header(sizeof(header));

	raw_send_bytes(&raw, &header, sizeof(header) - 1, NULL, 0);
	ends();
}
END_TEST

START_TEST(one_byte)
{
	raw_send_bytes(&raw, "x", 1, NULL, 0);
	ends();
}
END_TEST

START_TEST(empty)
{
	raw_send_bytes(&raw, "", 0, NULL, 0);
	ends();
}
END_TEST

START_TEST(empty_with_fd)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	raw_send_bytes(&raw, "", 0, &fd, 1);
	fd_close(fd);
	ends();
}
END_TEST

START_TEST(oversized)
{
	uint8_t bytes[WIRE_MESSAGE_MAX + 1] = { 0 };
	const struct wire_header header = good_header(sizeof(bytes));

	memcpy(bytes, &header, sizeof(header));
	raw_send_bytes(&raw, bytes, sizeof(bytes), NULL, 0);
	ends();
}
END_TEST

/* The largest packet is fine as such; its unknown tail is zero. */
START_TEST(largest)
{
	uint8_t bytes[WIRE_MESSAGE_MAX] = { 0 };
	const struct wire_header header = good_header(sizeof(bytes));

	memcpy(bytes, &header, sizeof(header));
	raw_send_bytes(&raw, bytes, sizeof(bytes), NULL, 0);
	raw_reply(&raw, WIRE_OP_STATUS);
}
END_TEST

START_TEST(truncated_body)
{
	struct wire_header header = good_header(sizeof(header) + sizeof(struct wire_alloc));

	header.op = WIRE_OP_ALLOC;
	raw_send_bytes(&raw, &header, sizeof(header), NULL, 0);
	ends();
}
END_TEST

START_TEST(size_too_small)
{
	struct {
		struct wire_header header;
		uint64_t more;
	} packet = { .header = good_header(sizeof(struct wire_header)) };

	raw_send_bytes(&raw, &packet, sizeof(packet), NULL, 0);
	ends();
}
END_TEST

START_TEST(body_below_minimum)
{
	struct wire_alloc request = raw_alloc_request(4096, 1);

	raw_send(&raw, WIRE_OP_ALLOC, 0, &request, 271, NULL, 0);
	ends();
}
END_TEST

START_TEST(serial_zero)
{
	struct wire_header header = good_header(sizeof(header));

	header.serial = 0;
	raw_send_bytes(&raw, &header, sizeof(header), NULL, 0);
	ends();
}
END_TEST

START_TEST(header_reserved)
{
	struct wire_header header = good_header(sizeof(header));

	header.reserved = 1;
	raw_send_bytes(&raw, &header, sizeof(header), NULL, 0);
	ends();
}
END_TEST

START_TEST(flags_of_the_daemon)
{
	static const uint16_t flags[] = { WIRE_FLAG_REPLY, WIRE_FLAG_REFUSAL, WIRE_FLAG_EVENT };

	raw_send(&raw, WIRE_OP_STATUS, flags[_i], NULL, 0, NULL, 0);
	ends();
}
END_TEST

START_TEST(unknown_flag)
{
	struct wire_header header = good_header(sizeof(header));
	const struct wire_refusal *refusal;

	header.flags = 1 << 7;
	raw_send_bytes(&raw, &header, sizeof(header), NULL, 0);
	ck_assert(raw_recv(&raw));
	refusal = (const struct wire_refusal *)(raw.reply.bytes + sizeof(header));
	ck_assert_uint_eq(refusal->reason, WIRE_REASON_RESERVED_NOT_ZERO);
	raw_alive(&raw);
}
END_TEST

START_TEST(unknown_op)
{
	static const uint16_t ops[] = { 0, 20, 200, 0xffff };
	const struct wire_refusal *refusal =
		raw_refused(&raw, WIRE_REASON_UNKNOWN_OP, ops[_i], NULL, 0, NULL, 0);

	ck_assert_uint_eq(refusal->value, ops[_i]);
	raw_alive(&raw);
}
END_TEST

START_TEST(unknown_tail)
{
	struct {
		struct wire_id id;
		uint64_t newer;
	} request = { .newer = 1 };

	raw_refused(&raw, WIRE_REASON_UNKNOWN_TAIL, WIRE_OP_BUFFER_SHOW, &request, sizeof(request),
		    NULL, 0);
	raw_alive(&raw);
}
END_TEST

START_TEST(zero_tail)
{
	struct {
		struct wire_list list;
		uint64_t newer;
	} request = { .newer = 0 };

	raw_call(&raw, WIRE_OP_DEVICE_LIST, &request, sizeof(request), NULL, 0);
}
END_TEST

START_TEST(fd_too_many)
{
	int fds[WIRE_FDS_MAX];
	const unsigned int nr = _i ? WIRE_FDS_MAX : 1;
	const struct wire_refusal *refusal;

	for (unsigned int i = 0; i < nr; i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	refusal = raw_refused(&raw, WIRE_REASON_WRONG_FD_COUNT, WIRE_OP_STATUS, NULL, 0, fds, nr);
	ck_assert_uint_eq(refusal->limit, 0);
	ck_assert_uint_eq(refusal->value, nr);
	fds_close(fds, nr);
	raw_alive(&raw);
}
END_TEST

START_TEST(fd_missing)
{
	const struct wire_refusal *refusal = raw_refused(&raw, WIRE_REASON_WRONG_FD_COUNT,
							 WIRE_OP_BUFFER_HOLD, NULL, 0, NULL, 0);

	ck_assert_uint_eq(refusal->limit, 1);
	ck_assert_uint_eq(refusal->value, 0);
	raw_alive(&raw);
}
END_TEST

START_TEST(fd_two_for_one)
{
	int fds[2] = { open("/dev/null", O_RDONLY | O_CLOEXEC),
		       open("/dev/null", O_RDONLY | O_CLOEXEC) };

	raw_refused(&raw, WIRE_REASON_WRONG_FD_COUNT, WIRE_OP_BUFFER_HOLD, NULL, 0, fds, 2);
	fds_close(fds, 2);
	raw_alive(&raw);
}
END_TEST

static int foreign_fd(int which)
{
	int sockets[2];

	switch (which) {
	case 0:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case 1:
		return memfd_create("not a buffer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	case 2:
		return open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	case 3:
		return open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	default:
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
		fd_close(sockets[1]);
		return sockets[0];
	}
}

START_TEST(fd_of_wrong_kind)
{
	int fd = foreign_fd(_i);

	ck_assert_int_ge(fd, 0);
	raw_refused(&raw, WIRE_REASON_WRONG_FD_KIND, WIRE_OP_BUFFER_HOLD, NULL, 0, &fd, 1);
	fd_close(fd);
	raw_alive(&raw);
}
END_TEST

START_TEST(hello_first)
{
	struct raw mute;

	raw_open(&mute, shared_socket());
	raw_refused(&mute, WIRE_REASON_HELLO_FIRST, WIRE_OP_STATUS, NULL, 0, NULL, 0);
	raw_close(&mute);
}
END_TEST

START_TEST(hello_version)
{
	static const struct wire_hello hellos[] = {
		{ .version_min = WIRE_VERSION + 1, .version_max = WIRE_VERSION + 9 },
		{ .version_min = 0, .version_max = 0 },
		{ .version_min = 2, .version_max = 1 },
	};
	const struct wire_hello good = { .version_min = 0, .version_max = UINT32_MAX };
	struct raw stranger;

	raw_open(&stranger, shared_socket());
	raw_refused(&stranger, WIRE_REASON_VERSION, WIRE_OP_HELLO, &hellos[_i], sizeof(hellos[0]),
		    NULL, 0);
	raw_call(&stranger, WIRE_OP_HELLO, &good, sizeof(good), NULL, 0);
	raw_close(&stranger);
}
END_TEST

START_TEST(hello_twice)
{
	const struct wire_hello hello = { .version_min = WIRE_VERSION,
					  .version_max = WIRE_VERSION };

	raw_refused(&raw, WIRE_REASON_COMBINATION, WIRE_OP_HELLO, &hello, sizeof(hello), NULL, 0);
	raw_alive(&raw);
}
END_TEST

START_TEST(hello_name)
{
	struct wire_hello hello = { .version_min = WIRE_VERSION, .version_max = WIRE_VERSION };
	struct raw stranger;

	raw_open(&stranger, shared_socket());
	memset(hello.name, 'x', sizeof(hello.name));
	raw_refused(&stranger, WIRE_REASON_BAD_ARGUMENT, WIRE_OP_HELLO, &hello, sizeof(hello), NULL,
		    0);
	memcpy(hello.name, "a\nb", 4);
	raw_refused(&stranger, WIRE_REASON_BAD_ARGUMENT, WIRE_OP_HELLO, &hello, sizeof(hello), NULL,
		    0);
	raw_close(&stranger);
}
END_TEST

static void alloc_refused(enum wire_reason reason, const struct wire_alloc *request)
{
	raw_refused(&raw, reason, WIRE_OP_ALLOC, request, sizeof(*request), NULL, 0);
	raw_alive(&raw);
}

START_TEST(alloc_size)
{
	static const uint64_t sizes[] = { 0, 1ull << 63, UINT64_MAX, (1ull << 40) + 1 };
	struct wire_alloc request = raw_alloc_request(sizes[_i], 1);

	alloc_refused(WIRE_REASON_SIZE, &request);
}
END_TEST

START_TEST(alloc_count)
{
	static const uint32_t counts[] = { 0, 10000, UINT32_MAX, WIRE_FDS_MAX + 1 };
	struct wire_alloc request = raw_alloc_request(4096, counts[_i]);

	alloc_refused(WIRE_REASON_COUNT, &request);
}
END_TEST

START_TEST(alloc_kind)
{
	static const uint32_t kinds[] = { 0, WIRE_KIND_IMPORTED, 5, UINT32_MAX };
	struct wire_alloc request = raw_alloc_request(4096, 1);

	request.kind = kinds[_i];
	alloc_refused(WIRE_REASON_UNKNOWN_KIND, &request);
}
END_TEST

START_TEST(alloc_attribute)
{
	struct wire_alloc request = raw_alloc_request(4096, 1);

	request.attributes = _i ? 1ull << 63 : 1ull << 6;
	alloc_refused(WIRE_REASON_UNKNOWN_ATTRIBUTE, &request);
}
END_TEST

START_TEST(alloc_direction)
{
	struct wire_alloc request = raw_alloc_request(4096, 1);

	request.direction = 4;
	alloc_refused(WIRE_REASON_UNKNOWN_DIRECTION, &request);
}
END_TEST

START_TEST(alloc_device)
{
	struct wire_alloc request = raw_alloc_request(4096, 1);

	request.nr_devices = 1;
	request.devices[0] = 0xfffffff0;
	alloc_refused(WIRE_REASON_UNKNOWN_DEVICE, &request);
	request.devices[0] = 1;
	request.nr_devices = WIRE_DEVICES_MAX + 1;
	alloc_refused(WIRE_REASON_BAD_ARGUMENT, &request);
}
END_TEST

START_TEST(alloc_reserved)
{
	struct wire_alloc request = raw_alloc_request(4096, 1);

	request.reserved[_i] = 1;
	alloc_refused(WIRE_REASON_RESERVED_NOT_ZERO, &request);
}
END_TEST

START_TEST(alloc_name)
{
	struct wire_alloc request = raw_alloc_request(4096, 1);

	memset(request.name, 'n', sizeof(request.name));
	alloc_refused(WIRE_REASON_BAD_ARGUMENT, &request);
}
END_TEST

START_TEST(alloc_layout)
{
	struct wire_alloc request = raw_alloc_request(4096, 1);

	request.layout.fourcc = 0x34325258;
	request.layout.nr_planes = WIRE_PLANES_MAX + 1;
	alloc_refused(WIRE_REASON_BAD_ARGUMENT, &request);
	request.layout.nr_planes = 1;
	request.layout.planes[0].offset_bytes = 4096;
	alloc_refused(WIRE_REASON_BAD_ARGUMENT, &request);
}
END_TEST

START_TEST(lists)
{
	static const uint16_t ops[] = { WIRE_OP_DEVICE_LIST,  WIRE_OP_BUFFER_LIST,
					WIRE_OP_MAPPING_LIST, WIRE_OP_CLIENT_LIST,
					WIRE_OP_ACCOUNT_LIST, WIRE_OP_DOCTOR };
	struct wire_list list = { .flags = 1 << 5 };

	raw_refused(&raw, WIRE_REASON_RESERVED_NOT_ZERO, ops[_i], &list, sizeof(list), NULL, 0);
	list = (struct wire_list){ .reserved = 1 };
	raw_refused(&raw, WIRE_REASON_RESERVED_NOT_ZERO, ops[_i], &list, sizeof(list), NULL, 0);
	/* A cursor that no page ended with is the end, or a place to go on from. */
	list = (struct wire_list){ .cursor = UINT64_MAX };
	raw_call(&raw, ops[_i], &list, sizeof(list), NULL, 0);
}
END_TEST

START_TEST(sync_flags)
{
	struct wire_sync sync = { .flags = _i ? 3 : 0 };

	raw_refused(&raw, WIRE_REASON_BAD_ARGUMENT, WIRE_OP_MAPPING_SYNC, &sync, sizeof(sync), NULL,
		    0);
	sync.flags = WIRE_SYNC_FOR_CPU;
	sync.mapping_id = 1ull << 60;
	raw_refused(&raw, WIRE_REASON_UNKNOWN_MAPPING, WIRE_OP_MAPPING_SYNC, &sync, sizeof(sync),
		    NULL, 0);
}
END_TEST

/* No reply, not even a refusal; and what could only be lost is not done. */
START_TEST(no_reply)
{
	const struct wire_alloc request = raw_alloc_request(4096, 1);
	const struct wire_id id = { .id = 1ull << 60 };
	struct wire_status_reply before = raw_status(&raw), after;

	raw_send(&raw, WIRE_OP_BUFFER_RELEASE, WIRE_FLAG_NO_REPLY, &id, sizeof(id), NULL, 0);
	raw_send(&raw, WIRE_OP_ALLOC, WIRE_FLAG_NO_REPLY, &request, sizeof(request), NULL, 0);
	raw_silent(&raw, 50);
	after = raw_status(&raw);
	ck_assert_uint_eq(before.own_buffers, after.own_buffers);
}
END_TEST

Suite *suite_framing(void)
{
	Suite *suite = suite_create("framing");
	TCase *tcase = tcase_create("framing");

	tcase_set_timeout(tcase, 30);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, shorter_than_a_header);
	tcase_add_test(tcase, one_byte);
	tcase_add_test(tcase, empty);
	tcase_add_test(tcase, empty_with_fd);
	tcase_add_test(tcase, oversized);
	tcase_add_test(tcase, largest);
	tcase_add_test(tcase, truncated_body);
	tcase_add_test(tcase, size_too_small);
	tcase_add_test(tcase, body_below_minimum);
	tcase_add_test(tcase, serial_zero);
	tcase_add_test(tcase, header_reserved);
	tcase_add_loop_test(tcase, flags_of_the_daemon, 0, 3);
	tcase_add_test(tcase, unknown_flag);
	tcase_add_loop_test(tcase, unknown_op, 0, 4);
	tcase_add_test(tcase, unknown_tail);
	tcase_add_test(tcase, zero_tail);
	tcase_add_loop_test(tcase, fd_too_many, 0, 2);
	tcase_add_test(tcase, fd_missing);
	tcase_add_test(tcase, fd_two_for_one);
	tcase_add_loop_test(tcase, fd_of_wrong_kind, 0, 5);
	tcase_add_test(tcase, hello_first);
	tcase_add_loop_test(tcase, hello_version, 0, 3);
	tcase_add_test(tcase, hello_twice);
	tcase_add_test(tcase, hello_name);
	tcase_add_loop_test(tcase, alloc_size, 0, 4);
	tcase_add_loop_test(tcase, alloc_count, 0, 4);
	tcase_add_loop_test(tcase, alloc_kind, 0, 4);
	tcase_add_loop_test(tcase, alloc_attribute, 0, 2);
	tcase_add_test(tcase, alloc_direction);
	tcase_add_test(tcase, alloc_device);
	tcase_add_loop_test(tcase, alloc_reserved, 0, 7);
	tcase_add_test(tcase, alloc_name);
	tcase_add_test(tcase, alloc_layout);
	tcase_add_loop_test(tcase, lists, 0, 6);
	tcase_add_loop_test(tcase, sync_flags, 0, 2);
	tcase_add_test(tcase, no_reply);
	suite_add_tcase(suite, tcase);
	return suite;
}
