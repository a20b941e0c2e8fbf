/* SPDX-License-Identifier: MIT */
/* Each thing the library offers, in its blocking form, and who may do what with a buffer. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "library.h"
#include "raw.h"

START_TEST(the_broker_introduces_itself)
{
	struct dmabroker_query_params params = DMABROKER_QUERY_PARAMS_INIT;
	const struct dmabroker_info *info = dmabroker_get_info(broker);
	const struct dmabroker_status *status;
	struct dmabroker_list *list;

	ck_assert_uint_eq(info->protocol_version, 1);
	ck_assert_uint_eq(info->page_bytes, (uint64_t)sysconf(_SC_PAGESIZE));
	ck_assert_uint_gt(info->buffers_max, 0);
	params.type = DMABROKER_QUERY_STATUS;
	ok(dmabroker_query(broker, &params, &list));
	status = dmabroker_list_status(list, 0);
	ck_assert_uint_eq(status->uid, geteuid());
	ck_assert_uint_eq(status->pid, (uint32_t)getpid());
	ck_assert_str_eq(status->backend, info->backend);
	ck_assert_uint_ge(status->nr_clients, 1);
	dmabroker_list_free(list);
}
END_TEST

START_TEST(every_list_can_be_asked_for)
{
	struct dmabroker_query_params params = DMABROKER_QUERY_PARAMS_INIT;
	struct dmabroker_list *list;
	bool found = false;

	for (uint32_t type = DMABROKER_QUERY_STATUS; type <= DMABROKER_QUERY_DOCTOR; type++) {
		if (type == DMABROKER_QUERY_SEGMENTS)
			continue;
		params.type = type;
		ok(dmabroker_query(broker, &params, &list));
		if (type == DMABROKER_QUERY_DEVICES)
			ck_assert_str_eq(dmabroker_list_device(list, 0)->name, "system");
		if (type == DMABROKER_QUERY_DOCTOR)
			ck_assert_uint_gt(strlen(dmabroker_list_doctor(list, 0)->text), 0);
		for (size_t i = 0;
		     type == DMABROKER_QUERY_CLIENTS && i < dmabroker_list_count(list); i++)
			found |= dmabroker_list_client(list, i)->id ==
				 dmabroker_get_info(broker)->client_id;
		dmabroker_list_free(list);
	}
	ck_assert(found);
	params.type = DMABROKER_QUERY_SEGMENTS;
	params.id = 987654321;
	refused(dmabroker_query(broker, &params, &list), ENOENT, UNKNOWN_MAPPING);
	params.type = DMABROKER_QUERY_BUFFERS;
	refused(dmabroker_query(broker, &params, &list), ENOENT, UNKNOWN_BUFFER);
	params.type = DMABROKER_QUERY_DEVICES;
	params.id = 0;
	params.name = "sim:no-such";
	refused(dmabroker_query(broker, &params, &list), ENODEV, UNKNOWN_DEVICE);
	params.name = "system";
	ok(dmabroker_query(broker, &params, &list));
	ck_assert_uint_eq(dmabroker_list_count(list), 1);
	dmabroker_list_free(list);
}
END_TEST

/* Longer than one message, so that it comes in pages. */
START_TEST(long_lists_are_whole)
{
	enum {
		NR = 100
	};
	struct dmabroker_query_params query = DMABROKER_QUERY_PARAMS_INIT;
	struct dmabroker_alloc_params params = alloc_params(4096, NR);
	struct dmabroker_buffer *buffers[NR];
	struct dmabroker_list *list;

	params.name = "many";
	ok(dmabroker_alloc(broker, &params, buffers));
	query.type = DMABROKER_QUERY_BUFFERS;
	ok(dmabroker_query(broker, &query, &list));
	for (int i = 0; i < NR; i++) {
		const struct dmabroker_buffer_info *mine = dmabroker_buffer_get_info(buffers[i]);
		unsigned int seen = 0;

		for (size_t j = 0; j < dmabroker_list_count(list); j++) {
			const struct dmabroker_buffer_info *listed = dmabroker_list_buffer(list, j);

			if (listed->id != mine->id)
				continue;
			seen++;
			ck_assert_str_eq(listed->name, "many");
			ck_assert_uint_eq(listed->size_bytes, mine->size_bytes);
			ck_assert_uint_eq(listed->effective_kind, mine->effective_kind);
			ck_assert_uint_eq(listed->owner_pid, mine->owner_pid);
			ck_assert(listed->flags & DMABROKER_BUFFER_HELD);
		}
		ck_assert_uint_eq(seen, 1);
	}
	dmabroker_list_free(list);
	for (int i = 0; i < NR; i++)
		dmabroker_free(buffers[i]);
}
END_TEST

START_TEST(memory_is_zero_and_writable)
{
	struct dmabroker_buffer *buffer = alloc_one(100000);
	uint64_t size_bytes = dmabroker_buffer_get_info(buffer)->size_bytes;
	static const uint8_t zero[4096];
	uint8_t *memory;
	void *address;

	ck_assert_uint_eq(size_bytes, 102400);
	ok(dmabroker_mmap(buffer, 0, &address));
	memory = address;
	for (uint64_t at = 0; at < size_bytes; at += sizeof(zero))
		ck_assert_mem_eq(memory + at, zero, sizeof(zero));
	ok(dmabroker_begin_cpu_access(buffer, DMABROKER_CPU_READ | DMABROKER_CPU_WRITE));
	memset(memory, 0xa5, size_bytes);
	ok(dmabroker_end_cpu_access(buffer, DMABROKER_CPU_READ | DMABROKER_CPU_WRITE));
	ck_assert_uint_eq(memory[size_bytes - 1], 0xa5);
	ok(dmabroker_munmap(buffer, address));
	dmabroker_free(buffer);
}
END_TEST

START_TEST(freed_but_mapped_memory_stays_charged)
{
	struct dmabroker_buffer *buffer = alloc_one(8192);
	void *address;

	ok(dmabroker_mmap(buffer, 0, &address));
	strcpy(address, "still here");
	dmabroker_free(buffer);
	settles(1);
	ck_assert_str_eq(address, "still here");
	ck_assert_int_eq(munmap(address, 8192), 0);
	settles(0);
}
END_TEST

START_TEST(bad_requests_are_refused_by_reason)
{
	struct dmabroker_alloc_params params = alloc_params(0, 1);
	struct dmabroker_buffer *buffer = NULL;
	const char *device = "sim:no-such";

	refused(dmabroker_alloc(broker, &params, &buffer), EINVAL, SIZE);
	params.size_bytes = 1ULL << 63;
	refused(dmabroker_alloc(broker, &params, &buffer), EINVAL, SIZE);
	params = alloc_params(4096, 1);
	params.kind = 77;
	refused(dmabroker_alloc(broker, &params, &buffer), EINVAL, UNKNOWN_KIND);
	params = alloc_params(4096, 1);
	params.attributes = 1ULL << 40;
	refused(dmabroker_alloc(broker, &params, &buffer), EINVAL, UNKNOWN_ATTRIBUTE);
	params = alloc_params(4096, 1);
	params.direction = 9;
	refused(dmabroker_alloc(broker, &params, &buffer), EINVAL, UNKNOWN_DIRECTION);
	params = alloc_params(4096, 1);
	params.devices = &device;
	params.nr_devices = 1;
	refused(dmabroker_alloc(broker, &params, &buffer), ENODEV, UNKNOWN_DEVICE);
	ck_assert_ptr_null(buffer);
}
END_TEST

START_TEST(a_layout_travels_with_its_buffer)
{
	const struct dmabroker_layout layout = { .fourcc = 0x34325258,
						 .width = 32,
						 .height = 30,
						 .nr_planes = 1,
						 .planes = { { 0, 128 } } };
	struct dmabroker_alloc_params params = alloc_params(4096, 1);
	struct dmabroker_buffer *buffer, *opened;
	struct dmabroker_token token;

	params.layout = &layout;
	ok(dmabroker_alloc(broker, &params, &buffer));
	ok(dmabroker_share(buffer, 0, &token));
	ok(dmabroker_open(broker, &token, &opened));
	ck_assert_mem_eq(dmabroker_buffer_get_info(opened)->layout, &layout, sizeof(layout));
	dmabroker_free(buffer);
	dmabroker_free(opened);
}
END_TEST

/* In a process of its own: nobody inherits a connection. Exit status 0 when all is as it should. */
static int other_process(const struct dmabroker_token *token, bool read_only)
{
	struct dmabroker_buffer *buffer;
	struct dmabroker *other;
	void *address;
	int fd;

	if (dmabroker_connect(NULL, &other) < 0)
		return 1;
	if (dmabroker_open(other, token, &buffer) < 0)
		return 2;
	fd = dmabroker_buffer_get_fd(buffer);
	if (dmabroker_mmap(buffer, 0, &address) < 0)
		return 3;
	if (strcmp(address, "from the parent") != 0)
		return 4;
	if (!read_only) {
		strcpy(address, "from the child");
	} else {
		struct dmabroker_token again;
		void *writable;
		char path[32];

		if (dmabroker_mmap(buffer, DMABROKER_CPU_WRITE, &writable) != -EACCES)
			return 5;
		if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED)
			return 6;
		if (mprotect(address, 4096, PROT_READ | PROT_WRITE) == 0)
			return 7;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (geteuid() != 0 && open(path, O_RDWR | O_CLOEXEC) >= 0)
			return 8;
		/* What it shares on is read-only too, or refused. */
		if (dmabroker_share(buffer, 0, &again) == 0)
			return 9;
	}
	dmabroker_munmap(buffer, address);
	dmabroker_free(buffer);
	dmabroker_unref(other);
	return 0;
}

START_TEST(a_token_opens_in_another_process)
{
	struct dmabroker_buffer *buffer = alloc_one(4096), *opened;
	struct dmabroker_token token;
	void *address;
	int status;
	pid_t pid;

	ok(dmabroker_mmap(buffer, 0, &address));
	strcpy(address, "from the parent");
	ok(dmabroker_share(buffer, _i ? DMABROKER_SHARE_READ_ONLY : 0, &token));
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(other_process(&token, _i));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert_str_eq(address, _i ? "from the parent" : "from the child");
	ok(dmabroker_munmap(buffer, address));
	dmabroker_free(buffer);
	/* With the last object of the buffer the token ends. */
	refused(dmabroker_open(broker, &token, &opened), ENOENT, UNKNOWN_TOKEN);
}
END_TEST

START_TEST(an_fd_becomes_a_buffer)
{
	struct dmabroker *other = library_connect();
	struct dmabroker_buffer *buffer = alloc_one(4096), *held, *again;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	ok(dmabroker_from_fd(other, dmabroker_buffer_get_fd(buffer), &held));
	ck_assert_uint_eq(dmabroker_buffer_get_info(held)->id,
			  dmabroker_buffer_get_info(buffer)->id);
	ck_assert_uint_eq(dmabroker_buffer_get_info(held)->size_bytes, 4096);
	settles(1); /* the same memory, charged once */
	dmabroker_free(buffer);
	settles(1);
	/* Two objects of one buffer: giving up one keeps the other's rights. */
	ok(dmabroker_from_fd(other, dmabroker_buffer_get_fd(held), &again));
	dmabroker_free(held);
	ok(dmabroker_from_fd(other, dmabroker_buffer_get_fd(again), &held));
	dmabroker_free(again);
	{
		struct dmabroker_token token;

		ok(dmabroker_share(held, 0, &token));
	}
	dmabroker_free(held);
	refused(dmabroker_from_fd(other, null, &held), EBADF, WRONG_FD_KIND);
	close(null);
	dmabroker_unref(other);
}
END_TEST

static struct dmabroker_mapping *map(struct dmabroker_buffer *buffer, const char *device,
				     uint32_t direction)
{
	struct dmabroker_map_params params = DMABROKER_MAP_PARAMS_INIT;
	struct dmabroker_mapping *mapping = NULL;

	params.device = device;
	params.direction = direction;
	ok(dmabroker_map(buffer, &params, &mapping));
	return mapping;
}

START_TEST(two_devices_see_one_buffer)
{
	struct dmabroker_query_params query = DMABROKER_QUERY_PARAMS_INIT;
	struct dmabroker_alloc_params params = alloc_params(256 * 1024, 1);
	struct dmabroker_mapping *mappings[2];
	struct dmabroker_buffer *buffer;
	const char *devices[2];
	struct dmabroker_list *list;
	char names[2][64];

	if (two_devices(names) < 0)
		ck_abort_msg("this user may use no two devices");
	devices[0] = names[0];
	devices[1] = names[1];
	params.kind = DMABROKER_KIND_COHERENT;
	params.devices = devices;
	params.nr_devices = 1;
	ok(dmabroker_alloc(broker, &params, &buffer));
	for (int i = 0; i < 2; i++) {
		const struct dmabroker_segment *segments;
		uint64_t sum = 0;
		size_t nr;

		/* Both the same device: of the other we do not know whether it is as coherent. */
		mappings[i] = map(buffer, names[0], DMABROKER_DIR_BIDIRECTIONAL);
		segments = dmabroker_mapping_get_segments(mappings[i], &nr);
		ck_assert_uint_gt(nr, 0);
		ck_assert_uint_eq(nr, dmabroker_mapping_get_info(mappings[i])->nr_segments);
		for (size_t j = 0; j < nr; j++)
			sum += segments[j].length_bytes;
		ck_assert_uint_eq(sum, 256 * 1024);

		/* Everybody who may ask is told the same. */
		query.type = DMABROKER_QUERY_SEGMENTS;
		query.id = dmabroker_mapping_get_info(mappings[i])->id;
		ok(dmabroker_query(broker, &query, &list));
		ck_assert_uint_eq(dmabroker_list_count(list), nr);
		ck_assert_uint_eq(dmabroker_list_segment(list, 0)->dma_address,
				  segments[0].dma_address);
		dmabroker_list_free(list);
	}
	query.type = DMABROKER_QUERY_MAPPINGS;
	query.id = dmabroker_buffer_get_info(buffer)->id;
	ok(dmabroker_query(broker, &query, &list));
	ck_assert_uint_eq(dmabroker_list_count(list), 2);
	dmabroker_list_free(list);
	ok(dmabroker_sync_for_device(mappings[0], 0, 0));
	ok(dmabroker_sync_for_cpu(mappings[0], 4096, 8192));
	ck_assert_int_eq(dmabroker_sync_for_cpu(mappings[0], 0, 1 << 30), -EINVAL);
	dmabroker_free(buffer);
	settles(1); /* mapped memory stays */
	dmabroker_unmap(mappings[0]);
	dmabroker_unmap(mappings[1]);
}
END_TEST

START_TEST(bad_maps_are_refused_by_reason)
{
	struct dmabroker_map_params params = DMABROKER_MAP_PARAMS_INIT;
	struct dmabroker_buffer *buffer = alloc_one(4096);
	struct dmabroker_mapping *mapping;
	char names[2][64];

	ck_assert_int_eq(two_devices(names), 0);
	ck_assert_int_eq(dmabroker_map(buffer, &params, &mapping), -EINVAL);
	params.device = "sim:no-such";
	refused(dmabroker_map(buffer, &params, &mapping), ENODEV, UNKNOWN_DEVICE);
	params.device = "system";
	refused(dmabroker_map(buffer, &params, &mapping), EINVAL, DEVICE_SYSTEM);
	params.device = names[0];
	params.direction = DMABROKER_DIR_NONE;
	refused(dmabroker_map(buffer, &params, &mapping), EINVAL, DIRECTION_NONE);
	dmabroker_free(buffer);
}
END_TEST

START_TEST(the_simulated_engine_moves_bytes)
{
	struct dmabroker_sim_dma_params dma = DMABROKER_SIM_DMA_PARAMS_INIT;
	struct dmabroker_alloc_params params = alloc_params(8192, 1);
	const struct dmabroker_segment *segments;
	struct dmabroker_mapping *mapping;
	struct dmabroker_buffer *buffer;
	const char *device;
	char names[2][64];
	void *address;
	size_t nr;

	ck_assert_int_eq(two_devices(names), 0);
	device = names[0];
	dma.device = device;
	dma.length_bytes = 100;
	if (!on_sim()) {
		refused(dmabroker_sim_dma_copy(broker, &dma), EOPNOTSUPP, BACKEND_CANNOT);
		return;
	}
	params.devices = &device;
	params.nr_devices = 1;
	ok(dmabroker_alloc(broker, &params, &buffer));
	ok(dmabroker_mmap(buffer, 0, &address));
	mapping = map(buffer, device, DMABROKER_DIR_BIDIRECTIONAL);
	segments = dmabroker_mapping_get_segments(mapping, &nr);
	strcpy(address, "moved by a device");
	ok(dmabroker_sync_for_device(mapping, 0, 0));
	dma.source = segments[0].dma_address;
	dma.destination = segments[0].dma_address + 1000;
	ok(dmabroker_sim_dma_copy(broker, &dma));
	ok(dmabroker_sync_for_cpu(mapping, 0, 0));
	ck_assert_str_eq((char *)address + 1000, "moved by a device");
	dma.destination = 0x10;
	refused(dmabroker_sim_dma_copy(broker, &dma), EFAULT, DMA_FAULT);
	dma.destination = segments[0].dma_address + 2000;
	dmabroker_unmap(mapping);

	/* The device may only read now. */
	mapping = map(buffer, device, DMABROKER_DIR_TO_DEVICE);
	segments = dmabroker_mapping_get_segments(mapping, &nr);
	dma.source = segments[0].dma_address;
	dma.destination = segments[0].dma_address + 2000;
	refused(dmabroker_sim_dma_copy(broker, &dma), EFAULT, DMA_FAULT);
	ck_assert_uint_eq(((uint8_t *)address)[2000], 0);
	ok(dmabroker_munmap(buffer, address));
	dmabroker_unmap(mapping);
	dmabroker_free(buffer);
}
END_TEST

START_TEST(a_child_connects_for_itself)
{
	struct dmabroker_buffer *buffer = alloc_one(4096);
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct dmabroker_alloc_params params = alloc_params(4096, 1);
		struct dmabroker_buffer *own = NULL;
		struct dmabroker *other;
		int bad = 0;

		bad |= dmabroker_alloc(broker, &params, &own) != -ECHILD;
		dmabroker_free(buffer);
		dmabroker_unref(broker);
		bad |= dmabroker_connect(NULL, &other) != 0 ||
		       dmabroker_alloc(other, &params, &own) != 0;
		/* Leaves everything to the end of the process. */
		_exit(bad);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	settles(1); /* the parent's, untouched */
	{
		struct dmabroker_token token;

		ok(dmabroker_share(buffer, 0, &token));
	}
	dmabroker_free(buffer);
}
END_TEST

Suite *suite_library(void)
{
	Suite *suite = suite_create("library");
	TCase *tcase = tcase_create("library");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, library_setup, library_teardown);
	tcase_add_test(tcase, the_broker_introduces_itself);
	tcase_add_test(tcase, every_list_can_be_asked_for);
	tcase_add_test(tcase, long_lists_are_whole);
	tcase_add_test(tcase, memory_is_zero_and_writable);
	tcase_add_test(tcase, freed_but_mapped_memory_stays_charged);
	tcase_add_test(tcase, bad_requests_are_refused_by_reason);
	tcase_add_test(tcase, a_layout_travels_with_its_buffer);
	tcase_add_loop_test(tcase, a_token_opens_in_another_process, 0, 2);
	tcase_add_test(tcase, an_fd_becomes_a_buffer);
	tcase_add_test(tcase, two_devices_see_one_buffer);
	tcase_add_test(tcase, bad_maps_are_refused_by_reason);
	tcase_add_test(tcase, the_simulated_engine_moves_bytes);
	tcase_add_test(tcase, a_child_connects_for_itself);
	suite_add_tcase(suite, tcase);
	return suite;
}
