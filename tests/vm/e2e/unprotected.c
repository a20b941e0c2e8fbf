// SPDX-License-Identifier: MIT
/*
 * Devices that no IOMMU confines. Without the administrator's word that names the risk nobody but
 * root gets them, although the policy names them; and a device that reaches no memory at all is
 * left out with an explanation, not used wrongly.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>

#include "client.h"

static const struct dmabroker_device_info *
device_info(struct dmabroker *broker, unsigned int device, struct dmabroker_list **ret_list)
{
	struct dmabroker_query_params params = DMABROKER_QUERY_PARAMS_INIT;

	params.type = DMABROKER_QUERY_DEVICES;
	params.name = device_names[device];
	if (dmabroker_query(broker, &params, ret_list) < 0)
		die("asking for %s: %s", device_names[device], last_refusal());
	if (dmabroker_list_count(*ret_list) != 1)
		die("asking for one device gave %zu", dmabroker_list_count(*ret_list));
	return dmabroker_list_device(*ret_list, 0);
}

static void user_is_refused(struct actor *root, const void *argument)
{
	const char *user = argument;
	uint32_t reason = strcmp(user, "user1") == 0 ? DMABROKER_REASON_DEVICE_UNPROTECTED
						     : DMABROKER_REASON_DEVICE_NOT_ALLOWED;
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *plain =
		client_alloc(broker, 64 * KIB, DMABROKER_KIND_COHERENT, 0, 0);
	const struct dmabroker_device_info *info;
	struct dmabroker_mapping *mapping;
	struct dmabroker_buffer *buffer;
	struct dmabroker_list *list;
	char name[128];

	(void)root;
	snprintf(name, sizeof(name), "%s is refused memory for the devices", user);
	check_refused(client_try_alloc(broker, 64 * KIB, DMABROKER_KIND_COHERENT, 0, 2, &buffer),
		      EACCES, reason, name);
	snprintf(name, sizeof(name), "%s is told which device it is", user);
	check(strstr(dmabroker_get_refusal()->text, device_names[0]), name, "%s", last_refusal());
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s is refused a mapping to device %u", user, i);
		check_refused(client_try_map(plain, i, DMABROKER_DIR_BIDIRECTIONAL, &mapping),
			      EACCES, reason, name);
		snprintf(name, sizeof(name), "%s is told that it is device %u", user, i);
		check(strstr(dmabroker_get_refusal()->text, device_names[i]), name, "%s",
		      last_refusal());
		info = device_info(broker, i, &list);
		snprintf(name, sizeof(name), "%s sees device %u, unprotected and not allowed", user,
			 i);
		check(!(info->flags & (DMABROKER_DEVICE_IOMMU | DMABROKER_DEVICE_ALLOWED)), name,
		      "its flags are 0x%x", info->flags);
		dmabroker_list_free(list);
	}
}

void test_refused(void)
{
	restart_broker(NULL);
	actor_end(actor_start("user1", user_is_refused, "user1"));
	actor_end(actor_start("user2", user_is_refused, "user2"));
	check(!bus_master_is_on(0) && !bus_master_is_on(1), "bus mastering stays off",
	      "device 0: %d, device 1: %d", bus_master_is_on(0), bus_master_is_on(1));
	/* Later topics find a broker that was told to take the risk. */
	restart_broker("[policy]\n"
		       "allow-unprotected-devices = yes\n"
		       "[user \"user1\"]\n"
		       "devices = pci:*\n");
}

static void user_uses_what_is_left(struct actor *root, const void *argument)
{
	struct dmabroker *broker = client_connect();
	struct dmabroker_buffer *buffer =
		client_alloc(broker, 64 * KIB, DMABROKER_KIND_COHERENT, 0, 0);
	struct dmabroker_mapping *mapping;
	struct dmabroker_list *list;
	const struct dmabroker_device_info *info = device_info(broker, 0, &list);

	(void)root;
	(void)argument;
	check(!(info->flags & DMABROKER_DEVICE_USABLE) && strlen(info->reason) > 10,
	      "a device that reaches no memory is not usable, and it says why",
	      "flags 0x%x, reason '%s'", info->flags, info->reason);
	dmabroker_list_free(list);
	check_refused(client_try_map(buffer, 0, DMABROKER_DIR_BIDIRECTIONAL, &mapping), ENODEV,
		      DMABROKER_REASON_DEVICE_UNUSABLE, "a mapping to it is refused");
	info = device_info(broker, 1, &list);
	check((info->flags & DMABROKER_DEVICE_USABLE) && !info->reason[0],
	      "the other device is usable", "flags 0x%x, reason '%s'", info->flags, info->reason);
	dmabroker_list_free(list);
	check_done(client_try_map(buffer, 1, DMABROKER_DIR_BIDIRECTIONAL, &mapping),
		   "a mapping to the other one works");
}

/* Lines of the kernel's log: "<LEVEL>[TIME] dmabroker-pci 0000:00:03.0: ..." */
static bool kernel_warned_of(const char *address, char *ret, size_t size)
{
	int bytes = klogctl(10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0);
	char *text = bytes > 0 ? calloc(1, (size_t)bytes + 1) : NULL, *rest = text, *line;
	bool found = false;

	if (!text || klogctl(3 /* SYSLOG_ACTION_READ_ALL */, text, bytes) <= 0)
		die("the kernel's log cannot be read");
	while (!found && (line = strsep(&rest, "\n"))) {
		if (!strstr(line, address) || !strstr(line, "dmabroker"))
			continue;
		snprintf(ret, size, "%s", line);
		found = strncmp(line, "<4>", 3) == 0;
	}
	free(text);
	return found;
}

void test_left_out(void)
{
	char line[400] = "there is no line of it";

	check(kernel_warned_of(device_names[0] + 4, line, sizeof(line)),
	      "the kernel's log warns of the device that is left out", "%s", line);
	restart_broker("[policy]\n"
		       "allow-unprotected-devices = yes\n"
		       "[user \"user1\"]\n"
		       "devices = pci:*\n");
	actor_end(actor_start("user1", user_uses_what_is_left, NULL));
}
