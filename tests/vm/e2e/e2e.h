/* SPDX-License-Identifier: MIT */
/*
 * End-to-end tests: what users get from the daemon and the library on a real kernel. Runs as root
 * in a test machine, and as user1 and user2 in processes of its own. Each topic is a file or two.
 *
 * The program never includes the module's ABI and the public headers in the same file: they name
 * the same things. helper.c is the only one that talks to /dev/dmabroker.
 */
#ifndef TESTS_VM_E2E_H
#define TESTS_VM_E2E_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define KIB		1024ull
#define MIB		(1024ull * 1024)
#define PAGE		4096u

/* What the machine is: from the command line, so that the project cannot excuse itself. */
struct machine {
	bool iommu; /* devices are behind an IOMMU that translates */
	bool coherent; /* devices snoop the CPU's caches */
	bool cma;
	unsigned int bits[2]; /* address bits of the two edu devices */
};
extern struct machine machine;

/* The two edu devices; the first is the narrow one. */
extern const char *const device_names[2];

/*
 * One check: what is true, and what was seen if it is not. Counts across all processes of the
 * test. Returns @ok.
 */
bool check(bool ok, const char *name, const char *seen, ...) __attribute__((format(printf, 3, 4)));
/* Without what the tests cannot go on: a failed check, and the process ends. */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* The calling process's shared counter of failed checks. */
unsigned int failed_checks(void);

uint64_t now_us(void);
void sleep_us(uint64_t us);
/* Repeats @condition for a second; true as soon as it holds. */
bool within_a_second(bool (*condition)(void *), void *userdata);

/* The first @size - 1 bytes of a file, NUL-terminated; -errno. */
ssize_t read_file(const char *path, char *text, size_t size);
int write_file(const char *path, const char *text);
/* A shell command's exit status; its output goes to the test's standard error. */
int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Its standard output with all white space removed, and its exit status. */
int shell_output(char *text, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
unsigned int count_substrings(const char *text, const char *what);

bool filled_with(const volatile void *memory, uint8_t value, size_t size);

/*
 * A process of its own, as root, user1 or user2, that runs a function and ends. What the two ends
 * say() to each other are messages; hear() waits for one of exactly that size, and dies after a
 * minute.
 */
struct actor {
	pid_t pid;
	int fd;
};
struct actor *actor_start(const char *user, void (*run)(struct actor *self, const void *argument),
			  const void *argument);
void say(struct actor *other, const void *message, size_t size);
void hear(struct actor *other, void *message, size_t size);
/* One byte, for "I am there", "go on". */
void nod(struct actor *other);
void await_nod(struct actor *other);
/* Something of the other's is there to be heard. */
bool has_spoken(struct actor *other);
/* Waits for its end; a bad end is a failed check. */
void actor_end(struct actor *actor);
void actor_kill(struct actor *actor);

uid_t user_id(const char *user);

/* The broker, started anew with this text as its configuration. NULL: the machine's own. */
void restart_broker(const char *config);
void stop_broker(void);
pid_t broker_pid(void);
/* How many files it has open. */
unsigned int broker_fds(void);

/* The registers of both devices belong to @user from now on, as an administrator would do it. */
void give_registers(const char *user);
bool bus_master_is_on(unsigned int device);

/* The helper's own lists, past the daemon. */
bool helper_has_buffer(uint64_t id);
unsigned int helper_count_buffers(void);
unsigned int helper_count_mappings(uint64_t buffer_id);
unsigned int helper_count_all_mappings(void);

void test_copy(void);
void test_trace(void);
void test_refused(void);
void test_left_out(void);
void test_one_segment(void);
void test_zero(void);
void test_full(void);
void test_kill(void);
void test_charge(void);
void test_guess(void);
void test_read_only(void);
void test_import(void);
void test_suite(void);
void test_suite_short(void);
void test_library(void);
void test_unread(void);
void test_race(void);
void test_unbind(void);
void test_unload(void);

#endif
