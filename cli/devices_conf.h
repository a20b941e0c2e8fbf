/* SPDX-License-Identifier: MIT */
/* What /etc/dmabroker/devices.conf says of a device. */
#ifndef CLI_DEVICES_CONF_H
#define CLI_DEVICES_CONF_H

#include <stdbool.h>
#include <stdio.h>

#define DEVICES_CONF_PROBLEM_BYTES 300

/**
 * struct device_conf - one device's configuration
 * @mask_bits:          0: not said
 * @coherent_mask_bits: 0: not said
 * @bind:               the broker may take it from another driver
 */
struct device_conf {
	unsigned int mask_bits;
	unsigned int coherent_mask_bits;
	bool bind;
};

/*
 * devices_conf_read() - what a file says of one device
 * @file:    open for reading
 * @name:    of the file, for messages
 * @address: such as "0000:00:03.0"
 * @vendor, @model: its PCI ids
 * @ret:     keys of a section with its address win over those with its id
 * @problem: "name:line: what", filled on failure
 *
 * Return: 0, -EINVAL (anything in the file that is not understood, also about other devices),
 *         -EIO, -ENOMEM.
 */
int devices_conf_read(FILE *file, const char *name, const char *address, unsigned int vendor,
		      unsigned int model, struct device_conf *ret,
		      char problem[static DEVICES_CONF_PROBLEM_BYTES]);

#endif /* CLI_DEVICES_CONF_H */
