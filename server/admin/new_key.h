/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * new_key.h - `--new-key`: the key is lost, start over.
 */
#ifndef HOLDFAST_ADMIN_NEW_KEY_H
#define HOLDFAST_ADMIN_NEW_KEY_H

#include "admin/state.h"

/*
 * Clears the way for a new key and map: the old ones are moved aside, never deleted. Refused when the key
 * is there and fits, so that the option may not stay in a start script and cost every handle at each start.
 * To be called under the start lock, before export_open(). 0, or an exit code after one line in the log.
 */
int new_key_prepare(struct state *s);

#endif
