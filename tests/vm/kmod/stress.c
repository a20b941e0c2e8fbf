// SPDX-License-Identifier: MIT
/*
 * Everything at once, for the sake of what watches: the kernel log, and lockdep and KASAN where the
 * kernel has them. Threads allocate, map, touch, share, list and close while a device is unbound and
 * bound again under them.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kmod.h"

#define THREADS	 4
#define DURATION 5000000

static atomic_bool stop;
static atomic_uint allocations, mappings, refusals, surprises;

static void try_mapping(int fd, uint32_t device_id, unsigned int direction)
{
	struct dmabroker_mapping_segment segment;
	struct dmabroker_mapping_segments segments = { .entries = (uintptr_t)&segment,
						       .capacity = 1 };
	struct dmabroker_map map = {
		.buffer_fd = fd, .device_id = device_id, .direction = direction, .account = ACCOUNT
	};
	int err = call(DMABROKER_IOC_MAP, &map);

	/* -EOPNOTSUPP: just bound again, and its mask not set yet on a machine without IOMMU. */
	if (err == -ENODEV || err == -ERANGE || err == -EOPNOTSUPP) {
		refusals++;
		return;
	}
	if (err) {
		surprises++;
		return;
	}
	mappings++;
	err = call_fd(map.fd, DMABROKER_MAPPING_IOC_SEGMENTS, &segments);
	if (err && err != -ENODEV)
		surprises++;
	close(map.fd);
}

static void one_round(unsigned int seed)
{
	static const uint64_t sizes[] = { 4096, 64 * KIB, 1 * MIB, 20 * KIB };
	struct dmabroker_buffer_open open = { .flags = seed & 1 };
	struct dmabroker_alloc alloc;
	uint8_t *memory;
	uint64_t size = sizes[seed % ARRAY_LENGTH(sizes)];

	alloc_prepare(&alloc, size, DMABROKER_KIND_COHERENT,
		      seed % 3 ? 0 : DMABROKER_ATTR_FORCE_CONTIGUOUS);
	if (call(DMABROKER_IOC_ALLOC, &alloc)) {
		surprises++;
		return;
	}
	allocations++;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, alloc.fd, 0);
	if (memory == MAP_FAILED || memory[size - 1] != 0)
		surprises++;
	else
		memset(memory, 0xa5, size);
	try_mapping(alloc.fd, atomic_load((_Atomic uint32_t *)&edus[seed & 1].id), seed % 3);
	open.id = alloc.buffer.id;
	if (call(DMABROKER_IOC_BUFFER_OPEN, &open))
		surprises++;
	else
		close(open.fd);
	close(alloc.fd);
	buffer_lives(alloc.buffer.id, NULL);
	munmap(memory, size);
}

static void *worker(void *argument)
{
	unsigned int seed = (unsigned int)(uintptr_t)argument;

	while (!stop)
		one_round(seed++);
	return NULL;
}

void test_stress(void)
{
	uint64_t end = now_us() + DURATION, before = count_buffers();
	pthread_t threads[THREADS];
	struct dmabroker_info info = {};
	unsigned int i, unbinds = 0;

	edu_attribute_write(&edus[0], "account", "0");
	edu_attribute_write(&edus[1], "account", "0");
	stop = false;
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, worker, (void *)(uintptr_t)(i * 1000)))
			die("pthread_create");
	while (now_us() < end) {
		edu_unbind(&edus[0]);
		sleep_ms(20);
		edu_bind(&edus[0]);
		sleep_ms(50);
		unbinds++;
	}
	stop = true;
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);

	check(surprises == 0,
	      "%u allocations, %u mappings, %u refusals, %u unbinds, and %u surprises", allocations,
	      mappings, refusals, unbinds, surprises);
	check(allocations > 20 && mappings > 3 && unbinds > 1, "it was worth the name");
	sleep_ms(50);
	check(call(DMABROKER_IOC_INFO, &info) == 0 && info.nr_buffers == before &&
		      info.nr_mappings == 0,
	      "nothing is left");
	check(!edu_bus_master(&edus[0]) && !edu_bus_master(&edus[1]), "bus mastering is off");
}
