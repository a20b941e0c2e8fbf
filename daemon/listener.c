/* SPDX-License-Identifier: MIT */
/*
 * Accepting connections, from systemd's socket or from one of our own.
 *
 * When fds run out, accept() fails and the connection stays in the queue, so the socket stays
 * readable and a plain loop would spin at full speed. The error callback stops listening and a
 * timer starts it again.
 *
 * A stale socket file is removed only after it was tried: if somebody answers there, a broker is
 * running already, and two of them would fight over who is charged.
 */
#include <errno.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "proto/cleanup.h"
#include "daemon/connection.h"
#include "daemon/listener.h"

#define BACKLOG	 128
#define PAUSE_MS 100

/* Peers that only get to hear why they are turned away; more than that are closed unheard. */
#define TURNED_AWAY_MAX 16

struct listener {
	struct broker *broker;
	struct evconnlistener *evlistener;
	struct event *resume_event;
	char *path; /* that we made, else NULL */
};

static void on_accept(struct evconnlistener *evlistener, evutil_socket_t sock,
		      struct sockaddr *address, int address_bytes, void *userdata)
{
	struct listener *listener = userdata;
	struct broker *broker = listener->broker;
	struct connection *connection;
	int r;

	r = connection_new(broker, sock, &connection);
	if (r < 0)
		log_line(LOG_WARNING, "a connection was not accepted: %s", strerror(-r));
	/* Only now is it known that this is one of them: others are let in however many there are. */
	else if (connection->turned_away && broker->nr_turned_away > TURNED_AWAY_MAX)
		connection_drop(connection, NULL);
	else if (!event_pending(broker->hello_event, EV_TIMEOUT, NULL))
		event_add(broker->hello_event,
			  &(struct timeval){ .tv_sec = broker->config->hello_timeout_s });
}

static void on_resume(evutil_socket_t fd, short what, void *userdata)
{
	struct listener *listener = userdata;

	evconnlistener_enable(listener->evlistener);
}

static void on_error(struct evconnlistener *evlistener, void *userdata)
{
	struct listener *listener = userdata;
	int error = EVUTIL_SOCKET_ERROR();
	/* Not about any peer, yet it can repeat for as long as the shortage lasts. */
	const struct log_peer ourselves = { .uid = (uint32_t)geteuid(),
					    .pid = (uint32_t)getpid(),
					    .op = "accept" };

	log_peer(LOG_WARNING, &ourselves, "%s; no new connections for %d ms", strerror(error),
		 PAUSE_MS);
	evconnlistener_disable(evlistener);
	event_add(listener->resume_event, &(struct timeval){ .tv_usec = PAUSE_MS * 1000 });
}

static int remove_stale(const struct sockaddr_un *address, char ret_error[static 256])
{
	_cleanup_fd_ int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (sock < 0)
		return -errno;
	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(ret_error, 256, "%s is there and is not a socket", address->sun_path);
		return -EEXIST;
	}
	if (connect(sock, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno == EAGAIN) {
		snprintf(ret_error, 256, "a broker is listening at %s already", address->sun_path);
		return -EADDRINUSE;
	}
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Open to everybody: policy decides, by credentials that the kernel vouches for. */
static int open_socket(const char *path, int *ret_sock, char ret_error[static 256])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_fd_ int sock = -1;
	int r;

	if (strlen(path) >= sizeof(address.sun_path)) {
		snprintf(ret_error, 256, "the socket's path is longer than %zu characters",
			 sizeof(address.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	r = remove_stale(&address, ret_error);
	if (r < 0)
		goto fail;

	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0 || bind(sock, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(path, 0666) < 0 || listen(sock, BACKLOG) < 0) {
		r = -errno;
		goto fail;
	}
	*ret_sock = TAKE_FD(sock);
	return 0;
fail:
	if (!ret_error[0])
		snprintf(ret_error, 256,
			 "cannot listen at %.100s: %s; is its folder there, and may this user "
			 "write in it?",
			 path, strerror(-r));
	return r;
}

static int check_socket(int sock, char ret_error[static 256])
{
	int type = 0, listening = 0;
	socklen_t bytes = sizeof(type);

	if (getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 && type == SOCK_SEQPACKET) {
		bytes = sizeof(listening);
		if (getsockopt(sock, SOL_SOCKET, SO_ACCEPTCONN, &listening, &bytes) == 0 &&
		    listening)
			return evutil_make_socket_nonblocking(sock) < 0 ? -errno : 0;
	}
	snprintf(ret_error, 256,
		 "the socket that was passed is not a listening SOCK_SEQPACKET socket; the socket "
		 "unit needs ListenSequentialPacket=");
	return -EINVAL;
}

int listener_new(struct broker *broker, int sock, const char *path, struct listener **ret,
		 char ret_error[static 256])
{
	struct listener *listener = calloc(1, sizeof(*listener));
	bool own = sock < 0;
	int r;

	ret_error[0] = '\0';
	if (!listener)
		return -ENOMEM;
	listener->broker = broker;
	r = own ? open_socket(path, &sock, ret_error) : check_socket(sock, ret_error);
	if (r < 0) {
		free(listener);
		return r;
	}
	if (own)
		listener->path = strdup(path);
	listener->resume_event = evtimer_new(broker->base, on_resume, listener);
	/* Backlog 0: it is listening. */
	listener->evlistener = evconnlistener_new(broker->base, on_accept, listener,
						  LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0,
						  sock);
	if (!listener->evlistener || !listener->resume_event || (own && !listener->path)) {
		if (!listener->evlistener && own)
			fd_close(sock);
		listener_free(listener);
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(listener->evlistener, on_error);
	*ret = listener;
	return 0;
}

struct listener *listener_free(struct listener *listener)
{
	if (!listener)
		return NULL;
	if (listener->evlistener)
		evconnlistener_free(listener->evlistener);
	if (listener->resume_event)
		event_free(listener->resume_event);
	if (listener->path)
		unlink(listener->path);
	free(listener->path);
	free(listener);
	return NULL;
}
