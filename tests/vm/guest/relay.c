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
 * Reports go to the port "ctl", one line each: "exit N", "signal N" or "failed TEXT".
 * `relay --fail TEXT` only reports; the guest's scripts use it when they cannot go on.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORTS "/sys/class/virtio-ports"

static int ctl_fd = -1;

static void write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t done = write(fd, data, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		data += done;
		size -= (size_t)done;
	}
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

static pid_t command_start(char **argv, int out[2], int err[2])
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		int null = open("/dev/null", O_RDONLY);

		setsid();
		dup2(null, 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		signal(SIGPIPE, SIG_DFL);
		execvp(argv[0], argv);
		fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	close(out[1]);
	close(err[1]);
	return pid;
}

/* Moves what is readable now; false at end of file. */
static int forward(int from, int to)
{
	char buf[65536];
	ssize_t n = read(from, buf, sizeof(buf));

	if (n > 0)
		write_all(to, buf, (size_t)n);
	return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static void drain(int from, int to)
{
	int pending = 0;

	/* Exactly what is there now: a daemon left behind might write for ever. */
	if (from < 0 || ioctl(from, FIONREAD, &pending) < 0)
		return;
	while (pending > 0) {
		char buf[4096];
		size_t want = (size_t)pending < sizeof(buf) ? (size_t)pending : sizeof(buf);
		ssize_t n = read(from, buf, want);

		if (n <= 0)
			return;
		write_all(to, buf, (size_t)n);
		pending -= (int)n;
	}
}

static int pipe_make(int ret_pipe[2])
{
	if (pipe2(ret_pipe, O_CLOEXEC) < 0)
		return -1;
	return fchmod(ret_pipe[1], 0666);
}

/* Poll both pipes until COMMAND has exited; its status as waitpid() gives it. */
static int pump(pid_t pid, int out, int out_port, int err, int err_port)
{
	struct pollfd polls[2] = { { .fd = out, .events = POLLIN }, { .fd = err, .events = POLLIN } };
	int ports[2] = { out_port, err_port };
	int status;

	for (;;) {
		pid_t gone = waitpid(pid, &status, WNOHANG);

		if (gone == pid)
			break;
		/* SIGCHLD ends the wait early; the limit is for the gap between the two calls. */
		if (poll(polls, 2, 50) <= 0)
			continue;
		for (int i = 0; i < 2; i++) {
			if (polls[i].revents && !forward(polls[i].fd, ports[i]))
				polls[i].fd = -1;
		}
	}
	drain(polls[0].fd, out_port);
	drain(polls[1].fd, err_port);
	return status;
}

static void on_child(int signo)
{
	(void)signo;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_child };
	int out[2], err[2], out_port, err_port, status, kmsg;
	char text[32];

	ctl_fd = port_open("ctl");
	if (ctl_fd < 0)
		die("the virtio port ctl");
	if (argc == 3 && strcmp(argv[1], "--fail") == 0) {
		report("failed", argv[2]);
		return 0;
	}
	out_port = port_open("stdout");
	err_port = port_open("stderr");
	if (out_port < 0 || err_port < 0)
		die("the virtio ports stdout and stderr");
	if (pipe_make(out) < 0 || pipe_make(err) < 0)
		die("pipe");
	sigaction(SIGCHLD, &action, NULL);
	status = pump(command_start(command_read("/harness/command"), out, err), out[0], out_port,
		      err[0], err_port);
	/* The host waits for this line, so that no kernel message before it is missed. */
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (kmsg >= 0)
		write_all(kmsg, "<6>dmabroker-vm: command finished\n", 34);
	snprintf(text, sizeof(text), "%d",
		 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	report(WIFSIGNALED(status) ? "signal" : "exit", text);
	return 0;
}
