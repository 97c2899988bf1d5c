/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * xattrmap.c - translation of names of extended attributes: a parser, and the first match in a list.
 *
 * Built at start, read only afterwards, by any thread. A parsed map has a rule for every name in each
 * direction; a name that no rule matches would be denied all the same.
 */
#include "fuse/xattrmap.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

enum type { TYPE_PREFIX, TYPE_OK, TYPE_BAD, TYPE_UNSUPPORTED, TYPE_MAP };
enum scope { SCOPE_CLIENT = 1, SCOPE_SERVER = 2, SCOPE_ALL = SCOPE_CLIENT | SCOPE_SERVER };

struct rule {
	enum type type;
	enum scope scope;
	char key[XATTR_NAME_MAX + 1];
	char prepend[XATTR_NAME_MAX + 1];
};

struct xattrmap {
	struct rule *rules;
	size_t count;
};

struct word {
	const char *name;
	int value;
};

static const struct word types[] = {
	{ "prefix", TYPE_PREFIX },	     { "ok", TYPE_OK },	  { "bad", TYPE_BAD },
	{ "unsupported", TYPE_UNSUPPORTED }, { "map", TYPE_MAP }, { NULL, 0 },
};
static const struct word scopes[] = {
	{ "client", SCOPE_CLIENT },
	{ "server", SCOPE_SERVER },
	{ "all", SCOPE_ALL },
	{ NULL, 0 },
};

/* Where the parser stands. */
struct cursor {
	const char *text, *at;
	char separator;
	char *error;
	size_t cap;
};

/* Says what is wrong at `where`; counted from 1, as editors do. */
__attribute__((format(printf, 3, 4))) static int fail(struct cursor *c, const char *where,
						      const char *fmt, ...)
{
	int n = snprintf(c->error, c->cap, "character %zu: ", (size_t)(where - c->text) + 1);
	va_list args;

	if (n < 0 || (size_t)n >= c->cap)
		return -EINVAL;
	va_start(args, fmt);
	(void)vsnprintf(c->error + n, c->cap - (size_t)n, fmt, args);
	va_end(args);
	return -EINVAL;
}

static void skip_white(struct cursor *c)
{
	while (isspace((unsigned char)*c->at))
		c->at++;
}

/* The text up to the next separator, which is consumed. */
static int field_parse(struct cursor *c, const char *what, char out[XATTR_NAME_MAX + 1])
{
	const char *end = strchr(c->at, c->separator);
	size_t len;

	if (!end)
		return fail(c, c->at, "%s is not ended by '%c'", what, c->separator);
	len = (size_t)(end - c->at);
	if (len > XATTR_NAME_MAX)
		return fail(c, c->at, "%s is longer than %d", what, XATTR_NAME_MAX);
	memcpy(out, c->at, len);
	out[len] = '\0';
	c->at = end + 1;
	return 0;
}

static int word_parse(struct cursor *c, const char *what, const struct word *words, int *value)
{
	char text[XATTR_NAME_MAX + 1];
	const char *start = c->at;
	int error = field_parse(c, what, text);

	if (error)
		return error;
	for (const struct word *w = words; w->name; w++) {
		if (strcmp(w->name, text) == 0) {
			*value = w->value;
			return 0;
		}
	}
	return fail(c, start, "unknown %s '%s'", what, text);
}

static int rule_add(struct xattrmap *map, enum type type, enum scope scope, const char *key,
		    const char *prepend)
{
	struct rule *rules = reallocarray(map->rules, map->count + 1, sizeof(*rules));
	struct rule *rule;

	if (!rules)
		return -ENOMEM;
	map->rules = rules;
	rule = &rules[map->count++];
	rule->type = type;
	rule->scope = scope;
	(void)snprintf(rule->key, sizeof(rule->key), "%s", key);
	(void)snprintf(rule->prepend, sizeof(rule->prepend), "%s", prepend);
	return 0;
}

/*
 * The shorthand: all names below `prepend`, or those with `key` alone. Then the guest must not reach
 * the place below `prepend` by name, and what the host has under `key` itself is hidden.
 */
static int shorthand_add(struct xattrmap *map, const char *key, const char *prepend)
{
	int error = rule_add(map, TYPE_PREFIX, SCOPE_ALL, key, prepend);

	if (!error && !*key)
		return rule_add(map, TYPE_BAD, SCOPE_ALL, "", "");
	if (!error)
		error = rule_add(map, TYPE_BAD, SCOPE_CLIENT, prepend, "");
	if (!error)
		error = rule_add(map, TYPE_BAD, SCOPE_SERVER, "", key);
	if (!error)
		error = rule_add(map, TYPE_OK, SCOPE_ALL, "", "");
	return error;
}

/* One rule, from its separator on. *last: it was a shorthand. */
static int rule_parse(struct cursor *c, struct xattrmap *map, bool *last)
{
	char key[XATTR_NAME_MAX + 1] = "", prepend[XATTR_NAME_MAX + 1] = "";
	const char *start = c->at;
	int type = 0, scope = 0, error;

	c->separator = *c->at++;
	error = word_parse(c, "type", types, &type);
	if (!error && type != TYPE_MAP)
		error = word_parse(c, "scope", scopes, &scope);
	if (!error)
		error = field_parse(c, "key", key);
	if (!error)
		error = field_parse(c, "prepend", prepend);
	if (error)
		return error;
	*last = type == TYPE_MAP;
	if (type == TYPE_MAP && !*prepend)
		return fail(c, start, "a map rule needs a prefix to prepend");
	return type == TYPE_MAP ? shorthand_add(map, key, prepend)
				: rule_add(map, (enum type)type, (enum scope)scope, key, prepend);
}

/* What a rule compares names with in one direction, NULL if it is not for that direction. */
static const char *rule_pattern(const struct rule *rule, enum scope direction)
{
	if (!(rule->scope & direction))
		return NULL;
	return direction == SCOPE_CLIENT ? rule->key : rule->prepend;
}

static bool has_default(const struct xattrmap *map, enum scope direction)
{
	for (size_t i = 0; i < map->count; i++) {
		const char *pattern = rule_pattern(&map->rules[i], direction);

		if (pattern && !*pattern)
			return true;
	}
	return false;
}

static int map_parse(struct cursor *c, struct xattrmap *map)
{
	bool last = false;

	for (skip_white(c); *c->at; skip_white(c)) {
		int error;

		if (last)
			return fail(c, c->at, "a map rule must be the last one");
		error = rule_parse(c, map, &last);
		if (error)
			return error;
	}
	if (map->count == 0)
		return fail(c, c->at, "there is no rule");
	if (!has_default(map, SCOPE_CLIENT))
		return fail(c, c->at,
			    "no rule for the remaining names from the guest; "
			    "end with a default as :ok:all::: or :bad:all:::");
	if (!has_default(map, SCOPE_SERVER))
		return fail(c, c->at,
			    "no rule for the remaining names from the host; "
			    "end with a default as :ok:all::: or :bad:all:::");
	return 0;
}

int xattrmap_parse(const char *rules, struct xattrmap **out, char *error, size_t cap)
{
	struct cursor c = { .text = rules, .at = rules, .error = error, .cap = cap };
	struct xattrmap *map = calloc(1, sizeof(*map));
	int result = map ? map_parse(&c, map) : -ENOMEM;

	if (result == -ENOMEM)
		(void)fail(&c, c.at, "no memory");
	if (result) {
		xattrmap_free(map);
		return result;
	}
	*out = map;
	return 0;
}

void xattrmap_free(struct xattrmap *map)
{
	if (!map)
		return;
	free(map->rules);
	free(map);
}

static bool starts_with(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

static const struct rule *rule_find(const struct xattrmap *map, enum scope direction,
				    const char *name)
{
	for (size_t i = 0; i < map->count; i++) {
		const char *pattern = rule_pattern(&map->rules[i], direction);

		if (pattern && starts_with(name, pattern))
			return &map->rules[i];
	}
	return NULL;
}

int xattrmap_to_host(const struct xattrmap *map, const char *name, char out[XATTR_NAME_MAX + 1])
{
	const struct rule *rule = map ? rule_find(map, SCOPE_CLIENT, name) : NULL;
	const char *prepend = rule && rule->type == TYPE_PREFIX ? rule->prepend : "";

	if (map && (!rule || rule->type == TYPE_BAD))
		return -EPERM;
	if (rule && rule->type == TYPE_UNSUPPORTED)
		return -EOPNOTSUPP;
	if (strlen(prepend) + strlen(name) > XATTR_NAME_MAX)
		return -ERANGE;
	(void)snprintf(out, XATTR_NAME_MAX + 1, "%s%s", prepend, name);
	return 0;
}

const char *xattrmap_to_guest(const struct xattrmap *map, const char *name)
{
	const struct rule *rule = map ? rule_find(map, SCOPE_SERVER, name) : NULL;

	if (!map)
		return name;
	if (!rule || rule->type == TYPE_BAD || rule->type == TYPE_UNSUPPORTED)
		return NULL;
	if (rule->type == TYPE_PREFIX)
		name += strlen(rule->prepend);
	return *name ? name : NULL;
}
