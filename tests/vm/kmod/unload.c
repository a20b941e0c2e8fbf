// SPDX-License-Identifier: MIT
/* The module unloads only when nothing is held, and loads again. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kmod.h"

static int unload(void)
{
	return syscall(SYS_delete_module, "dmabroker", O_NONBLOCK) ? -errno : 0;
}

/* Everything that somebody can hold, one at a time. */
void test_unload(void)
{
	int fd = alloc_good(4096, DMABROKER_KIND_COHERENT, 0, NULL);
	int mapping_fd = map_good(fd, &edus[0], DMABROKER_DIR_BIDIRECTIONAL);
	void *memory = map_memory(fd, 4096, PROT_READ);

	check(unload() < 0, "does not unload while the node is open");
	close(broker_fd);
	check(unload() < 0, "nor while there is a mapping");
	close(mapping_fd);
	check(unload() < 0, "nor while there is a buffer");
	close(fd);
	check(unload() < 0, "nor while it is mapped into a process");
	munmap(memory, 4096);
	sleep_ms(100);
	check_errno(unload(), 0, "unloads, with devices bound to it");
	check(access("/dev/dmabroker", F_OK) < 0, "the node is gone");

	check(system("modprobe dmabroker") == 0, "loads again");
	broker_fd = open("/dev/dmabroker", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (broker_fd < 0)
		die("open /dev/dmabroker");
	edu_bind(&edus[0]);
	edu_bind(&edus[1]);
	fd = alloc_good(64 * KIB, DMABROKER_KIND_COHERENT, 0, NULL);
	mapping_fd = map_good(fd, &edus[0], DMABROKER_DIR_BIDIRECTIONAL);
	check(edu_address(mapping_fd, 0) < 1ull << edus[0].bits, "and works");
	close(mapping_fd);
	close(fd);
}
