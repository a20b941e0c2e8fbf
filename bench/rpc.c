// SPDX-License-Identifier: MIT
/*
 * What a buffer costs beyond the round trip that fetches it. Three ratios, each of two things
 * measured in turns within one run, medians of many rounds:
 *
 *  warm       one 64 KiB buffer from the warm pool, in bursts that the pool can serve; freed by
 *             closing it, without a message, since nobody else can have it. Against a raw
 *             SEQPACKET ping-pong that hands over one fd
 *  sustained  the same without pause, so that the pool runs dry and its filling up is paid for;
 *             against a broker without a pool, which makes each buffer when it is asked for
 *  batch      32 buffers in one request; against 32 requests
 *
 * The broker runs on the sim backend: what is measured is the way there and back, the ledger and
 * the pool, not the kernel's page allocator. Figures of a busy machine are worth nothing; the
 * spread printed beside each median says how busy it was.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <dmabroker/dmabroker.h>

#include "bench/peer.h"

#define BUFFER_BYTES (64 << 10)
#define BURST	     32 /* what the pool of the broker under test holds ready */
#define BATCH	     32
#define SUSTAINED    200
#define ROUNDS_MAX   1000

#define POOL_TEXT(pool) "[limits]\nbytes = 1G\nbuffers = 8192\n[pool]\nbuffers = " pool "\n"

struct bench {
	struct peer raw;
	struct peer with_pool;
	struct peer without_pool;
	struct dmabroker *pooled;
	struct dmabroker *on_demand;
};

/* Times of one thing in nanoseconds, one for each round. */
struct series {
	double ns[ROUNDS_MAX];
	unsigned int nr;
};

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int fail(const char *what, int r)
{
	const char *text = dmabroker_get_refusal()->text;

	fprintf(stderr, "bench/rpc: %s: %s\n", what, *text ? text : strerror(-r));
	return r;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double quantile(struct series *series, double q)
{
	qsort(series->ns, series->nr, sizeof(series->ns[0]), compare);
	return series->ns[(unsigned int)(q * (series->nr - 1) + 0.5)];
}

static int raw_ping_pong(struct bench *bench, unsigned int n)
{
	/* As long as the broker's request and reply, so that both copy the same. */
	char bytes[288] = { 0 };

	while (n--) {
		char control[CMSG_SPACE(sizeof(int))];
		struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control) };
		int fd;

		if (send(bench->raw.sock, bytes, sizeof(bytes), MSG_NOSIGNAL) < 0 ||
		    recvmsg(bench->raw.sock, &msg, MSG_CMSG_CLOEXEC) <= 0 || !CMSG_FIRSTHDR(&msg))
			return fail("raw ping-pong", -EIO);
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
		close(fd);
	}
	return 0;
}

/* @count buffers @n times, each request's buffers freed before the next. */
static int get_and_free(struct dmabroker *broker, unsigned int n, unsigned int count)
{
	struct dmabroker_alloc_params params = DMABROKER_ALLOC_PARAMS_INIT;
	struct dmabroker_buffer *buffers[BATCH];

	params.size_bytes = BUFFER_BYTES;
	params.count = count;
	while (n--) {
		int r = dmabroker_alloc(broker, &params, buffers);

		if (r < 0)
			return fail("cannot allocate", r);
		for (unsigned int i = 0; i < count; i++)
			dmabroker_free(buffers[i]);
	}
	return 0;
}

/* Long enough for the pool to be full again; not part of any time. */
static void let_pool_fill(void)
{
	const struct timespec pause = { .tv_nsec = 60 * 1000000L };

	nanosleep(&pause, NULL);
}

#define TIMED(series, n, call)                                                       \
	({                                                                           \
		double start_ns_ = now_ns();                                         \
		int r_ = (call);                                                     \
                                                                                     \
		if (r_ < 0)                                                          \
			return r_;                                                   \
		(series)->ns[(series)->nr++] = (now_ns() - start_ns_) / (double)(n); \
	})

static void report(const char *name, double goal, const char *what, struct series *tested,
		   const char *against, struct series *peer)
{
	double ratio = quantile(tested, 0.5) / quantile(peer, 0.5);

	printf("%-10s %5.2f x  (goal: at most %.2f, %s)\n", name, ratio, goal,
	       ratio <= goal ? "met" : "missed");
	printf("    %-44s %8.1f us  (%.1f to %.1f)\n", what, quantile(tested, 0.5) / 1e3,
	       quantile(tested, 0.1) / 1e3, quantile(tested, 0.9) / 1e3);
	printf("    %-44s %8.1f us  (%.1f to %.1f)\n", against, quantile(peer, 0.5) / 1e3,
	       quantile(peer, 0.1) / 1e3, quantile(peer, 0.9) / 1e3);
	fflush(stdout);
}

static int bench_warm(struct bench *bench, unsigned int rounds)
{
	static struct series broker, raw;

	for (unsigned int i = 0; i < rounds; i++) {
		let_pool_fill();
		TIMED(&raw, BURST, raw_ping_pong(bench, BURST));
		TIMED(&broker, BURST, get_and_free(bench->pooled, BURST, 1));
	}
	report("warm", 1.5, "one warm 64 KiB buffer, freed", &broker, "raw round trip with one fd",
	       &raw);
	return 0;
}

static int bench_sustained(struct bench *bench, unsigned int rounds)
{
	static struct series pooled, on_demand;

	for (unsigned int i = 0; i < rounds; i++) {
		TIMED(&pooled, SUSTAINED, get_and_free(bench->pooled, SUSTAINED, 1));
		TIMED(&on_demand, SUSTAINED, get_and_free(bench->on_demand, SUSTAINED, 1));
	}
	report("sustained", 1.2, "one buffer of many, with a pool to refill", &pooled,
	       "one buffer of many, made on demand", &on_demand);
	return 0;
}

static int bench_batch(struct bench *bench, unsigned int rounds)
{
	static struct series batch, singles;

	for (unsigned int i = 0; i < rounds; i++) {
		let_pool_fill();
		TIMED(&singles, 1, get_and_free(bench->pooled, BATCH, 1));
		let_pool_fill();
		TIMED(&batch, 1, get_and_free(bench->pooled, 1, BATCH));
	}
	report("batch", 0.15, "32 buffers in one request", &batch, "32 buffers in 32 requests",
	       &singles);
	return 0;
}

static int connect_to(const struct peer *peer, struct dmabroker **ret)
{
	struct dmabroker_connect_params params = DMABROKER_CONNECT_PARAMS_INIT;
	int r;

	params.socket_path = peer->socket_path;
	params.client_name = "bench";
	r = dmabroker_connect(&params, ret);
	return r < 0 ? fail("cannot connect", r) : 0;
}

static int run(struct bench *bench, const char *daemon, unsigned int rounds)
{
	int r;

	r = peer_start_raw(&bench->raw);
	if (r == 0)
		r = peer_start_broker(daemon, POOL_TEXT("32 x 64K coherent"), &bench->with_pool);
	if (r == 0)
		r = peer_start_broker(daemon, POOL_TEXT("none"), &bench->without_pool);
	if (r < 0)
		return fail("cannot start what is to be measured", r);
	r = connect_to(&bench->with_pool, &bench->pooled);
	if (r == 0)
		r = connect_to(&bench->without_pool, &bench->on_demand);
	if (r == 0)
		r = bench_warm(bench, rounds);
	if (r == 0)
		r = bench_sustained(bench, rounds);
	if (r == 0)
		r = bench_batch(bench, rounds);
	return r;
}

int main(int argc, char **argv)
{
	struct bench bench = { .raw = { .pid = -1, .sock = -1 },
			       .with_pool = { .pid = -1, .sock = -1 },
			       .without_pool = { .pid = -1, .sock = -1 } };
	unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 60;
	int r;

	if (argc < 2 || argv[1][0] == '-' || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr,
			"usage: rpc DMABROKERD [ROUNDS]\n"
			"Prints ratios; says whether each goal is met and fails for none of them.\n");
		return 2;
	}
	r = run(&bench, argv[1], (unsigned int)rounds);
	dmabroker_unref(bench.pooled);
	dmabroker_unref(bench.on_demand);
	peer_stop(&bench.with_pool);
	peer_stop(&bench.without_pool);
	peer_stop(&bench.raw);
	return r < 0;
}
