/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * state_file.h - the file `export` in a state directory: which share the state belongs to.
 */
#ifndef HOLDFAST_ADMIN_STATE_FILE_H
#define HOLDFAST_ADMIN_STATE_FILE_H

#include <limits.h>
#include <stdbool.h>

#include "admin/root_identity.h"

#define STATE_EXPORT_FILE "export"
#define STATE_TEMP_FILE "export.new" /* a record that is being written */
#define STATE_ID_DIGITS 32

struct state_record {
	char id[STATE_ID_DIGITS + 1]; /* random hex, made once; names the run directory */
	char root[ROOT_IDENTITY_HEX]; /* state_root_identity(), or "" */
	char path[PATH_MAX];	      /* of the share, absolute */
	char run[PATH_MAX];	      /* the run directory in use, or "" */
};

/* 0, -ENOENT, -EBADMSG (not in the format), -EPROTO (of a newer version), -EKEYREJECTED (others may
 * write to it), or another -errno. */
int state_record_read(int dirfd, struct state_record *out);

/* Writes a new file, syncs it, renames it over the old one. 0 or -errno. */
int state_record_write(int dirfd, const struct state_record *record);

#endif
