/* SPDX-License-Identifier: MIT */
/* The played broker; see fake.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/unit/fake.h"

struct fake fake;
static unsigned int fds_at_start;

unsigned int count_fds(void)
{
	unsigned int nr = 0;
	DIR *dir = opendir("/proc/self/fd");

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

void fake_setup(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	fds_at_start = count_fds();
	snprintf(fake.dir, sizeof(fake.dir), "/tmp/dmabroker-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fake.dir));
	snprintf(fake.path, sizeof(fake.path), "%s/s", fake.dir);
	memcpy(address.sun_path, fake.path, strlen(fake.path));
	fake.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(fake.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fake.listener, 0), 0);
	fake.sock = -1;
	fake.broker = NULL;
}

void fake_teardown(void)
{
	fake.broker = dmabroker_unref(fake.broker);
	packet_fini(&fake.packet);
	fake.sock = fd_close(fake.sock);
	fake.listener = fd_close(fake.listener);
	unlink(fake.path);
	rmdir(fake.dir);
	ck_assert_uint_eq(count_fds(), fds_at_start);
}

struct dmabroker_connect_params fake_params(void)
{
	struct dmabroker_connect_params params = DMABROKER_CONNECT_PARAMS_INIT;

	params.socket_path = fake.path;
	params.client_name = "unit test";
	params.timeout_ms = 5000;
	return params;
}

static void readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	ck_assert_int_eq(poll(&pollfd, 1, 5000), 1);
}

void fake_accept(void)
{
	readable(fake.listener);
	fake.sock = accept4(fake.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	ck_assert_int_ge(fake.sock, 0);
}

void fake_connect(void)
{
	const struct wire_hello_reply reply = { .version = WIRE_VERSION,
						.fds_max = WIRE_FDS_MAX,
						.client_id = 77,
						.page_size = 4096,
						.backend = "fake",
						.daemon_version = "9.9" };
	struct dmabroker_connect_params params = fake_params();
	struct dmabroker_request *request;
	const struct wire_hello *hello;

	ck_assert_int_eq(dmabroker_connect_start(&params, NULL, &fake.broker, &request), 0);
	ck_assert_int_eq(fake_dispatch(), 0);
	fake_accept();
	hello = fake_request(WIRE_OP_HELLO);
	ck_assert_str_eq(hello->name, "unit test");
	ck_assert_uint_eq(hello->version_min, WIRE_VERSION);
	ck_assert_ptr_null(dmabroker_get_info(fake.broker));
	fake_reply(&reply, sizeof(reply), NULL, 0);
	ck_assert_int_eq(dmabroker_request_wait(request), 0);
	dmabroker_request_unref(request);
	ck_assert_str_eq(dmabroker_get_info(fake.broker)->backend, "fake");
}

void fake_die(void)
{
	fake.sock = fd_close(fake.sock);
}

const void *fake_request(enum wire_op op)
{
	struct wire_check check;

	readable(fake.sock);
	packet_fini(&fake.packet);
	ck_assert_int_eq(packet_recv(&fake.packet, fake.sock, MSG_DONTWAIT), 1);
	check = wire_check_request(fake.packet.bytes, fake.packet.size_bytes, fake.packet.nr_fds,
				   fake.packet.truncated);
	ck_assert_int_eq(check.verdict, WIRE_OK);
	memcpy(&fake.header, fake.packet.bytes, sizeof(fake.header));
	ck_assert_uint_eq(fake.header.op, op);
	return fake.packet.bytes + sizeof(fake.header);
}

void fake_silent(void)
{
	struct packet packet;

	ck_assert_int_eq(packet_recv(&packet, fake.sock, MSG_DONTWAIT), -EAGAIN);
}

void fake_send(uint32_t serial, uint16_t op, uint16_t flags, const void *body, size_t body_bytes,
	       const void *more, size_t more_bytes, const int *fds, unsigned int nr_fds)
{
	struct wire_header header = { .size = sizeof(header) + body_bytes + more_bytes,
				      .op = op,
				      .flags = flags,
				      .serial = serial };
	uint8_t bytes[2 * WIRE_MESSAGE_MAX];

	memcpy(bytes, &header, sizeof(header));
	if (body_bytes)
		memcpy(bytes + sizeof(header), body, body_bytes);
	ck_assert_int_eq(packet_send(fake.sock, bytes, sizeof(header) + body_bytes, more,
				     more_bytes, fds, nr_fds),
			 0);
}

void fake_reply_to(struct wire_header header, const void *body, size_t body_bytes, const int *fds,
		   unsigned int nr_fds)
{
	ck_assert_uint_eq(header.flags, 0);
	fake_send(header.serial, header.op, WIRE_FLAG_REPLY, body, body_bytes, NULL, 0, fds,
		  nr_fds);
}

void fake_reply(const void *body, size_t body_bytes, const int *fds, unsigned int nr_fds)
{
	fake_reply_to(fake.header, body, body_bytes, fds, nr_fds);
}

void fake_refuse(uint32_t error, enum wire_reason reason, const char *text)
{
	struct wire_refusal refusal = { .error = error,
					.reason = reason,
					.limit = 5,
					.value = 6,
					.retry = 1,
					.text_bytes = strlen(text) };

	memcpy(refusal.text, text, strlen(text));
	fake_send(fake.header.serial, fake.header.op, WIRE_FLAG_REPLY | WIRE_FLAG_REFUSAL, &refusal,
		  sizeof(refusal), NULL, 0, NULL, 0);
}

int fake_memfd(void)
{
	int fd = memfd_create("buffer", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	return fd;
}

void fake_reply_alloc(struct wire_header header, const uint64_t *ids, unsigned int nr)
{
	const struct wire_alloc_reply reply = { .size_bytes = 4096,
						.alignment_bytes = 4096,
						.effective_kind = WIRE_KIND_COHERENT,
						.contiguous = 1,
						.count = nr,
						.region = "pages" };
	int fds[WIRE_FDS_MAX] = {};

	for (unsigned int i = 0; i < nr; i++)
		fds[i] = fake_memfd();
	fake_send(header.serial, WIRE_OP_ALLOC, WIRE_FLAG_REPLY, &reply, sizeof(reply), ids,
		  nr * sizeof(*ids), fds, nr);
	for (unsigned int i = 0; i < nr; i++)
		close(fds[i]);
}

void fake_event(enum wire_event event, const void *body, size_t body_bytes)
{
	fake_send(0, event, WIRE_FLAG_EVENT, body, body_bytes, NULL, 0, NULL, 0);
}

void fake_released(uint64_t id)
{
	const struct wire_id *released = fake_request(WIRE_OP_BUFFER_RELEASE);

	ck_assert_uint_eq(released->id, id);
	ck_assert_uint_eq(fake.header.flags, WIRE_FLAG_NO_REPLY);
}

int fake_dispatch(void)
{
	return dmabroker_dispatch(fake.broker);
}

struct dmabroker_alloc_params fake_alloc_params(unsigned int count)
{
	struct dmabroker_alloc_params params = DMABROKER_ALLOC_PARAMS_INIT;

	params.size_bytes = 4096;
	params.count = count;
	return params;
}

int fake_main(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
