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

/* Nodes are a cache: about 220 bytes each with their places in its tables, so some 25 MiB when it is full. */
#define CONFIG_MAX_NODES_DEFAULT 110000
#define CONFIG_MAX_NODES_MIN 1000
#define CONFIG_MAX_NODES_MAX 100000000
#define CONFIG_NOFILE_MIN 256
#define CONFIG_NOFILE_MAX 1073741816	 /* the kernel's own limit of fs.nr_open */
#define CONFIG_NOFILE_DEFAULT UINT64_MAX /* the hard limit */
#define CONFIG_THREADS_MAX 65536	 /* what starters of virtiofsd pass; fewer are made */
#define CONFIG_THREADS_DEFAULT                                                                     \
	UINT64_MAX /* a device: 8; a mount: twice the processors, at least 4 */
#define CONFIG_TRANSLATIONS_MAX 64
#define CONFIG_FD_MAX 1048576
#define CONFIG_FD_NONE UINT64_MAX
#define CONFIG_POLL_US_MAX 1000
#define CONFIG_POLL_US_DEFAULT UINT64_MAX
#define CONFIG_TIMEOUT_MAX 31536000
#define CONFIG_TIMEOUT_DEFAULT UINT64_MAX /* by --cache */
#define CONFIG_TAG_MAX 36

/* Options of which not to be given is a third thing. */
enum config_switch { SWITCH_DEFAULT, SWITCH_ON, SWITCH_OFF };

enum command {
	COMMAND_SERVE,
	COMMAND_HANDLE_GET,
	COMMAND_HANDLE_OPEN,
	COMMAND_STATUS,
	COMMAND_INSPECT,
	COMMAND_REBUILD,
	COMMAND_REVOKE,
	COMMAND_ROTATE_KEY,
	COMMAND_MAKE_KEY,
	COMMAND_ADOPT,
	COMMAND_VERIFY,
	COMMAND_HELP,
	COMMAND_VERSION,
	COMMAND_CAPABILITIES,
	COMMAND_COUNT
};

struct config {
	enum command command;
	const char *operand[2]; /* PATH, HANDLE, MOUNT of the commands that take them */
	unsigned operands;

	const char *share;
	const char *mount; /* one of these three */
	const char *socket_path;
	uint64_t fd; /* CONFIG_FD_NONE */
	const char *statedir;
	const char *key_file, *key_credential, *key_keyring; /* one of these at most */
	const char *key_fd;				     /* a number, as text */
	const char *key_output;				     /* rotate-key: to another file */
	bool key_helper;

	/* serving */
	int cache;   /* enum cache_policy */
	int handles; /* enum handles_mode */
	int moved_out_allow;
	int strict;
	int sandbox; /* enum sandbox_mode (sandbox.h), never SANDBOX_DEFAULT */
	int killpriv_v2, announce_submounts, posix_acl; /* enum config_switch */
	int seccomp;					/* enum filter_mode (filter.h) */
	bool readonly, xattr, preserve_noatime, security_label, no_readdirplus;
	bool writeback, flock, posix_lock, direct_io;
	bool allow_mmap; /* for virtiofsd's sake: what --cache says allows it already */
	bool new_key;
	bool mount_uuid; /* a mount on this machine: known by a UUID */

	/* serving a device */
	const char *socket_group, *tag;
	bool persist;
	uint64_t poll_us; /* CONFIG_POLL_US_DEFAULT */
	const char *uid_map[CONFIG_TRANSLATIONS_MAX];
	const char *gid_map[CONFIG_TRANSLATIONS_MAX];
	unsigned uid_maps, gid_maps;
	const char *modcaps;
	uint64_t timeout; /* seconds, or CONFIG_TIMEOUT_DEFAULT */

	const char *xattrmap;
	const char *translate_uid[CONFIG_TRANSLATIONS_MAX];
	const char *translate_gid[CONFIG_TRANSLATIONS_MAX];
	unsigned translate_uids, translate_gids;
	uint64_t nofile; /* 0: as it is */
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
