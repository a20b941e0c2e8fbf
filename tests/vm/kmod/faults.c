// SPDX-License-Identifier: MIT
/*
 * Every allocation and every access to user memory of an ioctl fails once, in turn: the ioctl must
 * say -ENOMEM or -EFAULT and leave nothing behind, or do without. Needs a kernel with fault injection
 * into kmalloc(), the page allocator and user copies.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kmod.h"

#define DEBUG	   "/sys/kernel/debug/"
#define FAULTS_MAX 2000

static uint64_t buffer_id;
static int fail_fd; /* open all the time: opening allocates */

static void fail_nth(unsigned int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(fail_fd, text, (size_t)length, 0) != length)
		die("write fail-nth");
}

/* Ends the injection, and tells whether the fault was used up before. */
static bool fault_happened(void)
{
	char text[16] = "";
	ssize_t n = pread(fail_fd, text, sizeof(text) - 1, 0);
	bool happened = n > 0 && atoi(text) == 0;

	/* It may hit this very read, whose copy to user space can be made to fail too. */
	if (n < 0 && errno != EFAULT)
		die("read fail-nth");
	while (pwrite(fail_fd, "0", 1, 0) != 1)
		if (errno != EFAULT)
			die("write fail-nth");
	return happened;
}

static int attempt_alloc(uint64_t attributes)
{
	struct dmabroker_alloc alloc;

	alloc_prepare(&alloc, 300 * KIB, DMABROKER_KIND_COHERENT, attributes);
	return alloc_for(&alloc, 2);
}

static int attempt_pages(void)
{
	return attempt_alloc(0);
}

static int attempt_single_pages(void)
{
	return attempt_alloc(DMABROKER_ATTR_ALLOC_SINGLE_PAGES);
}

static int attempt_contiguous(void)
{
	return attempt_alloc(DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_KERNEL_MAPPING);
}

static int attempt_open(void)
{
	struct dmabroker_buffer_open open = { .id = buffer_id };
	int err = call(DMABROKER_IOC_BUFFER_OPEN, &open);

	return err ? err : open.fd;
}

static int attempt_map(void)
{
	struct dmabroker_map map = {
		.buffer_fd = -1, .buffer_id = buffer_id, .device_id = edus[0].id, .account = ACCOUNT
	};
	int err = call(DMABROKER_IOC_MAP, &map);

	return err ? err : map.fd;
}

static int attempt_list(void)
{
	static struct dmabroker_buffer entries[16];
	struct dmabroker_list list = { .entries = (uintptr_t)entries,
				       .entry_size = sizeof(entries[0]),
				       .capacity = ARRAY_LENGTH(entries) };
	int err = call(DMABROKER_IOC_BUFFER_LIST, &list);

	return err ? err : dup(broker_fd);
}

static void test_attempt(const char *name, int (*attempt)(void))
{
	unsigned int n, refused = 0, unreachable = 0, other = 0;
	uint64_t before = count_buffers();
	bool happened = true;

	for (n = 1; n < FAULTS_MAX && happened; n++) {
		int fd;

		fail_nth(n);
		fd = attempt();
		happened = fault_happened();
		if (fd >= 0)
			close(fd);
		else if (fd == -ENOMEM)
			refused++;
		else if (fd == -EFAULT)
			unreachable++;
		else
			other++;
	}
	check(!happened && refused > 0 && other == 0,
	      "%s: %u faults, %u refusals with ENOMEM, %u with EFAULT, %u with another error", name,
	      n - 2, refused, unreachable, other);
	check(count_buffers() == before && !edu_bus_master(&edus[0]), "%s: nothing is left", name);
}

void test_faults(void)
{
	int fd = alloc_good(300 * KIB, DMABROKER_KIND_COHERENT, 0, &buffer_id);

	if (write_file(DEBUG "failslab/ignore-gfp-wait", "N") ||
	    write_file(DEBUG "fail_page_alloc/ignore-gfp-wait", "N") ||
	    write_file(DEBUG "fail_page_alloc/min-order", "0"))
		die("this kernel cannot inject faults");
	write_file(DEBUG "failslab/verbose", "0");
	write_file(DEBUG "fail_page_alloc/verbose", "0");
	write_file(DEBUG "fail_usercopy/verbose", "0");
	fail_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_fd < 0)
		die("open fail-nth");

	test_attempt("alloc", attempt_pages);
	test_attempt("alloc of single pages", attempt_single_pages);
	test_attempt("alloc of contiguous memory", attempt_contiguous);
	test_attempt("open", attempt_open);
	test_attempt("map", attempt_map);
	test_attempt("list", attempt_list);
	close(fail_fd);
	close(fd);
	check(buffer_goes(buffer_id), "gone");
}
