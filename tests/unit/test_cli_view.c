/* SPDX-License-Identifier: MIT */
/* The shape of a buffer in JSON: names, units and types are an interface. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/view.h"

static const struct dmabroker_buffer_info info = {
	.id = 9007199254740993, /* 2^53 + 1 */
	.size_bytes = 1ull << 53,
	.attributes = DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_WARN | 1ull << 60,
	.syncs_done = 3,
	.syncs_saved = 5,
	.kind = DMABROKER_KIND_WRITECOMBINE,
	.effective_kind = DMABROKER_KIND_COHERENT,
	.flags = DMABROKER_BUFFER_CONTIGUOUS,
	.nr_mappings = 1,
	.owner_uid = 1000,
	.owner_pid = 77,
	.owned_by = DMABROKER_OWNED_BY_DEVICE,
	.name = "say \"hi\"",
	.region = "pages",
	.owner_unit = "user-1000.slice",
};

static const char *text_of(struct buffer_view *view)
{
	static char text[2000];
	struct json_object *object = buffer_view_json(view);

	snprintf(text, sizeof(text), "%s",
		 json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
	buffer_view_fini(view);
	return text;
}

START_TEST(full)
{
	struct buffer_view view = { .info = &info };
	const struct dmabroker_mapping_info mapping = {
		.direction = DMABROKER_DIR_TO_DEVICE,
		.flags = DMABROKER_MAPPING_SKIP_CPU_SYNC,
		.nr_segments = 2,
	};
	const struct dmabroker_segment segments[] = { { UINT64_MAX, 4096 }, { 0, 1ull << 40 } };

	buffer_view_add(&view, "sim:0", &mapping, segments, 2);
	ck_assert_str_eq(
		text_of(&view),
		"{\"id\":9007199254740993,\"name\":\"say \\\"hi\\\"\",\"kind\":\"writecombine\","
		"\"effective_kind\":\"coherent\",\"attributes\":[\"force-contiguous\",\"no-warn\"],"
		"\"size_bytes\":9007199254740992,\"contiguous\":true,\"region\":\"pages\","
		"\"owner_uid\":1000,\"owner_unit\":\"user-1000.slice\",\"owner_pid\":77,"
		"\"owned_by\":\"device\",\"syncs_done\":3,\"syncs_saved\":5,\"mappings\":["
		"{\"device\":\"sim:0\",\"direction\":\"to-device\",\"skip_cpu_sync\":true,"
		"\"segments\":[{\"dma_address\":\"0xffffffffffffffff\",\"length_bytes\":4096},"
		"{\"dma_address\":\"0x0\",\"length_bytes\":1099511627776}]}]}");
}
END_TEST

/* Of a newer broker, and a mapping whose device and segments are not known. */
START_TEST(unknown)
{
	struct dmabroker_buffer_info other = info;
	struct buffer_view view = { .info = &other, .token = "00ff" };
	const struct dmabroker_mapping_info mapping = { .direction = 99, .nr_segments = 2 };
	const char *text;

	other.kind = 99;
	other.owned_by = 99;
	buffer_view_add(&view, NULL, &mapping, NULL, 0);
	text = text_of(&view);
	ck_assert_ptr_nonnull(strstr(text, "\"kind\":\"unknown\""));
	ck_assert_ptr_nonnull(strstr(text, "\"owned_by\":\"unknown\""));
	ck_assert_ptr_nonnull(strstr(text, "{\"device\":null,\"direction\":\"unknown\","
					   "\"skip_cpu_sync\":false,\"segments\":[]}"));
	ck_assert_ptr_nonnull(strstr(text, "\"token\":\"00ff\"}"));
}
END_TEST

START_TEST(limits)
{
	struct json_object *object = json_new_object();

	json_add_limit(object, "none", UINT64_MAX);
	json_add_limit(object, "some", UINT64_MAX - 1);
	ck_assert_str_eq(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN),
			 "{\"none\":null,\"some\":18446744073709551614}");
	json_object_put(object);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli view");
	TCase *tcase = tcase_create("view");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, full);
	tcase_add_test(tcase, unknown);
	tcase_add_test(tcase, limits);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
