/* SPDX-License-Identifier: MIT */
/* JSON on standard output. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <json-c/json.h>

/* None of these fails: without memory the program ends. */
struct json_object *json_new_object(void);
struct json_object *json_new_array(void);

/* NULL gives null. */
void json_add_text(struct json_object *object, const char *name, const char *text);
void json_add_number(struct json_object *object, const char *name, uint64_t number);
/* UINT64_MAX gives null: no limit. */
void json_add_limit(struct json_object *object, const char *name, uint64_t limit);
void json_add_bool(struct json_object *object, const char *name, bool value);
/* "0x..."; it would not fit a number of those readers that know only floating point. */
void json_add_address(struct json_object *object, const char *name, uint64_t address);

/* These two take @value. */
void json_add(struct json_object *object, const char *name, struct json_object *value);
void json_append(struct json_object *array, struct json_object *value);

/* On one line; consumes @object. */
void json_print(struct json_object *object);

#endif /* CLI_JSON_H */
