/* SPDX-License-Identifier: MIT */
/*
 * The broker on D-Bus: org.dmabroker1, read-only. docs/org.dmabroker1.5.scd says what it shows.
 * Built from bus*.c, or from bus_none.c alone where sd-bus is missing.
 */
#ifndef DMABROKER_BUS_H
#define DMABROKER_BUS_H

struct broker;
struct bus;

/**
 * bus_new() - go onto the bus, and stay there as long as there is one
 * @broker:  what is shown; borrowed for the bus's life
 * @address: "system", "session", "none", or an address as D-Bus writes it
 * @ret:     the bus; NULL for "none"
 *
 * Never blocks. A bus that is missing or goes away is no failure: one message says so, and the
 * connection is tried again, at first after a second, in the end every minute.
 *
 * Return: 0, -EINVAL for an address that cannot be one, -ENOMEM.
 */
int bus_new(struct broker *broker, const char *address, struct bus **ret);

/* Leaves the bus without waiting for it. */
struct bus *bus_free(struct bus *bus);

static inline void cleanup_bus(struct bus **bus)
{
	bus_free(*bus);
}

#endif /* DMABROKER_BUS_H */
