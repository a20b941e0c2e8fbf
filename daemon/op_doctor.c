/* SPDX-License-Identifier: MIT */
/*
 * DOCTOR: which backend and why, who the broker takes you for, what you may and use, each device
 * and why it is or is not for you, and what you were refused lately. Written anew for every page;
 * the cursor is a line number.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/op_list.h"

enum level {
	FINE = 0,
	WORTH_KNOWING = 1,
	IN_THE_WAY = 2,
};

struct report {
	struct request *request;
	struct page page;
	uint64_t skip; /* lines that earlier pages had */
	uint64_t line;
	bool more;
};

__attribute__((format(printf, 3, 4))) static void say(struct report *report, enum level level,
						      const char *format, ...)
{
	struct wire_doctor_line *entry;
	va_list args;

	if (report->line++ < report->skip)
		return;
	entry = page_add(&report->page);
	if (!entry) {
		report->more = true;
		return;
	}
	entry->level = level;
	va_start(args, format);
	vsnprintf(entry->text, sizeof(entry->text), format, args);
	va_end(args);
}

static void say_backend(struct report *report)
{
	const struct broker *broker = report->request->broker;

	if (strcmp(broker->backend->ops->name, "sim") == 0)
		say(report, WORTH_KNOWING,
		    "Chosen: %s. Devices are simulated; no real device is involved.",
		    broker->backend_why);
	else
		say(report, FINE, "Chosen: %s.", broker->backend_why);
	for (const struct backend_ops *const *ops = backend_table(); *ops; ops++) {
		char reason[256] = "";

		if (*ops == broker->backend->ops)
			continue;
		if ((*ops)->probe(reason) < 0)
			say(report, FINE, "Backend %s could not be used: %s.", (*ops)->name,
			    reason);
		else
			say(report, FINE, "Backend %s could be used, too.", (*ops)->name);
	}
}

static void say_who(struct report *report)
{
	const struct connection *connection = report->request->connection;
	const struct credentials *credentials = &connection->credentials;
	char text[UNIT_SIZE + 32];

	if (!credentials->unit[0])
		say(report, FINE, "You are uid %u, pid %d, in no unit of the system manager.",
		    credentials->uid, (int)credentials->pid);
	else
		say(report, FINE, "You are uid %u, pid %d, unit %s%s.", credentials->uid,
		    (int)credentials->pid, credentials->unit,
		    credentials->unit_verified
			    ? ""
			    : " (this kernel does not vouch for it, so it can only restrict)");
	say(report, FINE, "You are charged to the account of %s.",
	    account_text(report->request->client->account, text));
	if (connection->grant.admin)
		say(report, FINE, "You are root: policy lets you use every device.");
	for (unsigned int i = 0; i < connection->grant.nr_rules; i++) {
		static const char *const kinds[] = { "group", "user", "unit" };
		const struct rule *rule = connection->grant.rules[i];

		say(report, FINE, "[%s %s] of the configuration applies to you.", kinds[rule->kind],
		    rule->name);
	}
}

static void say_limit(struct report *report, const char *what, enum quota quota)
{
	const struct client *client = report->request->client;
	uint64_t use = client->account->use.of[quota];
	uint64_t limit = client->limits.of[quota];

	if (limit == QUOTA_UNLIMITED)
		say(report, FINE, "%s: %llu in use, no limit of your own.", what,
		    (unsigned long long)use);
	else
		say(report,
		    use >= limit	    ? IN_THE_WAY
		    : use >= limit / 10 * 9 ? WORTH_KNOWING
					    : FINE,
		    "%s: %llu of %llu in use.", what, (unsigned long long)use,
		    (unsigned long long)limit);
}

static void say_limits(struct report *report)
{
	const struct broker *broker = report->request->broker;
	const struct ledger *ledger = broker->ledger;

	say_limit(report, "Bytes", QUOTA_BYTES);
	say_limit(report, "Contiguous bytes", QUOTA_CONTIGUOUS_BYTES);
	say_limit(report, "Buffers", QUOTA_BUFFERS);
	say_limit(report, "Mappings", QUOTA_MAPPINGS);
	say_limit(report, "Connections", QUOTA_CLIENTS);
	say_limit(report, "Tokens", QUOTA_TOKENS);
	say(report, ledger->bytes >= ledger->bytes_limit / 10 * 9 ? IN_THE_WAY : FINE,
	    "The machine: %llu of %llu bytes in use by all accounts and ready buffers.",
	    (unsigned long long)ledger->bytes, (unsigned long long)ledger->bytes_limit);
	say(report, FINE, "The broker: %u of %u connections, up to %u buffers in one request.",
	    broker->nr_connections, broker->clients_max, broker->fds_max);
}

static void say_device(struct report *report, const struct device *device)
{
	const struct wire_device *info = &device->info;
	enum wire_reason reason = policy_device(&report->request->connection->grant, info);

	if (info->flags & WIRE_DEVICE_SYSTEM)
		return;
	if (!(info->flags & WIRE_DEVICE_USABLE))
		say(report, IN_THE_WAY, "Device %s cannot be used: %s.", info->name, info->reason);
	else if (reason == WIRE_REASON_DEVICE_NOT_ALLOWED)
		say(report, IN_THE_WAY,
		    "Device %s is not for you: no [user], [group] or [unit] section that names you "
		    "has it under \"devices\".",
		    info->name);
	else if (reason == WIRE_REASON_DEVICE_UNPROTECTED)
		say(report, IN_THE_WAY,
		    "Device %s is not for you: %s, so it can reach all memory. With an IOMMU, or "
		    "\"allow-unprotected-devices = yes\" in [policy], it would be.",
		    info->name,
		    info->flags & WIRE_DEVICE_SHARED
			    ? "its IOMMU group holds a device that is not the broker's"
			    : "no IOMMU translates its accesses");
	else if (reason != WIRE_REASON_NONE)
		say(report, IN_THE_WAY, "Device %s is not for you (%s).", info->name,
		    wire_reason_name(reason));
	else
		say(report, FINE, "Device %s is for you: %u address bits, %s, %s.", info->name,
		    info->streaming_mask_bits,
		    info->flags & WIRE_DEVICE_IOMMU ? "behind an IOMMU" : "no IOMMU",
		    info->flags & WIRE_DEVICE_COHERENT ? "coherent" : "not coherent");
}

static void say_refusals(struct report *report)
{
	const struct broker *broker = report->request->broker;
	uint64_t now_mono_ms = broker_now_mono_ms();
	uint32_t uid = report->request->client->uid;

	for (unsigned int i = 1; i <= BROKER_REFUSALS_KEPT; i++) {
		const struct refusal_note *note =
			&broker->refusals[(broker->next_refusal - i) % BROKER_REFUSALS_KEPT];

		if (i > broker->next_refusal || note->uid != uid)
			continue;
		say(report, WORTH_KNOWING, "Refused %llu s ago: %s (%s): %s.",
		    (unsigned long long)(now_mono_ms - note->when_mono_ms) / 1000, note->op,
		    wire_reason_name(note->reason), note->text);
	}
}

enum handled op_DOCTOR(struct request *request)
{
	struct report report = { .request = request };
	const struct device *device;
	struct wire_list list;

	if (!page_begin(&report.page, request, sizeof(struct wire_doctor_line), false, &list))
		return HANDLED;
	report.skip = list.cursor;
	broker_settle(request->broker);
	say_backend(&report);
	say_who(&report);
	say_limits(&report);
	TAILQ_FOREACH(device, &request->broker->ledger->device_list, ledger_link)
	say_device(&report, device);
	if (log_nr_lost())
		say(&report, WORTH_KNOWING, "%llu log messages were lost: the journal was busy.",
		    (unsigned long long)log_nr_lost());
	say_refusals(&report);
	page_send(&report.page, report.more ? list.cursor + report.page.count : 0, report.line);
	return HANDLED;
}
