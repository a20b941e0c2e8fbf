/* SPDX-License-Identifier: MIT */
/*
 * Tables: cells are collected row by row, printed when the widths are known. A cell may hold what
 * another user called something, so no control character gets from here to the terminal. An empty
 * cell shows as "-", to keep columns countable.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "cli/text.h"

#define COLUMNS_MAX 12

struct table {
	const char *const *headers;
	size_t nr_columns;
	size_t widths[COLUMNS_MAX];
	char **cells;
	size_t nr_cells;
};

static const char *header(const struct table *table, size_t column)
{
	const char *text = table->headers[column];

	return text[0] == '>' ? text + 1 : text;
}

struct table *table_new(const char *const *headers)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		out_of_memory();
	table->headers = headers;
	for (; headers[table->nr_columns]; table->nr_columns++)
		table->widths[table->nr_columns] = strlen(header(table, table->nr_columns));
	return table;
}

void table_cell(struct table *table, const char *format, ...)
{
	size_t *width = &table->widths[table->nr_cells % table->nr_columns];
	va_list args;
	char *text;
	int length;

	/* Room for one more row at the start of each. */
	if (table->nr_cells % table->nr_columns == 0) {
		table->cells = reallocarray(table->cells, table->nr_cells + table->nr_columns,
					    sizeof(*table->cells));
		if (!table->cells)
			out_of_memory();
	}
	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	if (length == 0) {
		free(text);
		text = strdup("-");
		length = 1;
	}
	if (length < 0 || !text)
		out_of_memory();
	text_make_printable(text);
	if ((size_t)length > *width)
		*width = (size_t)length;
	table->cells[table->nr_cells++] = text;
}

static void print_cell(const struct table *table, size_t column, const char *text)
{
	int width = (int)table->widths[column];
	bool last = column + 1 == table->nr_columns;

	if (table->headers[column][0] != '>')
		width = last ? 0 : -width;
	printf("%s%*s%s", column ? "  " : "", width, text, last ? "\n" : "");
}

void table_print(struct table *table, const char *empty)
{
	if (table->nr_cells == 0)
		printf("%s\n", empty);
	else
		for (size_t i = 0; i < table->nr_columns; i++)
			print_cell(table, i, header(table, i));
	for (size_t i = 0; i < table->nr_cells; i++) {
		print_cell(table, i % table->nr_columns, table->cells[i]);
		free(table->cells[i]);
	}
	free(table->cells);
	free(table);
}
