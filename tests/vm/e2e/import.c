// SPDX-License-Identifier: MIT
/*
 * Other drivers of the kernel as tools of an attacker: vivid, a camera that writes its pictures
 * into any dma-buf it is given through a kernel mapping, and vgem, which imports dma-bufs and maps
 * them. user2 gives them a read-only share, and memory that has no kernel mapping. A kernel that
 * WARNs fails the machine's run.
 */
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client.h"

/* From drm.h and drm_mode.h, which are not among the C library's headers. */
struct prime_handle {
	uint32_t handle;
	uint32_t flags;
	int32_t fd;
};
struct map_dumb {
	uint32_t handle;
	uint32_t pad;
	uint64_t offset;
};
#define IOCTL_PRIME_FD_TO_HANDLE _IOWR('d', 0x2e, struct prime_handle)
#define IOCTL_MODE_MAP_DUMB	 _IOWR('d', 0xb3, struct map_dumb)

#define VIDEO	    "/dev/video0"
#define CARD	    "/dev/dri/card0"
#define SIZE_BYTES  ((size_t)1 * MIB)
#define FRAME_WAITS 500
#define WAIT_US	    10000

struct shares {
	struct dmabroker_token read_only;
	struct dmabroker_token read_write;
	struct dmabroker_token unmapped; /* no-kernel-mapping */
};

/* A frame of vivid into @fd: what VIDIOC_QBUF says, and whether the frame came. */
static int capture(int fd, bool *ret_frame)
{
	enum v4l2_buf_type type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	struct v4l2_format format = { .type = type };
	struct v4l2_requestbuffers request = { .count = 1,
					       .type = type,
					       .memory = V4L2_MEMORY_DMABUF };
	struct v4l2_buffer buffer = { .type = type, .memory = V4L2_MEMORY_DMABUF };
	int video = open(VIDEO, O_RDWR | O_CLOEXEC | O_NONBLOCK), err;

	*ret_frame = false;
	if (video < 0 || ioctl(video, VIDIOC_G_FMT, &format))
		die(VIDEO ": %s", strerror(errno));
	format.fmt.pix.width = 320;
	format.fmt.pix.height = 180;
	format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
	if (ioctl(video, VIDIOC_S_FMT, &format) || format.fmt.pix.sizeimage > SIZE_BYTES ||
	    ioctl(video, VIDIOC_REQBUFS, &request))
		die("preparing " VIDEO ": %s", strerror(errno));
	buffer.m.fd = fd;
	buffer.length = (uint32_t)SIZE_BYTES;
	err = ioctl(video, VIDIOC_QBUF, &buffer) ? errno : 0;
	if (!err && ioctl(video, VIDIOC_STREAMON, &type))
		die("VIDIOC_STREAMON: %s", strerror(errno));
	for (int i = 0; !err && i < FRAME_WAITS && !*ret_frame; i++) {
		*ret_frame = ioctl(video, VIDIOC_DQBUF, &buffer) == 0 &&
			     !(buffer.flags & V4L2_BUF_FLAG_ERROR);
		if (!*ret_frame)
			sleep_us(WAIT_US);
	}
	close(video);
	return err;
}

static bool is_zero(struct dmabroker_buffer *buffer)
{
	uint8_t *memory = client_mmap(buffer, DMABROKER_CPU_READ);
	bool zero = filled_with(memory, 0, SIZE_BYTES);

	dmabroker_munmap(buffer, memory);
	return zero;
}

static void attack_with_vivid(struct dmabroker_buffer *read_only, struct dmabroker_buffer *whole,
			      struct dmabroker_buffer *unmapped)
{
	bool frame;
	int err;

	err = capture(dmabroker_buffer_get_fd(read_only), &frame);
	check(err != 0 && !frame && is_zero(read_only),
	      "vivid cannot capture into a read-only share", "QBUF: %s, frame %d, the memory is %s",
	      strerror(err), frame, is_zero(read_only) ? "zero" : "written");
	err = capture(dmabroker_buffer_get_fd(unmapped), &frame);
	check(err != 0 && !frame && is_zero(unmapped),
	      "vivid gets no kernel mapping of no-kernel-mapping memory",
	      "QBUF: %s, frame %d, the memory is %s", strerror(err), frame,
	      is_zero(unmapped) ? "zero" : "written");
	err = capture(dmabroker_buffer_get_fd(whole), &frame);
	check(err == 0 && frame && !is_zero(read_only),
	      "vivid captures into the read-write share, and the read-only one shows it",
	      "QBUF: %s, frame %d, the memory is %s", strerror(err), frame,
	      is_zero(read_only) ? "zero" : "written");
}

/* Imports, and tries to write through what the driver gives. */
static int import(int fd, bool *ret_written)
{
	struct prime_handle prime = { .fd = fd };
	struct map_dumb dumb = {};
	int card = open(CARD, O_RDWR | O_CLOEXEC), err;

	*ret_written = false;
	if (card < 0)
		die(CARD ": %s", strerror(errno));
	err = ioctl(card, IOCTL_PRIME_FD_TO_HANDLE, &prime) ? errno : 0;
	dumb.handle = prime.handle;
	if (!err && ioctl(card, IOCTL_MODE_MAP_DUMB, &dumb) == 0) {
		volatile uint8_t *memory = mmap(NULL, SIZE_BYTES, PROT_READ | PROT_WRITE,
						MAP_SHARED, card, (off_t)dumb.offset);

		if (memory != MAP_FAILED) {
			memory[7] = 0x5a;
			*ret_written = true;
			munmap((void *)memory, SIZE_BYTES);
		}
	}
	close(card);
	return err;
}

static void attack_with_vgem(struct dmabroker_buffer *read_only, struct dmabroker_buffer *whole)
{
	volatile uint8_t *memory = client_mmap(read_only, DMABROKER_CPU_READ);
	uint8_t before = memory[7];
	bool written;
	int err;

	err = import(dmabroker_buffer_get_fd(read_only), &written);
	check(err != 0 && !written && memory[7] == before, "vgem cannot import a read-only share",
	      "it said %s, written %d, 0x%02x was 0x%02x", strerror(err), written, memory[7],
	      before);
	err = import(dmabroker_buffer_get_fd(whole), &written);
	check(err == 0, "vgem imports the read-write share", "%s", strerror(err));
	/* Kernels differ in whether a driver lets an import be mapped; if so, it is this memory. */
	check(memory[7] == (written ? 0x5a : before), "what is written through vgem is there",
	      "written %d, 0x%02x was 0x%02x", written, memory[7], before);
}

static void user2(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *read_only, *whole, *unmapped;
	struct shares shares;

	(void)argument;
	hear(root, &shares, sizeof(shares));
	read_only = client_open(broker, shares.read_only);
	whole = client_open(broker, shares.read_write);
	unmapped = client_open(broker, shares.unmapped);
	attack_with_vivid(read_only, whole, unmapped);
	attack_with_vgem(read_only, whole);
}

static void user1(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffer =
		client_alloc(broker, SIZE_BYTES, DMABROKER_KIND_COHERENT, 0, 0);
	struct dmabroker_buffer *unmapped =
		client_alloc(broker, SIZE_BYTES, DMABROKER_KIND_COHERENT,
			     DMABROKER_ATTR_FORCE_CONTIGUOUS | DMABROKER_ATTR_NO_KERNEL_MAPPING, 0);
	struct shares shares = { .read_only = client_share(buffer, DMABROKER_SHARE_READ_ONLY),
				 .read_write = client_share(buffer, 0),
				 .unmapped = client_share(unmapped, 0) };

	(void)argument;
	say(root, &shares, sizeof(shares));
	await_nod(root);
}

static bool node_is_there(void *userdata)
{
	return access(userdata, F_OK) == 0;
}

static void load(const char *module, char *node)
{
	if (shell("modprobe %s", module) || !within_a_second(node_is_there, node) ||
	    shell("chmod 666 %s", node))
		die("there is no %s after modprobe %s", node, module);
}

void test_import(void)
{
	char video[] = VIDEO, card[] = CARD;
	struct actor *owner, *other;
	struct shares shares;

	load("vivid", video);
	load("vgem", card);
	owner = actor_start("user1", user1, NULL);
	hear(owner, &shares, sizeof(shares));
	other = actor_start("user2", user2, NULL);
	say(other, &shares, sizeof(shares));
	actor_end(other);
	nod(owner);
	actor_end(owner);
}
