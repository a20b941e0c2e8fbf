/* SPDX-License-Identifier: GPL-2.0 */
/* The stub driver for PCI devices; see pci.c. */
#ifndef DMABROKER_PCI_H
#define DMABROKER_PCI_H

#ifdef CONFIG_PCI
int dmab_pci_init(void);
void dmab_pci_fini(void);
#else
static inline int dmab_pci_init(void)
{
	return 0;
}

static inline void dmab_pci_fini(void)
{
}
#endif

#endif /* DMABROKER_PCI_H */
