/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * idmap.c - translation of user or group ids between guest and host.
 *
 * Two lists of ranges, one for each direction, each without overlaps, so that the order of rules
 * does not matter. Built at start, read only afterwards, by any thread.
 */
#include "fuse/idmap.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

#define NO_ID UINT32_MAX /* (uid_t)-1: "leave it" to chown(2), setresuid(2) and kin */
#define FIELDS_MAX 3

enum target { TARGET_RANGE, TARGET_ONE, TARGET_FORBIDDEN };

struct range {
	uint32_t first, count; /* first + count <= NO_ID */
	uint32_t to;
	enum target target;
};

struct ranges {
	struct range *list;
	size_t count;
};

struct idmap {
	struct ranges to_host, to_guest;
};

/* What a kind of rule does in each direction. */
struct rule_kind {
	const char *name;
	unsigned fields;
	bool to_host, to_guest;
	enum target target;
};

static const struct rule_kind rule_kinds[] = {
	{ "guest", 3, true, false, TARGET_RANGE },
	{ "host", 3, false, true, TARGET_RANGE },
	{ "squash-guest", 3, true, false, TARGET_ONE },
	{ "squash-host", 3, false, true, TARGET_ONE },
	{ "forbid-guest", 2, true, false, TARGET_FORBIDDEN },
	{ "map", 3, true, true, TARGET_RANGE },
};

__attribute__((format(printf, 3, 4))) static int fail(char *error, size_t cap, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(error, cap, fmt, args);
	va_end(args);
	return -EINVAL;
}

static const struct rule_kind *rule_kind_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(rule_kinds); i++)
		if (strlen(rule_kinds[i].name) == len &&
		    strncasecmp(rule_kinds[i].name, name, len) == 0)
			return &rule_kinds[i];
	return NULL;
}

/* Decimal digits up to `separator` or the end; sets *end behind them. */
static bool number_parse(const char *p, char separator, uint32_t *value, const char **end)
{
	uint64_t v = 0;

	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++) {
		v = v * 10 + (uint64_t)(*p - '0');
		if (v > UINT32_MAX)
			return false;
	}
	if (*p && *p != separator)
		return false;
	*value = (uint32_t)v;
	*end = p;
	return true;
}

static int ranges_add(struct ranges *r, struct range add)
{
	struct range *list = reallocarray(r->list, r->count + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	r->list = list;
	r->list[r->count++] = add;
	return 0;
}

static const struct range *ranges_overlap(const struct ranges *r, struct range other)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct range *have = &r->list[i];

		if (have->first < other.first + other.count &&
		    other.first < have->first + have->count)
			return have;
	}
	return NULL;
}

static int range_check(const struct ranges *r, struct range range, const char *rule, char *error,
		       size_t cap)
{
	const struct range *have;

	if (range.count == 0)
		return fail(error, cap, "'%s': the count is 0", rule);
	if (range.count > NO_ID - range.first ||
	    (range.target == TARGET_RANGE && range.count > NO_ID - range.to) ||
	    (range.target == TARGET_ONE && range.to == NO_ID))
		return fail(error, cap, "'%s': the range goes past the last id, %u", rule,
			    NO_ID - 1);
	have = ranges_overlap(r, range);
	if (have)
		return fail(error, cap, "'%s': overlaps the ids %u to %u of an earlier rule", rule,
			    have->first, have->first + have->count - 1);
	return 0;
}

/* Splits a rule into its kind and numbers. */
static int rule_parse(const char *rule, const struct rule_kind **kind, uint32_t fields[FIELDS_MAX],
		      char *error, size_t cap)
{
	const char *p = rule;
	unsigned n = 0;
	char separator;

	while (isalnum((unsigned char)*p) || *p == '-' || *p == '_')
		p++;
	*kind = rule_kind_find(rule, (size_t)(p - rule));
	if (!*kind)
		return fail(error, cap,
			    "'%s': '%.*s' is not guest, host, squash-guest, squash-host, "
			    "forbid-guest or map",
			    rule, (int)(p - rule), rule);
	separator = *p;
	while (*p) {
		const char *field = ++p;

		if (n == FIELDS_MAX || n == (*kind)->fields)
			return fail(error, cap, "'%s': more than %u numbers", rule,
				    (*kind)->fields);
		if (!number_parse(field, separator, &fields[n++], &p))
			return fail(error, cap,
				    "'%s': number %u, at character %zu, is not one from 0 to %u",
				    rule, n, (size_t)(field - rule) + 1, UINT32_MAX);
	}
	if (n != (*kind)->fields)
		return fail(error, cap, "'%s': %u numbers where %u are due", rule, n,
			    (*kind)->fields);
	return 0;
}

int idmap_add(struct idmap **map, const char *rule, char *error, size_t cap)
{
	static const struct idmap empty;
	const struct idmap *have = *map ? *map : &empty;
	const struct rule_kind *kind;
	uint32_t fields[FIELDS_MAX] = { 0 };
	struct range there, back;
	int result;

	result = rule_parse(rule, &kind, fields, error, cap);
	if (result)
		return result;
	there = (struct range){ .first = fields[0],
				.to = kind->fields == 3 ? fields[1] : 0,
				.count = kind->fields == 3 ? fields[2] : fields[1],
				.target = kind->target };
	back = there;
	if (kind->to_host && kind->to_guest) {
		back.first = there.to;
		back.to = there.first;
	}

	/* All is checked first, so that a bad rule leaves no half behind. */
	if (kind->to_host)
		result = range_check(&have->to_host, there, rule, error, cap);
	if (!result && kind->to_guest)
		result = range_check(&have->to_guest, back, rule, error, cap);
	if (result)
		return result;

	if (!*map)
		*map = calloc(1, sizeof(**map));
	result = *map ? 0 : -ENOMEM;
	if (!result && kind->to_host)
		result = ranges_add(&(*map)->to_host, there);
	if (!result && kind->to_guest)
		result = ranges_add(&(*map)->to_guest, back);
	if (result)
		(void)fail(error, cap, "'%s': no memory", rule);
	return result;
}

void idmap_free(struct idmap *map)
{
	if (!map)
		return;
	free(map->to_host.list);
	free(map->to_guest.list);
	free(map);
}

/* The range with `id`; NULL if no rule names it. */
static const struct range *ranges_find(const struct ranges *r, uint32_t id)
{
	for (size_t i = 0; i < r->count; i++)
		if (id >= r->list[i].first && id - r->list[i].first < r->list[i].count)
			return &r->list[i];
	return NULL;
}

static uint32_t range_apply(const struct range *range, uint32_t id)
{
	return range->target == TARGET_ONE ? range->to : range->to + (id - range->first);
}

int idmap_to_host(const struct idmap *map, uint32_t guest, uint32_t *host)
{
	const struct range *range = map ? ranges_find(&map->to_host, guest) : NULL;

	if (guest == NO_ID || (range && range->target == TARGET_FORBIDDEN))
		return -EPERM;
	*host = range ? range_apply(range, guest) : guest;
	return 0;
}

uint32_t idmap_to_guest(const struct idmap *map, uint32_t host)
{
	const struct range *range = map ? ranges_find(&map->to_guest, host) : NULL;

	return range ? range_apply(range, host) : host;
}
