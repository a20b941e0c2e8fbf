/* SPDX-License-Identifier: MIT */
/*
 * Logging that never blocks.
 *
 * Under systemd, messages go to the journal's native socket as datagrams with fields; libsystemd's
 * own sd_journal_send() is not used because it waits while journald is stopped, and a broker that
 * waits for a logger has stopped every client. Elsewhere a line goes to standard error, if that
 * takes it at once. What is not taken is counted and gone.
 *
 * Messages about a peer are limited per uid, not per connection: a peer can reconnect. The table
 * is small and fixed, so neither memory nor time grows with the number of uids; two uids that meet
 * in one slot share its allowance.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "proto/cleanup.h"
#include "daemon/log.h"

#define MESSAGE_BYTES 1024

/* Per uid: this many messages in this time. */
#define PEER_MESSAGES 10
#define PEER_WINDOW_S 5
#define PEER_SLOTS    64

static struct {
	int level;
	int journal;
	uint64_t nr_lost;
	struct {
		uint32_t uid;
		time_t window_mono_s;
		unsigned int nr;
		unsigned int nr_suppressed;
	} slots[PEER_SLOTS];
} log_state = { .level = LOG_INFO, .journal = -1 };

/* systemd sets JOURNAL_STREAM to the device and inode of the stderr it gave us. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(int level)
{
	const struct sockaddr_un address = { .sun_family = AF_UNIX,
					     .sun_path = "/run/systemd/journal/socket" };
	_cleanup_fd_ int sock = -1;

	log_state.level = level;
	if (log_state.journal >= 0 || !stderr_is_journal())
		return;
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0 || connect(sock, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return;
	log_state.journal = TAKE_FD(sock);
}

void log_close(void)
{
	log_state.journal = fd_close(log_state.journal);
}

int log_level_parse(const char *text, int *ret_level)
{
	static const char *const names[] = { "emergency", "alert",  "critical", "error",
					     "warning",	  "notice", "info",	"debug" };

	for (int i = 0; i < 8; i++) {
		if (strcmp(text, names[i]) == 0 || (text[0] == '0' + i && !text[1])) {
			*ret_level = i;
			return 0;
		}
	}
	return -EINVAL;
}

uint64_t log_nr_lost(void)
{
	return log_state.nr_lost;
}

static void write_journal(int level, const struct log_peer *peer, const char *message)
{
	char datagram[MESSAGE_BYTES + 256];
	int n;

	n = snprintf(datagram, sizeof(datagram),
		     "PRIORITY=%d\nSYSLOG_IDENTIFIER=dmabrokerd\nMESSAGE=%s\n", level, message);
	if (peer && n > 0 && (size_t)n < sizeof(datagram))
		n += snprintf(datagram + n, sizeof(datagram) - (size_t)n,
			      "PEER_UID=%u\nPEER_PID=%u\nOP=%s\nSERIAL=%u\n", peer->uid, peer->pid,
			      peer->op ? peer->op : "", peer->serial);
	if (n <= 0 || (size_t)n >= sizeof(datagram) ||
	    send(log_state.journal, datagram, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_state.nr_lost++;
}

/* Its O_NONBLOCK is not ours to set: the terminal or pipe is shared with whoever started us. */
static void write_stderr(const char *message)
{
	struct pollfd pollfd = { .fd = STDERR_FILENO, .events = POLLOUT };
	char line[MESSAGE_BYTES + 32];
	int n = snprintf(line, sizeof(line), "dmabrokerd: %s\n", message);

	if (n <= 0 || (size_t)n >= sizeof(line) || poll(&pollfd, 1, 0) != 1 ||
	    !(pollfd.revents & POLLOUT) || write(STDERR_FILENO, line, (size_t)n) != n)
		log_state.nr_lost++;
}

static void write_message(int level, const struct log_peer *peer, char *message)
{
	/* One message is one line, in the journal's format too. */
	for (char *c = message; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	if (log_state.journal >= 0)
		write_journal(level, peer, message);
	else
		write_stderr(message);
}

static bool peer_may_log(const struct log_peer *peer)
{
	__typeof__(&log_state.slots[0]) slot = &log_state.slots[peer->uid % PEER_SLOTS];
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec - slot->window_mono_s >= PEER_WINDOW_S) {
		unsigned int suppressed = slot->nr_suppressed;

		slot->window_mono_s = now.tv_sec;
		slot->nr = 0;
		slot->nr_suppressed = 0;
		if (suppressed)
			log_line(LOG_NOTICE, "%u messages about uid %u were left out", suppressed,
				 slot->uid);
	}
	slot->uid = peer->uid;
	if (slot->nr < PEER_MESSAGES) {
		slot->nr++;
		return true;
	}
	slot->nr_suppressed++;
	return false;
}

void log_line(int level, const char *format, ...)
{
	char message[MESSAGE_BYTES];
	va_list args;

	if (level > log_state.level)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	write_message(level, NULL, message);
}

void log_peer(int level, const struct log_peer *peer, const char *format, ...)
{
	char message[MESSAGE_BYTES];
	va_list args;
	int n;

	if (level > log_state.level || !peer_may_log(peer))
		return;
	n = snprintf(message, sizeof(message), "pid %u, uid %u%s%s: ", peer->pid, peer->uid,
		     peer->op ? ", " : "", peer->op ? peer->op : "");
	if (n < 0 || (size_t)n >= sizeof(message))
		return;
	va_start(args, format);
	vsnprintf(message + n, sizeof(message) - (size_t)n, format, args);
	va_end(args);
	write_message(level, peer, message);
}
