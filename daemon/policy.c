/* SPDX-License-Identifier: MIT */
/*
 * Policy: the configuration applied to credentials, once per connection.
 *
 * Limits come from [limits], then from the sections that name one of the peer's groups, its uid,
 * its unit, in that order; what a later one says replaces what an earlier one said. Devices add
 * up. A unit that the kernel does not vouch for can only take away: its limits count where they
 * are lower, and its devices do not count.
 *
 * Accounts. Root, system users and regular users have one per unit. Any other uid (a container's
 * subordinate uids, which one user can have 65536 of; a service's dynamic uid) belongs to the
 * account of its unit, all of the unit's uids together; without a unit that the kernel vouches
 * for it gets nothing, because a name nobody stands behind would be quota for the asking. Where
 * units are not vouched for, a uid has one account whatever its unit seems to be. A peer that
 * evades the question gets nothing: it would have an account more, and no unit's limits.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "daemon/policy.h"

static bool rule_matches(const struct rule *rule, const struct credentials *credentials)
{
	if (!rule->known)
		return false;
	switch (rule->kind) {
	case RULE_USER:
		return rule->id == credentials->uid;
	case RULE_UNIT:
		return credentials->unit[0] && strcmp(rule->name, credentials->unit) == 0;
	case RULE_GROUP:
		for (size_t i = 0; i < credentials->nr_groups; i++)
			if (rule->id == credentials->groups[i])
				return true;
		return false;
	}
	return false;
}

static void apply(const struct rule *rule, bool restrict_only, struct grant *grant)
{
	for (unsigned int i = 0; i < NR_QUOTAS; i++) {
		if (!(rule->set & (1u << i)))
			continue;
		if (!restrict_only || rule->limits.of[i] < grant->limits.of[i])
			grant->limits.of[i] = rule->limits.of[i];
	}
	if (!restrict_only && grant->nr_rules < POLICY_RULES_MAX)
		grant->rules[grant->nr_rules++] = rule;
}

void policy_grant(const struct config *config, const struct credentials *credentials,
		  struct grant *ret)
{
	bool own = credentials->uid < 1000 || (credentials->uid >= config->regular_uid_min &&
					       credentials->uid <= config->regular_uid_max);
	static const enum rule_kind order[] = { RULE_GROUP, RULE_USER, RULE_UNIT };
	struct grant grant = {
		.admin = credentials->uid == 0,
		.allow_unprotected_devices = config->allow_unprotected_devices,
		.account_uid = own ? credentials->uid : UID_OF_UNIT,
		.limits = config->limits,
	};

	if (credentials->unit_verified)
		snprintf(grant.account_unit, sizeof(grant.account_unit), "%s", credentials->unit);
	grant.allowed = !credentials->evasive && (own || grant.account_unit[0]);

	/* Whoever can take all memory anyway need not be counted out; the machine's total stays. */
	if (grant.admin) {
		grant.limits.of[QUOTA_BYTES] = QUOTA_UNLIMITED;
		grant.limits.of[QUOTA_CONTIGUOUS_BYTES] = QUOTA_UNLIMITED;
		grant.limits.of[QUOTA_BUFFERS] = QUOTA_UNLIMITED;
		grant.limits.of[QUOTA_MAPPINGS] = QUOTA_UNLIMITED;
	}
	for (size_t k = 0; k < sizeof(order) / sizeof(order[0]); k++)
		for (unsigned int i = 0; i < config->nr_rules; i++)
			if (config->rules[i].kind == order[k] &&
			    rule_matches(&config->rules[i], credentials))
				apply(&config->rules[i],
				      order[k] == RULE_UNIT && !credentials->unit_verified, &grant);
	*ret = grant;
}

static bool named(const struct grant *grant, const char *device)
{
	for (unsigned int i = 0; i < grant->nr_rules; i++)
		for (unsigned int j = 0; j < grant->rules[i]->nr_devices; j++)
			if (fnmatch(grant->rules[i]->devices[j], device, FNM_NOESCAPE) == 0)
				return true;
	return false;
}

/*
 * Simulated devices reach nothing real, so they are everybody's. A device whose accesses no IOMMU
 * translates, or whose IOMMU group holds a device that somebody else drives, can reach memory
 * that was never mapped for it: it stays with root unless the administrator wrote otherwise.
 */
enum wire_reason policy_device(const struct grant *grant, const struct wire_device *device)
{
	bool protected = (device->flags & WIRE_DEVICE_IOMMU) &&
			 !(device->flags & WIRE_DEVICE_SHARED);

	if (!grant->allowed)
		return WIRE_REASON_ACCOUNT_NOT_ALLOWED;
	if ((device->flags & WIRE_DEVICE_SYSTEM) || grant->admin || strcmp(device->bus, "sim") == 0)
		return WIRE_REASON_NONE;
	if (!named(grant, device->name))
		return WIRE_REASON_DEVICE_NOT_ALLOWED;
	if (!protected && !grant->allow_unprotected_devices)
		return WIRE_REASON_DEVICE_UNPROTECTED;
	return WIRE_REASON_NONE;
}
