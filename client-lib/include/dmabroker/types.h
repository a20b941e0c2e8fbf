/* SPDX-License-Identifier: MIT */
/*
 * The words that the other headers share: kinds, directions, attributes, reasons, names in text.
 *
 * What holds for the whole library:
 *
 * - Functions return 0 or a negative errno; what they give back comes last, in ret_ parameters
 *   that are untouched on failure. dmabroker_get_refusal() tells the calling thread why.
 * - Parameters that may grow are structs that start with their own size, initialised with the
 *   macro that bears the struct's name and _INIT. A zeroed field means the default.
 * - Results are opaque objects or const structs that the library allocates. Const structs grow
 *   at the end in later versions: never copy one by value and never make an array of them.
 * - Every call that waits has a form whose name ends in _start; see dmabroker/request.h.
 * - Times are CLOCK_MONOTONIC, units are in the names.
 * - Strings in const structs are printable ASCII and never NULL unless the field says so.
 */
#ifndef DMABROKER_TYPES_H
#define DMABROKER_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DMABROKER_API __attribute__((visibility("default")))

/*
 * Initialise a parameter struct: its size, and nothing else set. C++ gets an expression that
 * does not warn of the fields left out.
 */
#ifdef __cplusplus
#define DMABROKER_PARAMS_INIT(type)                    \
	([]() noexcept {                               \
		struct type params_ = {};              \
		params_.struct_size = sizeof(params_); \
		return params_;                        \
	}())
extern "C" {
#else
#define DMABROKER_PARAMS_INIT(type)                 \
	{                                           \
		.struct_size = sizeof(struct type), \
	}
#endif

/* One connection to the broker. */
struct dmabroker;
/* Memory, held as a file descriptor. */
struct dmabroker_buffer;
/* One buffer as one device sees it. */
struct dmabroker_mapping;
/* An operation under way. */
struct dmabroker_request;
/* The answer to a query. */
struct dmabroker_list;

/** enum dmabroker_kind - what a buffer's memory is */
enum dmabroker_kind {
	DMABROKER_KIND_COHERENT = 1, /* CPU and device agree without any sync */
	DMABROKER_KIND_WRITECOMBINE = 2, /* the same, CPU writes are gathered, CPU reads are slow */
	DMABROKER_KIND_NONCOHERENT = 3, /* cached; ownership moves by sync */
	DMABROKER_KIND_IMPORTED = 4, /* from elsewhere; never asked for */
};

/** enum dmabroker_direction - who writes and who reads */
enum dmabroker_direction {
	DMABROKER_DIR_BIDIRECTIONAL = 0,
	DMABROKER_DIR_TO_DEVICE = 1, /* the device reads */
	DMABROKER_DIR_FROM_DEVICE = 2, /* the device writes */
	DMABROKER_DIR_NONE = 3, /* for debugging: never mappable */
};

/** enum dmabroker_attribute - what the DMA API calls DMA_ATTR_*; a set of bits */
enum dmabroker_attribute {
	DMABROKER_ATTR_FORCE_CONTIGUOUS = 1 << 0, /* physically, whatever the IOMMU could do */
	DMABROKER_ATTR_NO_KERNEL_MAPPING = 1 << 1, /* nobody but user space and devices needs it */
	DMABROKER_ATTR_WEAK_ORDERING = 1 << 2,
	DMABROKER_ATTR_ALLOC_SINGLE_PAGES = 1 << 3, /* never larger pieces */
	DMABROKER_ATTR_NO_WARN = 1 << 4,
	DMABROKER_ATTR_SKIP_CPU_SYNC = 1 << 5, /* of a mapping: the caller syncs through another */
};

/**
 * enum dmabroker_reason - why the broker refused
 *
 * The numbers never change; later versions append. NONE means that no refusal of the broker was
 * the cause but the errno alone says what happened.
 */
enum dmabroker_reason {
	DMABROKER_REASON_NONE = 0,
	DMABROKER_REASON_BAD_ARGUMENT = 1,
	DMABROKER_REASON_UNKNOWN_OP = 2,
	DMABROKER_REASON_UNKNOWN_TAIL = 3,
	DMABROKER_REASON_RESERVED_NOT_ZERO = 4,
	DMABROKER_REASON_WRONG_FD_COUNT = 5,
	DMABROKER_REASON_WRONG_FD_KIND = 6,
	DMABROKER_REASON_HELLO_FIRST = 7,
	DMABROKER_REASON_VERSION = 8,
	DMABROKER_REASON_UNKNOWN_KIND = 9,
	DMABROKER_REASON_UNKNOWN_ATTRIBUTE = 10,
	DMABROKER_REASON_UNKNOWN_DIRECTION = 11,
	DMABROKER_REASON_DIRECTION_NONE = 12,
	DMABROKER_REASON_SIZE = 13,
	DMABROKER_REASON_COUNT = 14,
	DMABROKER_REASON_UNKNOWN_DEVICE = 15,
	DMABROKER_REASON_UNKNOWN_BUFFER = 16,
	DMABROKER_REASON_UNKNOWN_MAPPING = 17,
	DMABROKER_REASON_UNKNOWN_TOKEN = 18,
	DMABROKER_REASON_DEVICE_NOT_ALLOWED = 19,
	DMABROKER_REASON_DEVICE_UNPROTECTED = 20,
	DMABROKER_REASON_DEVICE_UNUSABLE = 21,
	DMABROKER_REASON_DEVICE_SYSTEM = 22,
	DMABROKER_REASON_DEVICE_OF_OTHER_ACCOUNT = 23,
	DMABROKER_REASON_MIXED_COHERENCE = 24,
	DMABROKER_REASON_READ_ONLY = 25,
	DMABROKER_REASON_QUOTA_BYTES = 26,
	DMABROKER_REASON_QUOTA_BUFFERS = 27,
	DMABROKER_REASON_QUOTA_MAPPINGS = 28,
	DMABROKER_REASON_QUOTA_CLIENTS = 29,
	DMABROKER_REASON_QUOTA_FDS = 30,
	DMABROKER_REASON_QUOTA_TOKENS = 31,
	DMABROKER_REASON_MACHINE_TOTAL = 32,
	DMABROKER_REASON_NO_MEMORY = 33,
	DMABROKER_REASON_NO_CONTIGUOUS_MEMORY = 34,
	DMABROKER_REASON_BEYOND_MASK = 35,
	DMABROKER_REASON_DEVICE_ADDRESS_SPACE = 36,
	DMABROKER_REASON_SEGMENTS = 37,
	DMABROKER_REASON_BACKEND_CANNOT = 38,
	DMABROKER_REASON_NOT_ADMINISTRATOR = 39,
	DMABROKER_REASON_NO_FILES = 40,
	DMABROKER_REASON_DEVICE_GONE = 41,
	DMABROKER_REASON_DMA_FAULT = 42,
	DMABROKER_REASON_ACCOUNT_NOT_ALLOWED = 43,
	DMABROKER_REASON_BACKEND_FAILED = 44,
	DMABROKER_REASON_QUOTA_CONTIGUOUS_BYTES = 45,
	DMABROKER_REASON_DEVICE_BUSY = 46,
	DMABROKER_REASON_COMBINATION = 47,
};

/**
 * struct dmabroker_refusal - why a call failed
 * @error:  the errno, positive
 * @reason: enum dmabroker_reason; NONE when the broker refused nothing (no connection, timeout)
 * @limit:  the limit that stood in the way, 0 where there is none
 * @value:  what would have been (for a quota: in use and asked for together), or the bad value
 * @retry:  the same call can succeed later without anybody changing the policy
 * @text:   a sentence: what happened and what to do
 */
struct dmabroker_refusal {
	int error;
	uint32_t reason;
	uint64_t limit;
	uint64_t value;
	bool retry;
	const char *text;
};

/**
 * dmabroker_get_refusal() - why the calling thread's last failed call failed
 *
 * Set by every function of this library that returns a negative errno; successful calls leave it
 * as it is. Before the first failure it holds error 0 and an empty text.
 *
 * Ownership: the library's; valid until the next failing call of the same thread.
 * Blocking:  never.
 * Threads:   each has its own.
 *
 * Return: never NULL.
 * Since: 0.1
 */
DMABROKER_API const struct dmabroker_refusal *dmabroker_get_refusal(void);

/**
 * dmabroker_get_version() - the version of the library that runs
 *
 * Ownership: a string constant.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: such as "0.1.0".
 * Since: 0.1
 */
DMABROKER_API const char *dmabroker_get_version(void);

/**
 * dmabroker_kind_name() - a kind in text
 * @kind: enum dmabroker_kind
 *
 * The same words are used on the command line, in JSON and in log messages. So for the
 * functions that follow.
 *
 * Ownership: a string constant.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: such as "writecombine"; NULL for a number this version does not know.
 * Since: 0.1
 */
DMABROKER_API const char *dmabroker_kind_name(uint32_t kind);

/**
 * dmabroker_direction_name() - a direction in text
 * @direction: enum dmabroker_direction
 *
 * Ownership: a string constant.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: such as "to-device"; NULL for a number this version does not know.
 * Since: 0.1
 */
DMABROKER_API const char *dmabroker_direction_name(uint32_t direction);

/**
 * dmabroker_attribute_name() - an attribute in text
 * @one_bit: one bit of enum dmabroker_attribute
 *
 * Ownership: a string constant.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: such as "force-contiguous"; NULL for a bit this version does not know, for no bit and
 *         for several.
 * Since: 0.1
 */
DMABROKER_API const char *dmabroker_attribute_name(uint64_t one_bit);

/**
 * dmabroker_reason_name() - a reason in text
 * @reason: enum dmabroker_reason
 *
 * Ownership: a string constant.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: such as "quota-bytes"; NULL for a number this version does not know.
 * Since: 0.1
 */
DMABROKER_API const char *dmabroker_reason_name(uint32_t reason);

/**
 * dmabroker_kind_parse() - the kind that a text names
 * @text:     exactly as dmabroker_kind_name() gives it
 * @ret_kind: enum dmabroker_kind
 *
 * Ownership: @text is borrowed for the call.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, or -EINVAL (no kind has that name).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_kind_parse(const char *text, uint32_t *ret_kind);

/**
 * dmabroker_direction_parse() - the direction that a text names
 * @text:          exactly as dmabroker_direction_name() gives it
 * @ret_direction: enum dmabroker_direction
 *
 * Ownership: @text is borrowed for the call.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, or -EINVAL (no direction has that name).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_direction_parse(const char *text, uint32_t *ret_direction);

/**
 * dmabroker_attribute_parse() - the attribute that a text names
 * @text:    exactly as dmabroker_attribute_name() gives it
 * @ret_bit: one bit of enum dmabroker_attribute
 *
 * Ownership: @text is borrowed for the call.
 * Blocking:  never.
 * Threads:   any.
 *
 * Return: 0, or -EINVAL (no attribute has that name).
 * Since: 0.1
 */
DMABROKER_API int dmabroker_attribute_parse(const char *text, uint64_t *ret_bit);

#ifdef __cplusplus
}
#endif

#endif /* DMABROKER_TYPES_H */
