/* SPDX-License-Identifier: MIT */
/* Tables on standard output. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>

struct table;

/* @headers ends with NULL; one that starts with '>' makes a column of numbers, to the right. */
struct table *table_new(const char *const *headers);

/* The next cell, row by row. */
__attribute__((format(printf, 2, 3))) void table_cell(struct table *table, const char *format, ...);

/* What there is, or @empty as a sentence; consumes @table. */
void table_print(struct table *table, const char *empty);

#endif /* CLI_TABLE_H */
