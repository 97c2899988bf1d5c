/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options_old.c - virtiofsd's older form of options, `-o name,name=value`.
 *
 * Each is turned into the option of today and goes through options_apply(), so both forms have one
 * meaning; the form of today is noted for one warning. A comma inside a value is written `\,`.
 */
#include <errno.h>
#include <string.h>

#include "admin/options.h"
#include "base/util.h"

#define OLD_LIST_MAX 8192

static const struct old_option {
	const char *name;  /* in the old form */
	const char *value; /* NULL: any or none, handed on */
	const char *now;   /* the option of today; NULL: nothing */
	const char *now_value;
} old_options[] = {
	{ "source", NULL, "shared-dir", NULL },
	{ "cache", "none", "cache", "never" },
	{ "cache", NULL, "cache", NULL },
	{ "loglevel", "err", "log-level", "error" },
	{ "loglevel", NULL, "log-level", NULL },
	{ "log_level", NULL, "log-level", NULL },
	{ "sandbox", NULL, "sandbox", NULL },
	{ "xattr", NULL, "xattr", NULL },
	{ "no_xattr", NULL, "no-xattr", NULL },
	{ "xattrmap", NULL, "xattrmap", NULL },
	{ "posix_acl", NULL, "posix-acl", NULL },
	{ "no_posix_acl", NULL, "no-posix-acl", NULL },
	{ "announce_submounts", NULL, "announce-submounts", NULL },
	{ "no_announce_submounts", NULL, "no-announce-submounts", NULL },
	{ "killpriv_v2", NULL, "killpriv-v2", NULL },
	{ "no_killpriv_v2", NULL, "no-killpriv-v2", NULL },
	{ "writeback", NULL, "writeback", NULL },
	{ "no_writeback", NULL, "no-writeback", NULL },
	{ "flock", NULL, "flock", NULL },
	{ "no_flock", NULL, "no-flock", NULL },
	{ "posix_lock", NULL, "posix-lock", NULL },
	{ "no_posix_lock", NULL, "no-posix-lock", NULL },
	{ "allow_direct_io", NULL, "allow-direct-io", NULL },
	{ "no_allow_direct_io", NULL, "no-allow-direct-io", NULL },
	{ "security_label", NULL, "security-label", NULL },
	{ "no_security_label", NULL, "no-security-label", NULL },
	{ "readdirplus", NULL, "readdirplus", NULL },
	{ "no_readdirplus", NULL, "no-readdirplus", NULL },
	{ "modcaps", NULL, "modcaps", NULL },
	{ "timeout", NULL, "timeout", NULL },
	{ "debug", NULL, "log-level", "debug" },
	{ "inode_file_handles", NULL, "inode-file-handles", NULL },
	/* Of no meaning here. */
	{ "max_idle_threads", NULL, NULL, NULL },
	{ "allow_root", NULL, NULL, NULL },
};

static int apply_one(struct options_parser *p, char *item)
{
	char *value = strchr(item, '=');

	if (value)
		*value++ = '\0';
	for (size_t i = 0; i < ARRAY_LEN(old_options); i++) {
		const struct old_option *old = &old_options[i];
		const char *now_value = old->now_value ? old->now_value : value;
		int err;

		if (strcmp(old->name, item) != 0)
			continue;
		if (old->value && (!value || strcmp(old->value, value) != 0))
			continue;
		if (!old->now)
			return 0;
		options_note_old(p, old->now, now_value);
		err = options_apply(p, old->now, now_value);
		if (err == 1)
			return options_fail(p, "-o %s: a value is missing", item);
		return err;
	}
	return options_fail(p, "-o %s: unknown option; see holdfast --help", item);
}

/* The next item of the list, with `\,` and `\\` undone; the place behind its comma, or NULL at the end. */
static char *cut_item(char *item)
{
	char *to = item;

	for (char *from = item;; from++) {
		if (*from == '\\' && (from[1] == ',' || from[1] == '\\')) {
			*to++ = *++from;
			continue;
		}
		if (*from == ',' || !*from) {
			char *next = *from ? from + 1 : NULL;

			*to = '\0';
			return next;
		}
		*to++ = *from;
	}
}

int options_old_apply(struct options_parser *p, const char *list)
{
	char *item;

	if (strlen(list) >= OLD_LIST_MAX)
		return options_fail(p, "-o: the list is longer than %d bytes", OLD_LIST_MAX);
	/* Values point into it. */
	item = options_keep(p, list);
	if (!item)
		return options_fail(p, "-o: %s", strerror(ENOMEM));

	while (item) {
		char *next = cut_item(item);
		int err = item[0] ? apply_one(p, item) : 0;

		if (err)
			return err;
		item = next;
	}
	return 0;
}
