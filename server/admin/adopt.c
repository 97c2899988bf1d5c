/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * adopt.c - `holdfast adopt`: yes, the directory that is at the share's path now is the share.
 *
 * Only the record changes (state.c); the key stays, so handles of objects that are still the same objects
 * go on opening them, and all others are stale. Main thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/commands.h"
#include "admin/tool.h"
#include "base/log.h"
#include "holdfast/exit.h"

int command_adopt(const struct config *c)
{
	struct keyring *k = NULL;
	struct ring *r = NULL;
	struct state *s;
	int exit_code = tool_state(c, STATE_ADOPT, &s);
	int err;

	if (exit_code)
		return exit_code;
	if (!s->adopted) {
		(void)printf("%s is the directory that %s knows; there is nothing to do\n",
			     s->sharepath, s->statepath);
		goto out;
	}
	(void)printf("%s now belongs to %s as it is; handles of what is not in it are stale\n",
		     s->statepath, s->sharepath);
	/* A ring left behind by an earlier daemon: the next one is to know. */
	if (keysource_load(&s->key, s->statedir, &k) == 0) {
		err = tool_ring(s, k, &r);
		if (!err)
			(void)ring_shared_add(r, RING_ADOPTED, 1);
		else if (err != -ENOENT)
			log_warn("adopt: cannot open %s/%s: %s", s->runpath, STATE_RING_FILE,
				 strerror(-err));
		ring_close(r);
		keyring_free(k);
	}
out:
	state_free(s);
	return HOLDFAST_EXIT_OK;
}
