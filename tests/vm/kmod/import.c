// SPDX-License-Identifier: MIT
/*
 * Other kernel drivers as importers: vgem, which attaches and maps, and vivid, which asks for a
 * kernel mapping and writes frames through it. A kernel WARNING fails the run, in the harness.
 */
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kmod.h"

/* From drm.h, which is not among the C library's headers. */
struct prime_handle {
	uint32_t handle;
	uint32_t flags;
	int32_t fd;
};
struct gem_close {
	uint32_t handle;
	uint32_t pad;
};
struct drm_version {
	int version_major;
	int version_minor;
	int version_patchlevel;
	size_t name_len;
	char *name;
	size_t date_len;
	char *date;
	size_t desc_len;
	char *desc;
};
#define IOCTL_VERSION		 _IOWR('d', 0x00, struct drm_version)
#define IOCTL_GEM_CLOSE		 _IOW('d', 0x09, struct gem_close)
#define IOCTL_PRIME_FD_TO_HANDLE _IOWR('d', 0x2e, struct prime_handle)

#define WIDTH	    640
#define HEIGHT	    360
#define FRAME_BYTES (WIDTH * HEIGHT * 2)

static void load(const char *module)
{
	char command[128];

	snprintf(command, sizeof(command), "modprobe %s", module);
	if (system(command))
		die("%s", command);
}

static bool is_vgem(int fd)
{
	char name[16] = "";
	struct drm_version version = { .name = name, .name_len = sizeof(name) - 1 };

	return ioctl(fd, IOCTL_VERSION, &version) == 0 && strcmp(name, "vgem") == 0;
}

static bool is_vivid_capture(int fd)
{
	struct v4l2_capability capability = {};

	return ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0 &&
	       strcmp((const char *)capability.driver, "vivid") == 0 &&
	       (capability.device_caps & V4L2_CAP_VIDEO_CAPTURE);
}

/* A kernel may have other drivers of the sort; the node appears some time after the module. */
static int open_node(const char *prefix, bool (*is_it)(int fd))
{
	int i;

	for (i = 0; i < 2000; i++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "%s%d", prefix, i % 10);
		fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0 && is_it(fd))
			return fd;
		if (fd >= 0)
			close(fd);
		if (i % 10 == 9)
			sleep_ms(10);
	}
	die("there is no such device below %s", prefix);
}

static int prime_import(int drm, int fd, uint32_t *ret_handle)
{
	struct prime_handle prime = { .fd = fd };

	if (ioctl(drm, IOCTL_PRIME_FD_TO_HANDLE, &prime))
		return -errno;
	*ret_handle = prime.handle;
	return 0;
}

static void prime_close(int drm, uint32_t handle)
{
	struct gem_close gem = { .handle = handle };

	if (ioctl(drm, IOCTL_GEM_CLOSE, &gem))
		die("closing a GEM handle");
}

static void test_vgem(void)
{
	/* It is a platform device without firmware node: such a one snoops on x86 only. */
#ifdef __x86_64__
	const int expected = 0;
#else
	const int expected = machine.coherent ? -EXDEV : 0;
#endif
	uint32_t handle = 0;
	uint64_t id;
	int drm, fd, ro, err;

	load("vgem");
	drm = open_node("/dev/dri/card", is_vgem);
	fd = alloc_good(FRAME_BYTES, DMABROKER_KIND_COHERENT, 0, &id);
	ro = open_good(id, true);
	err = prime_import(drm, fd, &handle);
	check_errno(err, expected, "vgem: importing a buffer");
	if (!err) {
		close(fd);
		close(ro);
		sleep_ms(50);
		check(buffer_lives(id, NULL), "vgem: the import keeps it alive");
		ro = open_good(id, true);
		prime_close(drm, handle);
	} else {
		close(fd);
	}
	check(prime_import(drm, ro, &handle) < 0, "vgem: a read-only share is refused");
	close(ro);
	check(buffer_goes(id), "vgem: gone with the import");

	fd = alloc_good(FRAME_BYTES, DMABROKER_KIND_COHERENT,
			DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_KERNEL_MAPPING, &id);
	check(prime_import(drm, fd, &handle) == err, "vgem: the same without kernel mapping");
	if (!err)
		prime_close(drm, handle);
	close(fd);
	check(buffer_goes(id), "vgem: gone");
	close(drm);
}

static void vivid_start(int video)
{
	struct v4l2_format format = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct v4l2_requestbuffers request = { .count = 1,
					       .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
					       .memory = V4L2_MEMORY_DMABUF };

	if (ioctl(video, VIDIOC_G_FMT, &format))
		die("VIDIOC_G_FMT");
	format.fmt.pix.width = WIDTH;
	format.fmt.pix.height = HEIGHT;
	format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
	if (ioctl(video, VIDIOC_S_FMT, &format))
		die("VIDIOC_S_FMT");
	if (format.fmt.pix.sizeimage > FRAME_BYTES)
		die("vivid wants frames of %u bytes", format.fmt.pix.sizeimage);
	if (ioctl(video, VIDIOC_REQBUFS, &request))
		die("VIDIOC_REQBUFS");
}

static int vivid_queue(int video, int fd)
{
	struct v4l2_buffer buffer = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      .memory = V4L2_MEMORY_DMABUF,
				      .m.fd = fd,
				      .length = FRAME_BYTES };

	return ioctl(video, VIDIOC_QBUF, &buffer) ? -errno : 0;
}

/* Waits for the one frame that was queued. */
static bool vivid_frame(int video)
{
	struct v4l2_buffer buffer = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
				      .memory = V4L2_MEMORY_DMABUF };
	int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	bool ok = false;
	int i;

	if (ioctl(video, VIDIOC_STREAMON, &type))
		die("VIDIOC_STREAMON");
	for (i = 0; i < 1000 && !ok; i++) {
		ok = ioctl(video, VIDIOC_DQBUF, &buffer) == 0;
		sleep_ms(10);
	}
	ioctl(video, VIDIOC_STREAMOFF, &type);
	return ok;
}

static int vivid_try(int fd, bool *ret_frame)
{
	int video = open_node("/dev/video", is_vivid_capture);
	int err;

	vivid_start(video);
	err = vivid_queue(video, fd);
	*ret_frame = !err && vivid_frame(video);
	close(video);
	return err;
}

static bool is_zero(int fd)
{
	uint8_t *memory = map_memory(fd, FRAME_BYTES, PROT_READ);
	bool zero = true;
	size_t i;

	for (i = 0; i < FRAME_BYTES; i++)
		zero &= memory[i] == 0;
	munmap(memory, FRAME_BYTES);
	return zero;
}

static void test_vivid(void)
{
	bool frame;
	uint64_t id;
	int fd, ro, err;

	load("vivid");
	fd = alloc_good(FRAME_BYTES, DMABROKER_KIND_COHERENT, 0, &id);
	ro = open_good(id, true);
	err = vivid_try(ro, &frame);
	check(err < 0 && is_zero(fd), "vivid: capturing into a read-only share is refused");
	err = vivid_try(fd, &frame);
	check_errno(err, 0, "vivid: takes a read-write one");
	check(frame, "vivid: and fills it");
	check(!is_zero(ro), "vivid: a frame has arrived in it");
	close(fd);
	close(ro);
	check(buffer_goes(id), "vivid: gone with the import");

	fd = alloc_good(FRAME_BYTES, DMABROKER_KIND_COHERENT,
			DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_KERNEL_MAPPING, &id);
	err = vivid_try(fd, &frame);
	check(err < 0 && is_zero(fd), "vivid: no kernel mapping of a no-kernel-mapping buffer");
	close(fd);
	check(buffer_goes(id), "vivid: gone");
}

void test_import(void)
{
	test_vgem();
	test_vivid();
}
