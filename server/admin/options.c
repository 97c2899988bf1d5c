/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.c - one table of options, and the parser that follows it.
 *
 * Each row of the table says where in struct config a value goes, what it may be, and which commands
 * know the option; nothing about an option is said anywhere else but in the manual. Runs once, in the main
 * thread, before anything else.
 */
#include "admin/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "export/export.h"
#include "fuse/fuse.h"
#include "sandbox/filter.h"
#include "sandbox/sandbox.h"

struct choice {
	const char *name;
	int value;
};

enum option_kind {
	OPTION_SET,
	OPTION_CLEAR,
	OPTION_YES, /* of an int that is SWITCH_DEFAULT when nothing is said */
	OPTION_NO,
	OPTION_CHOICE,
	OPTION_NUMBER,
	OPTION_TEXT,
	OPTION_LIST
};

struct option_def {
	const char *name;
	size_t offset; /* of the value in struct config */
	enum option_kind kind;
	unsigned commands;	      /* bits 1 << enum command */
	bool once;		      /* a second one is refused: the later must not win unseen */
	const struct choice *choices; /* OPTION_CHOICE, ends with name NULL */
	uint64_t min, max;	      /* OPTION_NUMBER */
	bool zero;		      /* OPTION_NUMBER: 0 is allowed too */
	size_t count_offset;	      /* OPTION_LIST: of the number of values */
};

#define ON(c) (1U << (c))
#define SERVE ON(COMMAND_SERVE)
#define STATEFUL                                                                                   \
	(SERVE | ON(COMMAND_STATUS) | ON(COMMAND_INSPECT) | ON(COMMAND_REBUILD) |                  \
	 ON(COMMAND_REVOKE) | ON(COMMAND_ADOPT) | ON(COMMAND_VERIFY) | ON(COMMAND_ROTATE_KEY))
#define EVERY (STATEFUL | ON(COMMAND_HANDLE_GET) | ON(COMMAND_HANDLE_OPEN) | ON(COMMAND_MAKE_KEY))

static const struct choice cache_choices[] = {
	{ "auto", CACHE_AUTO },
	{ "always", CACHE_ALWAYS },
	{ "metadata", CACHE_METADATA },
	{ "never", CACHE_NEVER },
	{ NULL, 0 },
};
static const struct choice handles_choices[] = {
	{ "never", HANDLES_NEVER },
	{ "prefer", HANDLES_PREFER },
	{ "mandatory", HANDLES_MANDATORY },
	{ NULL, 0 },
};
static const struct choice moved_out_choices[] = { { "stale", 0 }, { "allow", 1 }, { NULL, 0 } };
static const struct choice durability_choices[] = { { "relaxed", 0 },
						    { "strict", 1 },
						    { NULL, 0 } };
static const struct choice sandbox_choices[] = {
	{ "namespace", SANDBOX_NAMESPACE },
	{ "chroot", SANDBOX_CHROOT },
	{ "none", SANDBOX_NONE },
	{ NULL, 0 },
};
static const struct choice seccomp_choices[] = {
	{ "kill", FILTER_KILL }, { "log", FILTER_LOG }, { "trap", FILTER_TRAP },
	{ "none", FILTER_NONE }, { NULL, 0 },
};
static const struct choice level_choices[] = {
	{ "error", LOG_LEVEL_ERROR }, { "warn", LOG_LEVEL_WARN }, { "info", LOG_LEVEL_INFO },
	{ "debug", LOG_LEVEL_DEBUG }, { "off", LOG_LEVEL_OFF },	  { NULL, 0 },
};

#define AT(field) offsetof(struct config, field)
#define FLAG(n, f, c)                                                                              \
	{                                                                                          \
		.name = (n), .offset = AT(f), .kind = OPTION_SET, .commands = (c)                  \
	}
#define NOFLAG(n, f, c)                                                                            \
	{                                                                                          \
		.name = (n), .offset = AT(f), .kind = OPTION_CLEAR, .commands = (c)                \
	}
#define YES(n, f, c)                                                                               \
	{                                                                                          \
		.name = (n), .offset = AT(f), .kind = OPTION_YES, .commands = (c)                  \
	}
#define NO(n, f, c)                                                                                \
	{                                                                                          \
		.name = (n), .offset = AT(f), .kind = OPTION_NO, .commands = (c)                   \
	}
#define CHOICE(n, f, list, c)                                                                      \
	{                                                                                          \
		.name = (n), .offset = AT(f), .kind = OPTION_CHOICE, .commands = (c),              \
		.choices = (list)                                                                  \
	}
#define NUMBER(n, f, lo, hi, c)                                                                    \
	{                                                                                          \
		.name = (n), .offset = AT(f), .kind = OPTION_NUMBER, .commands = (c), .min = (lo), \
		.max = (hi)                                                                        \
	}
#define TEXT(n, f, c)                                                                              \
	{                                                                                          \
		.name = (n), .offset = AT(f), .kind = OPTION_TEXT, .commands = (c), .once = true   \
	}
#define LIST(n, f, count, c)                                                                       \
	{                                                                                          \
		.name = (n), .offset = AT(f), .kind = OPTION_LIST, .commands = (c),                \
		.count_offset = AT(count)                                                          \
	}

static const struct option_def option_defs[] = {
	TEXT("shared-dir", share, STATEFUL),
	TEXT("mount", mount, SERVE),
	FLAG("mount-uuid", mount_uuid, SERVE),
	TEXT("socket-path", socket_path, SERVE),
	TEXT("socket-group", socket_group, SERVE),
	{ .name = "fd",
	  .offset = AT(fd),
	  .kind = OPTION_NUMBER,
	  .commands = SERVE,
	  .once = true,
	  .min = 0,
	  .max = CONFIG_FD_MAX },
	TEXT("tag", tag, SERVE),
	FLAG("persist", persist, SERVE),
	NUMBER("poll-us", poll_us, 0, CONFIG_POLL_US_MAX, SERVE),
	TEXT("state-dir", statedir, STATEFUL),
	TEXT("key-file", key_file, STATEFUL),
	TEXT("key-fd", key_fd, STATEFUL),
	TEXT("key-credential", key_credential, STATEFUL),
	TEXT("key-keyring", key_keyring, STATEFUL),
	FLAG("key-helper", key_helper, SERVE),
	TEXT("output", key_output, ON(COMMAND_ROTATE_KEY)),
	{ .name = "sandbox",
	  .offset = AT(sandbox),
	  .kind = OPTION_CHOICE,
	  .commands = SERVE,
	  .once = true,
	  .choices = sandbox_choices },
	{ .name = "new-key",
	  .offset = AT(new_key),
	  .kind = OPTION_SET,
	  .commands = SERVE,
	  .once = true },
	LIST("uid-map", uid_map, uid_maps, SERVE),
	LIST("gid-map", gid_map, gid_maps, SERVE),
	TEXT("modcaps", modcaps, SERVE),
	{ .name = "seccomp",
	  .offset = AT(seccomp),
	  .kind = OPTION_CHOICE,
	  .commands = SERVE,
	  .once = true,
	  .choices = seccomp_choices },
	CHOICE("cache", cache, cache_choices, SERVE),
	NUMBER("timeout", timeout, 0, CONFIG_TIMEOUT_MAX, SERVE),
	CHOICE("inode-file-handles", handles, handles_choices, SERVE),
	CHOICE("moved-out", moved_out_allow, moved_out_choices, SERVE),
	CHOICE("durability", strict, durability_choices, SERVE),
	FLAG("readonly", readonly, SERVE),
	FLAG("xattr", xattr, SERVE),
	NOFLAG("no-xattr", xattr, SERVE),
	TEXT("xattrmap", xattrmap, SERVE),
	YES("posix-acl", posix_acl, SERVE),
	NO("no-posix-acl", posix_acl, SERVE),
	FLAG("security-label", security_label, SERVE),
	NOFLAG("no-security-label", security_label, SERVE),
	YES("announce-submounts", announce_submounts, SERVE),
	NO("no-announce-submounts", announce_submounts, SERVE),
	NOFLAG("readdirplus", no_readdirplus, SERVE),
	FLAG("no-readdirplus", no_readdirplus, SERVE),
	LIST("translate-uid", translate_uid, translate_uids, SERVE),
	LIST("translate-gid", translate_gid, translate_gids, SERVE),
	FLAG("preserve-noatime", preserve_noatime, SERVE),
	YES("killpriv-v2", killpriv_v2, SERVE),
	NO("no-killpriv-v2", killpriv_v2, SERVE),
	FLAG("writeback", writeback, SERVE),
	NOFLAG("no-writeback", writeback, SERVE),
	FLAG("flock", flock, SERVE),
	NOFLAG("no-flock", flock, SERVE),
	FLAG("posix-lock", posix_lock, SERVE),
	NOFLAG("no-posix-lock", posix_lock, SERVE),
	FLAG("allow-direct-io", direct_io, SERVE),
	NOFLAG("no-allow-direct-io", direct_io, SERVE),
	FLAG("allow-mmap", allow_mmap, SERVE),
	{ .name = "rlimit-nofile",
	  .offset = AT(nofile),
	  .kind = OPTION_NUMBER,
	  .commands = SERVE,
	  .min = CONFIG_NOFILE_MIN,
	  .max = CONFIG_NOFILE_MAX,
	  .zero = true },
	NUMBER("max-nodes", max_nodes, CONFIG_MAX_NODES_MIN, CONFIG_MAX_NODES_MAX, SERVE),
	NUMBER("thread-pool-size", threads, 0, CONFIG_THREADS_MAX, SERVE),
	CHOICE("log-level", log_level, level_choices, EVERY),
	FLAG("syslog", syslog, SERVE),
	FLAG("connectable", connectable, ON(COMMAND_HANDLE_GET)),
	FLAG("stat", stat, ON(COMMAND_HANDLE_OPEN)),
	FLAG("json", json, ON(COMMAND_STATUS)),
	FLAG("yes", yes, ON(COMMAND_REVOKE)),
};

/* virtiofsd's options that are known and not to be had, with the reason. A value behind them is never looked at. */
static const struct {
	const char *name, *why;
} refused_options[] = {
	{ "daemonize", "holdfast stays in the foreground: let systemd or libvirt start it" },
	{ "migration-mode", "live migration is not supported" },
	{ "migration-on-error", "live migration is not supported" },
	{ "migration-verify-handles", "live migration is not supported" },
	{ "migration-confirm-paths", "live migration is not supported" },
};

static const struct command_def {
	const char *first, *second; /* words on the command line */
	const char *shown;	    /* in messages */
	unsigned operands;
	const char *operand_names;
	bool share;    /* --shared-dir is needed... */
	bool statedir; /* ...or --state-dir will do */
} command_defs[COMMAND_COUNT] = {
	[COMMAND_SERVE] = { NULL, NULL, "holdfast", 0, "", true, false },
	[COMMAND_HANDLE_GET] = { "handle", "get", "handle get", 1, "PATH", false, false },
	[COMMAND_HANDLE_OPEN] = { "handle", "open", "handle open", 2, "HANDLE MOUNT", false,
				  false },
	[COMMAND_STATUS] = { "status", NULL, "status", 0, "", true, true },
	[COMMAND_INSPECT] = { "inspect", NULL, "inspect", 1, "HANDLE", true, false },
	[COMMAND_REBUILD] = { "rebuild", NULL, "rebuild", 0, "", true, false },
	[COMMAND_REVOKE] = { "revoke", NULL, "revoke", 0, "", true, true },
	[COMMAND_ROTATE_KEY] = { "rotate-key", NULL, "rotate-key", 0, "", true, true },
	[COMMAND_MAKE_KEY] = { "make-key", NULL, "make-key", 1, "FILE", false, false },
	[COMMAND_ADOPT] = { "adopt", NULL, "adopt", 0, "", true, false },
	[COMMAND_VERIFY] = { "verify", NULL, "verify", 0, "", true, true },
	[COMMAND_HELP] = { "help", NULL, "help", 0, "", false, false },
	/* An option to virtiofsd, and to us. */
	[COMMAND_CAPABILITIES] = { NULL, NULL, "--print-capabilities", 0, "", false, false },
	[COMMAND_VERSION] = { "version", NULL, "version", 0, "", false, false },
};

struct options_parser {
	struct config *config;
	char *error;
	bool seen[ARRAY_LEN(option_defs)];
};

int options_fail(struct options_parser *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(p->error, OPTIONS_ERROR_MAX, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

char *options_keep(struct options_parser *p, const char *text)
{
	struct config *c = p->config;
	char **grown = realloc(c->owned, (c->owned_count + 1) * sizeof(*grown));

	if (!grown)
		return NULL;
	c->owned = grown;
	grown[c->owned_count] = strdup(text);
	if (!grown[c->owned_count])
		return NULL;
	return grown[c->owned_count++];
}

void options_note_old(struct options_parser *p, const char *name, const char *value)
{
	char *text = p->config->old_form;
	size_t used = strlen(text);

	(void)snprintf(text + used, sizeof(p->config->old_form) - used, "%s--%s%s%s",
		       used ? " " : "", name, value ? "=" : "", value ? value : "");
}

void options_free(struct config *config)
{
	for (unsigned i = 0; i < config->owned_count; i++)
		free(config->owned[i]);
	free((void *)config->owned);
	config->owned = NULL;
	config->owned_count = 0;
}

/* "auto, always, metadata or never" */
static void list_choices(const struct choice *choices, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (const struct choice *c = choices; c->name && used < size; c++) {
		const char *before = c == choices ? "" : c[1].name ? ", " : " or ";
		int n = snprintf(out + used, size - used, "%s%s", before, c->name);

		if (n < 0)
			return;
		used += (size_t)n;
	}
}

static int set_choice(struct options_parser *p, const struct option_def *def, void *field,
		      const char *value)
{
	char allowed[128];

	for (const struct choice *c = def->choices; c->name; c++) {
		if (strcmp(c->name, value) == 0) {
			*(int *)field = c->value;
			return 0;
		}
	}
	/* virtiofsd knows more words for a level than are worth a place in the list. */
	if (def->choices == level_choices && log_level_parse(value) >= 0) {
		*(int *)field = log_level_parse(value);
		return 0;
	}
	list_choices(def->choices, allowed, sizeof(allowed));
	return options_fail(p, "--%s=%s: allowed is %s", def->name, value, allowed);
}

static int set_number(struct options_parser *p, const struct option_def *def, void *field,
		      const char *value)
{
	char *end = NULL;
	unsigned long long n;

	errno = 0;
	n = strtoull(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end || errno ||
	    ((n < def->min || n > def->max) && !(def->zero && n == 0)))
		return options_fail(p, "--%s=%s: allowed is %sa number from %llu to %llu",
				    def->name, value, def->zero ? "0 or " : "",
				    (unsigned long long)def->min, (unsigned long long)def->max);
	*(uint64_t *)field = n;
	return 0;
}

static int set_value(struct options_parser *p, const struct option_def *def, const char *value)
{
	void *field = (char *)p->config + def->offset;
	unsigned *count = (void *)((char *)p->config + def->count_offset);

	switch (def->kind) {
	case OPTION_SET:
	case OPTION_CLEAR:
		*(bool *)field = def->kind == OPTION_SET;
		return 0;
	case OPTION_YES:
	case OPTION_NO:
		*(int *)field = def->kind == OPTION_YES ? SWITCH_ON : SWITCH_OFF;
		return 0;
	case OPTION_CHOICE:
		return set_choice(p, def, field, value);
	case OPTION_NUMBER:
		return set_number(p, def, field, value);
	case OPTION_TEXT:
		if (!value[0])
			return options_fail(p, "--%s: the value is empty", def->name);
		*(const char **)field = value;
		return 0;
	case OPTION_LIST:
		if (*count == CONFIG_TRANSLATIONS_MAX)
			return options_fail(p, "--%s: given more than %d times", def->name,
					    CONFIG_TRANSLATIONS_MAX);
		((const char **)field)[(*count)++] = value;
		return 0;
	}
	return -EINVAL;
}

int options_apply(struct options_parser *p, const char *name, const char *value)
{
	for (size_t i = 0; i < ARRAY_LEN(option_defs); i++) {
		const struct option_def *def = &option_defs[i];
		bool flag = def->kind <= OPTION_NO;

		if (strcmp(def->name, name) != 0)
			continue;
		if (!(def->commands & ON(p->config->command)))
			return options_fail(p, "--%s: %s has no such option; see holdfast --help",
					    name, command_defs[p->config->command].shown);
		if (flag && value)
			return options_fail(p, "--%s=%s: the option takes no value", name, value);
		if (!flag && !value)
			return 1;
		if (def->once && p->seen[i])
			return options_fail(p, "--%s: given twice", name);
		p->seen[i] = true;
		return set_value(p, def, value);
	}
	for (size_t i = 0; i < ARRAY_LEN(refused_options); i++)
		if (p->config->command == COMMAND_SERVE &&
		    strcmp(refused_options[i].name, name) == 0)
			return options_fail(p, "--%s: %s", name, refused_options[i].why);
	return options_fail(p, "--%s: unknown option; see holdfast --help", name);
}

/* `--name`, `--name=value`, or `--name` with its value in argv[*i + 1]. */
static int parse_long(struct options_parser *p, int argc, char *const *argv, int *i)
{
	const char *name = argv[*i] + 2;
	const char *equals = strchr(name, '=');
	char short_name[64];
	int err;

	if (equals) {
		size_t len = (size_t)(equals - name);

		if (len >= sizeof(short_name))
			return options_fail(p, "%s: unknown option; see holdfast --help", argv[*i]);
		memcpy(short_name, name, len);
		short_name[len] = '\0';
		return options_apply(p, short_name, equals + 1);
	}

	err = options_apply(p, name, NULL);
	if (err != 1)
		return err;
	if (*i + 1 >= argc)
		return options_fail(p, "--%s: a value is missing", name);
	(*i)++;
	return options_apply(p, name, argv[*i]);
}

/* The words that name the command; index of the first argument behind them, or -EINVAL. */
static int parse_command(struct options_parser *p, int argc, char *const *argv)
{
	const char *word = argc > 1 ? argv[1] : "--"; /* nothing at all: what is missing is said */
	const char *second = argc > 2 ? argv[2] : "";

	p->config->command = COMMAND_SERVE;
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		p->config->command = COMMAND_HELP;
		return 2;
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
		p->config->command = COMMAND_VERSION;
		return 2;
	}
	if (word[0] == '-')
		return 1;

	for (int c = 0; c < COMMAND_COUNT; c++) {
		const struct command_def *def = &command_defs[c];

		if (!def->first || strcmp(def->first, word) != 0)
			continue;
		if (def->second && strcmp(def->second, second) != 0)
			continue;
		p->config->command = (enum command)c;
		return def->second ? 3 : 2;
	}
	if (strcmp(word, "handle") == 0)
		return options_fail(p,
				    "handle: say `handle get PATH` or `handle open HANDLE MOUNT`");
	return options_fail(p, "%s: unknown command; see holdfast --help", word);
}

/* What only makes sense, or only lacks, in combination. */
static int check_whole(struct options_parser *p)
{
	struct config *c = p->config;
	const struct command_def *def = &command_defs[c->command];

	if (c->operands < def->operands)
		return options_fail(p, "%s: needs %s", def->shown, def->operand_names);
	if (def->share && !c->share && !(def->statedir && c->statedir))
		return options_fail(p, "%s: --shared-dir=PATH%s is missing; see holdfast --help",
				    def->shown, def->statedir ? " (or --state-dir=PATH)" : "");
	return c->command == COMMAND_SERVE ? options_check_serve(p, c) : options_check_key(p, c);
}

static int parse_argument(struct options_parser *p, int argc, char *const *argv, int *i,
			  bool *only_operands)
{
	struct config *c = p->config;
	const char *arg = argv[*i];

	if (!*only_operands && strcmp(arg, "--") == 0) {
		*only_operands = true;
		return 0;
	}
	if (*only_operands || arg[0] != '-' || !arg[1]) {
		if (c->operands >= command_defs[c->command].operands)
			return options_fail(p, "%s: unexpected argument \"%s\"",
					    command_defs[c->command].shown, arg);
		c->operand[c->operands++] = arg;
		return 0;
	}
	if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
		c->command = COMMAND_HELP;
		return 0;
	}
	if (strcmp(arg, "--version") == 0 || strcmp(arg, "-V") == 0) {
		c->command = COMMAND_VERSION;
		return 0;
	}
	if (strcmp(arg, "--print-capabilities") == 0 && c->command == COMMAND_SERVE) {
		c->command = COMMAND_CAPABILITIES;
		return 0;
	}
	if (strcmp(arg, "-f") == 0 && c->command == COMMAND_SERVE)
		return 0; /* virtiofsd: in the foreground; there is nothing else */
	if (strcmp(arg, "-d") == 0 && c->command == COMMAND_SERVE)
		return options_apply(p, "log-level", "debug");
	if (strncmp(arg, "--", 2) == 0)
		return parse_long(p, argc, argv, i);
	if (arg[1] == 'o' && c->command == COMMAND_SERVE) {
		if (arg[2])
			return options_old_apply(p, arg + 2);
		if (*i + 1 >= argc)
			return options_fail(p, "-o: a list of options is missing");
		(*i)++;
		return options_old_apply(p, argv[*i]);
	}
	return options_fail(p, "%s: unknown option; see holdfast --help", arg);
}

int options_parse(int argc, char *const *argv, struct config *out, char error[OPTIONS_ERROR_MAX])
{
	struct options_parser p = { .config = out, .error = error };
	bool only_operands = false;
	int i;

	memset(out, 0, sizeof(*out));
	error[0] = '\0';
	out->cache = CACHE_AUTO;
	out->handles = HANDLES_PREFER;
	out->max_nodes = CONFIG_MAX_NODES_DEFAULT;
	out->threads = CONFIG_THREADS_DEFAULT;
	out->nofile = CONFIG_NOFILE_DEFAULT;
	out->poll_us = CONFIG_POLL_US_DEFAULT;
	out->timeout = CONFIG_TIMEOUT_DEFAULT;
	out->fd = CONFIG_FD_NONE;
	out->log_level = LOG_LEVEL_INFO;
	out->seccomp = FILTER_KILL;

	i = parse_command(&p, argc, argv);
	if (i < 0)
		return i;
	/* What opening an export says of it belongs into a daemon's log, not into a command's answer. */
	if (out->command != COMMAND_SERVE)
		out->log_level = LOG_LEVEL_WARN;
	for (; i < argc; i++) {
		int err;

		if (out->command == COMMAND_HELP || out->command == COMMAND_VERSION ||
		    out->command == COMMAND_CAPABILITIES)
			return 0;
		err = parse_argument(&p, argc, argv, &i, &only_operands);
		if (err)
			return err;
	}
	return check_whole(&p);
}
