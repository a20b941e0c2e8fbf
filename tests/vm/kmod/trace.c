// SPDX-License-Identifier: MIT
/* What the kernel's DMA trace events say of attributes: they are not the module's own words. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kmod.h"

#define TRACING "/sys/kernel/tracing/"

static char text[1 << 20];

static void trace_start(void)
{
	if (write_file(TRACING "trace", "\n") || write_file(TRACING "events/dma/enable", "1"))
		die("enabling the DMA trace events");
}

static void trace_stop(void)
{
	ssize_t n;
	size_t size = 0;
	int fd;

	write_file(TRACING "events/dma/enable", "0");
	fd = open(TRACING "trace", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("open trace");
	while ((n = read(fd, text + size, sizeof(text) - 1 - size)) > 0)
		size += (size_t)n;
	text[size] = '\0';
	close(fd);
}

/* The n-th event of this name that mentions the device, as one line, or NULL. */
static const char *trace_line(const char *event, const char *device, unsigned int number)
{
	static char line[4096];
	const char *at = text;
	char name[64];

	snprintf(name, sizeof(name), " %s: ", event);
	while (*at) {
		size_t length = strcspn(at, "\n");

		if (length < sizeof(line)) {
			memcpy(line, at, length);
			line[length] = '\0';
			if (strstr(line, name) && strstr(line, device) && number-- == 0)
				return line;
		}
		at += length + (at[length] == '\n');
	}
	return NULL;
}

static bool has(const char *line, const char *word)
{
	return line && strstr(line, word);
}

static void test_mapping_attributes(void)
{
	int fd = alloc_good(64 * KIB, DMABROKER_KIND_COHERENT, 0, NULL);
	int mapping_fds[2];
	const char *line;

	trace_start();
	mapping_fds[0] = map_good(fd, &edus[0], DMABROKER_DIR_BIDIRECTIONAL);
	mapping_fds[1] = map_good(fd, &edus[1], DMABROKER_DIR_BIDIRECTIONAL);
	close(mapping_fds[0]);
	close(mapping_fds[1]);
	trace_stop();
	line = trace_line("dma_map_sg", edus[0].address, 0);
	check(line && !has(line, "SKIP_CPU_SYNC"), "the first mapping has no SKIP_CPU_SYNC");
	line = trace_line("dma_map_sg", edus[1].address, 0);
	check(has(line, "SKIP_CPU_SYNC"), "the second mapping has SKIP_CPU_SYNC");
	line = trace_line("dma_unmap_sg", edus[1].address, 0);
	check(has(line, "SKIP_CPU_SYNC"), "and is unmapped with it");
	check(trace_line("dma_map_sg", edus[0].address, 1) == NULL &&
		      trace_line("dma_map_sg", edus[1].address, 1) == NULL,
	      "each device has one mapping");
	close(fd);
}

static void test_allocation_attributes(void)
{
	const char *line;

	trace_start();
	close(alloc_good(64 * KIB, DMABROKER_KIND_WRITECOMBINE, DMABROKER_ATTR_FORCE_CONTIGUOUS,
			 NULL));
	close(alloc_good(64 * KIB, DMABROKER_KIND_COHERENT,
			 DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_KERNEL_MAPPING, NULL));
	trace_stop();
	line = trace_line("dma_alloc",
			  machine.coherent ? "dmabroker-coherent" : "dmabroker-noncoherent", 0);
	check(has(line, "WRITE_COMBINE") && has(line, "FORCE_CONTIGUOUS") &&
		      !has(line, "NO_KERNEL_MAPPING"),
	      "a contiguous writecombine allocation has its attributes");
	line = trace_line("dma_alloc",
			  machine.coherent ? "dmabroker-coherent" : "dmabroker-noncoherent", 1);
	check(has(line, "NO_KERNEL_MAPPING") && has(line, "FORCE_CONTIGUOUS") &&
		      !has(line, "WRITE_COMBINE"),
	      "a contiguous no-kernel-mapping allocation has its attributes");
}

void test_trace(void)
{
	if (access(TRACING "events/dma/enable", W_OK)) {
		printf("# this kernel has no DMA trace events (6.12 is the first with them)\n");
		return;
	}
	test_mapping_attributes();
	test_allocation_attributes();
}
