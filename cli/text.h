/* SPDX-License-Identifier: MIT */
/* Texts and numbers between people and programs. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stddef.h>
#include <stdint.h>

#define TEXT_SIZE_BYTES 24 /* longest text_size() */

/*
 * "8M", "64K", "4096", "1GiB": powers of 1024, with or without "iB" or "B", units in either case.
 * 0, -EINVAL (not such a text), -ERANGE (does not fit).
 */
int text_parse_size(const char *text, uint64_t *ret_bytes);

/* A plain decimal number within limits. 0, -EINVAL, -ERANGE. */
int text_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

/* For people: exact ("8 MiB", "4097 B") unless that takes many digits ("5.8 GiB"). Returns @ret. */
char *text_size(uint64_t bytes, char ret[static TEXT_SIZE_BYTES]);

/* Replaces what a terminal would act on by '?'. */
void text_make_printable(char *text);

#endif /* CLI_TEXT_H */
