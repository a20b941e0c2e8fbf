/* SPDX-License-Identifier: MIT */
/*
 * "device bind", "unbind", "set-mask" and "release": what an administrator does with a device.
 *
 * They talk to the kernel alone, never to the broker: the broker's unit runs "device bind" before
 * the broker starts, and waiting there for its answer would wait for itself. The kernel decides
 * who may (root); a refusal of its is reported like one of the broker's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/device.h"
#include "cli/device_report.h"
#include "cli/devices_conf.h"
#include "cli/pci.h"
#include "cli/text.h"
#include <config.h>

#define DEVICES_CONF DMABROKER_SYSCONFDIR "/devices.conf"

enum {
	ID_MASK = 'm',
	ID_COHERENT_MASK = 'c',
	ID_FORCE = 'f',
	ID_REPROBE = 'r',
};

#define MASK_OPTIONS                                                            \
	{ "mask", "BITS", ID_MASK, "address bits that it drives in mappings" }, \
	{                                                                       \
		"coherent-mask", "BITS", ID_COHERENT_MASK,                      \
			"the same for coherent memory; --mask if missing"       \
	}

const struct option_line device_bind_options[] = {
	MASK_OPTIONS,
	{ "force", NULL, ID_FORCE, "take it from the driver that has it" },
	{},
};

const struct option_line device_unbind_options[] = {
	{ "reprobe", NULL, ID_REPROBE, "let another driver have it" },
	{},
};

const struct option_line device_set_mask_options[] = {
	MASK_OPTIONS,
	{},
};

struct device_request {
	char address[PCI_ADDRESS_BYTES];
	unsigned int mask_bits, coherent_mask_bits;
	bool force, reprobe;
};

static int parse_bits(const struct cli *cli, const char *option, const char *text,
		      unsigned int *ret)
{
	uint64_t bits;

	if (text_parse_number(text, 1, 64, &bits) < 0)
		return wrong_usage(cli, "--%s %s: must be a number of bits from 1 to 64", option,
				   text);
	*ret = (unsigned int)bits;
	return STATUS_DONE;
}

static int parse_device(const struct cli *cli, const char *name, char address[PCI_ADDRESS_BYTES])
{
	if (pci_parse(name, address) == 0)
		return STATUS_DONE;
	if (strncmp(name, "platform:", 9) == 0 || strncmp(name, "sim:", 4) == 0 ||
	    strcmp(name, "system") == 0)
		return wrong_usage(cli, "%s: only PCI devices are bound and unbound", name);
	return wrong_usage(cli, "'%s' is no PCI device; write it like pci:0000:00:03.0", name);
}

static int parse(struct options *options, struct device_request *ret)
{
	struct cli *cli = options->cli;
	struct device_request request = {};
	const char *value;
	int id, status;

	while ((id = options_next(options, &value)) > 0) {
		status = STATUS_DONE;
		switch (id) {
		case ID_MASK:
			status = parse_bits(cli, "mask", value, &request.mask_bits);
			break;
		case ID_COHERENT_MASK:
			status = parse_bits(cli, "coherent-mask", value,
					    &request.coherent_mask_bits);
			break;
		case ID_FORCE:
			request.force = true;
			break;
		case ID_REPROBE:
			request.reprobe = true;
			break;
		}
		if (status != STATUS_DONE) {
			options->status = status;
			return -1;
		}
	}
	if (id < 0 || options_want_words(options, 1) < 0)
		return -1;
	options->status = parse_device(cli, options->words[0], request.address);
	if (options->status != STATUS_DONE)
		return -1;
	*ret = request;
	return 0;
}

static int refuse(const struct pci *pci)
{
	complain("%s", pci->problem);
	return STATUS_REFUSED;
}

static int open_device(const struct cli *cli, const struct device_request *request,
		       struct sysfs *sysfs, struct pci *pci)
{
	*sysfs = sysfs_default();
	/* Says in time, before anything is half done, what every write would say. */
	if (geteuid() != 0 && strcmp(sysfs->root, "/sys") == 0) {
		complain("%s writes to /sys and needs root; run it with sudo", cli->command->name);
		return STATUS_REFUSED;
	}
	return pci_init(pci, sysfs, request->address) < 0 ? refuse(pci) : STATUS_DONE;
}

/* No file is a configuration that says nothing. */
static int read_configuration(struct pci *pci, struct device_conf *ret)
{
	const char *path = secure_getenv("DMABROKER_DEVICES_CONF");
	char problem[DEVICES_CONF_PROBLEM_BYTES];
	unsigned int vendor, model;
	FILE *file;
	int r;

	*ret = (struct device_conf){};
	if (!path)
		path = DEVICES_CONF;
	if (pci_id(pci, &vendor, &model) < 0)
		return refuse(pci);
	file = fopen(path, "re");
	if (!file && errno == ENOENT)
		return STATUS_DONE;
	if (!file) {
		complain("cannot read %s: %s", path, strerror(errno));
		return STATUS_REFUSED;
	}
	r = devices_conf_read(file, path, pci->address, vendor, model, ret, problem);
	fclose(file);
	if (r < 0) {
		complain("%s; nothing was bound", problem);
		return STATUS_REFUSED;
	}
	return STATUS_DONE;
}

int device_bind_run(struct cli *cli, struct options *options)
{
	char previous[SYSFS_TEXT_BYTES];
	struct device_request request;
	struct device_conf conf;
	struct sysfs sysfs;
	struct pci pci;
	bool taken = false;

	if (parse(options, &request) < 0)
		return options->status;
	if (open_device(cli, &request, &sysfs, &pci) != STATUS_DONE)
		return STATUS_REFUSED;
	if (read_configuration(&pci, &conf) != STATUS_DONE)
		return STATUS_REFUSED;
	/* One figure given by hand stands for both, as in the configuration. */
	if (request.mask_bits) {
		conf.mask_bits = request.mask_bits;
		conf.coherent_mask_bits = request.mask_bits;
	}
	if (request.coherent_mask_bits)
		conf.coherent_mask_bits = request.coherent_mask_bits;

	if (pci_driver(&pci, previous) < 0)
		return refuse(&pci);
	if (strcmp(previous, SYSFS_STUB_DRIVER) != 0) {
		if (previous[0] && !request.force && !conf.bind) {
			complain("pci:%s is driven by %s; --force takes it away from there",
				 pci.address, previous);
			return STATUS_REFUSED;
		}
		if (pci_bind(&pci, previous) < 0)
			return refuse(&pci);
		taken = true;
	}
	if (pci_set_masks(&pci, conf.mask_bits, conf.coherent_mask_bits) < 0) {
		if (taken)
			pci_undo_bind(&pci, previous);
		return refuse(&pci);
	}
	return device_report(cli, &pci, taken ? "bound" : "was bound already",
			     taken ? previous : NULL);
}

int device_unbind_run(struct cli *cli, struct options *options)
{
	struct device_request request;
	char driver[SYSFS_TEXT_BYTES];
	struct sysfs sysfs;
	struct pci pci;

	if (parse(options, &request) < 0)
		return options->status;
	if (open_device(cli, &request, &sysfs, &pci) != STATUS_DONE)
		return STATUS_REFUSED;
	if (pci_unbind(&pci, request.reprobe) < 0 || pci_driver(&pci, driver) < 0)
		return refuse(&pci);
	device_report_unbound(cli, &pci, driver, request.reprobe);
	return STATUS_DONE;
}

int device_set_mask_run(struct cli *cli, struct options *options)
{
	struct device_request request;
	struct sysfs sysfs;
	struct pci pci;

	if (parse(options, &request) < 0)
		return options->status;
	if (!request.mask_bits && !request.coherent_mask_bits)
		return wrong_usage(cli, "which mask? --mask BITS, --coherent-mask BITS or both");
	if (open_device(cli, &request, &sysfs, &pci) != STATUS_DONE)
		return STATUS_REFUSED;
	if (!request.coherent_mask_bits)
		request.coherent_mask_bits = request.mask_bits;
	if (pci_want_stub(&pci) < 0 ||
	    pci_set_masks(&pci, request.mask_bits, request.coherent_mask_bits) < 0)
		return refuse(&pci);
	return device_report(cli, &pci, "set", NULL);
}

int device_release_run(struct cli *cli, struct options *options)
{
	struct device_request request;
	struct sysfs sysfs;
	struct pci pci;

	if (parse(options, &request) < 0)
		return options->status;
	if (open_device(cli, &request, &sysfs, &pci) != STATUS_DONE)
		return STATUS_REFUSED;
	if (pci_want_stub(&pci) < 0 || pci_release(&pci) < 0)
		return refuse(&pci);
	device_report_released(cli, &pci);
	return STATUS_DONE;
}
