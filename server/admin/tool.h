/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tool.h - what the commands on an existing export have in common: opening its parts, with the reason of
 * a failure logged in one line and its exit code given back. All of them give 0 or an exit code.
 */
#ifndef HOLDFAST_ADMIN_TOOL_H
#define HOLDFAST_ADMIN_TOOL_H

#include <stdint.h>

#include "admin/config.h"
#include "admin/state.h"
#include "export/export.h"
#include "export/map.h"

/* With the source of the key. */
int tool_state(const struct config *c, enum state_mode mode, struct state **out);

/* Where the key comes from, as the options say: opens s->key. Logs if it cannot. */
int tool_key_source(const struct config *c, struct state *s);

/* Refuses the key file `path`, which --`option` gave, if it lies in the share, where guests would be served it. */
int tool_key_place(const struct state *s, const char *option, const char *path);

int tool_key(struct state *s, struct keyring **out);

/* What a failed keyring_load or map_open means: a word of holdfast/status.h, and the exit code. */
const char *tool_key_error(int err, int *exit_code);
const char *tool_map_error(int err, int *exit_code);

/* Opens the map for reading; logs if it cannot. 0 with NULL: nobody has written to it since the last revoke, so it holds nothing. */
int tool_map(const struct state *s, const struct keyring *k, struct map **out);

/*
 * The whole export, as a daemon opens it, but with little memory and few descriptors. A missing key or map is
 * refused here: a tool makes neither.
 */
int tool_export(struct state *s, struct export **out);

/* The path of the map's database; the caller frees it. NULL when memory is short. */
char *tool_map_path(const struct state *s);

/*
 * SQLite's own check of the database, without the key: 0, 1 (damaged: the first complaint is in `what`), or
 * -errno when it could not be made.
 */
int tool_map_integrity(const struct state *s, char what[256]);

/* Renames the database and its -wal and -shm to map.db.SUFFIX-TIME...; nobody may have it open. 0 or -errno. */
int tool_map_aside(struct state *s, const char *suffix, int64_t now);

/* The ring of the export, if there is one: 0, -ENOENT or another -errno. */
int tool_ring(const struct state *s, const struct keyring *k, struct ring **out);

/* "regular file", "directory", ... of S_IFMT bits. */
const char *tool_type_name(unsigned mode);

/* "2026-11-24 02:41:34.123456789 UTC" */
void tool_format_time(int64_t seconds, uint32_t nanoseconds, char out[64]);

#endif
