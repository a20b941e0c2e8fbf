/* SPDX-License-Identifier: MIT */
/*
 * The checks on both directions. Every packet is looked at where its last byte is the last byte
 * of a page and the next page cannot be read: a check that reads on dies here, sanitizer or not.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/wire.h"

static uint8_t *page_end;

static void setup(void)
{
	long page = sysconf(_SC_PAGESIZE);
	uint8_t *map;

	map = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_int_eq(mprotect(map + 2 * page, page, PROT_NONE), 0);
	page_end = map + 2 * page;
}

struct message {
	struct wire_header header;
	uint8_t body[2 * WIRE_MESSAGE_MAX];
};

static struct message message_new(uint16_t op, uint16_t flags, size_t body_bytes)
{
	struct message m = { .header = { .size = sizeof(m.header) + body_bytes,
					 .op = op,
					 .flags = flags,
					 .serial = 7 } };

	return m;
}

/* Copies the first @bytes of a message to the end of the page. */
static void *place(const struct message *m, size_t bytes)
{
	uint8_t *at = page_end - bytes;

	memcpy(at, m, bytes);
	return at;
}

static struct wire_check request(const struct message *m, unsigned int nr_fds)
{
	return wire_check_request(place(m, m->header.size), m->header.size, nr_fds, false);
}

static enum wire_verdict reply(uint16_t op, const struct message *m, unsigned int nr_fds)
{
	return wire_check_reply(op, place(m, m->header.size), m->header.size, nr_fds, false);
}

START_TEST(op_table_is_the_list)
{
	unsigned int found = 0;

	for (unsigned int op = 0; op <= UINT16_MAX; op++) {
		const struct wire_op_info *info = wire_op_info((uint16_t)op);

		if (!info)
			continue;
		found++;
		ck_assert_uint_eq(info->op, op);
		ck_assert_uint_ge(info->request_known, info->request_min);
	}
#define X(NAME, ...)                                                 \
	ck_assert_ptr_nonnull(wire_op_info(WIRE_OP_##NAME));         \
	ck_assert_str_eq(wire_op_info(WIRE_OP_##NAME)->name, #NAME); \
	found--;
	WIRE_OPS(X)
#undef X
	ck_assert_uint_eq(found, 0);
}
END_TEST

START_TEST(every_op_at_its_minimum_passes_and_below_drops){
#define X(NAME, number, req, min, fds, rep, rfds, who)                           \
	{                                                                        \
		struct message m = message_new(number, 0, min);                  \
		struct wire_check check = request(&m, fds);                      \
                                                                                 \
		ck_assert_int_eq(check.verdict, WIRE_OK);                        \
		ck_assert_ptr_eq(check.op, wire_op_info(number));                \
		if ((int)(min) > 0) {                                            \
			m.header.size--;                                         \
			ck_assert_int_eq(request(&m, fds).verdict, WIRE_DROP);   \
		}                                                                \
		m = message_new(number, WIRE_FLAG_NO_REPLY, sizeof(struct req)); \
		ck_assert_int_eq(request(&m, fds).verdict, WIRE_OK);             \
		check = request(&m, (fds) + 1);                                  \
		ck_assert_int_eq(check.verdict, WIRE_REFUSE);                    \
		ck_assert_int_eq(check.reason, WIRE_REASON_WRONG_FD_COUNT);      \
		ck_assert_uint_eq(check.limit, fds);                             \
		ck_assert_uint_eq(check.value, (fds) + 1);                       \
	}
	WIRE_OPS(X)
#undef X
} END_TEST

	START_TEST(too_few_fds_is_refused)
{
	struct message m = message_new(WIRE_OP_BUFFER_HOLD, 0, 0);

	ck_assert_int_eq(request(&m, 0).reason, WIRE_REASON_WRONG_FD_COUNT);
	ck_assert_int_eq(request(&m, 0).verdict, WIRE_REFUSE);
}
END_TEST

START_TEST(packets_shorter_than_a_header_drop)
{
	struct message m = message_new(WIRE_OP_STATUS, 0, 0);

	for (size_t bytes = 0; bytes < sizeof(m.header); bytes++) {
		m.header.size = bytes;
		ck_assert_int_eq(wire_check_request(place(&m, bytes), bytes, 0, false).verdict,
				 WIRE_DROP);
		ck_assert_int_eq(wire_check_reply(WIRE_OP_STATUS, place(&m, bytes), bytes, 0,
						  false),
				 WIRE_DROP);
	}
}
END_TEST

START_TEST(framing_faults_drop)
{
	const struct message good = message_new(WIRE_OP_STATUS, 0, 0);
	struct message m = good;

	ck_assert_int_eq(request(&good, 0).verdict, WIRE_OK);
	ck_assert_int_eq(wire_check_request(&good, sizeof(good.header), 0, true).verdict,
			 WIRE_DROP);

	for (int off = -1; off <= 1; off += 2) {
		m = good;
		m.header.size += off;
		ck_assert_int_eq(wire_check_request(place(&m, 16), 16, 0, false).verdict,
				 WIRE_DROP);
	}
	m = good;
	m.header.serial = 0;
	ck_assert_int_eq(request(&m, 0).verdict, WIRE_DROP);
	m = good;
	m.header.reserved = 1;
	ck_assert_int_eq(request(&m, 0).verdict, WIRE_DROP);
	for (int bit = 0; bit < 3; bit++) {
		m = good;
		m.header.flags = 1 << bit;
		ck_assert_int_eq(request(&m, 0).verdict, WIRE_DROP);
	}
	m = message_new(WIRE_OP_STATUS, 0, WIRE_MESSAGE_MAX - 16);
	ck_assert_int_eq(request(&m, 0).verdict, WIRE_OK);
	m.header.size++;
	ck_assert_int_eq(request(&m, 0).verdict, WIRE_DROP);
}
END_TEST

START_TEST(unknown_ops_and_flags_are_refused)
{
	struct message m = message_new(9999, 0, 3);
	struct wire_check check = request(&m, 2);

	ck_assert_int_eq(check.verdict, WIRE_REFUSE);
	ck_assert_int_eq(check.reason, WIRE_REASON_UNKNOWN_OP);
	ck_assert_uint_eq(check.value, 9999);
	ck_assert_ptr_null(check.op);
	m.header.op = 0;
	ck_assert_int_eq(request(&m, 0).reason, WIRE_REASON_UNKNOWN_OP);

	for (int bit = 4; bit < 16; bit++) {
		m = message_new(WIRE_OP_STATUS, 1 << bit, 0);
		check = request(&m, 0);
		ck_assert_int_eq(check.verdict, WIRE_REFUSE);
		ck_assert_int_eq(check.reason, WIRE_REASON_RESERVED_NOT_ZERO);
		ck_assert_uint_eq(check.value, 1u << bit);
	}
}
END_TEST

START_TEST(an_unknown_tail_must_be_zero)
{
	const size_t known = sizeof(struct wire_map);
	struct message m = message_new(WIRE_OP_MAP, 0, known + 5);
	struct wire_check check;

	ck_assert_int_eq(request(&m, 0).verdict, WIRE_OK);
	m.body[known - 1] = 1; /* inside: the handler's to judge */
	ck_assert_int_eq(request(&m, 0).verdict, WIRE_OK);
	for (size_t at = known; at < known + 5; at++) {
		m = message_new(WIRE_OP_MAP, 0, known + 5);
		m.body[at] = 0x80;
		check = request(&m, 0);
		ck_assert_int_eq(check.verdict, WIRE_REFUSE);
		ck_assert_int_eq(check.reason, WIRE_REASON_UNKNOWN_TAIL);
		ck_assert_uint_eq(check.limit, known);
		ck_assert_uint_eq(check.value, known + 5);
	}
}
END_TEST

/* Bytes of any content and length, unaligned too, must neither crash nor pass by accident. */
START_TEST(random_packets_touch_nothing_else)
{
	struct message m;
	uint8_t *bytes = (uint8_t *)&m;
	unsigned int ok = 0;

	srandom(1);
	for (int round = 0; round < 20000; round++) {
		size_t nr = random() % 600;
		struct wire_check check;

		for (size_t i = 0; i < nr; i++)
			bytes[i] = round % 3 == 0 || random() % 8 ? 0 : random();
		if (nr >= sizeof(m.header) && round % 2) {
			m.header.size = nr;
			m.header.op = random() % 24;
			m.header.reserved = 0;
			m.header.flags = random() % 2 ? 0 : random() % 16;
			m.header.serial = random() % 4;
		}
		check = wire_check_request(place(&m, nr), nr, random() % 3, false);
		if (check.verdict == WIRE_OK) {
			ok++;
			ck_assert_uint_eq(m.header.size, nr);
			ck_assert_uint_ge(nr, check.op->request_min + sizeof(m.header));
		}
		wire_check_reply(random() % 24, place(&m, nr), nr, random() % 3, false);
	}
	ck_assert_uint_gt(ok, 100);
}
END_TEST

START_TEST(replies_match_what_was_asked)
{
#define X(NAME, number, req, min, fds, rep, rfds, who)                                       \
	if ((rfds) >= 0) {                                                                   \
		struct message m = message_new(number, WIRE_FLAG_REPLY, sizeof(struct rep)); \
                                                                                             \
		ck_assert_int_eq(reply(number, &m, rfds), WIRE_OK);                          \
		ck_assert_int_eq(reply(number, &m, (rfds) + 1), WIRE_DROP);                  \
		ck_assert_int_eq(reply((number) + 1, &m, rfds), WIRE_DROP);                  \
		ck_assert_int_eq(wire_check_reply(number, &m, m.header.size, rfds, true),    \
				 WIRE_DROP);                                                 \
		m.header.flags = 0;                                                          \
		ck_assert_int_eq(reply(number, &m, rfds), WIRE_DROP);                        \
		m.header.flags = WIRE_FLAG_REPLY | WIRE_FLAG_EVENT;                          \
		ck_assert_int_eq(reply(number, &m, rfds), WIRE_DROP);                        \
		m.header.flags = WIRE_FLAG_REPLY;                                            \
		if (sizeof(struct rep) > 0) {                                                \
			m.header.size--;                                                     \
			ck_assert_int_eq(reply(number, &m, rfds), WIRE_DROP);                \
		}                                                                            \
	}
	WIRE_OPS(X)
#undef X
}
END_TEST

START_TEST(a_longer_reply_is_fine)
{
	struct message m =
		message_new(WIRE_OP_STATUS, WIRE_FLAG_REPLY, sizeof(struct wire_status_reply) + 8);

	m.body[sizeof(struct wire_status_reply)] = 1;
	ck_assert_int_eq(reply(WIRE_OP_STATUS, &m, 0), WIRE_OK);
}
END_TEST

START_TEST(alloc_replies_count_their_fds)
{
	struct wire_alloc_reply alloc = { .count = 3 };
	struct message m =
		message_new(WIRE_OP_ALLOC, WIRE_FLAG_REPLY, sizeof(alloc) + 3 * sizeof(uint64_t));

	memcpy(m.body, &alloc, sizeof(alloc));
	ck_assert_int_eq(reply(WIRE_OP_ALLOC, &m, 3), WIRE_OK);
	ck_assert_int_eq(reply(WIRE_OP_ALLOC, &m, 2), WIRE_DROP);
	ck_assert_int_eq(reply(WIRE_OP_ALLOC, &m, 4), WIRE_DROP);
	m.header.size -= 8;
	ck_assert_int_eq(reply(WIRE_OP_ALLOC, &m, 3), WIRE_DROP);

	alloc.count = 0;
	m = message_new(WIRE_OP_ALLOC, WIRE_FLAG_REPLY, sizeof(alloc));
	memcpy(m.body, &alloc, sizeof(alloc));
	ck_assert_int_eq(reply(WIRE_OP_ALLOC, &m, 0), WIRE_DROP);
}
END_TEST

START_TEST(list_replies_count_their_entries)
{
	static const struct {
		uint32_t count, entry_bytes;
		size_t bytes;
		enum wire_verdict verdict;
	} cases[] = {
		{ 0, 0, 0, WIRE_OK },
		{ 0, 16, 0, WIRE_OK },
		{ 0, 16, 16, WIRE_DROP },
		{ 2, 16, 32, WIRE_OK },
		{ 2, 16, 31, WIRE_DROP },
		{ 2, 16, 48, WIRE_DROP },
		{ 1, 0, 0, WIRE_DROP },
		{ UINT32_MAX, 0, 0, WIRE_DROP },
		{ UINT32_MAX, 1, 64, WIRE_DROP },
		{ 0x40000001, 4, 4, WIRE_DROP },
		{ 1, UINT32_MAX, 64, WIRE_DROP },
		{ UINT32_MAX, UINT32_MAX, 64, WIRE_DROP },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wire_list_reply list = { .count = cases[i].count,
						.entry_bytes = cases[i].entry_bytes };
		struct message m =
			message_new(WIRE_OP_DOCTOR, WIRE_FLAG_REPLY, sizeof(list) + cases[i].bytes);

		memcpy(m.body, &list, sizeof(list));
		ck_assert_msg(reply(WIRE_OP_DOCTOR, &m, 0) == cases[i].verdict, "case %zu", i);
	}
}
END_TEST

START_TEST(refusals_are_checked)
{
	const struct wire_refusal good = {
		.error = EDQUOT, .reason = WIRE_REASON_QUOTA_BYTES, .text_bytes = 4, .text = "full"
	};
	struct message m =
		message_new(WIRE_OP_ALLOC, WIRE_FLAG_REPLY | WIRE_FLAG_REFUSAL, sizeof(good));
	struct wire_refusal bad;

	memcpy(m.body, &good, sizeof(good));
	ck_assert_int_eq(reply(WIRE_OP_ALLOC, &m, 0), WIRE_OK);
	ck_assert_int_eq(reply(WIRE_OP_ALLOC, &m, 1), WIRE_DROP);
#define BAD(field, value)                                                 \
	do {                                                              \
		bad = good;                                               \
		bad.field = value;                                        \
		memcpy(m.body, &bad, sizeof(bad));                        \
		ck_assert_int_eq(reply(WIRE_OP_ALLOC, &m, 0), WIRE_DROP); \
	} while (0)
	BAD(error, 0);
	BAD(error, 4096);
	BAD(error, UINT32_MAX);
	BAD(retry, 2);
	BAD(text_bytes, 5);
	BAD(text_bytes, UINT32_MAX);
#undef BAD
	bad = good;
	memset(bad.text, 'x', sizeof(bad.text));
	bad.text_bytes = sizeof(bad.text);
	memcpy(m.body, &bad, sizeof(bad));
	ck_assert_int_eq(reply(WIRE_OP_ALLOC, &m, 0), WIRE_DROP);
}
END_TEST

START_TEST(events_are_only_events)
{
	struct message m =
		message_new(WIRE_EVENT_DEVICE_ADDED, WIRE_FLAG_EVENT, sizeof(struct wire_device));

	ck_assert_int_eq(reply(0, &m, 0), WIRE_DROP); /* has a serial */
	m.header.serial = 0;
	ck_assert_int_eq(reply(0, &m, 0), WIRE_OK);
	ck_assert_int_eq(reply(0, &m, 1), WIRE_DROP);
	ck_assert_int_eq(reply(WIRE_OP_HELLO, &m, 0), WIRE_DROP);
	m.header.size--;
	ck_assert_int_eq(reply(0, &m, 0), WIRE_DROP);
	m.header.op = 999; /* a newer daemon's */
	ck_assert_int_eq(reply(0, &m, 0), WIRE_OK);
	m.header.flags |= WIRE_FLAG_REPLY;
	ck_assert_int_eq(reply(0, &m, 0), WIRE_DROP);
}
END_TEST

START_TEST(bodies_are_copied_at_any_length)
{
	struct message m = message_new(WIRE_OP_BUFFER_SHOW, 0, 0);
	uint8_t dst[24];

	memset(m.body, 0xaa, 32);
	for (size_t bytes = 0; bytes <= 32; bytes++) {
		size_t copied = bytes < sizeof(dst) ? bytes : sizeof(dst);

		memset(dst, 0x55, sizeof(dst));
		wire_body_copy(dst, sizeof(dst), place(&m, 16 + bytes), 16 + bytes);
		for (size_t i = 0; i < sizeof(dst); i++)
			ck_assert_uint_eq(dst[i], i < copied ? 0xaa : 0);
	}
}
END_TEST

START_TEST(texts_are_terminated_and_printable)
{
	ck_assert(wire_text_ok("", 1));
	ck_assert(wire_text_ok("camera 0 ~", 16 - 5));
	ck_assert(!wire_text_ok("full", 4));
	ck_assert(!wire_text_ok("", 0));
	ck_assert(!wire_text_ok("tab\there", 16 - 7));
	ck_assert(!wire_text_ok("\x1b[2J", 5));
	ck_assert(!wire_text_ok("caf\xc3\xa9", 6));
	ck_assert(!wire_text_ok("\x7f", 2));
}
END_TEST

START_TEST(names_go_both_ways)
{
	uint32_t code;
	uint64_t bit;

	for (uint32_t kind = WIRE_KIND_COHERENT; kind <= WIRE_KIND_IMPORTED; kind++) {
		ck_assert_int_eq(wire_kind_parse(wire_kind_name(kind), &code), 0);
		ck_assert_uint_eq(code, kind);
	}
	for (uint32_t dir = WIRE_DIR_BIDIRECTIONAL; dir <= WIRE_DIR_NONE; dir++) {
		ck_assert_int_eq(wire_direction_parse(wire_direction_name(dir), &code), 0);
		ck_assert_uint_eq(code, dir);
	}
#define X(NAME, number, text)                                          \
	ck_assert_str_eq(wire_attribute_name(WIRE_ATTR_##NAME), text); \
	ck_assert_int_eq(wire_attribute_parse(text, &bit), 0);         \
	ck_assert_uint_eq(bit, 1u << (number));
	WIRE_ATTRIBUTES(X)
#undef X
#define X(NAME, number, err, text)                        \
	ck_assert_str_eq(wire_reason_name(number), text); \
	ck_assert_int_eq(wire_reason_errno(number), err);
	WIRE_REASONS(X)
#undef X
	code = 77;
	ck_assert_ptr_null(wire_kind_name(0));
	ck_assert_ptr_null(wire_direction_name(4));
	ck_assert_ptr_null(wire_attribute_name(3));
	ck_assert_ptr_null(wire_reason_name(UINT32_MAX));
	ck_assert_int_eq(wire_reason_errno(9999), -EINVAL);
	ck_assert_int_eq(wire_kind_parse("Coherent", &code), -EINVAL);
	ck_assert_int_eq(wire_kind_parse("", &code), -EINVAL);
	ck_assert_int_eq(wire_direction_parse("to-devic", &code), -EINVAL);
	ck_assert_int_eq(wire_attribute_parse("0", &bit), -EINVAL);
	ck_assert_uint_eq(code, 77);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire");
	TCase *tcase = tcase_create("wire");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, op_table_is_the_list);
	tcase_add_test(tcase, every_op_at_its_minimum_passes_and_below_drops);
	tcase_add_test(tcase, too_few_fds_is_refused);
	tcase_add_test(tcase, packets_shorter_than_a_header_drop);
	tcase_add_test(tcase, framing_faults_drop);
	tcase_add_test(tcase, unknown_ops_and_flags_are_refused);
	tcase_add_test(tcase, an_unknown_tail_must_be_zero);
	tcase_add_test(tcase, random_packets_touch_nothing_else);
	tcase_add_test(tcase, replies_match_what_was_asked);
	tcase_add_test(tcase, a_longer_reply_is_fine);
	tcase_add_test(tcase, alloc_replies_count_their_fds);
	tcase_add_test(tcase, list_replies_count_their_entries);
	tcase_add_test(tcase, refusals_are_checked);
	tcase_add_test(tcase, events_are_only_events);
	tcase_add_test(tcase, bodies_are_copied_at_any_length);
	tcase_add_test(tcase, texts_are_terminated_and_printable);
	tcase_add_test(tcase, names_go_both_ways);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
