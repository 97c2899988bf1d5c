/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * main.c - holds the one configuration of the process, and hands it to what was asked for.
 */
#include <stdio.h>

#include "admin/commands.h"
#include "admin/options.h"
#include "admin/serve.h"
#include "base/log.h"
#include "base/secret_heap.h"
#include "holdfast/exit.h"

static int command_help(const struct config *c)
{
	(void)c;
	options_help(stdout);
	return fflush(stdout) ? HOLDFAST_EXIT_FAILURE : HOLDFAST_EXIT_OK;
}

static int command_version(const struct config *c)
{
	(void)c;
	(void)puts("holdfast " HOLDFAST_VERSION);
	return fflush(stdout) ? HOLDFAST_EXIT_FAILURE : HOLDFAST_EXIT_OK;
}

/* What libvirt asks for before it starts one of its own. */
static int command_capabilities(const struct config *c)
{
	(void)c;
	(void)puts("{\n  \"type\": \"fs\",\n  \"features\": [\n    \"separate-options\"\n  ]\n}");
	return fflush(stdout) ? HOLDFAST_EXIT_FAILURE : HOLDFAST_EXIT_OK;
}

static int (*const commands[COMMAND_COUNT])(const struct config *c) = {
	[COMMAND_SERVE] = serve,
	[COMMAND_HANDLE_GET] = command_handle_get,
	[COMMAND_HANDLE_OPEN] = command_handle_open,
	[COMMAND_STATUS] = command_status,
	[COMMAND_INSPECT] = command_inspect,
	[COMMAND_REBUILD] = command_rebuild,
	[COMMAND_REVOKE] = command_revoke,
	[COMMAND_ROTATE_KEY] = command_rotate_key,
	[COMMAND_MAKE_KEY] = command_make_key,
	[COMMAND_ADOPT] = command_adopt,
	[COMMAND_VERIFY] = command_verify,
	[COMMAND_HELP] = command_help,
	[COMMAND_VERSION] = command_version,
	[COMMAND_CAPABILITIES] = command_capabilities,
};

int main(int argc, char **argv)
{
	static struct config config;
	char error[OPTIONS_ERROR_MAX];
	int exit_code;

	if (secret_heap_init()) {
		log_error("no memory for keys: another library was first with OpenSSL");
		return HOLDFAST_EXIT_FAILURE;
	}
	if (options_parse(argc, argv, &config, error)) {
		log_error("%s", error);
		options_free(&config);
		return HOLDFAST_EXIT_USAGE;
	}
	if (config.command == COMMAND_SERVE)
		serve_close_inherited(&config);
	log_init((enum log_level)config.log_level, config.syslog);
	if (config.old_form[0])
		log_warn("-o is the old form of options; today this is written: %s",
			 config.old_form);
	exit_code = commands[config.command](&config);
	options_free(&config);
	return exit_code;
}
