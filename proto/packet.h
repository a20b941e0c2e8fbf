/* SPDX-License-Identifier: MIT */
/*
 * Packets with fds over a SOCK_SEQPACKET socket. Received fds belong to the packet until taken;
 * what is not taken is closed by packet_fini(). Nothing here blocks: sockets are non-blocking, or
 * the caller passes MSG_DONTWAIT.
 */
#ifndef DMABROKER_PACKET_H
#define DMABROKER_PACKET_H

#include "proto/wire.h"

struct packet {
	size_t size_bytes;
	unsigned int nr_fds;
	bool truncated; /* the kernel cut bytes or fds */
	int fds[WIRE_FDS_MAX];
	_Alignas(8) uint8_t bytes[WIRE_MESSAGE_MAX];
};

/**
 * packet_recv() - receive one packet
 * @packet: filled; release with packet_fini(). On failure it holds nothing
 * @sock:   the socket
 * @flags:  MSG_* for recvmsg(), MSG_CMSG_CLOEXEC is added
 *
 * Return: 1 when a packet was received (an empty one has size_bytes 0), 0 at the end of the
 * stream, or -errno (-EAGAIN: nothing there). An empty packet and the end of the stream look the
 * same to recvmsg(); packet.c tells how they are told apart.
 */
int packet_recv(struct packet *packet, int sock, int flags);

/* Close the fds that were not taken. */
void packet_fini(struct packet *packet);

/* Move fd number @index out of the packet; the caller owns it. -1 when there is none. */
int packet_take_fd(struct packet *packet, unsigned int index);

/**
 * packet_send() - send one packet
 * @sock:    the socket
 * @a:       first part, the header
 * @a_bytes: its length
 * @b:       second part, may be NULL
 * @b_bytes: its length
 * @fds:     borrowed: still the caller's afterwards
 * @nr_fds:  0 to WIRE_FDS_MAX
 *
 * Never raises SIGPIPE and never blocks.
 *
 * Return: 0, or -errno (-EAGAIN: no room; -ETOOMANYREFS: too many of this uid's fds are in
 * flight; -EPIPE, -ECONNRESET: the peer is gone).
 */
int packet_send(int sock, const void *a, size_t a_bytes, const void *b, size_t b_bytes,
		const int *fds, unsigned int nr_fds);

/**
 * packet_outstanding() - has the peer left packets unread
 * @sock: the socket
 *
 * Return: 1 if something sent is unread, 0 if not, or -errno.
 */
int packet_outstanding(int sock);

#endif /* DMABROKER_PACKET_H */
