// SPDX-License-Identifier: MIT
/* Whoever dies, the kernel closes the fds and the module cleans up. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kmod.h"

#define BUFFERS 100

static uint64_t count_mappings(void)
{
	struct dmabroker_info info = {};

	if (call(DMABROKER_IOC_INFO, &info))
		die("DMABROKER_IOC_INFO");
	return info.nr_mappings;
}

void test_kill(void)
{
	uint64_t buffers = count_buffers(), mappings = count_mappings();
	struct dmabroker_info info = {};
	uint64_t kept = 0;
	int pipes[2], shared, i;
	pid_t child;

	if (pipe(pipes))
		die("pipe");
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		for (i = 0; i < BUFFERS; i++) {
			int fd = alloc_good(64 * KIB, DMABROKER_KIND_COHERENT, 0, &kept);

			map_good(fd, &edus[0], DMABROKER_DIR_BIDIRECTIONAL);
			map_good(fd, &edus[1], DMABROKER_DIR_TO_DEVICE);
			memset(map_memory(fd, 64 * KIB, PROT_READ | PROT_WRITE), 1, 64 * KIB);
		}
		if (write(pipes[1], &kept, sizeof(kept)) != sizeof(kept))
			_exit(1);
		pause();
		_exit(1);
	}
	close(pipes[1]);
	if (read(pipes[0], &kept, sizeof(kept)) != sizeof(kept))
		die("the child did not get its buffers");
	close(pipes[0]);
	shared = open_good(kept, false);
	check(count_buffers() == buffers + BUFFERS && count_mappings() == mappings + 2 * BUFFERS,
	      "a process holds 100 buffers and 200 mappings");
	check(edu_bus_master(&edus[0]) && edu_bus_master(&edus[1]), "bus mastering is on");

	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	for (i = 0; i < 100 && count_buffers() != buffers + 1; i++)
		sleep_ms(10);
	check(count_buffers() == buffers + 1 && count_mappings() == mappings,
	      "killed, it holds nothing within a second");
	check(!edu_bus_master(&edus[0]) && !edu_bus_master(&edus[1]), "bus mastering is off");
	check(buffer_lives(kept, NULL), "the one that somebody else has open lives");
	close(shared);
	check(buffer_goes(kept), "and goes with that");
	check(call(DMABROKER_IOC_INFO, &info) == 0 && (info.nr_buffers || info.live_bytes == 0),
	      "no bytes without buffers");
}
