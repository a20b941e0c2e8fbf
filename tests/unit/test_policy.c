/* SPDX-License-Identifier: MIT */
/* Credentials to account, limits and devices; and which unit a cgroup path really means. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/policy.h"

static struct config *config;

static void setup(void)
{
	static const char text[] = "[limits]\nbytes = 10M\nbuffers = 10\n"
				   "[group 44]\nbytes = 20M\ndevices = platform:*\n"
				   "[user 1000]\nbytes = 30M\ndevices = pci:0000:00:0?.0\n"
				   "[unit cam.service]\nbytes = 5M\nbuffers = 99\n"
				   "devices = pci:0001:*\n";
	FILE *file = fmemopen((void *)(uintptr_t)text, sizeof(text) - 1, "r");
	char error[512];

	log_open(LOG_ERR);
	ck_assert_int_eq(config_new(&config), 0);
	ck_assert_msg(config_read(config, file, "test.conf", error) == 0, "%s", error);
	fclose(file);
}

static void teardown(void)
{
	config_free(config);
}

static struct grant grant_for(uid_t uid, gid_t group, const char *unit, bool verified)
{
	struct credentials credentials = {
		.uid = uid, .groups = &group, .nr_groups = 1, .unit_verified = verified
	};
	struct grant grant;

	snprintf(credentials.unit, sizeof(credentials.unit), "%s", unit);
	policy_grant(config, &credentials, &grant);
	return grant;
}

static enum wire_reason device(const struct grant *grant, const char *name, uint32_t flags)
{
	struct wire_device info = { .flags = flags | WIRE_DEVICE_USABLE };

	snprintf(info.name, sizeof(info.name), "%s", name);
	snprintf(info.bus, sizeof(info.bus), "%.*s", (int)strcspn(name, ":"), name);
	return policy_device(grant, &info);
}

START_TEST(limits_by_precedence)
{
	struct grant grant;

	grant = grant_for(1005, 7, "", true);
	ck_assert_uint_eq(grant.limits.of[QUOTA_BYTES], 10 << 20);
	grant = grant_for(1005, 44, "", true);
	ck_assert_uint_eq(grant.limits.of[QUOTA_BYTES], 20 << 20);
	grant = grant_for(1000, 44, "", true);
	ck_assert_uint_eq(grant.limits.of[QUOTA_BYTES], 30 << 20);
	ck_assert_uint_eq(grant.limits.of[QUOTA_BUFFERS], 10);
	grant = grant_for(1000, 44, "cam.service", true);
	ck_assert_uint_eq(grant.limits.of[QUOTA_BYTES], 5 << 20);
	ck_assert_uint_eq(grant.limits.of[QUOTA_BUFFERS], 99);
}
END_TEST

/* A unit that nobody vouches for takes away, and gives nothing. */
START_TEST(unverified_unit_restricts)
{
	struct grant grant = grant_for(1000, 7, "cam.service", false);

	ck_assert_uint_eq(grant.limits.of[QUOTA_BYTES], 5 << 20);
	ck_assert_uint_eq(grant.limits.of[QUOTA_BUFFERS], 10);
	ck_assert_str_eq(grant.account_unit, "");
	ck_assert_int_eq(device(&grant, "pci:0001:00:00.0", WIRE_DEVICE_IOMMU),
			 WIRE_REASON_DEVICE_NOT_ALLOWED);
	grant = grant_for(1000, 7, "cam.service", true);
	ck_assert_str_eq(grant.account_unit, "cam.service");
	ck_assert_int_eq(device(&grant, "pci:0001:00:00.0", WIRE_DEVICE_IOMMU), WIRE_REASON_NONE);
}
END_TEST

START_TEST(accounts)
{
	static const struct {
		uid_t uid;
		const char *unit;
		bool verified, allowed;
		uint32_t account_uid;
		const char *account_unit;
	} cases[] = {
		{ 0, "", true, true, 0, "" },
		{ 33, "web.service", true, true, 33, "web.service" },
		{ 1000, "user-1000.slice", true, true, 1000, "user-1000.slice" },
		{ 60000, "", false, true, 60000, "" },
		/* One of 65536 uids that a user has: all of them are the unit's. */
		{ 100005, "user-1000.slice", true, true, UID_OF_UNIT, "user-1000.slice" },
		{ 61184, "dynamic.service", true, true, UID_OF_UNIT, "dynamic.service" },
		{ 100005, "user-1000.slice", false, false, UID_OF_UNIT, "" },
		{ 65534, "", true, false, UID_OF_UNIT, "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct grant grant = grant_for(cases[i].uid, 7, cases[i].unit, cases[i].verified);

		ck_assert_int_eq(grant.allowed, cases[i].allowed);
		ck_assert_uint_eq(grant.account_uid, cases[i].account_uid);
		ck_assert_str_eq(grant.account_unit, cases[i].account_unit);
		ck_assert_int_eq(grant.admin, cases[i].uid == 0);
	}
}
END_TEST

START_TEST(devices)
{
	struct grant grant = grant_for(1000, 7, "", true);

	ck_assert_int_eq(device(&grant, "pci:0000:00:03.0", WIRE_DEVICE_IOMMU), WIRE_REASON_NONE);
	ck_assert_int_eq(device(&grant, "pci:0000:00:13.0", WIRE_DEVICE_IOMMU),
			 WIRE_REASON_DEVICE_NOT_ALLOWED);
	ck_assert_int_eq(device(&grant, "platform:x", WIRE_DEVICE_IOMMU),
			 WIRE_REASON_DEVICE_NOT_ALLOWED);
	ck_assert_int_eq(device(&grant, "pci:0000:00:03.0", 0), WIRE_REASON_DEVICE_UNPROTECTED);
	ck_assert_int_eq(device(&grant, "pci:0000:00:03.0", WIRE_DEVICE_IOMMU | WIRE_DEVICE_SHARED),
			 WIRE_REASON_DEVICE_UNPROTECTED);
	ck_assert_int_eq(device(&grant, "sim:0", 0), WIRE_REASON_NONE);
	ck_assert_int_eq(device(&grant, "system", WIRE_DEVICE_SYSTEM), WIRE_REASON_NONE);
	grant = grant_for(1005, 7, "", true);
	ck_assert_int_eq(device(&grant, "pci:0000:00:03.0", WIRE_DEVICE_IOMMU),
			 WIRE_REASON_DEVICE_NOT_ALLOWED);
	grant = grant_for(0, 0, "", true);
	ck_assert_int_eq(device(&grant, "pci:0000:00:13.0", 0), WIRE_REASON_NONE);
	config->allow_unprotected_devices = true;
	grant = grant_for(1000, 7, "", true);
	ck_assert_int_eq(device(&grant, "pci:0000:00:03.0", 0), WIRE_REASON_NONE);
	/* The risk is accepted for what is listed, not for everything. */
	ck_assert_int_eq(device(&grant, "pci:0000:00:13.0", 0), WIRE_REASON_DEVICE_NOT_ALLOWED);
}
END_TEST

static const struct {
	const char *text;
	const char *unit;
} cgroups[] = {
	{ "0::/system.slice/camera.service\n", "camera.service" },
	{ "0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service" },
	{ "0::/system.slice/camera.service/payload\n", "camera.service" },
	{ "0::/user.slice/user-1000.slice/session-3.scope\n", "user-1000.slice" },
	/* A user's own manager can run anything by any name. */
	{ "0::/user.slice/user-1000.slice/user@1000.service/app.slice/camera.service\n",
	  "user-1000.slice" },
	/* A container's inside is nobody's system unit. */
	{ "0::/machine.slice/machine-x.scope/payload/system.slice/camera.service\n",
	  "machine-x.scope" },
	{ "0::/system.slice/docker-0123.scope/system.slice/camera.service\n", "docker-0123.scope" },
	{ "0::/docker/0123/system.slice/camera.service\n", "" },
	{ "0::/init.scope\n", "init.scope" },
	{ "0::/system.slice/_x.service\n", "x.service" },
	{ "0::/\n", "" },
	{ "0::/../system.slice/camera.service\n", "" },
	{ "0::/user.slice\n", "" },
	{ "0::/user.slice/user-x.slice/camera.service\n", "camera.service" },
	{ "0::/a.slice/user.slice/user-1000.slice/b.service\n", "b.service" },
	{ "0::/system.slice/bad\tname.service\n", "" },
	{ "12:pids:/x\n1:name=systemd:/system.slice/old.service\n0::/\n", "old.service" },
	{ "12:pids:/system.slice/wrong.service\n", "" },
	{ "0::/\n5:cpu:/x\n", "" },
	{ "", "" },
	{ "0::", "" },
	{ "\n\n:::", "" },
};

START_TEST(cgroup)
{
	char unit[UNIT_SIZE];

	credentials_parse_cgroup(cgroups[_i].text, unit);
	ck_assert_str_eq(unit, cgroups[_i].unit);
}
END_TEST

/* Long names are shortened, and stay different. */
START_TEST(long_units)
{
	char path[300] = "0::/system.slice/", a[UNIT_SIZE], b[UNIT_SIZE];
	size_t start = strlen(path);

	memset(path + start, 'n', 200);
	strcpy(path + start + 200, ".service\n");
	credentials_parse_cgroup(path, a);
	path[start + 150] = 'm';
	credentials_parse_cgroup(path, b);
	ck_assert_uint_eq(strlen(a), UNIT_SIZE - 1);
	ck_assert_uint_eq(strlen(b), UNIT_SIZE - 1);
	ck_assert_str_ne(a, b);
}
END_TEST

START_TEST(real_peer)
{
	struct credentials credentials;
	int sockets[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	ck_assert_int_eq(credentials_read(sockets[0], &credentials), 0);
	ck_assert_uint_eq(credentials.uid, geteuid());
	ck_assert_int_eq(credentials.pid, getpid());
	ck_assert_uint_ge(credentials.nr_groups, 1);
	ck_assert_uint_eq(credentials.groups[0], getegid());
	credentials_fini(&credentials);
	close(sockets[0]);
	close(sockets[1]);
}
END_TEST

/* Its pid may be somebody else's by now, so a peer that is gone has no unit. */
START_TEST(dead_peer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t bytes = sizeof(sa_family_t); /* the kernel finds a name */
	int listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct credentials credentials;
	pid_t child;
	int sock;

	ck_assert_int_eq(bind(listening, (struct sockaddr *)&address, bytes), 0);
	bytes = sizeof(address);
	ck_assert_int_eq(getsockname(listening, (struct sockaddr *)&address, &bytes), 0);
	ck_assert_int_eq(listen(listening, 1), 0);
	child = fork();
	if (child == 0) {
		sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		_exit(connect(sock, (struct sockaddr *)&address, bytes) < 0);
	}
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	sock = accept(listening, NULL, NULL);
	ck_assert_int_ge(sock, 0);
	ck_assert_int_eq(credentials_read(sock, &credentials), 0);
	ck_assert_int_eq(credentials.pid, child);
	ck_assert_str_eq(credentials.unit, "");
	ck_assert(!credentials.unit_verified);
	credentials_fini(&credentials);
	close(sock);
	close(listening);
	ck_assert_int_eq(credentials_read(-1, &credentials), -EBADF);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policy");
	TCase *tcase = tcase_create("policy");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, limits_by_precedence);
	tcase_add_test(tcase, unverified_unit_restricts);
	tcase_add_test(tcase, accounts);
	tcase_add_test(tcase, devices);
	tcase_add_loop_test(tcase, cgroup, 0, sizeof(cgroups) / sizeof(cgroups[0]));
	tcase_add_test(tcase, long_units);
	tcase_add_test(tcase, real_peer);
	tcase_add_test(tcase, dead_peer);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
