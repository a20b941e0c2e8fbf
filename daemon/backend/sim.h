/* SPDX-License-Identifier: MIT */
/*
 * Inside the sim backend; nothing outside daemon/backend/sim*.c includes this. Who calls whom:
 *
 *   sim.c         the ops table, start and stop, dispatch
 *   sim_buffer.c  buffers: from the request to the fd
 *   sim_watch.c   proof that the last user of a buffer is gone, and its end
 *   sim_memfd.c   the memory of a buffer
 *   sim_memory.c  how much the machine can give
 *   sim_device.c  which devices there are
 *   sim_phys.c    where pages lie in the simulated machine's memory
 *   sim_map.c     mappings and their end
 *   sim_dma.c     the devices' DMA engine
 *   sim_space.c   address spaces
 *   sim_table.c   things by id
 */
#ifndef DMABROKER_SIM_H
#define DMABROKER_SIM_H

/*
 * Both hashes are by one number that the kernel chose: a multiplication spreads those well, and
 * needs no reading byte by byte.
 */
#define HASH_NONFATAL_OOM		     1
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = sim_hash((keyptr), (keylen)))

#include <string.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <uthash.h>

#include "daemon/backend/backend.h"
#include "daemon/backend/failure.h"
#include "daemon/backend/sim_space.h"
#include "daemon/backend/sim_table.h"

static inline unsigned int sim_hash(const void *key, size_t bytes)
{
	uint64_t number = 0;

	memcpy(&number, key, bytes); /* at most 8, and little or big endian does not matter */
	return (unsigned int)(number * 0x9e3779b97f4a7c15ull >> 32);
}

#define SIM_DEVICES_MAX	   64
#define SIM_PHYS_BITS	   46 /* of the simulated machine's memory addresses */
#define SIM_IOVA_BITS	   48 /* most that the simulated IOMMU translates */
#define SIM_SPACE_FIRST	   0x10000ull /* nothing lies at or near address 0 */
#define SIM_SUSPECT_NOW	   1
#define SIM_SUSPECT_LEVELS 18 /* now, 1 ms, 2 ms, 4 ms, ... 65 s */

struct sim_device {
	struct backend_device info;
	uint64_t account; /* who it belongs to since its last reset, 0 for none */
	uint32_t nr_mappings;
	struct sim_space iova; /* behind an IOMMU only */
};

/* Where a buffer's pages lie in the simulated physical memory; made when first it matters. */
struct sim_phys {
	struct sim_range range;
	struct sim_buffer *buffer;
};

struct sim_mapping {
	uint64_t id;
	struct sim_buffer *buffer;
	struct sim_device *device;
	uint64_t account;
	uint64_t attributes;
	struct sim_range iova; /* behind an IOMMU; a guard page at its end */
	LIST_ENTRY(sim_mapping) of_buffer;
	int fd; /* write end of a pipe of which clients hold the read end; -1 none */
	enum wire_direction direction;
};

/*
 * A buffer is freed when nobody but us has its memfd open and nothing is mapped. It costs one fd
 * and one inotify watch, however many fds were handed out.
 */
struct sim_buffer {
	uint64_t id;
	uint64_t size_bytes;
	uint64_t inode;
	struct sim_phys *phys;
	uint8_t *cookie; /* the cookie without the zeroes at its end */
	uint64_t deadline_mono_ms; /* while it waits as a suspect */
	LIST_HEAD(, sim_mapping) mappings; /* newest first */
	TAILQ_ENTRY(sim_buffer) of_suspects;
	UT_hash_handle of_watches;
	UT_hash_handle of_inodes;
	uint32_t nr_mappings;
	uint32_t syncs_done; /* CPU syncs at the start of mappings, ... */
	uint32_t syncs_saved; /* ... and those that an earlier mapping had done */
	int fd; /* a read-write file description of our own */
	int watch;
	uint16_t attributes; /* that took effect */
	uint16_t cookie_bytes;
	uint8_t kind;
	uint8_t effective_kind;
	uint8_t direction;
	uint8_t phys_mask_bits; /* its pages lie below that */
	uint8_t suspect_level; /* SIM_SUSPECT_NOW to ..._LEVELS: in that list; 0: in none */
	bool coherent; /* made for devices that snoop the CPU's caches */
	bool synced; /* by a mapping, for all later ones */
	bool closed_once; /* a close event came */
};

TAILQ_HEAD(sim_suspects, sim_buffer);

struct sim_memory {
	uint64_t granted_bytes; /* may be taken before looking again */
	uint64_t looked_mono_ms;
	char cgroup[256]; /* folder of our own, "" for none */
};

struct sim {
	struct backend backend;
	int epoll_fd;
	int inotify_fd;
	int timer_fd;
	uint64_t page_bytes;
	dev_t memfd_device;
	struct sim_memory memory;
	struct sim_device *devices;
	unsigned int nr_devices;
	uint64_t last_buffer_id;
	uint64_t last_mapping_id;
	struct sim_table buffers;
	struct sim_table mappings;
	struct sim_buffer *by_watch;
	struct sim_buffer *by_inode;
	struct sim_space phys;
	struct sim_suspects suspects[SIM_SUSPECT_LEVELS];
	uint64_t timer_mono_ms; /* when the timer fires, 0: never */
};

/* What a ready fd in the epoll set is: a mapping, by its id, or one of these. */
#define SIM_READY_INOTIFY UINT64_MAX
#define SIM_READY_TIMER	  (UINT64_MAX - 1)

static inline struct sim *sim_of(struct backend *backend)
{
	return (struct sim *)backend; /* its first member */
}

uint64_t sim_now_mono_ms(void);

/* sim_device.c */
int sim_devices_init(struct sim *sim, const struct backend_config *config);
void sim_devices_fini(struct sim *sim);
struct sim_device *sim_device_get(struct sim *sim, uint32_t id); /* NULL when there is none */

/* sim_memory.c */
void sim_memory_init(struct sim_memory *memory);
int sim_memory_take(struct sim_memory *memory, uint64_t size_bytes, uint64_t *ret_most_bytes);

/* sim_memfd.c */
int sim_memfd_new(uint64_t size_bytes, int *ret_fd);
int sim_memfd_reopen(int fd, int flags, int *ret_fd);
int sim_memfd_watch(int fd, int inotify_fd);
int sim_memfd_sole(int fd);
int sim_memfd_empty(int fd, uint64_t size_bytes);

/* sim_buffer.c */
int sim_buffer_alloc(struct backend *backend, const struct backend_alloc *alloc,
		     struct backend_buffer *ret, int *ret_fd, struct backend_failure *failure);
int sim_buffer_open(struct backend *backend, uint64_t id, bool read_only, int *ret_fd,
		    struct backend_failure *failure);
int sim_buffer_query(struct backend *backend, int fd, uint64_t *ret_id, bool *ret_read_only);
int sim_buffer_get(struct backend *backend, uint64_t id, struct backend_buffer *ret);
int sim_buffer_next(struct backend *backend, uint64_t after_id, struct backend_buffer *ret);
int sim_buffer_set_cookie(struct backend *backend, uint64_t id,
			  const uint8_t cookie[static BACKEND_COOKIE_SIZE]);
/* Give everything of it back. Its mappings are gone. */
void sim_buffer_free(struct sim *sim, struct sim_buffer *buffer);

/* sim_watch.c */
int sim_watch_init(struct sim *sim);
void sim_watch_fini(struct sim *sim);
int sim_watch_add(struct sim *sim, struct sim_buffer *buffer);
void sim_watch_remove(struct sim *sim, struct sim_buffer *buffer);
void sim_watch_read(struct sim *sim); /* inotify_fd is readable */
void sim_watch_recheck(struct sim *sim); /* timer_fd is readable */
/* Something let go of @buffer: end it if that was the last. Return: it is gone. */
bool sim_watch_check(struct sim *sim, struct sim_buffer *buffer);

/* sim_phys.c */
bool sim_phys_contiguous(const struct sim *sim, const struct sim_buffer *buffer);
int sim_phys_place(struct sim *sim, struct sim_buffer *buffer, struct backend_failure *failure);
void sim_phys_free(struct sim *sim, struct sim_phys *phys);
uint64_t sim_phys_page(const struct sim *sim, const struct sim_buffer *buffer, uint64_t page);
uint64_t sim_phys_last(const struct sim *sim, const struct sim_buffer *buffer);
struct sim_buffer *sim_phys_at(const struct sim *sim, uint64_t address, uint64_t *ret_offset);

/* sim_map.c */
int sim_map(struct backend *backend, const struct backend_map *map, struct backend_mapping *ret,
	    int *ret_fd, struct backend_failure *failure);
int sim_mapping_get(struct backend *backend, uint64_t id, struct backend_mapping *ret);
int sim_mapping_next(struct backend *backend, uint64_t buffer_id, uint64_t after_id,
		     struct backend_mapping *ret);
int sim_segments(struct backend *backend, uint64_t mapping_id, uint64_t first,
		 struct wire_segment *ret, unsigned int capacity, unsigned int *ret_count,
		 uint64_t *ret_total);
int sim_sync(struct backend *backend, const struct wire_sync *sync,
	     struct backend_failure *failure);
int sim_owned_by(struct backend *backend, uint64_t buffer_id, enum wire_owned_by *ret);
/* The last holder of the mapping's fd closed it. */
void sim_map_closed(struct sim *sim, uint64_t mapping_id);
/* End all mappings, telling nobody. */
void sim_maps_fini(struct sim *sim);
/* Segment number @index as the device sees it; false past the last. */
bool sim_mapping_segment(const struct sim *sim, const struct sim_mapping *mapping, uint64_t index,
			 struct wire_segment *ret);

/* sim_dma.c */
int sim_dma(struct backend *backend, const struct wire_sim_dma *dma,
	    struct backend_failure *failure);

#define sim_container(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif /* DMABROKER_SIM_H */
