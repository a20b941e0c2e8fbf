// SPDX-License-Identifier: MIT
/*
 * The oracle for attributes: with its DMA trace events the kernel tells for which device, in which
 * direction and with which DMA_ATTR_* somebody called the DMA API. No other user of the two edu
 * devices exists, so their lines are the helper's. Allocations are told apart by their size.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "trace.h"

#define TRACING	   "/sys/kernel/tracing/"
#define TEXT_BYTES (4u << 20)

static char *trace_text; /* of the last trace_stop() */

void trace_start(void)
{
	if (write_file(TRACING "tracing_on", "0") || write_file(TRACING "trace", "") ||
	    write_file(TRACING "buffer_size_kb", "2048") ||
	    write_file(TRACING "events/dma/enable", "1") || write_file(TRACING "tracing_on", "1"))
		die("this kernel's DMA trace events cannot be switched on");
}

void trace_stop(void)
{
	ssize_t n;

	if (!trace_text)
		trace_text = malloc(TEXT_BYTES);
	if (!trace_text || write_file(TRACING "tracing_on", "0"))
		die("the trace cannot be stopped");
	n = read_file(TRACING "trace", trace_text, TEXT_BYTES);
	if (n < 0 || n == TEXT_BYTES - 1)
		die("the trace cannot be read whole");
	write_file(TRACING "events/dma/enable", "0");
}

/*
 * The @index-th line of an event whose text has @part in it, cut out; false when there is none.
 * Events of the trace are "TASK-PID [CPU] FLAGS TIME: EVENT: TEXT".
 */
static bool trace_line(const char *event, const char *part, unsigned int index, char *ret,
		       size_t size)
{
	const char *line = trace_text, *end;
	char name[64];

	snprintf(name, sizeof(name), ": %s: ", event);
	for (; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		snprintf(ret, size, "%.*s", (int)(end - line), line);
		if (*line != '#' && strstr(ret, name) && strstr(ret, part) && index-- == 0)
			return true;
	}
	snprintf(ret, size, "no %s with %s in the trace", event, part);
	return false;
}

/* The attributes of a line, "A|B" as the kernel writes them. */
static bool line_has_attribute(const char *line, const char *attribute)
{
	const char *attributes = strstr(line, "attrs=");

	return attributes && strstr(attributes, attribute);
}

void check_trace_of_copy(void)
{
	char line[2][600], device[32];
	bool found[2];

	for (int i = 0; i < 2; i++) {
		snprintf(device, sizeof(device), " %s ", device_names[i] + 4);
		found[i] = trace_line("dma_map_sg", device, 0, line[i], sizeof(line[i]));
	}
	check(found[0] && strstr(line[0], "dir=BIDIRECTIONAL") &&
		      !line_has_attribute(line[0], "SKIP_CPU_SYNC"),
	      "trace: the first mapping of the buffer does the CPU sync", "%s", line[0]);
	check(found[1] && strstr(line[1], "dir=BIDIRECTIONAL") &&
		      line_has_attribute(line[1], "SKIP_CPU_SYNC"),
	      "trace: the second one is made with SKIP_CPU_SYNC", "%s", line[1]);
	for (int i = 0; i < 2; i++) {
		snprintf(device, sizeof(device), " %s ", device_names[i] + 4);
		found[i] = trace_line("dma_unmap_sg", device, 0, line[i], sizeof(line[i]));
	}
	check(found[0] && found[1] && line_has_attribute(line[1], "SKIP_CPU_SYNC"),
	      "trace: and each is unmapped as it was mapped", "%s; %s", line[0], line[1]);
}

/* Sizes that nothing else on the machine allocates. */
#define SIZE_OF_WRITECOMBINE (9u * PAGE)
#define SIZE_OF_UNMAPPED     (11u * PAGE)
#define SIZE_OF_PLAIN	     (13u * PAGE)

static void user1(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *writecombine, *unmapped, *plain;

	(void)argument;
	writecombine = client_alloc(broker, SIZE_OF_WRITECOMBINE, DMABROKER_KIND_WRITECOMBINE,
				    DMABROKER_ATTR_FORCE_CONTIGUOUS, 2);
	unmapped = client_alloc(broker, SIZE_OF_UNMAPPED, DMABROKER_KIND_COHERENT,
				DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_KERNEL_MAPPING,
				2);
	plain = client_alloc(broker, SIZE_OF_PLAIN, DMABROKER_KIND_COHERENT,
			     DMABROKER_ATTR_FORCE_CONTIGUOUS, 2);
	check(dmabroker_buffer_get_info(writecombine)->effective_kind ==
		      (machine.coherent ? DMABROKER_KIND_COHERENT : DMABROKER_KIND_WRITECOMBINE),
	      "the effective kind of write-combine memory is told", "it is %u",
	      dmabroker_buffer_get_info(writecombine)->effective_kind);
	check(dmabroker_buffer_get_info(unmapped)->attributes & DMABROKER_ATTR_NO_KERNEL_MAPPING,
	      "no-kernel-mapping took effect, it is said", "attributes 0x%llx",
	      (unsigned long long)dmabroker_buffer_get_info(unmapped)->attributes);
	check(dmabroker_buffer_get_info(plain)->flags & DMABROKER_BUFFER_CONTIGUOUS,
	      "force-contiguous memory is contiguous, it is said", "flags 0x%x",
	      dmabroker_buffer_get_info(plain)->flags);
	dmabroker_free(writecombine);
	dmabroker_free(unmapped);
	dmabroker_free(plain);
	dmabroker_unref(broker);
	nod(root);
}

static void allocation_line(unsigned int size_bytes, char *ret, size_t size)
{
	char part[32];

	snprintf(part, sizeof(part), " size=%u ", size_bytes);
	trace_line("dma_alloc", part, 0, ret, size);
}

void test_trace(void)
{
	struct actor *actor;
	char line[600];

	trace_start();
	actor = actor_start("user1", user1, NULL);
	await_nod(actor);
	actor_end(actor);
	trace_stop();

	allocation_line(SIZE_OF_WRITECOMBINE, line, sizeof(line));
	check(line_has_attribute(line, "WRITE_COMBINE") &&
		      line_has_attribute(line, "FORCE_CONTIGUOUS") &&
		      !line_has_attribute(line, "NO_KERNEL_MAPPING"),
	      "trace: contiguous write-combine memory is allocated with WRITE_COMBINE", "%s", line);
	allocation_line(SIZE_OF_UNMAPPED, line, sizeof(line));
	check(line_has_attribute(line, "NO_KERNEL_MAPPING") &&
		      !line_has_attribute(line, "WRITE_COMBINE"),
	      "trace: no-kernel-mapping memory is allocated with NO_KERNEL_MAPPING", "%s", line);
	allocation_line(SIZE_OF_PLAIN, line, sizeof(line));
	check(line_has_attribute(line, "FORCE_CONTIGUOUS") &&
		      !line_has_attribute(line, "NO_KERNEL_MAPPING") &&
		      !line_has_attribute(line, "WRITE_COMBINE"),
	      "trace: and neither is there when nobody asked", "%s", line);
}
