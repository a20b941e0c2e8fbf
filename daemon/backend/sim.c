// SPDX-License-Identifier: MIT
/*
 * The sim backend: memfds for buffers, and devices that exist only here.
 *
 * It is for developers without the hardware, and stricter than most hardware: what works here by
 * luck would not work for long there. Nothing of it needs privilege. A buffer is shared memory
 * whose every open description the broker can account for (sim_watch.c), a mapping is a pipe end
 * whose last close unmaps (sim_map.c), and the devices move bytes only through the addresses that
 * they were given (sim_dma.c).
 *
 * Cost: one fd and one inotify watch for each buffer, one fd for each mapping, four for the whole.
 * No request takes longer because more buffers are alive.
 *
 * When the broker ends, clients keep their memory, since it is theirs to map; a new broker knows
 * nothing of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "daemon/backend/sim.h"
#include "proto/cleanup.h"

#define READY_BATCH  64
#define READY_ROUNDS 256

/* Does this kernel do all that the proof of "nobody uses it" rests on? */
static int sim_probe(char ret_reason[static 256])
{
	_cleanup_fd_ int fd = -1, other = -1;
	int r;

	r = sim_memfd_new((uint64_t)sysconf(_SC_PAGESIZE), &fd);
	if (r < 0) {
		snprintf(ret_reason, 256, "no memfd can be made (is /proc mounted?): %s",
			 strerror(-r));
		return r;
	}
	r = sim_memfd_reopen(fd, O_RDONLY, &other);
	if (r == 0 && sim_memfd_sole(fd) != 0)
		r = -EOPNOTSUPP;
	other = fd_close(other);
	if (r == 0 && sim_memfd_sole(fd) != 1)
		r = -EOPNOTSUPP;
	if (r < 0)
		snprintf(ret_reason, 256,
			 "the kernel does not tell who has a memfd open; it takes Linux 5.9 and "
			 "sysctl fs.leases-enable=1");
	return r;
}

static void sim_free(struct sim *sim)
{
	struct sim_buffer *buffer;

	if (!sim)
		return;
	sim_maps_fini(sim);
	while ((buffer = sim_table_next(&sim->buffers, 0))) {
		/* The memory stays with those who hold it. */
		buffer->fd = fd_close(buffer->fd);
		sim_buffer_free(sim, buffer);
	}
	sim_table_fini(&sim->buffers);
	sim_table_fini(&sim->mappings);
	sim_space_fini(&sim->phys);
	sim_devices_fini(sim);
	sim_watch_fini(sim);
	fd_close(sim->epoll_fd);
	free(sim);
}

static void cleanup_sim(struct sim **sim)
{
	sim_free(*sim);
}

static int sim_open(struct backend **ret, const struct backend_config *config,
		    const struct backend_sink *sink, void *userdata)
{
	_cleanup_(cleanup_sim) struct sim *sim = calloc(1, sizeof(*sim));
	int r;

	if (!sim)
		return -ENOMEM;
	sim->backend = (struct backend){
		.ops = &backend_sim_ops,
		.sink = sink,
		.userdata = userdata,
	};
	sim->inotify_fd = -1;
	sim->timer_fd = -1;
	sim->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	sim->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (sim->epoll_fd < 0)
		return -errno;
	sim_memory_init(&sim->memory);
	r = sim_watch_init(sim);
	if (r < 0)
		return r;
	r = sim_space_init(&sim->phys, SIM_SPACE_FIRST, SIM_PHYS_BITS, sim->page_bytes);
	if (r < 0)
		return r;
	r = sim_devices_init(sim, config);
	if (r < 0)
		return r;
	*ret = &TAKE_PTR(sim)->backend;
	return 0;
}

static void sim_close(struct backend *backend)
{
	sim_free(sim_of(backend));
}

static int sim_get_fd(struct backend *backend)
{
	return sim_of(backend)->epoll_fd;
}

static void ready_handle(struct sim *sim, uint64_t what)
{
	if (what == SIM_READY_INOTIFY)
		sim_watch_read(sim);
	else if (what == SIM_READY_TIMER)
		sim_watch_recheck(sim);
	else
		sim_map_closed(sim, what);
}

/* Bounded: whoever keeps making events is served next time. */
static int sim_dispatch(struct backend *backend)
{
	struct sim *sim = sim_of(backend);
	struct epoll_event events[READY_BATCH];
	unsigned int round;
	int i, n;

	for (round = 0; round < READY_ROUNDS; round++) {
		n = epoll_wait(sim->epoll_fd, events, READY_BATCH, 0);
		if (n < 0)
			return errno == EINTR ? 0 : -errno;
		for (i = 0; i < n; i++)
			ready_handle(sim, events[i].data.u64);
		if (n == 0)
			break;
	}
	return 0;
}

static int sim_device_get_op(struct backend *backend, uint32_t id, struct backend_device *ret)
{
	struct sim_device *device = sim_device_get(sim_of(backend), id);

	if (!device)
		return -ENODEV;
	*ret = device->info;
	return 0;
}

static int sim_device_next(struct backend *backend, uint32_t after_id, struct backend_device *ret)
{
	/* Ids are 1 to nr_devices without a gap. */
	if (after_id >= sim_of(backend)->nr_devices)
		return -ENOENT;
	return sim_device_get_op(backend, after_id + 1, ret);
}

const struct backend_ops backend_sim_ops = {
	.name = "sim",
	.probe = sim_probe,
	.open = sim_open,
	.close = sim_close,
	.get_fd = sim_get_fd,
	.dispatch = sim_dispatch,
	.device_next = sim_device_next,
	.device_get = sim_device_get_op,
	.buffer_alloc = sim_buffer_alloc,
	.buffer_open = sim_buffer_open,
	.buffer_query = sim_buffer_query,
	.buffer_get = sim_buffer_get,
	.buffer_next = sim_buffer_next,
	.buffer_set_cookie = sim_buffer_set_cookie,
	.map = sim_map,
	.mapping_get = sim_mapping_get,
	.mapping_next = sim_mapping_next,
	.segments = sim_segments,
	.sync = sim_sync,
	.owned_by = sim_owned_by,
	.sim_dma = sim_dma,
};
