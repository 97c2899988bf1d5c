/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve_mount.c - the share mounted on this machine. Main thread.
 */
#include "admin/serve_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "export/export.h"
#include "holdfast/exit.h"
#include "transport/blockid.h"

#define CONF_FUSE "/etc/fuse.conf"

/*
 * Without symbolic links, or NULL with errno. A slash or "/." at the end makes realpath(3) enter what is there, and a mount whose
 * daemon was killed answers that with ENOTCONN, though it is to be replaced: they say nothing of a directory.
 */
static char *resolve_mount(const char *path)
{
	CLEANUP_FREE char *cut = strdup(path);
	size_t len = cut ? strlen(cut) : 0;

	while (len > 1 && (cut[len - 1] == '/' || (cut[len - 1] == '.' && cut[len - 2] == '/')))
		cut[--len] = '\0';
	return cut ? realpath(cut, NULL) : NULL;
}

int serve_check_mount(struct serving *v)
{
	CLEANUP_FD int fd = -1;

	v->mountpath = resolve_mount(v->c->mount);
	fd = v->mountpath ? open(v->mountpath, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd < 0) {
		log_error("mount: cannot use %s: %s; give an existing directory", v->c->mount,
			  strerror(errno));
		return HOLDFAST_EXIT_MOUNT;
	}
	return state_check_mount(v->state, fd, v->mountpath) ? HOLDFAST_EXIT_USAGE : 0;
}

/* May this user let others in? Root may; others if fuse.conf says so. */
static bool others_allowed(void)
{
	static const char word[] = "user_allow_other";
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	bool found = false;
	FILE *f;

	if (geteuid() == 0)
		return true;
	f = fopen(CONF_FUSE, "re");
	if (!f)
		return false;
	while (!found && getline(&line, &size, f) >= 0) {
		const char *p = line + strspn(line, " \t");
		size_t len = strlen(word);

		found = strncmp(p, word, len) == 0 && p[len + strspn(p + len, " \t\n")] == '\0';
	}
	(void)fclose(f);
	return found;
}

int serve_start_keeper(struct serving *v)
{
	bool others = others_allowed();

	v->dev_config = (struct fusedev_config){
		.mountpoint = v->mountpath,
		.fsname = v->state->sharepath,
		.allow_other = others,
		.default_permissions = others,
		.readonly = v->c->readonly,
		.uuid_dir = v->c->mount_uuid ? v->state->statedir : -1,
		.uuid_dirpath = v->state->statepath,
		.threads = v->c->threads == CONFIG_THREADS_DEFAULT ? 0
			   : v->c->threads == 0			   ? 1
								   : (unsigned)v->c->threads,
	};
	if (fusekeeper_start(&v->dev_config, &v->keeper))
		return HOLDFAST_EXIT_MOUNT;
	v->dev_config.keeper = v->keeper;
	return 0;
}

int serve_shut_in_mount(struct serving *v)
{
	if (sandbox_enter(&v->sandbox_config, &v->sandbox) < 0)
		return HOLDFAST_EXIT_SANDBOX;
	serve_note_sandbox(v);
	return 0;
}

int serve_mount_share(struct serving *v)
{
	uint8_t uuid[BLOCKID_UUID_LEN];
	struct export_stats x;

	if (v->c->mount_uuid) {
		export_stats(v->export, &x);
		if (blockid_uuid(x.uuid, uuid)) {
			log_error("--mount-uuid: no UUID can be made of the export's");
			return HOLDFAST_EXIT_MOUNT;
		}
		v->dev_config.uuid = uuid;
	}
	return fusedev_mount(&v->dev_config, v->fuse, &v->dev) ? HOLDFAST_EXIT_MOUNT : 0;
}

int serve_run_mount(struct serving *v)
{
	const char *refused;
	int err = serve_start_signals(v);

	if (err)
		return err;
	serve_open_status(v);
	serve_start_status(v);
	err = serve_limit_calls(v);
	if (err)
		return err;
	log_info("serving %s at %s", v->state->sharepath, v->mountpath);
	err = fusedev_serve(v->dev);
	if (!err)
		return 0;
	refused = fuse_server_refused(v->fuse);
	log_error("mount: %s is no longer served: %s", v->mountpath,
		  refused ? refused : strerror(-err));
	return refused ? HOLDFAST_EXIT_USAGE : HOLDFAST_EXIT_FAILURE;
}
