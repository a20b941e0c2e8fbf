// SPDX-License-Identifier: MIT
/*
 * The receiving half of a pipeline: another process, perhaps of another user, that gets buffers by
 * token and writes their contents out.
 *
 * A line on standard input is "TOKEN OFFSET BYTES"; the answer on standard output is "done", so
 * that the sender knows that it may use the buffer again. The tokens are read-only ones: this
 * program could not change what it receives if it tried.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dmabroker/dmabroker.h>

static int fail(const char *what, int r)
{
	const struct dmabroker_refusal *refusal = dmabroker_get_refusal();

	fprintf(stderr, "consumer: %s: %s\n", what,
		refusal->error == -r && *refusal->text ? refusal->text : strerror(-r));
	return r;
}

static int write_out(struct dmabroker_buffer *buffer, uint64_t offset_bytes, uint64_t bytes,
		     FILE *output)
{
	uint64_t size_bytes = dmabroker_buffer_get_info(buffer)->size_bytes;
	void *address;
	int r;

	if (offset_bytes > size_bytes || bytes > size_bytes - offset_bytes)
		return fail("the range is not within the buffer", -EINVAL);
	r = dmabroker_mmap(buffer, DMABROKER_CPU_READ, &address);
	if (r < 0)
		return fail("cannot map the buffer", r);
	r = dmabroker_begin_cpu_access(buffer, DMABROKER_CPU_READ);
	if (r == 0 && fwrite((char *)address + offset_bytes, 1, bytes, output) != bytes)
		r = -EIO;
	if (r == 0)
		r = dmabroker_end_cpu_access(buffer, DMABROKER_CPU_READ);
	dmabroker_munmap(buffer, address);
	return r < 0 ? fail("cannot write out the buffer", r) : 0;
}

static int consume(struct dmabroker *broker, FILE *output)
{
	char line[256], text[DMABROKER_TOKEN_TEXT_SIZE];
	uint64_t offset_bytes, bytes;

	while (fgets(line, sizeof(line), stdin)) {
		struct dmabroker_buffer *buffer;
		struct dmabroker_token token;
		int r;

		if (sscanf(line, "%32s %" SCNu64 " %" SCNu64, text, &offset_bytes, &bytes) != 3 ||
		    dmabroker_token_from_text(text, &token) < 0)
			return fail("a line is not 'TOKEN OFFSET BYTES'", -EINVAL);
		r = dmabroker_open(broker, &token, &buffer);
		if (r < 0)
			return fail("cannot open what the token names", r);
		r = write_out(buffer, offset_bytes, bytes, output);
		dmabroker_free(buffer);
		if (r < 0)
			return r;
		puts("done");
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct dmabroker *broker;
	FILE *output;
	int r;

	if (argc != 2 || argv[1][0] == '-') {
		fprintf(stderr, "usage: consumer OUTPUT-FILE < tokens\n");
		return 2;
	}
	output = fopen(argv[1], "wb");
	if (!output) {
		fail(argv[1], -errno);
		return 1;
	}
	r = dmabroker_connect(NULL, &broker);
	if (r < 0) {
		fail("cannot connect to the broker", r);
	} else {
		r = consume(broker, output);
		dmabroker_unref(broker);
	}
	if (fclose(output) && r == 0)
		r = fail(argv[1], -EIO);
	return r < 0;
}
