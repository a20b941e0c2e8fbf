/* SPDX-License-Identifier: MIT */
/*
 * Giving a PCI device to the broker's stub driver, and taking it back.
 *
 * The stub has no table of ids. A device gets it by the name in its driver_override, which also
 * keeps every other driver away; then the bus is told to look for a driver. What the bus found is read
 * from the device's "driver" link, since the write that starts the search succeeds whatever comes
 * of it. A step that fails takes back the steps before it, so that a device is never left with no
 * driver because of a broker that it did not get.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/pci.h"

#define PATH_BYTES 128

__attribute__((format(printf, 3, 4))) static int fail(struct pci *pci, int error,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(pci->problem, sizeof(pci->problem), format, args);
	va_end(args);
	return error;
}

/* An attribute of the device. */
static const char *attribute(const struct pci *pci, const char *name, char ret[static PATH_BYTES])
{
	snprintf(ret, PATH_BYTES, "bus/pci/devices/%s/%s", pci->address, name);
	return ret;
}

static int read_attribute(struct pci *pci, const char *name, char ret[static SYSFS_TEXT_BYTES])
{
	char path[PATH_BYTES];
	int r = sysfs_read(pci->sysfs, attribute(pci, name, path), ret);

	if (r < 0)
		return fail(pci, r, "pci:%s: cannot read its %s: %s", pci->address, name,
			    strerror(-r));
	return 0;
}

static int write_attribute(struct pci *pci, const char *name, const char *text)
{
	char path[PATH_BYTES];
	int r = sysfs_write(pci->sysfs, attribute(pci, name, path), text);

	if (r == -EACCES || r == -EPERM)
		return fail(pci, r, "pci:%s: writing its %s needs root: %s", pci->address, name,
			    strerror(-r));
	if (r < 0)
		return fail(pci, r, "pci:%s: cannot write its %s: %s", pci->address, name,
			    strerror(-r));
	return 0;
}

int pci_parse(const char *text, char ret_address[static PCI_ADDRESS_BYTES])
{
	static const char shape[] = "xxxx:xx:xx.o";

	if (strncmp(text, "pci:", 4) == 0)
		text += 4;
	if (strlen(text) != sizeof(shape) - 1)
		return -EINVAL;
	for (size_t i = 0; shape[i]; i++) {
		char c = text[i];

		if (shape[i] == 'x'   ? !isxdigit((unsigned char)c)
		    : shape[i] == 'o' ? c < '0' || c > '7'
				      : c != shape[i])
			return -EINVAL;
	}
	for (size_t i = 0; i < sizeof(shape); i++)
		ret_address[i] = (char)tolower((unsigned char)text[i]);
	return 0;
}

int pci_init(struct pci *pci, const struct sysfs *sysfs, const char *address)
{
	char path[PATH_BYTES];

	*pci = (struct pci){ .sysfs = sysfs };
	memcpy(pci->address, address, sizeof(pci->address));
	if (!sysfs_exists(sysfs, attribute(pci, "", path)))
		return fail(pci, -ENODEV,
			    "there is no PCI device %s; lspci -D names those there are", address);
	return 0;
}

int pci_driver(struct pci *pci, char ret[static SYSFS_TEXT_BYTES])
{
	char path[PATH_BYTES];
	int r = sysfs_link(pci->sysfs, attribute(pci, "driver", path), ret);

	if (r < 0)
		return fail(pci, r, "pci:%s: cannot see its driver: %s", pci->address,
			    strerror(-r));
	return 0;
}

int pci_want_stub(struct pci *pci)
{
	char driver[SYSFS_TEXT_BYTES];
	int r;

	r = pci_driver(pci, driver);
	if (r < 0)
		return r;
	if (strcmp(driver, SYSFS_STUB_DRIVER) == 0)
		return 0;
	return fail(pci, -ENXIO,
		    "pci:%s is not the broker's: %s%s; dmabrokerctl device bind makes it so",
		    pci->address, driver[0] ? "it is driven by " : "it has no driver", driver);
}

int pci_id(struct pci *pci, unsigned int *ret_vendor, unsigned int *ret_model)
{
	char vendor[SYSFS_TEXT_BYTES], model[SYSFS_TEXT_BYTES];
	int r;

	r = read_attribute(pci, "vendor", vendor);
	if (r == 0)
		r = read_attribute(pci, "device", model);
	if (r < 0)
		return r;
	*ret_vendor = (unsigned int)strtoul(vendor, NULL, 16);
	*ret_model = (unsigned int)strtoul(model, NULL, 16);
	return 0;
}

/* Lets the bus look for a driver, and says which it found. */
static int probe(struct pci *pci, char ret_driver[static SYSFS_TEXT_BYTES])
{
	int r = sysfs_write(pci->sysfs, "bus/pci/drivers_probe", pci->address);

	if (r < 0)
		return fail(pci, r, "pci:%s: cannot have it probed: %s", pci->address,
			    strerror(-r));
	return pci_driver(pci, ret_driver);
}

void pci_undo_bind(struct pci *pci, const char *previous)
{
	char problem[PCI_PROBLEM_BYTES], driver[SYSFS_TEXT_BYTES] = "";
	size_t end;

	memcpy(problem, pci->problem, sizeof(problem));
	if (pci_driver(pci, driver) == 0 && strcmp(driver, SYSFS_STUB_DRIVER) == 0)
		write_attribute(pci, "driver/unbind", pci->address);
	write_attribute(pci, "driver_override", pci->override);
	pci_driver(pci, driver);
	if (previous[0] && strcmp(driver, previous) != 0)
		probe(pci, driver);
	memcpy(pci->problem, problem, sizeof(problem));
	end = strlen(problem);
	if (strcmp(driver, previous) != 0)
		snprintf(pci->problem + end, sizeof(problem) - end,
			 "; its driver %s could not be given back to it", previous);
}

int pci_bind(struct pci *pci, const char *previous)
{
	char driver[SYSFS_TEXT_BYTES];
	int r;

	if (!sysfs_exists(pci->sysfs, "bus/pci/drivers/" SYSFS_STUB_DRIVER))
		return fail(pci, -ENODEV,
			    "the kernel has no driver " SYSFS_STUB_DRIVER
			    "; load the broker's module first: modprobe dmabroker");
	r = read_attribute(pci, "driver_override", pci->override);
	if (r < 0)
		return r;
	/* How the kernel shows that there is none, and what it takes for "none". */
	if (!pci->override[0] || strcmp(pci->override, "(null)") == 0)
		strcpy(pci->override, "\n");

	r = write_attribute(pci, "driver_override", SYSFS_STUB_DRIVER);
	if (r < 0)
		return r;
	if (previous[0])
		r = write_attribute(pci, "driver/unbind", pci->address);
	if (r == 0)
		r = probe(pci, driver);
	if (r == 0 && strcmp(driver, SYSFS_STUB_DRIVER) != 0)
		r = fail(pci, -EIO, "pci:%s: %s would not take it; the kernel log (dmesg) says why",
			 pci->address, SYSFS_STUB_DRIVER);
	if (r < 0)
		pci_undo_bind(pci, previous);
	return r;
}

int pci_unbind(struct pci *pci, bool reprobe)
{
	char driver[SYSFS_TEXT_BYTES];
	int r;

	r = pci_want_stub(pci);
	if (r < 0)
		return r;
	/* First, for nothing probes it as long as it is bound. */
	r = write_attribute(pci, "driver_override", "\n");
	if (r < 0)
		return r;
	r = write_attribute(pci, "driver/unbind", pci->address);
	if (r < 0) {
		char problem[PCI_PROBLEM_BYTES];

		memcpy(problem, pci->problem, sizeof(problem));
		write_attribute(pci, "driver_override", SYSFS_STUB_DRIVER);
		memcpy(pci->problem, problem, sizeof(problem));
		return r;
	}
	return reprobe ? probe(pci, driver) : 0;
}

static int write_bits(struct pci *pci, const char *name, unsigned int bits)
{
	char text[16];
	int r;

	snprintf(text, sizeof(text), "%u", bits);
	r = write_attribute(pci, name, text);
	if (r == -EBUSY)
		return fail(pci, r,
			    "pci:%s has live mappings, and under them its masks cannot change; "
			    "dmabrokerctl buffers says who holds them",
			    pci->address);
	return r;
}

int pci_set_masks(struct pci *pci, unsigned int streaming_bits, unsigned int coherent_bits)
{
	char problem[PCI_PROBLEM_BYTES];
	struct pci_state before = { 0 };
	int r;

	r = pci_state(pci, &before);
	if (r < 0)
		return r;
	if (streaming_bits && streaming_bits != before.streaming_mask_bits)
		r = write_bits(pci, "dmabroker/streaming_mask_bits", streaming_bits);
	if (r < 0 || !coherent_bits || coherent_bits == before.coherent_mask_bits)
		return r;
	r = write_bits(pci, "dmabroker/coherent_mask_bits", coherent_bits);
	if (r < 0 && streaming_bits && streaming_bits != before.streaming_mask_bits) {
		memcpy(problem, pci->problem, sizeof(problem));
		write_bits(pci, "dmabroker/streaming_mask_bits", before.streaming_mask_bits);
		memcpy(pci->problem, problem, sizeof(problem));
	}
	return r;
}

static int read_bits(struct pci *pci, const char *name, unsigned int *ret)
{
	char text[SYSFS_TEXT_BYTES];
	int r = read_attribute(pci, name, text);

	if (r < 0)
		return r;
	*ret = (unsigned int)strtoul(text, NULL, 10);
	return 0;
}

int pci_state(struct pci *pci, struct pci_state *ret)
{
	struct pci_state state;
	int r;

	r = read_bits(pci, "dmabroker/streaming_mask_bits", &state.streaming_mask_bits);
	if (r == 0)
		r = read_bits(pci, "dmabroker/coherent_mask_bits", &state.coherent_mask_bits);
	if (r == 0)
		r = read_attribute(pci, "dmabroker/reason", state.reason);
	if (r == 0)
		*ret = state;
	return r;
}

int pci_release(struct pci *pci)
{
	int r = write_attribute(pci, "dmabroker/account", "0");

	if (r == -EBUSY)
		return fail(pci, r,
			    "pci:%s has live mappings: it is in use; dmabrokerctl buffers says who "
			    "holds them",
			    pci->address);
	return r;
}
