/* SPDX-License-Identifier: MIT */
/* One PCI device below /sys: giving it to the broker's stub, and what the stub can be told. */
#ifndef CLI_PCI_H
#define CLI_PCI_H

#include "cli/sysfs.h"

#define PCI_ADDRESS_BYTES 13 /* "0000:00:03.0" */
#define PCI_PROBLEM_BYTES 400

/**
 * struct pci - a device
 * @sysfs:   borrowed
 * @address: as the kernel writes it
 * @override: what pci_bind() found in its driver_override, as it is written back
 * @problem: after a failure: what happened and what to do
 */
struct pci {
	const struct sysfs *sysfs;
	char override[SYSFS_TEXT_BYTES];
	char address[PCI_ADDRESS_BYTES];
	char problem[PCI_PROBLEM_BYTES];
};

/**
 * struct pci_state - what the stub driver says of a device
 * @streaming_mask_bits: address bits in mappings
 * @coherent_mask_bits:  address bits for coherent memory
 * @reason:              why it cannot be used with them, empty if it can
 */
struct pci_state {
	unsigned int streaming_mask_bits;
	unsigned int coherent_mask_bits;
	char reason[SYSFS_TEXT_BYTES];
};

/* "pci:0000:00:03.0" or without "pci:", digits in either case. 0 or -EINVAL. */
int pci_parse(const char *text, char ret_address[static PCI_ADDRESS_BYTES]);

/*
 * The functions below return 0 or -errno with @pci->problem filled.
 */

/* -ENODEV if there is no such device. */
int pci_init(struct pci *pci, const struct sysfs *sysfs, const char *address);

/* The driver it has; empty for none. */
int pci_driver(struct pci *pci, char ret[static SYSFS_TEXT_BYTES]);

/* Has the stub got it. -ENXIO if not. */
int pci_want_stub(struct pci *pci);

/* Vendor and model. */
int pci_id(struct pci *pci, unsigned int *ret_vendor, unsigned int *ret_model);

/* From @previous ("" for none) to the stub. When it fails, @previous has it back. */
int pci_bind(struct pci *pci, const char *previous);

/* Back from a pci_bind() that worked: to how it was before. @pci->problem stays, and may grow. */
void pci_undo_bind(struct pci *pci, const char *previous);

/* From the stub to no driver, or with @reprobe to any that wants it. */
int pci_unbind(struct pci *pci, bool reprobe);

/* Sets the masks that are not 0; both or none. -EBUSY while it has mappings. */
int pci_set_masks(struct pci *pci, unsigned int streaming_bits, unsigned int coherent_bits);

int pci_state(struct pci *pci, struct pci_state *ret);

/* Whichever account used it last, the next one may. -EBUSY while it has mappings. */
int pci_release(struct pci *pci);

#endif /* CLI_PCI_H */
