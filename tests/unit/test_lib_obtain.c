/* SPDX-License-Identifier: MIT */
/*
 * Buffers, tokens, mappings and lists against a broker that answers late, twice, wrongly or in
 * parts. The fixture's count of open fds is the witness that nothing granted is kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/unit/fake.h"

static void setup(void)
{
	fake_setup();
	fake_connect();
}

static struct dmabroker_request *alloc_start(unsigned int count)
{
	struct dmabroker_alloc_params params = fake_alloc_params(count);
	struct dmabroker_request *request;

	ck_assert_int_eq(dmabroker_alloc_start(fake.broker, &params, NULL, &request), 0);
	return request;
}

START_TEST(an_allocation_becomes_buffers)
{
	static const uint64_t ids[] = { 11, 12, 13 };
	struct dmabroker_alloc_params params = fake_alloc_params(3);
	const struct dmabroker_layout layout = { .fourcc = 0x34325258,
						 .width = 32,
						 .height = 32,
						 .nr_planes = 1,
						 .planes = { { 0, 128 } } };
	const struct dmabroker_buffer_info *info;
	struct dmabroker_buffer *buffers[3];
	struct dmabroker_request *request;
	const struct wire_alloc *wire;

	params.attributes = DMABROKER_ATTR_FORCE_CONTIGUOUS;
	params.name = "frames";
	params.direction = DMABROKER_DIR_FROM_DEVICE;
	params.layout = &layout;
	ck_assert_int_eq(dmabroker_alloc_start(fake.broker, &params, NULL, &request), 0);
	wire = fake_request(WIRE_OP_ALLOC);
	ck_assert_uint_eq(wire->count, 3);
	ck_assert_uint_eq(wire->size_bytes, 4096);
	ck_assert_uint_eq(wire->kind, WIRE_KIND_COHERENT);
	ck_assert_uint_eq(wire->attributes, WIRE_ATTR_FORCE_CONTIGUOUS);
	ck_assert_uint_eq(wire->direction, WIRE_DIR_FROM_DEVICE);
	ck_assert_uint_eq(wire->nr_devices, 0);
	ck_assert_str_eq(wire->name, "frames");
	ck_assert_uint_eq(wire->layout.planes[0].pitch_bytes, 128);
	fake_reply_alloc(fake.header, ids, 3);
	ck_assert_int_eq(dmabroker_request_wait(request), 0);
	ck_assert_int_eq(dmabroker_request_take_buffers(request, 2, buffers), -EINVAL);
	ck_assert_int_eq(dmabroker_request_take_buffers(request, 3, buffers), 0);
	ck_assert_int_eq(dmabroker_request_take_buffers(request, 3, buffers), -ENODATA);
	dmabroker_request_unref(request);

	info = dmabroker_buffer_get_info(buffers[1]);
	ck_assert_uint_eq(info->id, 12);
	ck_assert_uint_eq(info->size_bytes, 4096);
	ck_assert_uint_eq(info->kind, DMABROKER_KIND_COHERENT);
	ck_assert_uint_eq(info->flags, DMABROKER_BUFFER_HELD | DMABROKER_BUFFER_CONTIGUOUS);
	ck_assert_str_eq(info->name, "frames");
	ck_assert_str_eq(info->region, "pages");
	ck_assert_mem_eq(info->layout, &layout, sizeof(layout));
	ck_assert_int_eq(fcntl(dmabroker_buffer_get_fd(buffers[1]), F_GETFD), FD_CLOEXEC);
	for (int i = 0; i < 3; i++) {
		dmabroker_free(buffers[i]);
		/* Nobody else can have the others, so there is nothing to tell. */
		if (i == 1)
			fake_released(ids[i]);
	}
	fake_silent();
}
END_TEST

START_TEST(alloc_parameters_are_checked_here)
{
	static const char *const devices[DMABROKER_DEVICES_MAX + 1] = { "a", NULL };
	struct dmabroker_alloc_params params = fake_alloc_params(0);
	struct dmabroker_buffer *buffer = NULL;

	ck_assert_int_eq(dmabroker_alloc(fake.broker, &params, &buffer), -EINVAL);
	ck_assert_uint_eq(dmabroker_get_refusal()->reason, DMABROKER_REASON_COUNT);
	params.count = 254;
	ck_assert_int_eq(dmabroker_alloc(fake.broker, &params, &buffer), -EINVAL);
	params = fake_alloc_params(1);
	params.name = "a name of more than thirty-one characters";
	ck_assert_int_eq(dmabroker_alloc(fake.broker, &params, &buffer), -EINVAL);
	params = fake_alloc_params(1);
	params.devices = devices;
	params.nr_devices = 17;
	ck_assert_int_eq(dmabroker_alloc(fake.broker, &params, &buffer), -EINVAL);
	ck_assert_uint_eq(dmabroker_get_refusal()->reason, DMABROKER_REASON_COUNT);
	params.nr_devices = 2;
	ck_assert_int_eq(dmabroker_alloc(fake.broker, &params, &buffer), -EINVAL);
	params.devices = NULL;
	ck_assert_int_eq(dmabroker_alloc(fake.broker, &params, &buffer), -EINVAL);
	ck_assert_int_eq(dmabroker_alloc(fake.broker, NULL, &buffer), -EINVAL);
	ck_assert_ptr_null(buffer);
	fake_silent();
}
END_TEST

START_TEST(an_allocation_cancelled_too_late_is_freed)
{
	static const uint64_t ids[] = { 21, 22 };
	struct dmabroker_request *request = alloc_start(2);

	fake_request(WIRE_OP_ALLOC);
	ck_assert_int_eq(dmabroker_request_cancel(request), 0);
	dmabroker_request_unref(request);
	fake_reply_alloc(fake.header, ids, 2);
	ck_assert_int_eq(fake_dispatch(), 0);
	fake_released(21);
	fake_released(22);
	fake_silent();
}
END_TEST

START_TEST(an_allocation_after_its_deadline_is_freed)
{
	const uint64_t id = 23;
	struct dmabroker_alloc_params params = fake_alloc_params(1);
	struct dmabroker_buffer *buffer;

	dmabroker_set_timeout_ms(fake.broker, 20);
	ck_assert_int_eq(dmabroker_alloc(fake.broker, &params, &buffer), -ETIMEDOUT);
	fake_request(WIRE_OP_ALLOC);
	fake_reply_alloc(fake.header, &id, 1);
	ck_assert_int_eq(fake_dispatch(), 0);
	fake_released(23);
}
END_TEST

START_TEST(an_allocation_nobody_takes_is_freed)
{
	const uint64_t id = 24;
	struct dmabroker_request *request = alloc_start(1);

	fake_request(WIRE_OP_ALLOC);
	fake_reply_alloc(fake.header, &id, 1);
	ck_assert_int_eq(dmabroker_request_wait(request), 0);
	ck_assert_int_eq(dmabroker_request_cancel(request), -EALREADY);
	fake_silent();
	dmabroker_request_unref(request);
	fake_silent();
}
END_TEST

START_TEST(another_count_than_asked_for_is_given_back)
{
	static const uint64_t ids[] = { 25, 26, 27 };
	struct dmabroker_request *request = alloc_start(2);

	fake_request(WIRE_OP_ALLOC);
	fake_reply_alloc(fake.header, ids, _i);
	ck_assert_int_eq(dmabroker_request_wait(request), -EPROTO);
	dmabroker_request_unref(request);
	/* Their fds are closed, and nobody else has any. */
	fake_silent();
}
END_TEST

START_TEST(a_process_out_of_fds_gives_back_what_it_cannot_hold)
{
	static const uint64_t ids[] = { 31, 32, 33, 34 };
	struct dmabroker_request *request = alloc_start(4);
	struct rlimit saved, tight;
	int lowest;

	fake_request(WIRE_OP_ALLOC);
	fake_reply_alloc(fake.header, ids, 4);
	lowest = dup(fake.sock);
	close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &saved), 0);
	tight = saved;
	tight.rlim_cur = lowest + 2;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
	ck_assert_int_eq(dmabroker_request_wait(request), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &saved), 0);
	dmabroker_request_unref(request);
	for (int i = 0; i < 4; i++)
		fake_released(ids[i]);
	/* The connection is as good as before. */
	request = alloc_start(1);
	fake_request(WIRE_OP_ALLOC);
	fake_reply_alloc(fake.header, ids, 1);
	ck_assert_int_eq(dmabroker_request_wait(request), 0);
	dmabroker_request_unref(request);
	fake_silent();
}
END_TEST

static void reply_open(struct wire_header header, uint64_t id)
{
	const struct wire_buffer buffer = { .id = id,
					    .size_bytes = 4096,
					    .flags = WIRE_BUFFER_READ_ONLY };
	int fd = fake_memfd();

	fake_reply_to(header, &buffer, sizeof(buffer), &fd, header.op == WIRE_OP_BUFFER_OPEN);
	close(fd);
}

static struct dmabroker_request *open_start(void)
{
	const struct dmabroker_token token = { "0123456789abcde" };
	struct dmabroker_request *request;
	const struct wire_token *wire;

	ck_assert_int_eq(dmabroker_open_start(fake.broker, &token, NULL, &request), 0);
	wire = fake_request(WIRE_OP_BUFFER_OPEN);
	ck_assert_mem_eq(wire->token, token.bytes, sizeof(token.bytes));
	return request;
}

static struct dmabroker_buffer *take(struct dmabroker_request *request)
{
	struct dmabroker_buffer *buffer;

	ck_assert_int_eq(dmabroker_request_wait(request), 0);
	ck_assert_int_eq(dmabroker_request_take_buffers(request, 1, &buffer), 0);
	dmabroker_request_unref(request);
	return buffer;
}

START_TEST(a_read_only_buffer_is_not_written)
{
	struct dmabroker_request *request = open_start();
	struct dmabroker_buffer *buffer;
	void *address;

	reply_open(fake.header, 41);
	buffer = take(request);
	ck_assert_int_eq(dmabroker_mmap(buffer, DMABROKER_CPU_WRITE, &address), -EACCES);
	ck_assert_int_eq(dmabroker_mmap(buffer, 4, &address), -EINVAL);
	ck_assert_int_eq(dmabroker_mmap(buffer, 0, &address), 0);
	ck_assert_int_eq(dmabroker_begin_cpu_access(buffer, DMABROKER_CPU_READ), 0);
	ck_assert_int_eq(dmabroker_end_cpu_access(buffer, DMABROKER_CPU_READ), 0);
	ck_assert_int_eq(dmabroker_begin_cpu_access(buffer, DMABROKER_CPU_WRITE), -EACCES);
	ck_assert_int_eq(dmabroker_begin_cpu_access(buffer, 0), -EINVAL);
	dmabroker_munmap(buffer, address);
	dmabroker_free(buffer);
	fake_released(41);
}
END_TEST

START_TEST(only_the_last_object_releases)
{
	struct dmabroker_buffer *buffers[3];
	struct dmabroker_request *request;

	for (int i = 0; i < 3; i++) {
		request = open_start();
		reply_open(fake.header, 42);
		buffers[i] = take(request);
	}
	dmabroker_free(buffers[1]);
	dmabroker_free(buffers[0]);
	fake_silent();
	dmabroker_free(buffers[2]);
	fake_released(42);
}
END_TEST

/* The broker would take the release for the hold that its answer to the open has just told of. */
START_TEST(a_release_waits_for_opens_under_way)
{
	struct dmabroker_request *first = open_start(), *second;
	struct dmabroker_buffer *buffer, *again;

	reply_open(fake.header, 43);
	buffer = take(first);
	second = open_start();
	dmabroker_free(buffer);
	fake_silent();
	reply_open(fake.header, 43); /* the same buffer: it stays held */
	again = take(second);
	fake_silent();

	second = open_start();
	dmabroker_free(again);
	fake_silent();
	reply_open(fake.header, 44); /* another: the release goes out now */
	buffer = take(second);
	fake_released(43);
	dmabroker_free(buffer);
	fake_released(44);
}
END_TEST

START_TEST(an_open_cancelled_too_late_is_given_back)
{
	struct dmabroker_request *request = open_start();

	ck_assert_int_eq(dmabroker_request_cancel(request), 0);
	dmabroker_request_unref(request);
	reply_open(fake.header, 45);
	fake_dispatch();
	fake_released(45);
}
END_TEST

START_TEST(an_fd_is_shown_and_kept)
{
	struct dmabroker_request *request;
	struct dmabroker_buffer *buffer;
	int fd = fake_memfd();

	ck_assert_int_eq(dmabroker_from_fd(fake.broker, -1, &buffer), -EBADF);
	ck_assert_int_eq(dmabroker_from_fd_start(fake.broker, fd, NULL, &request), 0);
	close(fd);
	fake_request(WIRE_OP_BUFFER_HOLD);
	ck_assert_uint_eq(fake.packet.nr_fds, 1);
	reply_open(fake.header, 46);
	buffer = take(request);
	ck_assert_int_ge(fcntl(dmabroker_buffer_get_fd(buffer), F_GETFD), 0);
	ck_assert_uint_eq(dmabroker_buffer_get_info(buffer)->size_bytes, 4096);
	dmabroker_free(buffer);
	fake_released(46);
}
END_TEST

START_TEST(tokens_go_through_text)
{
	struct dmabroker_token token = { { 0x00, 0x1f, 0xa9, 0xff } }, back;
	char text[DMABROKER_TOKEN_TEXT_SIZE];

	dmabroker_token_to_text(&token, text);
	ck_assert_str_eq(text, "001fa9ff000000000000000000000000");
	ck_assert_int_eq(dmabroker_token_from_text(text, &back), 0);
	ck_assert_mem_eq(&token, &back, sizeof(token));
	ck_assert_int_eq(dmabroker_token_from_text("001FA9FF000000000000000000000000", &back), 0);
	ck_assert_mem_eq(&token, &back, sizeof(token));
	ck_assert_int_eq(dmabroker_token_from_text("", &back), -EINVAL);
	ck_assert_int_eq(dmabroker_token_from_text("001fa9ff00000000000000000000000", &back),
			 -EINVAL);
	ck_assert_int_eq(dmabroker_token_from_text("001fa9ff0000000000000000000000000", &back),
			 -EINVAL);
	ck_assert_int_eq(dmabroker_token_from_text("g01fa9ff000000000000000000000000", &back),
			 -EINVAL);
}
END_TEST

static struct dmabroker_buffer *some_buffer(void)
{
	struct dmabroker_request *request = alloc_start(1);
	const uint64_t id = 51;

	fake_request(WIRE_OP_ALLOC);
	fake_reply_alloc(fake.header, &id, 1);
	return take(request);
}

static struct dmabroker_request *map_start(struct dmabroker_buffer *buffer)
{
	struct dmabroker_map_params params = DMABROKER_MAP_PARAMS_INIT;
	struct dmabroker_request *request;

	params.device = "sim:0";
	ck_assert_int_eq(dmabroker_map_start(buffer, &params, NULL, &request), 0);
	return request;
}

static void reply_device(uint32_t id)
{
	const struct wire_device_find *find = fake_request(WIRE_OP_DEVICE_FIND);
	const struct wire_device device = { .id = id, .name = "sim:0" };

	ck_assert_str_eq(find->name, "sim:0");
	fake_reply(&device, sizeof(device), NULL, 0);
	fake_dispatch();
}

static void reply_map(uint32_t device_id)
{
	const struct wire_map_reply reply = { .mapping = { .id = 61,
							   .buffer_id = 51,
							   .size_bytes = 4096,
							   .device_id = device_id,
							   .nr_segments = 3 } };
	const struct wire_map *map = fake_request(WIRE_OP_MAP);
	int fd = fake_memfd();

	ck_assert_uint_eq(map->buffer_id, 51);
	ck_assert_uint_eq(map->device_id, device_id);
	fake_reply(&reply, sizeof(reply), &fd, 1);
	close(fd);
	fake_dispatch();
}

static void reply_segments(uint64_t first, uint32_t nr, uint64_t total)
{
	const struct wire_segments *ask = fake_request(WIRE_OP_MAPPING_SEGMENTS);
	struct wire_list_reply list = { .count = nr,
					.entry_bytes = sizeof(struct wire_segment),
					.total = total };
	struct wire_segment segments[4];

	ck_assert_uint_eq(ask->mapping_id, 61);
	ck_assert_uint_eq(ask->first, first);
	for (uint32_t i = 0; i < nr; i++)
		segments[i] = (struct wire_segment){ 0x1000 * (first + i), 0x800 };
	fake_send(fake.header.serial, fake.header.op, WIRE_FLAG_REPLY, &list, sizeof(list),
		  segments, nr * sizeof(segments[0]), NULL, 0);
	fake_dispatch();
}

START_TEST(a_mapping_comes_with_its_segments)
{
	struct dmabroker_buffer *buffer = some_buffer();
	struct dmabroker_request *request = map_start(buffer);
	const struct dmabroker_segment *segments;
	struct dmabroker_mapping *mapping;
	size_t nr;

	reply_device(7);
	reply_map(7);
	reply_segments(0, 2, 3);
	ck_assert_int_eq(dmabroker_request_get_result(request), -EINPROGRESS);
	reply_segments(2, 1, 3);
	ck_assert_int_eq(dmabroker_request_take_mapping(request, &mapping), 0);
	dmabroker_request_unref(request);
	segments = dmabroker_mapping_get_segments(mapping, &nr);
	ck_assert_uint_eq(nr, 3);
	ck_assert_uint_eq(segments[2].dma_address, 0x2000);
	ck_assert_uint_eq(segments[2].length_bytes, 0x800);
	ck_assert_uint_eq(dmabroker_mapping_get_info(mapping)->id, 61);
	dmabroker_free(buffer); /* the mapping needs it no more */
	fake_released(51);
	dmabroker_unmap(mapping);
	fake_silent();
}
END_TEST

START_TEST(segments_without_an_end_fail_the_map)
{
	struct dmabroker_buffer *buffer = some_buffer();
	struct dmabroker_request *request = map_start(buffer);

	reply_device(7);
	reply_map(7);
	reply_segments(0, 2, 3);
	reply_segments(2, _i ? 2 : 0, 3);
	ck_assert_int_eq(dmabroker_request_wait(request), -EPROTO);
	dmabroker_request_unref(request);
	dmabroker_free(buffer);
}
END_TEST

START_TEST(a_map_cancelled_on_the_way_leaves_nothing)
{
	struct dmabroker_buffer *buffer = some_buffer();
	struct dmabroker_request *request = map_start(buffer);

	if (_i > 0)
		reply_device(7);
	if (_i > 1)
		reply_map(7);
	ck_assert_int_eq(dmabroker_request_cancel(request), 0);
	dmabroker_request_unref(request);
	switch (_i) {
	case 0:
		reply_device(7);
		break;
	case 1:
		reply_map(7);
		break;
	case 2:
		reply_segments(0, 3, 3);
		break;
	}
	fake_silent();
	dmabroker_free(buffer);
}
END_TEST

START_TEST(a_device_that_came_back_is_found_again)
{
	struct dmabroker_buffer *buffer = some_buffer();
	struct dmabroker_request *request = map_start(buffer);

	reply_device(7);
	fake_request(WIRE_OP_MAP);
	fake_refuse(EPERM, WIRE_REASON_DEVICE_NOT_ALLOWED, "No.");
	ck_assert_int_eq(dmabroker_request_wait(request), -EPERM);
	dmabroker_request_unref(request);

	/* Known by now; but it has gone and come back, and the event is still on its way. */
	request = map_start(buffer);
	fake_request(WIRE_OP_MAP);
	fake_refuse(ENODEV, WIRE_REASON_UNKNOWN_DEVICE, "No such device.");
	fake_dispatch();
	reply_device(8);
	reply_map(8);
	reply_segments(0, 3, 3);
	ck_assert_int_eq(dmabroker_request_wait(request), 0);
	dmabroker_request_unref(request);

	/* And if it stays away that is the answer. */
	request = map_start(buffer);
	fake_request(WIRE_OP_MAP);
	fake_refuse(ENODEV, WIRE_REASON_UNKNOWN_DEVICE, "No such device.");
	fake_dispatch();
	fake_request(WIRE_OP_DEVICE_FIND);
	fake_refuse(ENODEV, WIRE_REASON_UNKNOWN_DEVICE, "Still none.");
	ck_assert_int_eq(dmabroker_request_wait(request), -ENODEV);
	ck_assert_str_eq(dmabroker_get_refusal()->text, "Still none.");
	dmabroker_request_unref(request);
	dmabroker_free(buffer);
}
END_TEST

START_TEST(lists_come_in_parts_of_any_entry_size)
{
	struct dmabroker_query_params params = DMABROKER_QUERY_PARAMS_INIT;
	struct {
		struct wire_device device;
		uint64_t from_a_later_version;
	} longer[2] = { { .device = { .id = 1, .name = "one" }, .from_a_later_version = 9 },
			{ .device = { .id = 2, .name = "two" }, .from_a_later_version = 9 } };
	struct wire_list_reply list = { .cursor = 5, .count = 2, .entry_bytes = sizeof(longer[0]) };
	const uint32_t shorter[2] = { 3, WIRE_DEVICE_IOMMU };
	struct dmabroker_request *request;
	struct dmabroker_list *result;
	const struct wire_list *ask;

	params.type = DMABROKER_QUERY_DEVICES;
	ck_assert_int_eq(dmabroker_query_start(fake.broker, &params, NULL, &request), 0);
	ask = fake_request(WIRE_OP_DEVICE_LIST);
	ck_assert_uint_eq(ask->cursor, 0);
	memset(longer[1].device.reason, 'x', sizeof(longer[1].device.reason));
	fake_send(fake.header.serial, fake.header.op, WIRE_FLAG_REPLY, &list, sizeof(list), longer,
		  sizeof(longer), NULL, 0);
	fake_dispatch();
	ask = fake_request(WIRE_OP_DEVICE_LIST);
	ck_assert_uint_eq(ask->cursor, 5);
	list = (struct wire_list_reply){ .count = 1, .entry_bytes = sizeof(shorter) };
	fake_send(fake.header.serial, fake.header.op, WIRE_FLAG_REPLY, &list, sizeof(list), shorter,
		  sizeof(shorter), NULL, 0);
	ck_assert_int_eq(dmabroker_request_wait(request), 0);
	ck_assert_int_eq(dmabroker_request_take_list(request, &result), 0);
	dmabroker_request_unref(request);

	ck_assert_uint_eq(dmabroker_list_count(result), 3);
	ck_assert_str_eq(dmabroker_list_device(result, 0)->name, "one");
	ck_assert_str_eq(dmabroker_list_device(result, 1)->name, "two");
	ck_assert_uint_eq(strlen(dmabroker_list_device(result, 1)->reason), WIRE_SENTENCE_SIZE - 1);
	ck_assert_uint_eq(dmabroker_list_device(result, 2)->id, 3);
	ck_assert_uint_eq(dmabroker_list_device(result, 2)->flags, DMABROKER_DEVICE_IOMMU);
	ck_assert_str_eq(dmabroker_list_device(result, 2)->name, "");
	ck_assert_ptr_null(dmabroker_list_device(result, 3));
	ck_assert_ptr_null(dmabroker_list_buffer(result, 0));
	dmabroker_list_free(result);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib_obtain");
	TCase *tcase = tcase_create("lib_obtain");

	tcase_add_checked_fixture(tcase, setup, fake_teardown);
	tcase_add_test(tcase, an_allocation_becomes_buffers);
	tcase_add_test(tcase, alloc_parameters_are_checked_here);
	tcase_add_test(tcase, an_allocation_cancelled_too_late_is_freed);
	tcase_add_test(tcase, an_allocation_after_its_deadline_is_freed);
	tcase_add_test(tcase, an_allocation_nobody_takes_is_freed);
	tcase_add_loop_test(tcase, another_count_than_asked_for_is_given_back, 1, 2);
	tcase_add_loop_test(tcase, another_count_than_asked_for_is_given_back, 3, 4);
	tcase_add_test(tcase, a_process_out_of_fds_gives_back_what_it_cannot_hold);
	tcase_add_test(tcase, a_read_only_buffer_is_not_written);
	tcase_add_test(tcase, only_the_last_object_releases);
	tcase_add_test(tcase, a_release_waits_for_opens_under_way);
	tcase_add_test(tcase, an_open_cancelled_too_late_is_given_back);
	tcase_add_test(tcase, an_fd_is_shown_and_kept);
	tcase_add_test(tcase, tokens_go_through_text);
	tcase_add_test(tcase, a_mapping_comes_with_its_segments);
	tcase_add_loop_test(tcase, segments_without_an_end_fail_the_map, 0, 2);
	tcase_add_loop_test(tcase, a_map_cancelled_on_the_way_leaves_nothing, 0, 3);
	tcase_add_test(tcase, a_device_that_came_back_is_found_again);
	tcase_add_test(tcase, lists_come_in_parts_of_any_entry_size);
	suite_add_tcase(suite, tcase);
	return fake_main(suite);
}
