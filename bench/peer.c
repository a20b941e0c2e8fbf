// SPDX-License-Identifier: MIT
/*
 * The processes on the other side of a benchmark. The raw peer blocks in recv and answers with one
 * sendmsg: no event loop, no ledger, no limit. What the broker needs beyond that is its overhead.
 */
#include "bench/peer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_TRIES 200

static void pause_ms(unsigned int ms)
{
	const struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&pause, NULL);
}

static int serve(int sock)
{
	char bytes[4096], control[CMSG_SPACE(sizeof(int))] = { 0 };
	int fd = memfd_create("raw", MFD_CLOEXEC);
	ssize_t n;

	if (fd < 0 || ftruncate(fd, 64 << 10) < 0)
		return 1;
	while ((n = recv(sock, bytes, sizeof(bytes), 0)) > 0) {
		struct iovec iov = { .iov_base = bytes, .iov_len = (size_t)n };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control) };
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
		if (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0)
			return 1;
	}
	return 0;
}

int peer_start_raw(struct peer *ret)
{
	int socks[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int r = -errno;

		close(socks[0]);
		close(socks[1]);
		return r;
	}
	if (pid == 0) {
		close(socks[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(serve(socks[1]));
	}
	close(socks[1]);
	*ret = (struct peer){ .pid = pid, .sock = socks[0] };
	return 0;
}

static int write_config(const struct peer *peer, const char *config, char *path, size_t path_bytes)
{
	FILE *file;
	int bad;

	snprintf(path, path_bytes, "%s/conf", peer->dir);
	file = fopen(path, "w");
	if (!file)
		return -errno;
	bad = fputs(config, file) < 0;
	bad |= fclose(file) != 0;
	return bad ? -EIO : 0;
}

int peer_start_broker(const char *daemon, const char *config, struct peer *ret)
{
	struct peer peer = { .sock = -1, .dir = "/tmp/dmabroker-bench-XXXXXX" };
	char config_path[96];
	struct stat st;
	int r;

	if (!mkdtemp(peer.dir))
		return -errno;
	snprintf(peer.socket_path, sizeof(peer.socket_path), "%s/sock", peer.dir);
	r = write_config(&peer, config, config_path, sizeof(config_path));
	peer.pid = r < 0 ? -1 : fork();
	if (peer.pid < 0) {
		r = r < 0 ? r : -errno;
		peer_stop(&peer);
		return r;
	}
	if (peer.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(daemon, daemon, "--backend", "sim", "--bus", "none", "--log-level", "warning",
		      "--socket", peer.socket_path, "--config", config_path, (char *)NULL);
		perror(daemon);
		_exit(127);
	}
	for (int i = 0; i < START_TRIES && stat(peer.socket_path, &st) < 0; i++) {
		if (waitpid(peer.pid, NULL, WNOHANG) == peer.pid) {
			peer.pid = -1;
			peer_stop(&peer);
			return -ECHILD;
		}
		pause_ms(10);
	}
	*ret = peer;
	return 0;
}

void peer_stop(struct peer *peer)
{
	char path[96];

	if (peer->pid > 0) {
		kill(peer->pid, SIGTERM);
		waitpid(peer->pid, NULL, 0);
	}
	if (peer->sock >= 0)
		close(peer->sock);
	if (peer->dir[0]) {
		snprintf(path, sizeof(path), "%s/conf", peer->dir);
		unlink(path);
		unlink(peer->socket_path);
		rmdir(peer->dir);
	}
	*peer = (struct peer){ .pid = -1, .sock = -1 };
}
