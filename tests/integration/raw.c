/* SPDX-License-Identifier: MIT */
/*
 * The raw client and the broker of a test's own; see raw.h. It uses the wire's structs and the
 * packet helpers, and none of the daemon's or the library's code.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "proto/cleanup.h"
#include "raw.h"

bool inside_test = true;

void fail_at(const char *file, int line, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (inside_test)
		ck_abort_msg("%s:%d: %s", file, line, text);
	fprintf(stderr, "%s:%d: %s\n", file, line, text);
	exit(1);
}

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void pause_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
}

static int try_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	must_be(sock, >=, 0);
	must_be(strlen(path), <, sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path));
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = -errno;

		close(sock);
		return error;
	}
	return sock;
}

void raw_open(struct raw *raw, const char *socket)
{
	raw->serial = 0;
	raw->reply.nr_fds = 0;
	raw->sock = try_connect(socket);
	must(raw->sock >= 0, "no connection to %s: %s", socket, strerror(-raw->sock));
}

/* The kernel notes the effective uid at connect(). */
void raw_open_as(struct raw *raw, const char *socket, uid_t uid)
{
	must_be(seteuid(uid), ==, 0);
	raw_open(raw, socket);
	must_be(seteuid(0), ==, 0);
}

static void say_hello(struct raw *raw)
{
	const struct wire_hello hello = { .version_min = WIRE_VERSION,
					  .version_max = WIRE_VERSION,
					  .name = "raw" };
	const struct wire_hello_reply *reply =
		raw_call(raw, WIRE_OP_HELLO, &hello, sizeof(hello), NULL, 0);

	must_be(reply->version, ==, WIRE_VERSION);
}

void raw_hello(struct raw *raw, const char *socket)
{
	raw_open(raw, socket);
	say_hello(raw);
}

void raw_hello_as(struct raw *raw, const char *socket, uid_t uid)
{
	raw_open_as(raw, socket, uid);
	say_hello(raw);
}

void raw_close(struct raw *raw)
{
	packet_fini(&raw->reply);
	raw->sock = fd_close(raw->sock);
}

void raw_send_bytes(struct raw *raw, const void *bytes, size_t nr, const int *fds,
		    unsigned int nr_fds)
{
	int r = packet_send(raw->sock, bytes, nr, NULL, 0, fds, nr_fds);

	must(r == 0, "cannot send: %s", strerror(-r));
}

int64_t raw_send(struct raw *raw, uint16_t op, uint16_t flags, const void *body, size_t body_bytes,
		 const int *fds, unsigned int nr_fds)
{
	struct wire_header header = { .size = (uint32_t)(sizeof(header) + body_bytes),
				      .op = op,
				      .flags = flags,
				      .serial = ++raw->serial };
	int r = packet_send(raw->sock, &header, sizeof(header), body, body_bytes, fds, nr_fds);

	if (r == -EAGAIN)
		return r;
	must(r == 0, "cannot send: %s", strerror(-r));
	return header.serial;
}

static bool wait_readable(struct raw *raw, int ms)
{
	struct pollfd pollfd = { .fd = raw->sock, .events = POLLIN };

	return poll(&pollfd, 1, ms) == 1;
}

bool raw_recv(struct raw *raw)
{
	int r;

	packet_fini(&raw->reply);
	must(wait_readable(raw, PATIENCE_MS), "no answer within %d ms", PATIENCE_MS);
	r = packet_recv(&raw->reply, raw->sock, MSG_DONTWAIT);
	/* A reset comes before what was sent earlier; read on. */
	if (r == -ECONNRESET)
		r = packet_recv(&raw->reply, raw->sock, MSG_DONTWAIT);
	must(r >= 0, "cannot receive: %s", strerror(-r));
	return r;
}

void raw_silent(struct raw *raw, int ms)
{
	must(!wait_readable(raw, ms), "something came, and nothing should have");
}

static const struct wire_header *next_answer(struct raw *raw, uint16_t op)
{
	const struct wire_header *header = (const struct wire_header *)raw->reply.bytes;

	do {
		must(raw_recv(raw), "the broker closed the connection");
		must_be(raw->reply.size_bytes, >=, sizeof(*header));
	} while (header->flags & WIRE_FLAG_EVENT);
	must_be(header->op, ==, op);
	return header;
}

const void *raw_reply(struct raw *raw, uint16_t op)
{
	const struct wire_header *header = next_answer(raw, op);
	const struct wire_refusal *refusal = (const struct wire_refusal *)(header + 1);

	must(!(header->flags & WIRE_FLAG_REFUSAL), "refused: %s", refusal->text);
	must_be(wire_check_reply(op, raw->reply.bytes, raw->reply.size_bytes, raw->reply.nr_fds,
				 raw->reply.truncated),
		==, WIRE_OK);
	return header + 1;
}

const void *raw_call(struct raw *raw, uint16_t op, const void *body, size_t body_bytes,
		     const int *fds, unsigned int nr_fds)
{
	int64_t serial = raw_send(raw, op, 0, body, body_bytes, fds, nr_fds);

	const void *reply;

	must_be(serial, >, 0);
	reply = raw_reply(raw, op);
	must_be(((const struct wire_header *)raw->reply.bytes)->serial, ==, serial);
	return reply;
}

const struct wire_refusal *raw_refused(struct raw *raw, enum wire_reason reason, uint16_t op,
				       const void *body, size_t body_bytes, const int *fds,
				       unsigned int nr_fds)
{
	static struct wire_refusal refusal;
	int64_t serial = raw_send(raw, op, 0, body, body_bytes, fds, nr_fds);
	const struct wire_header *header = next_answer(raw, op);

	must_be(header->serial, ==, serial);
	must_be(header->flags, ==, WIRE_FLAG_REPLY | WIRE_FLAG_REFUSAL);
	must_be(raw->reply.nr_fds, ==, 0);
	must_be(raw->reply.size_bytes, ==, sizeof(*header) + sizeof(refusal));
	memcpy(&refusal, header + 1, sizeof(refusal));
	must(refusal.reason == reason, "refused for %s instead of %s: %s",
	     wire_reason_name(refusal.reason), wire_reason_name(reason), refusal.text);
	must_be((int)refusal.error, ==, wire_reason_errno(reason));
	must_be(refusal.retry, <=, 1);
	must_be(strnlen(refusal.text, sizeof(refusal.text)), ==, refusal.text_bytes);
	must_be(refusal.text_bytes, >, 15);
	return &refusal;
}

void raw_dropped(struct raw *raw)
{
	int64_t deadline_ms = now_ms() + PATIENCE_MS;

	while (raw_recv(raw))
		must_be(now_ms(), <, deadline_ms);
}

struct wire_status_reply raw_status(struct raw *raw)
{
	struct wire_status_reply status;

	memcpy(&status, raw_call(raw, WIRE_OP_STATUS, NULL, 0, NULL, 0), sizeof(status));
	return status;
}

void raw_alive(struct raw *raw)
{
	must_be(raw_status(raw).nr_clients, >, 0);
}

struct wire_alloc raw_alloc_request(uint64_t size_bytes, uint32_t count)
{
	return (struct wire_alloc){ .size_bytes = size_bytes,
				    .count = count,
				    .kind = WIRE_KIND_COHERENT,
				    .direction = WIRE_DIR_BIDIRECTIONAL,
				    .name = "test" };
}

void raw_alloc(struct raw *raw, uint64_t size_bytes, uint32_t count, uint64_t *ret_ids,
	       int *ret_fds)
{
	const struct wire_alloc request = raw_alloc_request(size_bytes, count);
	const struct wire_alloc_reply *reply =
		raw_call(raw, WIRE_OP_ALLOC, &request, sizeof(request), NULL, 0);

	must_be(reply->count, ==, count);
	must_be(raw->reply.nr_fds, ==, count);
	memcpy(ret_ids, reply + 1, count * sizeof(*ret_ids));
	for (uint32_t i = 0; i < count; i++)
		ret_fds[i] = packet_take_fd(&raw->reply, i);
}

void raw_release(struct raw *raw, uint64_t id)
{
	raw_call(raw, WIRE_OP_BUFFER_RELEASE, &(struct wire_id){ .id = id }, sizeof(struct wire_id),
		 NULL, 0);
}

unsigned int raw_devices(struct raw *raw, uint32_t *ret_ids, unsigned int capacity)
{
	const uint32_t wanted = WIRE_DEVICE_USABLE | WIRE_DEVICE_ALLOWED;
	struct wire_list list = { 0 };
	unsigned int nr = 0;

	do {
		const struct wire_list_reply *reply =
			raw_call(raw, WIRE_OP_DEVICE_LIST, &list, sizeof(list), NULL, 0);
		const struct wire_device *device = (const struct wire_device *)(reply + 1);

		must_be(reply->entry_bytes, ==, sizeof(*device));
		for (uint32_t i = 0; i < reply->count; i++, device++)
			if ((device->flags & wanted) == wanted &&
			    !(device->flags & WIRE_DEVICE_SYSTEM) && nr < capacity)
				ret_ids[nr++] = device->id;
		list.cursor = reply->cursor;
	} while (list.cursor);
	return nr;
}

struct wire_mapping raw_map(struct raw *raw, uint64_t buffer_id, uint32_t device_id,
			    uint32_t direction, int *ret_fd)
{
	const struct wire_map request = { .buffer_id = buffer_id,
					  .device_id = device_id,
					  .direction = direction };
	struct wire_map_reply reply;

	memcpy(&reply, raw_call(raw, WIRE_OP_MAP, &request, sizeof(request), NULL, 0),
	       sizeof(reply));
	must_be(reply.mapping.buffer_id, ==, buffer_id);
	must_be(reply.mapping.device_id, ==, device_id);
	*ret_fd = packet_take_fd(&raw->reply, 0);
	return reply.mapping;
}

void raw_settles(struct raw *raw, uint64_t buffers, uint64_t mappings, int ms)
{
	int64_t deadline_ms = now_ms() + ms;
	struct wire_status_reply status;

	for (;;) {
		status = raw_status(raw);
		if (status.own_buffers == buffers && status.own_mappings == mappings)
			break;
		must(now_ms() < deadline_ms,
		     "after %d ms: %llu buffers instead of %llu, %llu mappings instead of "
		     "%llu",
		     ms, (unsigned long long)status.own_buffers, (unsigned long long)buffers,
		     (unsigned long long)status.own_mappings, (unsigned long long)mappings);
		pause_ms(5);
	}
	must(buffers || status.own_bytes == 0, "no buffers, yet %llu bytes",
	     (unsigned long long)status.own_bytes);
}

void fds_close(int *fds, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		fds[i] = fd_close(fds[i]);
}

static const char *broker_program(void)
{
	const char *program = getenv("DMABROKERD");

	return program ? program : DMABROKERD_PATH;
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	must(file, "nothing");
	must_be(fputs(text, file), >=, 0);
	must_be(fclose(file), ==, 0);
}

/* In the child: never returns, and never outlives the test. */
static void become_broker(const struct own_broker *broker, const char *config, uid_t uid,
			  rlim_t nr_files)
{
	const char *program = broker_program();
	const char *level = getenv("DMABROKER_TEST_LOG");
	const char *const args[] = { "dmabrokerd",
				     "--backend",
				     "sim",
				     "--bus",
				     "none",
				     "--config",
				     config,
				     "--socket",
				     broker->socket,
				     "--log-level",
				     level ? level : "error",
				     NULL };
	struct rlimit limit = { .rlim_cur = nr_files, .rlim_max = nr_files };
	/* Opened before: the build folder may be closed to who the broker runs as. */
	int file = open(program, O_RDONLY | O_CLOEXEC);

	if (nr_files && setrlimit(RLIMIT_NOFILE, &limit) < 0)
		_exit(126);
	if (uid != (uid_t)-1 && (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0))
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	unsetenv("JOURNAL_STREAM");
	/* The type is older than const. */
	fexecve(file, (char *const *)(uintptr_t)args, environ);
	fprintf(stderr, "%s: %s\n", program, strerror(errno));
	_exit(127);
}

void own_broker_start(struct own_broker *broker, const char *config, uid_t uid, rlim_t nr_files)
{
	int64_t deadline_ms = now_ms() + 20000;
	char path[96];
	int sock;

	snprintf(broker->dir, sizeof(broker->dir), "/tmp/dmabroker-test-XXXXXX");
	must(mkdtemp(broker->dir), "nothing");
	must_be(chmod(broker->dir, 0755), ==, 0);
	if (uid != (uid_t)-1)
		must_be(chown(broker->dir, uid, uid), ==, 0);
	snprintf(broker->socket, sizeof(broker->socket), "%s/socket", broker->dir);
	snprintf(path, sizeof(path), "%s/conf", broker->dir);
	write_file(path, config);

	broker->pid = fork();
	must_be(broker->pid, >=, 0);
	if (broker->pid == 0)
		become_broker(broker, path, uid, nr_files);
	while ((sock = try_connect(broker->socket)) < 0) {
		must_be(waitpid(broker->pid, NULL, WNOHANG), ==, 0);
		must_be(now_ms(), <, deadline_ms);
		pause_ms(5);
	}
	close(sock);
}

void own_broker_stop(struct own_broker *broker)
{
	char path[96];
	int status;

	must_be(kill(broker->pid, SIGTERM), ==, 0);
	must_be(waitpid(broker->pid, &status, 0), ==, broker->pid);
	must(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the broker ended with status %#x",
	     status);
	snprintf(path, sizeof(path), "%s/conf", broker->dir);
	unlink(path);
	must(rmdir(broker->dir) == 0, "the broker left something in %s", broker->dir);
}

unsigned int count_fds(pid_t pid)
{
	unsigned int nr = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	must(dir, "%s: %s", path, strerror(errno));
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}
