/* SPDX-License-Identifier: MIT */
/*
 * What came of "device ...", as text or JSON.
 *
 * A device whose true mask does not work on this machine stays bound, because that mask is what it
 * has: listings show it with the reason, and it is of no use to anybody. For the exit status that
 * is a refusal.
 */
#include <stdio.h>

#include "cli/device_report.h"
#include "cli/json.h"

static struct json_object *device_json(const struct pci *pci)
{
	struct json_object *object = json_new_object();
	char name[4 + PCI_ADDRESS_BYTES];

	snprintf(name, sizeof(name), "pci:%s", pci->address);
	json_add_text(object, "device", name);
	return object;
}

static void print_state(const struct pci *pci, const struct pci_state *state, const char *what,
			const char *previous)
{
	printf("pci:%s: %s", pci->address, what);
	if (previous && previous[0])
		printf(" (taken from %s)", previous);
	printf(", mask %u bits, coherent mask %u bits\n", state->streaming_mask_bits,
	       state->coherent_mask_bits);
}

static void print_state_json(const struct pci *pci, const struct pci_state *state,
			     const char *previous)
{
	struct json_object *object = device_json(pci);

	if (previous)
		json_add_text(object, "previous_driver", previous[0] ? previous : NULL);
	json_add_number(object, "streaming_mask_bits", state->streaming_mask_bits);
	json_add_number(object, "coherent_mask_bits", state->coherent_mask_bits);
	json_add_bool(object, "usable", !state->reason[0]);
	json_add_text(object, "reason", state->reason);
	json_print(object);
}

int device_report(const struct cli *cli, struct pci *pci, const char *what, const char *previous)
{
	struct pci_state state;

	if (pci_state(pci, &state) < 0) {
		complain("%s", pci->problem);
		return STATUS_REFUSED;
	}
	if (cli->json)
		print_state_json(pci, &state, previous);
	else
		print_state(pci, &state, what, previous);
	if (!state.reason[0])
		return STATUS_DONE;
	complain("pci:%s is bound but cannot be used: %s; 'dmabrokerctl device set-mask' gives it "
		 "another mask, 'device unbind' gives it back",
		 pci->address, state.reason);
	return STATUS_REFUSED;
}

void device_report_unbound(const struct cli *cli, const struct pci *pci, const char *driver,
			   bool reprobed)
{
	if (cli->json) {
		struct json_object *object = device_json(pci);

		json_add_text(object, "driver", driver[0] ? driver : NULL);
		json_print(object);
	} else if (driver[0]) {
		printf("pci:%s: unbound, driven by %s now\n", pci->address, driver);
	} else {
		printf("pci:%s: unbound, %s\n", pci->address,
		       reprobed ? "no other driver wants it" : "it has no driver now");
	}
}

void device_report_released(const struct cli *cli, const struct pci *pci)
{
	if (cli->json)
		json_print(device_json(pci));
	else
		printf("pci:%s: released, any account may have it next\n", pci->address);
}
