/* SPDX-License-Identifier: MIT */
/*
 * libdmabroker: memory that devices can reach, for programs that are not root.
 *
 * Start here, then types.h (rules for the whole library), context.h (connect), buffer.h
 * (allocate, mmap, share), mapping.h (devices), request.h (without waiting), query.h (what is
 * there), sim.h (devices to try it with).
 */
#ifndef DMABROKER_DMABROKER_H
#define DMABROKER_DMABROKER_H

#include "types.h"
#include "request.h"
#include "context.h"
#include "buffer.h"
#include "mapping.h"
#include "query.h"
#include "sim.h"

#endif /* DMABROKER_DMABROKER_H */
