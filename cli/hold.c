/* SPDX-License-Identifier: MIT */
/*
 * Waiting while buffers are held.
 *
 * Signals are blocked and read from an fd, so that one that comes between two steps is not lost,
 * and so that all is released in order. The connection is watched at the same time: a device that goes
 * away, or a broker that does, is worth a line; neither takes the buffer, so waiting goes on.
 *
 * SIGINT from a terminal reaches the command by itself, being of the same process group: passing it
 * on would make it two. The others are passed on.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/hold.h"

int hold_init(struct hold *hold)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGCHLD);
	/* A parent that ignores it would have our child's status thrown away. */
	signal(SIGCHLD, SIG_DFL);
	/* Ignored signals (nohup) stay ignored: those are dropped before they can be blocked. */
	if (sigprocmask(SIG_BLOCK, &set, &hold->inherited) < 0)
		return -errno;
	hold->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return hold->signals < 0 ? -errno : 0;
}

void hold_fini(struct hold *hold)
{
	if (hold->signals >= 0)
		close(hold->signals);
	hold->signals = -1;
}

/* The next signal that has come, 0 if none has. */
static int next_signal(struct hold *hold, bool *ret_from_kernel)
{
	struct signalfd_siginfo info;

	if (read(hold->signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (ret_from_kernel)
		*ret_from_kernel = info.ssi_code == SI_KERNEL;
	return (int)info.ssi_signo;
}

/* Has one of those come that end a hold. */
static bool signal_came(struct hold *hold)
{
	int number;

	while ((number = next_signal(hold, NULL)))
		if (number != SIGCHLD)
			return true;
	return false;
}

static void tell(struct dmabroker *broker, const struct dmabroker_event *event, void *userdata)
{
	if (event->type == DMABROKER_EVENT_DISCONNECTED)
		complain("the broker has gone (%s); what is held stays usable",
			 strerror(event->error));
	else if (event->type == DMABROKER_EVENT_MAPPING_ENDED)
		complain("a mapping has ended, its device is gone; the buffer stays");
}

/* Until a signal is there to be read, or @timeout_ms has passed. */
static void wait_signal(struct hold *hold, struct dmabroker *broker, bool *connected)
{
	struct pollfd fds[2] = { { .fd = hold->signals, .events = POLLIN }, { .fd = -1 } };

	for (;;) {
		int timeout_ms = -1;

		fds[1].fd = -1;
		if (*connected) {
			fds[1].fd = dmabroker_get_fd(broker);
			fds[1].events = (short)dmabroker_get_events(broker);
			timeout_ms = dmabroker_get_timeout_ms(broker);
		}
		if (poll(fds, 2, timeout_ms) < 0 && errno != EINTR)
			return;
		if (*connected && dmabroker_dispatch(broker) == -ENOTCONN)
			*connected = false;
		if (fds[0].revents)
			return;
	}
}

void hold_wait(struct hold *hold, struct dmabroker *broker)
{
	bool connected = dmabroker_set_event_handler(broker, tell, NULL) == 0;

	while (!signal_came(hold))
		wait_signal(hold, broker, &connected);
}

__attribute__((noreturn)) static void run_command(struct hold *hold, char **command, int fd)
{
	char number[16];
	int error;

	snprintf(number, sizeof(number), "%d", fd);
	if (fcntl(fd, F_SETFD, 0) < 0 || setenv("DMABROKER_FD", number, 1) < 0 ||
	    sigprocmask(SIG_SETMASK, &hold->inherited, NULL) < 0) {
		complain("cannot hand the buffer on: %s", strerror(errno));
		_exit(126);
	}
	execvp(command[0], command);
	error = errno;
	complain("cannot run %s: %s", command[0], strerror(error));
	_exit(error == ENOENT ? 127 : 126);
}

int hold_run(struct hold *hold, struct dmabroker *broker, char **command, int fd)
{
	bool connected = dmabroker_set_event_handler(broker, tell, NULL) == 0;
	bool from_kernel;
	int number, status;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child < 0) {
		complain("cannot start %s: %s", command[0], strerror(errno));
		return STATUS_REFUSED;
	}
	if (child == 0)
		run_command(hold, command, fd);
	while (waitpid(child, &status, WNOHANG) == 0) {
		wait_signal(hold, broker, &connected);
		while ((number = next_signal(hold, &from_kernel)))
			if (number != SIGCHLD && !from_kernel)
				kill(child, number);
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
