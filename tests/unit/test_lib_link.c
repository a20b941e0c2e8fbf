/* SPDX-License-Identifier: MIT */
/* Connecting, losing the connection, fork, and a broker that talks nonsense. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/unit/fake.h"

static int connect_to(const char *path)
{
	struct dmabroker_connect_params params = fake_params();
	struct dmabroker *broker = NULL;
	int r;

	params.socket_path = path;
	r = dmabroker_connect(&params, &broker);
	ck_assert(r < 0 || broker);
	ck_assert(r == 0 || !broker);
	dmabroker_unref(broker);
	return r;
}

START_TEST(connecting_to_nothing_says_so)
{
	char path[200];

	ck_assert_int_eq(connect_to("/nonexistent/socket"), -ENOENT);
	ck_assert_int_eq(dmabroker_get_refusal()->error, ENOENT);
	ck_assert_uint_eq(dmabroker_get_refusal()->reason, DMABROKER_REASON_NONE);
	ck_assert_ptr_nonnull(strstr(dmabroker_get_refusal()->text, "/nonexistent/socket"));

	fake.listener = fd_close(fake.listener);
	ck_assert_int_eq(connect_to(fake.path), -ECONNREFUSED);

	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(connect_to(path), -ENAMETOOLONG);
}
END_TEST

START_TEST(the_environment_names_the_socket)
{
	struct dmabroker *broker;

	ck_assert_int_eq(setenv("DMABROKER_SOCKET", "/nonexistent/from-environment", 1), 0);
	ck_assert_int_eq(dmabroker_connect(NULL, &broker), -ENOENT);
	ck_assert_ptr_nonnull(
		strstr(dmabroker_get_refusal()->text, "/nonexistent/from-environment"));
	ck_assert_int_eq(unsetenv("DMABROKER_SOCKET"), 0);
}
END_TEST

START_TEST(connect_parameters_are_checked)
{
	struct {
		struct dmabroker_connect_params params;
		uint64_t future[4];
	} longer = { .params = fake_params() };
	struct dmabroker_connect_params params = fake_params();
	struct dmabroker *broker = NULL;

	params.flags = 1;
	ck_assert_int_eq(dmabroker_connect(&params, &broker), -EINVAL);
	ck_assert_uint_eq(dmabroker_get_refusal()->reason, DMABROKER_REASON_RESERVED_NOT_ZERO);
	params = fake_params();
	params.client_name = "thirty-two characters is too long";
	ck_assert_int_eq(dmabroker_connect(&params, &broker), -EINVAL);
	params.client_name = "tab\t";
	ck_assert_int_eq(dmabroker_connect(&params, &broker), -EINVAL);
	params = fake_params();
	params.struct_size = 0;
	ck_assert_int_eq(dmabroker_connect(&params, &broker), -EINVAL);
	params.struct_size = (size_t)-1;
	ck_assert_int_eq(dmabroker_connect(&params, &broker), -EINVAL);

	/* A program built against a later version: fine until it uses what is not here. */
	longer.params.struct_size = sizeof(longer);
	longer.params.socket_path = "/nonexistent";
	ck_assert_int_eq(dmabroker_connect(&longer.params, &broker), -ENOENT);
	longer.future[3] = 1;
	ck_assert_int_eq(dmabroker_connect(&longer.params, &broker), -E2BIG);
	ck_assert_ptr_null(broker);
}
END_TEST

START_TEST(a_connection_comes_up)
{
	fake_connect();
	ck_assert_uint_eq(dmabroker_get_info(fake.broker)->client_id, 77);
	ck_assert_uint_eq(dmabroker_get_info(fake.broker)->page_bytes, 4096);
	ck_assert_str_eq(dmabroker_get_info(fake.broker)->broker_version, "9.9");
}
END_TEST

START_TEST(a_silent_broker_times_out)
{
	struct dmabroker_connect_params params = fake_params();
	struct dmabroker *broker = NULL;

	params.timeout_ms = 50;
	ck_assert_int_eq(dmabroker_connect(&params, &broker), -ETIMEDOUT);
	ck_assert_ptr_null(broker);
}
END_TEST

/* The backlog of 0 takes one; the second has to be tried again until there is room. */
START_TEST(a_full_backlog_is_waited_for)
{
	struct dmabroker_connect_params params = fake_params();
	struct dmabroker_request *request;
	int first, i;

	fake_connect();
	for (i = 0; i < 100; i++) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		first = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		memcpy(address.sun_path, fake.path, strlen(fake.path));
		if (connect(first, (struct sockaddr *)&address, sizeof(address)) < 0)
			break;
		/* Left in the queue; the listener's end closes it. */
		close(first);
	}
	ck_assert_int_lt(i, 100);
	close(first);

	fake.broker = dmabroker_unref(fake.broker);
	fake.sock = fd_close(fake.sock);
	ck_assert_int_eq(dmabroker_connect_start(&params, NULL, &fake.broker, &request), 0);
	ck_assert_int_eq(fake_dispatch(), 0);
	ck_assert_int_ge(dmabroker_get_timeout_ms(fake.broker), 0);
	ck_assert_int_le(dmabroker_get_timeout_ms(fake.broker), 100);
	ck_assert_int_eq(dmabroker_request_get_result(request), -EINPROGRESS);
	while (i-- > 0)
		close(accept4(fake.listener, NULL, NULL, SOCK_CLOEXEC));
	for (i = 0; i < 100; i++) {
		struct pollfd pollfd = { .fd = fake.listener, .events = POLLIN };

		if (poll(&pollfd, 1, 0) == 1)
			break;
		pollfd.fd = dmabroker_get_fd(fake.broker);
		poll(&pollfd, 1, dmabroker_get_timeout_ms(fake.broker));
		ck_assert_int_eq(fake_dispatch(), 0);
	}
	ck_assert_int_lt(i, 100);
	fake_accept();
	ck_assert_int_eq(fake_dispatch(), 0);
	fake_request(WIRE_OP_HELLO);
	dmabroker_request_unref(request);
}
END_TEST

START_TEST(a_refused_hello_is_a_refusal)
{
	struct dmabroker_connect_params params = fake_params();
	struct dmabroker_request *request;

	ck_assert_int_eq(dmabroker_connect_start(&params, NULL, &fake.broker, &request), 0);
	ck_assert_int_eq(fake_dispatch(), 0);
	fake_accept();
	fake_request(WIRE_OP_HELLO);
	fake_refuse(EDQUOT, WIRE_REASON_QUOTA_CLIENTS, "Too many.");
	ck_assert_int_eq(dmabroker_request_wait(request), -EDQUOT);
	ck_assert_uint_eq(dmabroker_get_refusal()->reason, DMABROKER_REASON_QUOTA_CLIENTS);
	ck_assert_uint_eq(dmabroker_get_refusal()->limit, 5);
	ck_assert_uint_eq(dmabroker_get_refusal()->value, 6);
	ck_assert(dmabroker_get_refusal()->retry);
	ck_assert_str_eq(dmabroker_get_refusal()->text, "Too many.");
	ck_assert_int_eq(fake_dispatch(), -ENOTCONN);
	dmabroker_request_unref(request);
}
END_TEST

static int query_start(struct dmabroker_request **ret)
{
	struct dmabroker_query_params params = DMABROKER_QUERY_PARAMS_INIT;

	params.type = DMABROKER_QUERY_STATUS;
	return dmabroker_query_start(fake.broker, &params, NULL, ret);
}

static unsigned int nr_events;
static int last_error;

static void on_event(struct dmabroker *broker, const struct dmabroker_event *event, void *userdata)
{
	ck_assert_uint_eq(event->type, DMABROKER_EVENT_DISCONNECTED);
	last_error = event->error;
	nr_events++;
}

START_TEST(a_dead_broker_ends_calls_and_keeps_buffers)
{
	const uint64_t id = 5;
	struct dmabroker_alloc_params params = fake_alloc_params(1);
	struct dmabroker_request *alloc, *query;
	struct dmabroker_buffer *buffer;
	void *address;

	fake_connect();
	nr_events = 0;
	ck_assert_int_eq(dmabroker_set_event_handler(fake.broker, on_event, NULL), 0);
	ck_assert_int_eq(dmabroker_alloc_start(fake.broker, &params, NULL, &alloc), 0);
	ck_assert_int_eq(query_start(&query), 0);
	fake_request(WIRE_OP_ALLOC);
	fake_reply_alloc(fake.header, &id, 1);
	/* Dies with the second request unread: that is what makes it a reset. */
	fake_die();

	/* The reply that was queued behind the reset is found all the same. */
	ck_assert_int_eq(dmabroker_request_wait(alloc), 0);
	ck_assert_int_eq(dmabroker_request_take_buffers(alloc, 1, &buffer), 0);
	ck_assert_int_eq(dmabroker_request_wait(query), -ECONNRESET);
	ck_assert_int_eq(dmabroker_get_refusal()->error, ECONNRESET);
	dmabroker_request_unref(alloc);
	dmabroker_request_unref(query);

	ck_assert_int_eq(fake_dispatch(), -ENOTCONN);
	ck_assert_uint_eq(nr_events, 1);
	ck_assert_int_eq(last_error, ECONNRESET);
	ck_assert_int_eq(query_start(&query), -ENOTCONN);
	ck_assert_int_eq(dmabroker_get_refusal()->error, ENOTCONN);

	ck_assert_int_eq(dmabroker_mmap(buffer, 0, &address), 0);
	memset(address, 0x5a, 4096);
	ck_assert_int_eq(dmabroker_munmap(buffer, address), 0);
	dmabroker_free(buffer);
}
END_TEST

/* It goes on talking and listens no more: told so, not asked again and again. */
START_TEST(a_broker_that_reads_no_more_is_lost)
{
	struct wire_status_reply status = { 0 };
	struct dmabroker_request *first, *second;

	fake_connect();
	ck_assert_int_eq(query_start(&first), 0);
	fake_request(WIRE_OP_STATUS);
	fake_reply(&status, sizeof(status), NULL, 0);
	ck_assert_int_eq(shutdown(fake.sock, SHUT_RD), 0);
	ck_assert_int_eq(query_start(&second), 0);
	ck_assert_int_eq(dmabroker_request_wait(second), -ECONNRESET);
	ck_assert_int_eq(dmabroker_request_wait(first), 0);
	dmabroker_request_unref(first);
	dmabroker_request_unref(second);
}
END_TEST

/* Watching the fd of a dead connection must not spin. */
START_TEST(the_fd_is_quiet_after_the_end)
{
	struct pollfd pollfd = { .events = POLLIN };

	fake_connect();
	pollfd.fd = dmabroker_get_fd(fake.broker);
	ck_assert_int_ge(pollfd.fd, 0);
	ck_assert_int_eq(pollfd.fd, dmabroker_get_fd(fake.broker));
	ck_assert_int_eq(dmabroker_get_events(fake.broker), POLLIN);
	fake_dispatch();
	ck_assert_int_eq(poll(&pollfd, 1, 0), 0);
	fake_die();
	ck_assert_int_eq(poll(&pollfd, 1, 5000), 1);
	ck_assert_int_eq(fake_dispatch(), -ENOTCONN);
	ck_assert_int_eq(poll(&pollfd, 1, 0), 0);
	ck_assert_int_eq(dmabroker_get_timeout_ms(fake.broker), -1);
	ck_assert_int_eq(fake_dispatch(), -ENOTCONN);
}
END_TEST

static unsigned int nr_logs;

static void on_log(const char *text, void *userdata)
{
	ck_assert_ptr_eq(userdata, &nr_logs);
	ck_assert_uint_gt(strlen(text), 0);
	nr_logs++;
}

/* Each kind of nonsense ends the connection, with every fd that came along closed. */
START_TEST(nonsense_ends_the_connection)
{
	struct wire_status_reply status = { 0 };
	struct wire_alloc_reply alloc = { .count = 2 };
	struct wire_header header;
	struct dmabroker_request *request;
	int fds[2];

	fake_connect();
	nr_logs = 0;
	dmabroker_set_log_handler(fake.broker, on_log, &nr_logs);
	ck_assert_int_eq(query_start(&request), 0);
	fake_request(WIRE_OP_STATUS);
	header = fake.header;
	fds[0] = fds[1] = fake_memfd();
	switch (_i) {
	case 0: /* nobody asked */
		fake_send(header.serial + 1, header.op, WIRE_FLAG_REPLY, &status, sizeof(status),
			  NULL, 0, NULL, 0);
		break;
	case 1: /* an answer to something else */
		fake_send(header.serial, WIRE_OP_ALLOC, WIRE_FLAG_REPLY, &alloc, sizeof(alloc),
			  "0123456789abcdef", 16, fds, 2);
		break;
	case 2: /* fds nobody wants */
		fake_send(header.serial, header.op, WIRE_FLAG_REPLY, &status, sizeof(status), NULL,
			  0, fds, 2);
		break;
	case 3: /* short */
		fake_send(header.serial, header.op, WIRE_FLAG_REPLY, &status, sizeof(status) - 1,
			  NULL, 0, NULL, 0);
		break;
	case 4: /* empty */
		ck_assert_int_eq(packet_send(fake.sock, "", 0, NULL, 0, NULL, 0), 0);
		break;
	case 5: /* empty, with fds */
		ck_assert_int_eq(packet_send(fake.sock, "", 0, NULL, 0, fds, 2), 0);
		break;
	case 6: /* no reply at all */
		fake_send(header.serial, header.op, 0, &status, sizeof(status), NULL, 0, NULL, 0);
		break;
	case 7: { /* longer than a packet may be */
		static const uint8_t bytes[WIRE_MESSAGE_MAX + 1];

		ck_assert_int_eq(packet_send(fake.sock, bytes, sizeof(bytes), NULL, 0, fds, 2), 0);
		break;
	}
	}
	close(fds[0]);
	/* Followed by something that would be fine. */
	fake_send(0, 99, WIRE_FLAG_EVENT, NULL, 0, NULL, 0, NULL, 0);
	ck_assert_int_eq(dmabroker_request_wait(request), -EPROTO);
	ck_assert_uint_ge(nr_logs, 1);
	dmabroker_request_unref(request);
	ck_assert_int_eq(query_start(&request), -ENOTCONN);
}
END_TEST

START_TEST(a_forked_child_is_told_and_disturbs_nobody)
{
	const uint64_t id = 5;
	struct dmabroker_alloc_params params = fake_alloc_params(1);
	struct wire_status_reply status = { 0 };
	struct dmabroker_request *request;
	struct dmabroker_buffer *buffer;
	int wstatus, fd;
	pid_t pid;

	fake_connect();
	ck_assert_int_ge(dmabroker_get_fd(fake.broker), 0);
	ck_assert_int_eq(dmabroker_alloc_start(fake.broker, &params, NULL, &request), 0);
	fake_request(WIRE_OP_ALLOC);
	fake_reply_alloc(fake.header, &id, 1);
	ck_assert_int_eq(dmabroker_request_wait(request), 0);
	ck_assert_int_eq(dmabroker_request_take_buffers(request, 1, &buffer), 0);
	dmabroker_request_unref(request);
	ck_assert_int_eq(query_start(&request), 0);

	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct dmabroker_token token;
		void *address;
		int bad = 0;

#define TOLD(call) bad += ((call) != -ECHILD || dmabroker_get_refusal()->error != ECHILD)
		TOLD(fake_dispatch());
		TOLD(dmabroker_get_fd(fake.broker));
		TOLD(dmabroker_get_events(fake.broker));
		TOLD(dmabroker_get_timeout_ms(fake.broker));
		TOLD(dmabroker_set_timeout_ms(fake.broker, 1));
		TOLD(dmabroker_set_event_handler(fake.broker, NULL, NULL));
		TOLD(query_start(&request));
		TOLD(dmabroker_alloc(fake.broker, &params, &buffer));
		TOLD(dmabroker_share(buffer, 0, &token));
		TOLD(dmabroker_from_fd(fake.broker, 0, &buffer));
		TOLD(dmabroker_request_wait(request));
		TOLD(dmabroker_request_cancel(request));
		TOLD(dmabroker_request_get_result(request));
#undef TOLD
		/* The memory is the child's too. */
		bad += dmabroker_mmap(buffer, 0, &address) != 0;
		fd = dmabroker_buffer_get_fd(buffer);
		dmabroker_request_unref(request);
		dmabroker_free(buffer);
		bad += fcntl(fd, F_GETFD) != -1;
		dmabroker_unref(fake.broker);
		_exit(bad);
	}
	ck_assert_int_eq(waitpid(pid, &wstatus, 0), pid);
	ck_assert(WIFEXITED(wstatus));
	ck_assert_int_eq(WEXITSTATUS(wstatus), 0);

	/* The parent goes on as if nothing had been, and the broker heard nothing of it. */
	fake_request(WIRE_OP_STATUS);
	fake_silent();
	fake_reply(&status, sizeof(status), NULL, 0);
	ck_assert_int_eq(dmabroker_request_wait(request), 0);
	dmabroker_request_unref(request);
	dmabroker_free(buffer);
	fake_silent();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lib_link");
	TCase *tcase = tcase_create("lib_link");

	tcase_add_checked_fixture(tcase, fake_setup, fake_teardown);
	tcase_add_test(tcase, connecting_to_nothing_says_so);
	tcase_add_test(tcase, the_environment_names_the_socket);
	tcase_add_test(tcase, connect_parameters_are_checked);
	tcase_add_test(tcase, a_connection_comes_up);
	tcase_add_test(tcase, a_silent_broker_times_out);
	tcase_add_test(tcase, a_full_backlog_is_waited_for);
	tcase_add_test(tcase, a_refused_hello_is_a_refusal);
	tcase_add_test(tcase, a_dead_broker_ends_calls_and_keeps_buffers);
	tcase_add_test(tcase, a_broker_that_reads_no_more_is_lost);
	tcase_add_test(tcase, the_fd_is_quiet_after_the_end);
	tcase_add_loop_test(tcase, nonsense_ends_the_connection, 0, 8);
	tcase_add_test(tcase, a_forked_child_is_told_and_disturbs_nobody);
	suite_add_tcase(suite, tcase);
	return fake_main(suite);
}
