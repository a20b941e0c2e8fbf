/* SPDX-License-Identifier: MIT */
/* What the rest of the library needs of a mapping beyond its public functions. */
#ifndef DMABROKER_MAPPING_INTERNAL_H
#define DMABROKER_MAPPING_INTERNAL_H

#include "client-lib/src/broker.h"

/* Borrowed. */
struct dmabroker *mapping_get_broker(const struct dmabroker_mapping *mapping);

#endif /* DMABROKER_MAPPING_INTERNAL_H */
