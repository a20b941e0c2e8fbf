// SPDX-License-Identifier: MIT
/*
 * Processes that act as a user. A child of the test takes the user's ids and groups for good, so
 * what it does is what that user can do; root's part stays in the parent.
 *
 * They talk over a packet socket. Whoever waits for the other one does so for a minute at most: a
 * test that hangs would say nothing.
 */
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "e2e.h"

#define PATIENCE_S 60

uid_t user_id(const char *user)
{
	const struct passwd *entry = getpwnam(user);

	if (!entry)
		die("there is no user %s", user);
	return entry->pw_uid;
}

static void become(const char *user)
{
	const struct passwd *entry = getpwnam(user);

	if (!entry)
		die("there is no user %s", user);
	if (entry->pw_uid == 0)
		return;
	if (initgroups(user, entry->pw_gid) ||
	    setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) ||
	    setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid))
		die("becoming %s: %s", user, strerror(errno));
	/* Dropping ids makes a process undumpable, and then its /proc/self belongs to root. */
	prctl(PR_SET_DUMPABLE, 1);
	if (setuid(0) == 0 || access("/etc/shadow", R_OK) == 0)
		die("%s can still do what root can", user);
}

struct actor *actor_start(const char *user, void (*run)(struct actor *self, const void *argument),
			  const void *argument)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct actor *actor = calloc(1, sizeof(*actor));
	int ends[2];

	if (!actor || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		die("socketpair: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
		setsockopt(ends[i], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	actor->pid = fork();
	if (actor->pid < 0)
		die("fork: %s", strerror(errno));
	if (actor->pid == 0) {
		struct actor self = { .pid = getppid(), .fd = ends[1] };

		close(ends[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		become(user);
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* changing ids has cleared it */
		run(&self, argument);
		_exit(0);
	}
	close(ends[1]);
	actor->fd = ends[0];
	return actor;
}

void say(struct actor *other, const void *message, size_t size)
{
	if (send(other->fd, message, size, MSG_NOSIGNAL) != (ssize_t)size)
		die("saying something to process %d: %s", other->pid, strerror(errno));
}

void hear(struct actor *other, void *message, size_t size)
{
	ssize_t n = recv(other->fd, message, size, MSG_TRUNC);

	if (n == 0)
		die("process %d ended while it was waited for", other->pid);
	if (n != (ssize_t)size)
		die("waiting for process %d: %s", other->pid,
		    n < 0 ? strerror(errno) : "a message of the wrong length");
}

void nod(struct actor *other)
{
	say(other, "", 1);
}

void await_nod(struct actor *other)
{
	char byte;

	hear(other, &byte, 1);
}

bool has_spoken(struct actor *other)
{
	struct pollfd pollfd = { .fd = other->fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1;
}

static bool has_ended(void *userdata)
{
	struct actor *actor = userdata;
	siginfo_t info = {};

	return waitid(P_PID, (id_t)actor->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == actor->pid;
}

void actor_end(struct actor *actor)
{
	bool ended = false;
	int status;

	for (int s = 0; s < PATIENCE_S && !ended; s++)
		ended = within_a_second(has_ended, actor);
	if (!ended)
		kill(actor->pid, SIGKILL);
	if (waitpid(actor->pid, &status, 0) != actor->pid)
		die("waitpid: %s", strerror(errno));
	if (!ended)
		check(false, "a process of the test ends", "%d did not within a minute",
		      actor->pid);
	else if (WIFSIGNALED(status))
		check(false, "a process of the test ends well", "%d was ended by signal %d",
		      actor->pid, WTERMSIG(status));
	close(actor->fd);
	free(actor);
}

void actor_kill(struct actor *actor)
{
	int status;

	kill(actor->pid, SIGKILL);
	if (waitpid(actor->pid, &status, 0) != actor->pid || !WIFSIGNALED(status) ||
	    WTERMSIG(status) != SIGKILL)
		check(false, "a process is there to be killed", "its status is 0x%x", status);
	close(actor->fd);
	free(actor);
}
