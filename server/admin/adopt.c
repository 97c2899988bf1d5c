/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * adopt.c - `holdfast adopt`: yes, the directory that is at the share's path now is the share.
 *
 * Only the record changes (state.c); the key stays, so handles of objects that are still the same objects
 * go on opening them, and all others are stale. Main thread.
 */
#include <stdio.h>

#include "admin/commands.h"
#include "admin/tool.h"
#include "holdfast/exit.h"

int command_adopt(const struct config *c)
{
	struct state *s;
	int exit_code = tool_state(c, STATE_ADOPT, &s);

	if (exit_code)
		return exit_code;
	if (s->adopted)
		(void)printf(
			"%s now belongs to %s as it is; handles of what is not in it are stale\n",
			s->statepath, s->sharepath);
	else
		(void)printf("%s is the directory that %s knows; there is nothing to do\n",
			     s->sharepath, s->statepath);
	state_free(s);
	return HOLDFAST_EXIT_OK;
}
