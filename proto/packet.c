/* SPDX-License-Identifier: MIT */
/*
 * Packets with fds. The traps that live here so that they live nowhere else:
 *
 * A control buffer sized for one int has room for two on 64-bit machines, and without any control
 * buffer fds vanish silently. So the buffer always has room for the most that one message can
 * carry, and fds are counted from cmsg_len, never from what was expected.
 *
 * recvmsg() returns 0 for an empty packet and for the end of the stream. The end is told by
 * POLLRDHUP: the kernel ends the stream exactly when the receiving direction is shut down, and
 * nothing a living peer sends sets that. So an end is never taken for a packet, which would spin,
 * and an empty packet from a connected peer is never taken for an end: it is reported, and the
 * checks drop who sent it. An empty packet from a peer that has meanwhile gone counts as the end;
 * it had nothing to say either way. An empty packet that carries fds is always a packet.
 */
#include <assert.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "proto/cleanup.h"
#include "proto/packet.h"

/* Room for whatever else a socket may have been asked to pass along. */
#define CONTROL_BYTES (CMSG_SPACE(WIRE_FDS_MAX * sizeof(int)) + 256)

/* Whether a recvmsg() that returned nothing met the end of the stream. */
static int at_end(int sock)
{
	struct pollfd pollfd = { .fd = sock, .events = POLLRDHUP };
	int r;

	do
		r = poll(&pollfd, 1, 0);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return (pollfd.revents & (POLLRDHUP | POLLHUP | POLLNVAL)) != 0;
}

static void take_control(struct packet *packet, struct msghdr *msg)
{
	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t nr;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		nr = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < nr; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			if (packet->nr_fds < WIRE_FDS_MAX) {
				packet->fds[packet->nr_fds++] = fd;
			} else {
				fd_close(fd);
				packet->truncated = true;
			}
		}
	}
}

int packet_recv(struct packet *packet, int sock, int flags)
{
	union {
		struct cmsghdr align;
		char bytes[CONTROL_BYTES];
	} control;
	struct iovec iov = { .iov_base = packet->bytes, .iov_len = sizeof(packet->bytes) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	ssize_t n;
	int r;

	packet->size_bytes = 0;
	packet->nr_fds = 0;
	packet->truncated = false;

	do
		n = recvmsg(sock, &msg, (flags & ~MSG_TRUNC) | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;

	packet->size_bytes = (size_t)n;
	packet->truncated = (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
	take_control(packet, &msg);

	if (n > 0 || packet->nr_fds > 0 || packet->truncated)
		return 1;
	r = at_end(sock);
	return r < 0 ? r : !r;
}

void packet_fini(struct packet *packet)
{
	for (unsigned int i = 0; i < packet->nr_fds; i++)
		packet->fds[i] = fd_close(packet->fds[i]);
	packet->nr_fds = 0;
}

int packet_take_fd(struct packet *packet, unsigned int index)
{
	return index < packet->nr_fds ? TAKE_FD(packet->fds[index]) : -1;
}

int packet_send(int sock, const void *a, size_t a_bytes, const void *b, size_t b_bytes,
		const int *fds, unsigned int nr_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
	} control;
	/* sendmsg() reads only; struct iovec has no const. */
	struct iovec iov[2] = { { .iov_base = (void *)(uintptr_t)a, .iov_len = a_bytes },
				{ .iov_base = (void *)(uintptr_t)b, .iov_len = b_bytes } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = b_bytes ? 2 : 1 };
	ssize_t n;

	assert(nr_fds <= WIRE_FDS_MAX);
	if (nr_fds > 0) {
		struct cmsghdr *cmsg;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
		memset(control.bytes, 0, msg.msg_controllen);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nr_fds * sizeof(int));
	}

	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int packet_outstanding(int sock)
{
	int unread_bytes = 0;

	if (ioctl(sock, SIOCOUTQ, &unread_bytes) < 0)
		return -errno;
	return unread_bytes > 0;
}
