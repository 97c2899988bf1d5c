/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * config.h - what the command line said: the one configuration of the process.
 *
 * Filled by options_parse(), read by everybody in admin/, changed by nobody after that.
 */
#ifndef HOLDFAST_ADMIN_CONFIG_H
#define HOLDFAST_ADMIN_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#ifndef HOLDFAST_VERSION
#define HOLDFAST_VERSION "0.1.0"
#endif

/* Nodes are a cache: about half a KiB each, so some 100 MiB when it is full. */
#define CONFIG_MAX_NODES_DEFAULT 200000
#define CONFIG_MAX_NODES_MIN 1000
#define CONFIG_MAX_NODES_MAX 100000000
#define CONFIG_NOFILE_MIN 256
#define CONFIG_NOFILE_MAX 1073741816 /* the kernel's own limit of fs.nr_open */
#define CONFIG_THREADS_MAX 64
#define CONFIG_THREADS_DEFAULT UINT64_MAX /* as many as processors, 2 to 8 */
#define CONFIG_TRANSLATIONS_MAX 64

enum command {
	COMMAND_SERVE,
	COMMAND_HANDLE_GET,
	COMMAND_HANDLE_OPEN,
	COMMAND_STATUS,
	COMMAND_INSPECT,
	COMMAND_REBUILD,
	COMMAND_REVOKE,
	COMMAND_ADOPT,
	COMMAND_VERIFY,
	COMMAND_HELP,
	COMMAND_VERSION,
	COMMAND_COUNT
};

struct config {
	enum command command;
	const char *operand[2]; /* PATH, HANDLE, MOUNT of the commands that take them */
	unsigned operands;

	const char *share;
	const char *mount;
	const char *statedir;

	/* serving */
	int cache;   /* enum cache_policy */
	int handles; /* enum handles_mode */
	int moved_out_allow;
	int strict;
	int sandbox; /* 0: none, the only one for a mount */
	bool readonly, xattr, posix_acl, announce_submounts, preserve_noatime, killpriv_v2;
	bool writeback, flock, posix_lock, direct_io;
	bool new_key;
	const char *xattrmap;
	const char *translate_uid[CONFIG_TRANSLATIONS_MAX];
	const char *translate_gid[CONFIG_TRANSLATIONS_MAX];
	unsigned translate_uids, translate_gids;
	uint64_t nofile; /* 0: the hard limit */
	uint64_t max_nodes;
	uint64_t threads;
	int log_level; /* enum log_level */
	bool syslog;

	/* the commands */
	bool connectable, stat, json, yes;

	/* The form of today for what was given as `-o`, to be named in a warning; "" if nothing was. */
	char old_form[1024];
	/* Memory behind values of the old form; options_free() gives it back. */
	char **owned;
	unsigned owned_count;
};

#endif
