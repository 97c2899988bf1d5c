/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options_check.c - what options of serving only make sense, or only lack, in combination; and the text of --help.
 * Runs once, in the main thread, when all options are read.
 */
#include <errno.h>
#include <string.h>

#include "admin/options.h"
#include "base/util.h"
#include "export/export.h"
#include "sandbox/sandbox.h"

/* One of the ways to serve, and what the chosen one cannot have. */
static int check_way(struct options_parser *p, const struct config *c)
{
	const struct {
		bool given;
		const char *name;
	} device[] = {
		{ c->socket_group, "socket-group" },
		{ c->tag, "tag" },
		{ c->persist, "persist" },
		{ c->poll_us != CONFIG_POLL_US_DEFAULT, "poll-us" },
		{ c->uid_maps, "uid-map" },
		{ c->gid_maps, "gid-map" },
	};
	bool by_fd = c->fd != CONFIG_FD_NONE;

	if (!c->mount && !c->socket_path && !by_fd)
		return options_fail(
			p,
			"holdfast: one of --mount=PATH, --socket-path=PATH and --fd=N is missing");
	if ((c->mount != NULL) + (c->socket_path != NULL) + by_fd > 1)
		return options_fail(
			p, "holdfast: only one of --mount, --socket-path and --fd can be served");
	for (size_t i = 0; c->mount && i < ARRAY_LEN(device); i++)
		if (device[i].given)
			return options_fail(p, "--%s: not with --mount, only with a socket",
					    device[i].name);
	if (c->mount_uuid && !c->mount)
		return options_fail(p, "--mount-uuid: only with --mount");
	if (c->socket_group && by_fd)
		return options_fail(p, "--socket-group: only with --socket-path");
	if (c->mount && c->sandbox != SANDBOX_DEFAULT && c->sandbox != SANDBOX_NONE)
		return options_fail(p, "--sandbox: a mount on this machine takes only none");
	if (c->mount && c->announce_submounts == SWITCH_ON)
		return options_fail(
			p, "--announce-submounts: Linux does not offer it for a mount on this "
			   "machine, only for virtiofs");
	return 0;
}

/* What a device alone has; defaults are filled in. */
static int check_device(struct options_parser *p, struct config *c)
{
	if (c->sandbox == SANDBOX_DEFAULT)
		c->sandbox = c->mount ? SANDBOX_NONE : SANDBOX_NAMESPACE;
	if ((c->uid_maps || c->gid_maps) && c->sandbox != SANDBOX_NAMESPACE)
		return options_fail(p, "--%s: only with --sandbox=namespace",
				    c->uid_maps ? "uid-map" : "gid-map");
	if (c->tag && strlen(c->tag) > CONFIG_TAG_MAX)
		return options_fail(p, "--tag=%s: longer than %d bytes", c->tag, CONFIG_TAG_MAX);
	return 0;
}

int options_check_key(struct options_parser *p, const struct config *c)
{
	const char *fd = c->key_fd ? c->key_fd : "3";
	const char *credential = c->key_credential ? c->key_credential : "";

	if (!!c->key_file + !!c->key_fd + !!c->key_credential + !!c->key_keyring > 1)
		return options_fail(p, "only one of --key-file, --key-fd, --key-credential and "
				       "--key-keyring can hold the key");
	if (strlen(fd) > 6 || fd[strspn(fd, "0123456789")])
		return options_fail(p, "--key-fd=%s: allowed is the number of an open descriptor",
				    fd);
	if (strchr(credential, '/') || credential[0] == '.')
		return options_fail(p,
				    "--key-credential=%s: the name of a credential has no slash "
				    "and does not begin with a dot",
				    credential);
	return 0;
}

/* What the key is for: handles that persist. */
static int check_key(struct options_parser *p, const struct config *c)
{
	bool elsewhere = c->key_file || c->key_fd || c->key_credential || c->key_keyring;

	if (elsewhere && c->new_key)
		return options_fail(p, "--new-key: makes a key in the state directory; for a key "
				       "elsewhere say holdfast make-key FILE, and give a new "
				       "--state-dir");
	if (c->handles == HANDLES_NEVER && (elsewhere || c->key_helper))
		return options_fail(p,
				    "--%s: needs handles that persist, and "
				    "--inode-file-handles=never is given",
				    elsewhere ? "key-..." : "key-helper");
	return options_check_key(p, c);
}

int options_check_serve(struct options_parser *p, struct config *c)
{
	int err = check_way(p, c);

	if (!err)
		err = check_device(p, c);
	if (!err)
		err = check_key(p, c);
	if (err)
		return err;
	if (c->handles == HANDLES_NEVER && (c->strict || c->new_key))
		return options_fail(
			p,
			"--%s: needs handles that persist, and --inode-file-handles=never "
			"is given",
			c->strict ? "durability=strict" : "new-key");
	if (c->handles == HANDLES_NEVER && c->mount_uuid)
		return options_fail(p, "--mount-uuid: needs handles that persist, and "
				       "--inode-file-handles=never is given");
	/* ACLs and labels are attributes, and a map of names is of no use without names. */
	if (c->posix_acl == SWITCH_ON || c->xattrmap || c->security_label)
		c->xattr = true;
	return 0;
}

void options_help(FILE *to)
{
	static const char text[] =
		"Usage: holdfast --shared-dir=PATH --socket-path=PATH|--fd=N|--mount=PATH ...\n"
		"       holdfast COMMAND [OPTION]...\n"
		"Serves a directory whose file handles persist; in the foreground, until SIGTERM.\n"
		"\n"
		"  --state-dir=PATH             where key and map are (else found from the share)\n"
		"  --cache=auto|always|metadata|never  --timeout=S  --readonly  --writeback\n"
		"  --xattr  --xattrmap=RULES  --posix-acl  --killpriv-v2  --preserve-noatime\n"
		"  --flock  --posix-lock  --allow-direct-io  --security-label  --no-readdirplus\n"
		"  --translate-uid=MAP  --translate-gid=MAP   (each may be repeated)\n"
		"  --inode-file-handles=never|prefer|mandatory    --moved-out=stale|allow\n"
		"  --durability=relaxed|strict  a handle survives kill -9 | a host crash too\n"
		"  --max-nodes=N  --rlimit-nofile=N  --thread-pool-size=N\n"
		"  --log-level=error|warn|info|debug|off      --syslog\n"
		"  --new-key  (the key is lost)   --mount-uuid  (NFS servers know a mount by it)\n"
		"  --seccomp=kill|log|trap|none --modcaps=+CAP:-CAP\n"
		"  --key-file=PATH|--key-fd=N|--key-credential=NAME|--key-keyring=DESCRIPTION\n"
		"  --key-helper                 the sealing key lives in a process of its own\n"
		"For a socket, as virtiofsd has them:\n"
		"  --socket-group=NAME  --tag=TAG  --persist (wait for the next)  --poll-us=N\n"
		"  --sandbox=namespace|chroot|none  --uid-map=:ID:HOST:N:  --gid-map=...\n"
		"  --[no-]announce-submounts  --print-capabilities\n"
		"\n"
		"Commands (from status on: --shared-dir=PATH; with * --state-dir will do):\n"
		"  handle get [--connectable] PATH      print the file handle of PATH\n"
		"  handle open [--stat] HANDLE MOUNT    open a handle, print what it holds\n"
		"  make-key FILE                        a key for --key-file and its kin\n"
		"  status [--json] *                    what the running daemons do\n"
		"  inspect HANDLE                       what a FUSE or sealed handle names\n"
		"  rebuild                              fill the map by a scan of the share\n"
		"  revoke [--yes] *                     make every handle given out stale\n"
		"  rotate-key [--output=FILE] *         seal with a new key; handles stay\n"
		"  adopt                                the share has another root: take it\n"
		"  verify *                             check key and map\n"
		"\n"
		"Exit: 0 done, 1 failure, 2 usage, 3 share, 4 state, 5 key, 6 map, 7 newer files,\n"
		"      8 other root, 9 no handles, 10 socket or mount, 11 stale, 12 sandbox,\n"
		"      13 system call refused.\n";

	(void)fputs(text, to);
}
