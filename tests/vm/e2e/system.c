// SPDX-License-Identifier: MIT
/* The machine as root sees it: files, commands, the broker's process, the devices' registers. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "e2e.h"

#define BROKER_PIDFILE "/run/dmabrokerd.pid"
#define RESTART_BROKER "/usr/libexec/dmabroker/tests/restart-broker"
#define CONFIG_FILE    "/etc/dmabroker/e2e.conf"

uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void sleep_us(uint64_t us)
{
	const struct timespec pause = { .tv_sec = (time_t)(us / 1000000),
					.tv_nsec = (long)(us % 1000000) * 1000 };

	nanosleep(&pause, NULL);
}

bool within_a_second(bool (*condition)(void *), void *userdata)
{
	uint64_t end = now_us() + 1000000;

	do {
		if (condition(userdata))
			return true;
		sleep_us(10000);
	} while (now_us() < end);
	return condition(userdata);
}

ssize_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	ssize_t n = 0;

	text[0] = '\0';
	if (fd < 0)
		return -errno;
	while (done < size - 1 && (n = read(fd, text + done, size - 1 - done)) > 0)
		done += (size_t)n;
	if (n < 0)
		n = -errno;
	close(fd);
	text[done] = '\0';
	return n < 0 ? n : (ssize_t)done;
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err = errno ? -errno : -EIO;
	close(fd);
	return err;
}

int shell(const char *format, ...)
{
	char command[1000];
	va_list args;
	int n = snprintf(command, sizeof(command), "exec 1>&2; "), status;

	va_start(args, format);
	vsnprintf(command + n, sizeof(command) - (size_t)n, format, args);
	va_end(args);
	status = system(command);
	return status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int shell_output(char *text, size_t size, const char *format, ...)
{
	char command[1000];
	size_t length = 0;
	va_list args;
	FILE *pipe;
	int c, status;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	pipe = popen(command, "re");
	if (!pipe)
		die("popen: %s", strerror(errno));
	while ((c = getc(pipe)) != EOF)
		if (!isspace(c) && length < size - 1)
			text[length++] = (char)c;
	text[length] = '\0';
	status = pclose(pipe);
	if (length == size - 1)
		die("the output of '%s' is too long for this test", command);
	return status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

unsigned int count_substrings(const char *text, const char *what)
{
	unsigned int count = 0;

	for (text = strstr(text, what); text; text = strstr(text + 1, what))
		count++;
	return count;
}

bool filled_with(const volatile void *memory, uint8_t value, size_t size)
{
	const volatile uint8_t *byte = memory;

	for (size_t i = 0; i < size; i++)
		if (byte[i] != value)
			return false;
	return true;
}

void restart_broker(const char *config)
{
	const char *argument = "";

	if (config) {
		int err = write_file(CONFIG_FILE, config);

		if (err < 0)
			die("writing " CONFIG_FILE ": %s", strerror(-err));
		argument = CONFIG_FILE;
	}
	if (shell(RESTART_BROKER " %s", argument))
		die("the broker could not be restarted");
}

pid_t broker_pid(void)
{
	char text[32];

	if (read_file(BROKER_PIDFILE, text, sizeof(text)) <= 0)
		die("no " BROKER_PIDFILE);
	return (pid_t)atoi(text);
}

static bool process_is_gone(void *userdata)
{
	return kill(*(pid_t *)userdata, 0) < 0 && errno == ESRCH;
}

void stop_broker(void)
{
	pid_t pid = broker_pid();

	if (kill(pid, SIGTERM))
		die("the broker is not there to be stopped");
	for (int s = 0; s < 10; s++)
		if (within_a_second(process_is_gone, &pid)) {
			unlink(BROKER_PIDFILE);
			return;
		}
	die("the broker does not end on SIGTERM");
}

unsigned int broker_fds(void)
{
	char path[64];
	unsigned int count = 0;
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", broker_pid());
	dir = opendir(path);
	if (!dir)
		die("%s: %s", path, strerror(errno));
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

void give_registers(const char *user)
{
	for (size_t i = 0; i < ARRAY_LENGTH(device_names); i++)
		if (shell("chown %s /sys/bus/pci/devices/%s/resource0", user, device_names[i] + 4))
			die("giving the registers of %s to %s", device_names[i], user);
}

/* As the device itself has it. */
bool bus_master_is_on(unsigned int device)
{
	char path[128];
	uint16_t command = 0;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", device_names[device] + 4);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, &command, sizeof(command), 4) != sizeof(command))
		die("%s: %s", path, strerror(errno));
	close(fd);
	return command & 4;
}
