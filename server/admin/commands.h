/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * commands.h - the commands of the program. Each takes the configuration and gives the exit code
 * (enum holdfast_exit); what went wrong was said on the standard error. Main thread.
 */
#ifndef HOLDFAST_ADMIN_COMMANDS_H
#define HOLDFAST_ADMIN_COMMANDS_H

#include "admin/config.h"

int command_handle_get(const struct config *c);	 /* handle_cmd.c */
int command_handle_open(const struct config *c); /* handle_cmd.c */
int command_status(const struct config *c);	 /* status_command.c */
int command_inspect(const struct config *c);	 /* inspect.c */
int command_rebuild(const struct config *c);	 /* rebuild.c */
int command_revoke(const struct config *c);	 /* revoke.c */
int command_rotate_key(const struct config *c);	 /* rotate_key.c */
int command_make_key(const struct config *c);	 /* rotate_key.c */
int command_adopt(const struct config *c);	 /* adopt.c */
int command_verify(const struct config *c);	 /* verify.c */

#endif
