/* SPDX-License-Identifier: MIT */
/*
 * Scope-bound release of what a function acquired. A variable marked _cleanup_(f) is handed to f
 * when it goes out of scope; TAKE_PTR and TAKE_FD move it out on success. Every destructor used
 * here accepts "nothing": NULL, or -1 for an fd.
 */
#ifndef DMABROKER_CLEANUP_H
#define DMABROKER_CLEANUP_H

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f)  __attribute__((cleanup(f)))
#define _cleanup_fd_  _cleanup_(cleanup_fd)
#define _cleanup_buf_ _cleanup_(cleanup_free)

#define TAKE_PTR(p)                            \
	({                                     \
		__typeof__(p) *_take = &(p);   \
		__typeof__(p) _taken = *_take; \
		*_take = NULL;                 \
		_taken;                        \
	})

#define TAKE_FD(fd)                  \
	({                           \
		int *_take = &(fd);  \
		int _taken = *_take; \
		*_take = -1;         \
		_taken;              \
	})

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

/* Close an fd if there is one; errno is as before. Returns -1, the value for "none". */
static inline int fd_close(int fd)
{
	if (fd >= 0) {
		int saved = errno;

		close(fd);
		errno = saved;
	}
	return -1;
}

static inline void cleanup_fd(int *fd)
{
	*fd = fd_close(*fd);
}

#endif /* DMABROKER_CLEANUP_H */
