/* SPDX-License-Identifier: MIT */
/*
 * JSON on standard output: json-c with the project's conventions. Sizes are numbers whose names
 * end in _bytes, DMA addresses are strings, a limit that is none is null, and each answer is one
 * line, so that a reader of several knows where one ends.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/json.h"

static struct json_object *checked(struct json_object *object)
{
	if (!object)
		out_of_memory();
	return object;
}

struct json_object *json_new_object(void)
{
	return checked(json_object_new_object());
}

struct json_object *json_new_array(void)
{
	return checked(json_object_new_array());
}

void json_add(struct json_object *object, const char *name, struct json_object *value)
{
	if (json_object_object_add(object, name, value) < 0)
		out_of_memory();
}

void json_append(struct json_object *array, struct json_object *value)
{
	if (json_object_array_add(array, value) < 0)
		out_of_memory();
}

void json_add_text(struct json_object *object, const char *name, const char *text)
{
	json_add(object, name, text ? checked(json_object_new_string(text)) : NULL);
}

void json_add_number(struct json_object *object, const char *name, uint64_t number)
{
	json_add(object, name, checked(json_object_new_uint64(number)));
}

void json_add_limit(struct json_object *object, const char *name, uint64_t limit)
{
	if (limit == UINT64_MAX)
		json_add(object, name, NULL);
	else
		json_add_number(object, name, limit);
}

void json_add_bool(struct json_object *object, const char *name, bool value)
{
	json_add(object, name, checked(json_object_new_boolean(value)));
}

void json_add_address(struct json_object *object, const char *name, uint64_t address)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, address);
	json_add_text(object, name, text);
}

void json_print(struct json_object *object)
{
	const char *text;

	text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE);
	if (!text)
		out_of_memory();
	puts(text);
	json_object_put(object);
}
