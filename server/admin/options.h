/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.h - the command line.
 *
 * `holdfast [OPTION...]` serves; `holdfast COMMAND [OPTION...] [OPERAND...]` does one thing and ends.
 * Options are `--name`, `--name=value` or `--name value`, never abbreviated. virtiofsd's older form,
 * `-o name,name=value`, is understood (options_old.c) and answered with the form of today.
 */
#ifndef HOLDFAST_ADMIN_OPTIONS_H
#define HOLDFAST_ADMIN_OPTIONS_H

#include <stdio.h>

#include "admin/config.h"

#define OPTIONS_ERROR_MAX 512

struct options_parser; /* one run of options_parse(), for options_old.c */

/*
 * Fills `out` from the arguments (argv[0] is skipped), which must live as long as it. 0, or -EINVAL and
 * one line for the administrator in `error`: which option, which value, what is allowed. After either
 * the caller owes options_free().
 */
int options_parse(int argc, char *const *argv, struct config *out, char error[OPTIONS_ERROR_MAX]);
void options_free(struct config *config);

/* The main text of --help; at most 40 lines of 80 columns. (options_check.c) */
void options_help(FILE *to);

/*
 * One option by its name, as both forms end: `value` is NULL when none was given. -EINVAL with the message
 * set, 1 if the option would take a value and has none (only with `value` NULL), else 0.
 */
int options_apply(struct options_parser *p, const char *name, const char *value);
__attribute__((format(printf, 2, 3))) int options_fail(struct options_parser *p, const char *fmt,
						       ...);

/* What COMMAND_SERVE needs and what does not go together; defaults that depend on others. (options_check.c) */
int options_check_serve(struct options_parser *p, struct config *c);

/* Where the key comes from, for every command that needs it. (options_check.c) */
int options_check_key(struct options_parser *p, const struct config *c);

/* virtiofsd's `-o` list. 0 or -EINVAL with the message set. (options_old.c) */
int options_old_apply(struct options_parser *p, const char *list);

/* A copy that lives as long as the configuration; NULL when memory is short. */
char *options_keep(struct options_parser *p, const char *text);
/* Adds "--name[=value]" to the configuration's old_form. */
void options_note_old(struct options_parser *p, const char *name, const char *value);

#endif
