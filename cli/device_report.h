/* SPDX-License-Identifier: MIT */
/* What came of "device ...". */
#ifndef CLI_DEVICE_REPORT_H
#define CLI_DEVICE_REPORT_H

#include "cli/cli.h"
#include "cli/pci.h"

/*
 * Prints what the stub says of the device now; @previous is the driver it was taken from, "" for
 * none, NULL if that is no question. An exit status: refused if it cannot be used like this.
 */
int device_report(const struct cli *cli, struct pci *pci, const char *what, const char *previous);

void device_report_unbound(const struct cli *cli, const struct pci *pci, const char *driver,
			   bool reprobed);
void device_report_released(const struct cli *cli, const struct pci *pci);

#endif /* CLI_DEVICE_REPORT_H */
