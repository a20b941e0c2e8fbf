/* SPDX-License-Identifier: MIT */
/* Who may what: the configuration applied to one peer's credentials. */
#ifndef DMABROKER_POLICY_H
#define DMABROKER_POLICY_H

#include "daemon/config.h"
#include "daemon/credentials.h"

#define POLICY_RULES_MAX 32

/**
 * struct grant - what one peer may, decided when it connects
 * @allowed:     it may use the broker at all
 * @admin:       uid 0: sees everything, and policy never stands between it and a device
 * @account_uid: whom it is charged to, together with
 * @account_unit: the unit of the account
 * @limits:      what the account may come to on its behalf
 * @rules:       sections of the configuration that name it; borrowed
 */
struct grant {
	bool allowed;
	bool admin;
	bool allow_unprotected_devices;
	uint32_t account_uid;
	char account_unit[UNIT_SIZE];
	struct amounts limits;
	const struct rule *rules[POLICY_RULES_MAX];
	unsigned int nr_rules;
};

void policy_grant(const struct config *config, const struct credentials *credentials,
		  struct grant *ret);

/* WIRE_REASON_NONE, or why this peer may not map to this device. */
enum wire_reason policy_device(const struct grant *grant, const struct wire_device *device);

#endif /* DMABROKER_POLICY_H */
