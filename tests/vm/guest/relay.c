// SPDX-License-Identifier: MIT
/*
 * relay - runs the harness's COMMAND inside the guest and carries its output to the host.
 *
 * Standard output and standard error of COMMAND are pipes, not the virtio ports themselves: a
 * port can be open only once, so `tee /dev/stderr` in a test would fail. The pipes are made
 * accessible to everybody for the same reason (`su user1 -c 'echo > /dev/stdout'`).
 *
 * COMMAND may leave processes behind that keep the pipes open (a daemon it started). So the end
 * is COMMAND's exit, not end-of-file: what is in the pipes at that moment is still delivered,
 * then the exit status is reported and nothing after it.
 *
 * Reports go to the port "ctl", one line each: "exit N OUT ERR", "signal N OUT ERR" or
 * "failed TEXT". OUT and ERR are the bytes sent on the other two ports: ports may overtake each
 * other, so the host reads on until it has that many.
 * `relay --fail TEXT` only reports; the guest's scripts use it when they cannot go on.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORTS "/sys/class/virtio-ports"

static int ctl_fd = -1;

/* One of COMMAND's outputs on its way: from a pipe (-1 after its end) to a port. */
struct stream {
	int pipe_fd;
	int port_fd;
	unsigned long long sent_bytes;
};

/* How much was written; less than size only if the reader is gone. */
static size_t write_all(int fd, const char *data, size_t size)
{
	size_t total = 0;

	while (total < size) {
		ssize_t done = write(fd, data + total, size - total);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			break;
		total += (size_t)done;
	}
	return total;
}

static void report(const char *kind, const char *text)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s %s\n", kind, text);

	if (n >= (int)sizeof(line)) {
		n = sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	write_all(ctl_fd, line, (size_t)n);
}

static void die(const char *what)
{
	char text[512];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
	fprintf(stderr, "relay: %s\n", text);
	if (ctl_fd >= 0)
		report("failed", text);
	exit(1);
}

/* Ports are named by the host; devices are numbered as they come. */
static int port_open(const char *name)
{
	struct dirent *entry;
	DIR *dir = opendir(PORTS);

	if (!dir)
		return -1;
	while ((entry = readdir(dir))) {
		char path[512], found[128] = "";
		FILE *file;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), PORTS "/%s/name", entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (!fgets(found, sizeof(found), file))
			found[0] = '\0';
		fclose(file);
		found[strcspn(found, "\n")] = '\0';
		if (strcmp(found, name) == 0) {
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			closedir(dir);
			return open(path, O_WRONLY | O_CLOEXEC);
		}
	}
	closedir(dir);
	errno = ENOENT;
	return -1;
}

/* COMMAND's words, each ended by a NUL byte, as the host wrote them. */
static char **command_read(const char *path)
{
	char *data = NULL, **argv;
	size_t size = 0, count = 0, n = 0;
	FILE *file = fopen(path, "re");

	if (!file || getdelim(&data, &size, -1, file) < 0)
		die(path);
	size = (size_t)ftell(file);
	fclose(file);
	for (size_t i = 0; i < size; i++)
		count += data[i] == '\0';
	argv = calloc(count + 1, sizeof(*argv));
	if (!argv || count == 0)
		die("no command");
	for (size_t i = 0; i < size; i += strlen(data + i) + 1)
		argv[n++] = data + i;
	return argv;
}

static pid_t command_start(char **argv, int out_fd, int err_fd)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		int null = open("/dev/null", O_RDONLY);

		setsid();
		dup2(null, 0);
		dup2(out_fd, 1);
		dup2(err_fd, 2);
		execvp(argv[0], argv);
		fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	close(out_fd);
	close(err_fd);
	return pid;
}

/* Moves what is readable now, at most limit bytes. */
static size_t stream_forward(struct stream *stream, size_t limit)
{
	char buf[65536];
	ssize_t n = read(stream->pipe_fd, buf, limit < sizeof(buf) ? limit : sizeof(buf));

	if (n > 0) {
		stream->sent_bytes += write_all(stream->port_fd, buf, (size_t)n);
		return (size_t)n;
	}
	if (n == 0 || errno != EINTR)
		stream->pipe_fd = -1;
	return 0;
}

/* Exactly what is in the pipe now: a daemon left behind might write for ever. */
static void stream_drain(struct stream *stream)
{
	int pending = 0;

	if (stream->pipe_fd < 0 || ioctl(stream->pipe_fd, FIONREAD, &pending) < 0)
		return;
	while (pending > 0 && stream->pipe_fd >= 0)
		pending -= (int)stream_forward(stream, (size_t)pending);
}

/* Opens the port called name and a pipe towards it, whose writing end is returned. */
static int stream_init(struct stream *stream, const char *name)
{
	int ends[2];

	stream->port_fd = port_open(name);
	if (stream->port_fd < 0 || pipe2(ends, O_CLOEXEC) < 0 || fchmod(ends[1], 0666) < 0)
		die(name);
	stream->pipe_fd = ends[0];
	return ends[1];
}

/* Forwards until COMMAND has exited; its status as waitpid() gives it. */
static int pump(pid_t pid, struct stream streams[2])
{
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		struct pollfd polls[2] = { { .fd = streams[0].pipe_fd, .events = POLLIN },
					   { .fd = streams[1].pipe_fd, .events = POLLIN } };

		/* SIGCHLD ends the wait early; the limit is for one that came just before it. */
		if (poll(polls, 2, 50) <= 0)
			continue;
		for (int i = 0; i < 2; i++) {
			if (polls[i].revents)
				stream_forward(&streams[i], SIZE_MAX);
		}
	}
	stream_drain(&streams[0]);
	stream_drain(&streams[1]);
	return status;
}

static void on_child(int signo)
{
	(void)signo;
}

int main(int argc, char **argv)
{
	static const char mark[] = "<6>dmabroker-vm: command finished\n";
	struct sigaction action = { .sa_handler = on_child };
	struct stream streams[2] = { 0 };
	int out_fd, err_fd, status, kmsg;
	char text[128];

	ctl_fd = port_open("ctl");
	if (ctl_fd < 0)
		die("the virtio port ctl");
	if (argc == 3 && strcmp(argv[1], "--fail") == 0) {
		report("failed", argv[2]);
		return 0;
	}
	out_fd = stream_init(&streams[0], "stdout");
	err_fd = stream_init(&streams[1], "stderr");
	sigaction(SIGCHLD, &action, NULL);
	status = pump(command_start(command_read("/harness/command"), out_fd, err_fd), streams);
	/* The host waits for this line, so that no kernel message before it is missed. */
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (kmsg >= 0)
		write_all(kmsg, mark, sizeof(mark) - 1);
	snprintf(text, sizeof(text), "%d %llu %llu",
		 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
		 streams[0].sent_bytes, streams[1].sent_bytes);
	report(WIFSIGNALED(status) ? "signal" : "exit", text);
	return 0;
}
