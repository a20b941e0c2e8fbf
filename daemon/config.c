/* SPDX-License-Identifier: MIT */
/*
 * The configuration: defaults, and the file that changes them.
 *
 * inih does the parsing. As Debian builds it, it reports no line numbers and silently cuts lines
 * of 200 characters, going on with the rest as if it were a line of its own. So it reads through
 * next_line(), which counts, and refuses a line that would be cut. Section headers are checked
 * there too, because inih mentions a section only together with a key in it.
 *
 * Nothing is ignored: a section or key that this version does not know is an error with its place,
 * since a policy with a typo in it is not the policy that was meant. A user or group that does not
 * exist on this machine is no error: its rule matches nobody.
 */
#include <errno.h>
#include <grp.h>
#include <ini.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "proto/cleanup.h"
#include "daemon/backend/backend.h"
#include "daemon/config.h"
#include "daemon/log.h"

struct parser {
	struct config *config;
	FILE *file;
	const char *name;
	char *line;
	size_t line_capacity;
	unsigned int line_number;
	int error;
	char *ret_error;
};

static const char *const quota_keys[NR_QUOTAS] = {
	[QUOTA_BYTES] = "bytes",     [QUOTA_CONTIGUOUS_BYTES] = "contiguous-bytes",
	[QUOTA_BUFFERS] = "buffers", [QUOTA_MAPPINGS] = "mappings",
	[QUOTA_CLIENTS] = "clients", [QUOTA_TOKENS] = "tokens",
};

__attribute__((format(printf, 3, 4))) static int fail(struct parser *parser, int error,
						      const char *format, ...)
{
	char what[400];
	va_list args;

	/* The first error is the one to mend; what follows may be its consequence. */
	if (parser->error)
		return parser->error;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	snprintf(parser->ret_error, 512, "%.80s:%u: %s", parser->name, parser->line_number, what);
	parser->error = error;
	return error;
}

int config_parse_size(const char *text, uint64_t *ret)
{
	static const char units[] = "KMGT";
	unsigned long long number;
	const char *unit;
	unsigned int shift = 0;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return -ERANGE;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unsigned int)(unit - units + 1);
		end++;
		if (*end == 'i')
			end++;
	}
	if (*end == 'B')
		end++;
	if (*end)
		return -EINVAL;
	if (number > UINT64_MAX >> shift)
		return -ERANGE;
	*ret = (uint64_t)number << shift;
	return 0;
}

static int parse_number(struct parser *parser, const char *key, const char *value, uint64_t min,
			uint64_t max, uint64_t *ret)
{
	uint64_t number;

	if (config_parse_size(value, &number) < 0)
		return fail(parser, -EINVAL, "%s = %s: not a number such as 4096, 64K or 1G", key,
			    value);
	if (number < min || number > max)
		return fail(parser, -EINVAL, "%s = %s: must be between %llu and %llu", key, value,
			    (unsigned long long)min, (unsigned long long)max);
	*ret = number;
	return 0;
}

static int parse_unsigned(struct parser *parser, const char *key, const char *value,
			  unsigned int min, unsigned int max, unsigned int *ret)
{
	uint64_t number;
	int r = parse_number(parser, key, value, min, max, &number);

	if (r == 0)
		*ret = (unsigned int)number;
	return r;
}

static int parse_bool(struct parser *parser, const char *key, const char *value, bool *ret)
{
	if (strcmp(value, "yes") == 0 || strcmp(value, "true") == 0)
		*ret = true;
	else if (strcmp(value, "no") == 0 || strcmp(value, "false") == 0)
		*ret = false;
	else
		return fail(parser, -EINVAL, "%s = %s: say yes or no", key, value);
	return 0;
}

static int append(struct parser *parser, char ***strings, unsigned int *nr, const char *text)
{
	char **more = reallocarray(*strings, *nr + 1, sizeof(char *));
	char *copy;

	if (!more)
		return fail(parser, -ENOMEM, "out of memory");
	*strings = more;
	copy = strdup(text);
	if (!copy)
		return fail(parser, -ENOMEM, "out of memory");
	more[(*nr)++] = copy;
	return 0;
}

/* A limit, in [limits] or in a rule. 1 when @key is none. */
static int key_limit(struct parser *parser, const char *key, const char *value,
		     struct amounts *limits, unsigned int *set)
{
	for (unsigned int i = 0; i < NR_QUOTAS; i++) {
		if (strcmp(key, quota_keys[i]) != 0)
			continue;
		if (set)
			*set |= 1u << i;
		if (strcmp(value, "unlimited") == 0) {
			limits->of[i] = QUOTA_UNLIMITED;
			return 0;
		}
		return parse_number(parser, key, value, 0, UINT64_MAX - 1, &limits->of[i]);
	}
	return 1;
}

static int key_broker(struct parser *parser, const char *key, const char *value)
{
	struct config *config = parser->config;
	char *copy;

	if (strcmp(key, "backend") == 0) {
		char why[512];

		if (backend_check_name(value, why) < 0)
			return fail(parser, -EINVAL, "%s", why);
		snprintf(config->backend, sizeof(config->backend), "%s", value);
		return 0;
	}
	if (strcmp(key, "socket") == 0) {
		if (value[0] != '/')
			return fail(parser, -EINVAL, "socket = %s: must be an absolute path",
				    value);
		copy = strdup(value);
		if (!copy)
			return fail(parser, -ENOMEM, "out of memory");
		free(config->socket);
		config->socket = copy;
		return 0;
	}
	if (strcmp(key, "log-level") == 0) {
		if (log_level_parse(value, &config->log_level) < 0)
			return fail(parser, -EINVAL,
				    "log-level = %s: say error, warning, notice, info or debug",
				    value);
		return 0;
	}
	if (strcmp(key, "machine-total") == 0) {
		size_t bytes = strlen(value);
		unsigned int percent;
		int n = 0;

		if (bytes && value[bytes - 1] == '%') {
			if (sscanf(value, "%3u%%%n", &percent, &n) != 1 || (size_t)n != bytes ||
			    percent < 1 || percent > 100)
				return fail(parser, -EINVAL,
					    "machine-total = %s: must be 1%% to 100%%", value);
			config->machine_total_percent = percent;
			config->machine_total_bytes = 0;
			return 0;
		}
		return parse_number(parser, key, value, 4096, UINT64_MAX - 1,
				    &config->machine_total_bytes);
	}
	if (strcmp(key, "clients") == 0)
		return parse_unsigned(parser, key, value, 1, 65536, &config->clients_max);
	if (strcmp(key, "hello-timeout") == 0)
		return parse_unsigned(parser, key, value, 1, 3600, &config->hello_timeout_s);
	return 1;
}

static int key_policy(struct parser *parser, const char *key, const char *value)
{
	struct config *config = parser->config;
	unsigned int min, max;
	int n = 0;

	if (strcmp(key, "allow-unprotected-devices") == 0)
		return parse_bool(parser, key, value, &config->allow_unprotected_devices);
	if (strcmp(key, "regular-uids") == 0) {
		if (sscanf(value, "%9u-%9u%n", &min, &max, &n) != 2 || value[n] || min < 1 ||
		    min > max)
			return fail(parser, -EINVAL,
				    "regular-uids = %s: must be a range such as 1000-60000", value);
		config->regular_uid_min = min;
		config->regular_uid_max = max;
		return 0;
	}
	return 1;
}

static int key_pool(struct parser *parser, const char *key, const char *value)
{
	struct config *config = parser->config;
	struct pool_config *pool;
	char size[24], kind[24];
	uint32_t number;
	unsigned int nr;
	int n = 0;

	if (strcmp(key, "buffers") != 0)
		return 1;
	if (!config->pools_set) {
		config->pools_set = true;
		config->nr_pools = 0;
	}
	if (strcmp(value, "none") == 0)
		return 0;
	if (config->nr_pools == CONFIG_POOLS_MAX)
		return fail(parser, -EINVAL, "more than %u kinds of ready buffers",
			    CONFIG_POOLS_MAX);
	pool = &config->pools[config->nr_pools];
	if (sscanf(value, "%u x %23s %23s%n", &nr, size, kind, &n) != 3 || value[n] || nr < 1 ||
	    nr > 4096 || config_parse_size(size, &pool->size_bytes) < 0 || pool->size_bytes == 0 ||
	    wire_kind_parse(kind, &number) < 0 || number == WIRE_KIND_IMPORTED)
		return fail(parser, -EINVAL,
			    "buffers = %s: must be NUMBER x SIZE KIND, such as 64 x 64K coherent, "
			    "or none",
			    value);
	pool->nr = nr;
	pool->kind = number;
	config->nr_pools++;
	return 0;
}

static int key_sim(struct parser *parser, const char *key, const char *value)
{
	struct config *config = parser->config;
	char error[256];
	int r;

	if (strcmp(key, "device") != 0)
		return 1;
	r = append(parser, &config->sim_devices, &config->nr_sim_devices, value);
	if (r == 0 && backend_check_sim_devices((const char *const *)config->sim_devices,
						config->nr_sim_devices, error) < 0)
		r = fail(parser, -EINVAL, "%s", error);
	return r;
}

static int key_rule(struct parser *parser, const char *key, const char *value)
{
	struct rule *rule = &parser->config->rules[parser->config->nr_rules - 1];

	if (strcmp(key, "devices") == 0) {
		_cleanup_buf_ char *copy = strdup(value);
		char *rest = NULL;
		int r = 0;

		if (!copy)
			return fail(parser, -ENOMEM, "out of memory");
		for (char *word = strtok_r(copy, " \t,", &rest); word && r == 0;
		     word = strtok_r(NULL, " \t,", &rest)) {
			if (strlen(word) >= WIRE_DEVICE_NAME_SIZE)
				return fail(parser, -EINVAL,
					    "devices: no device has a name of %zu "
					    "characters",
					    strlen(word));
			r = append(parser, &rule->devices, &rule->nr_devices, word);
		}
		return r;
	}
	return key_limit(parser, key, value, &rule->limits, &rule->set);
}

static bool is_rule(const char *section)
{
	return strncmp(section, "user ", 5) == 0 || strncmp(section, "group ", 6) == 0 ||
	       strncmp(section, "unit ", 5) == 0;
}

static int handle_key(void *userdata, const char *section, const char *key, const char *value)
{
	struct parser *parser = userdata;
	int r;

	if (parser->error)
		return 0;
	if (strcmp(section, "broker") == 0)
		r = key_broker(parser, key, value);
	else if (strcmp(section, "limits") == 0)
		r = key_limit(parser, key, value, &parser->config->limits, NULL);
	else if (strcmp(section, "policy") == 0)
		r = key_policy(parser, key, value);
	else if (strcmp(section, "pool") == 0)
		r = key_pool(parser, key, value);
	else if (strcmp(section, "sim") == 0)
		r = key_sim(parser, key, value);
	else if (is_rule(section))
		r = key_rule(parser, key, value);
	else if (!section[0])
		r = fail(parser, -EINVAL, "%s = ... stands before the first [section]", key);
	else
		r = 1;
	if (r > 0)
		fail(parser, -EINVAL, "[%s] has no key called %s", section, key);
	return r == 0;
}

static void rule_find_id(struct rule *rule)
{
	char *end;
	unsigned long id;

	errno = 0;
	id = strtoul(rule->name, &end, 10);
	if (rule->kind == RULE_UNIT) {
		rule->known = true;
	} else if (!*end && !errno && id < UINT32_MAX && rule->name[0] != '-') {
		rule->known = true;
		rule->id = (uint32_t)id;
	} else if (rule->kind == RULE_USER) {
		const struct passwd *user = getpwnam(rule->name);

		rule->known = user;
		rule->id = user ? user->pw_uid : 0;
	} else {
		const struct group *group = getgrnam(rule->name);

		rule->known = group;
		rule->id = group ? group->gr_gid : 0;
	}
}

/* [user NAME], [group NAME], [unit NAME]; the name may be quoted. */
static int new_rule(struct parser *parser, const char *section)
{
	struct config *config = parser->config;
	const char *name = strchr(section, ' ') + 1;
	size_t bytes;
	struct rule *rules, *rule;

	name += strspn(name, " ");
	bytes = strlen(name);
	if (bytes >= 2 && name[0] == '"' && name[bytes - 1] == '"') {
		name++;
		bytes -= 2;
	}
	if (bytes == 0 || bytes >= UNIT_SIZE)
		return fail(parser, -EINVAL, "[%s] must name somebody, in at most %d characters",
			    section, UNIT_SIZE - 1);
	rules = reallocarray(config->rules, config->nr_rules + 1, sizeof(*rules));
	if (!rules)
		return fail(parser, -ENOMEM, "out of memory");
	config->rules = rules;
	rule = &rules[config->nr_rules++];
	*rule = (struct rule){
		.kind = section[0] == 'g'   ? RULE_GROUP
			: section[1] == 's' ? RULE_USER
					    : RULE_UNIT,
	};
	memcpy(rule->name, name, bytes);
	rule_find_id(rule);
	if (!rule->known)
		log_line(LOG_WARNING, "%s:%u: [%s] matches nobody: there is no such name here",
			 parser->name, parser->line_number, section);
	return 0;
}

static int check_section(struct parser *parser, const char *line)
{
	static const char *const sections[] = { "broker", "limits", "policy", "pool", "sim" };
	const char *end = strchr(line, ']');
	char section[200];

	if (!end)
		return fail(parser, -EINVAL, "a [section] without its closing bracket");
	snprintf(section, sizeof(section), "%.*s", (int)(end - line - 1), line + 1);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if (strcmp(section, sections[i]) == 0)
			return 0;
	if (is_rule(section))
		return new_rule(parser, section);
	return fail(parser, -EINVAL, "there is no section called [%s]", section);
}

/* As fgets(), for inih. */
static char *next_line(char *ret, int ret_bytes, void *userdata)
{
	struct parser *parser = userdata;
	ssize_t bytes;
	char *text;

	if (parser->error)
		return NULL;
	bytes = getline(&parser->line, &parser->line_capacity, parser->file);
	if (bytes < 0) {
		if (ferror(parser->file))
			fail(parser, -EIO, "cannot be read on: %s", strerror(errno));
		return NULL;
	}
	parser->line_number++;
	if (strlen(parser->line) != (size_t)bytes) {
		fail(parser, -EINVAL, "a NUL character in the line");
		return NULL;
	}
	if (bytes >= ret_bytes) {
		fail(parser, -EINVAL, "the line is longer than %d characters; split it in two",
		     ret_bytes - 2);
		return NULL;
	}
	text = parser->line + strspn(parser->line, " \t");
	if (*text == '[' && check_section(parser, text) < 0)
		return NULL;
	memcpy(ret, parser->line, (size_t)bytes + 1);
	return ret;
}

int config_read(struct config *config, FILE *file, const char *name, char ret_error[static 512])
{
	struct parser parser = {
		.config = config, .file = file, .name = name, .ret_error = ret_error
	};
	int r;

	r = ini_parse_stream(next_line, &parser, handle_key, &parser);
	free(parser.line);
	if (parser.error)
		return parser.error;
	if (r == 0)
		return 0;
	/* Neither a section nor "key = value": inih counts lines, too. */
	if (r > 0)
		snprintf(ret_error, 512, "%.80s:%d: not a [section], not key = value", name, r);
	else
		snprintf(ret_error, 512, "%.80s: out of memory", name);
	return r > 0 ? -EINVAL : -ENOMEM;
}

int config_new(struct config **ret)
{
	struct config *config = calloc(1, sizeof(*config));

	if (!config)
		return -ENOMEM;
	*config = (struct config){
		.backend = "auto",
		.socket = strdup(WIRE_SOCKET_PATH),
		.log_level = LOG_INFO,
		.machine_total_percent = 25,
		.hello_timeout_s = 5,
		.regular_uid_min = 1000,
		.regular_uid_max = 60000,
		.limits.of = {
			[QUOTA_BYTES] = 64ull << 20,
			[QUOTA_CONTIGUOUS_BYTES] = 64ull << 20,
			[QUOTA_BUFFERS] = 256,
			[QUOTA_MAPPINGS] = 1024,
			[QUOTA_CLIENTS] = 64,
			[QUOTA_TOKENS] = 256,
		},
		.pools = { { .size_bytes = 64 << 10, .kind = WIRE_KIND_COHERENT, .nr = 32 } },
		.nr_pools = 1,
	};
	if (!config->socket) {
		free(config);
		return -ENOMEM;
	}
	*ret = config;
	return 0;
}

struct config *config_free(struct config *config)
{
	if (!config)
		return NULL;
	for (unsigned int i = 0; i < config->nr_rules; i++) {
		for (unsigned int j = 0; j < config->rules[i].nr_devices; j++)
			free(config->rules[i].devices[j]);
		free(config->rules[i].devices);
	}
	free(config->rules);
	for (unsigned int i = 0; i < config->nr_sim_devices; i++)
		free(config->sim_devices[i]);
	free(config->sim_devices);
	free(config->socket);
	free(config);
	return NULL;
}
