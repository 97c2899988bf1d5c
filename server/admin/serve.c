/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve.c - the daemon from its start to its end.
 *
 * In stages, each undone in reverse order: the process (limits, signals), the maps of names and ids, the
 * state, the socket and the sandbox, the export, the FUSE server, the mount or the device, the control
 * socket, the filter of system calls. SIGINT, SIGTERM and SIGHUP are blocked before the first thread starts; a thread of its own waits
 * for them and stops what serves, so that the main thread comes back from serving and takes everything down.
 * It never becomes a background process.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/new_key.h"
#include "admin/serve_private.h"
#include "base/log.h"
#include "base/secret_heap.h"
#include "base/util.h"
#include "export/export.h"
#include "export/helper.h"
#include "fuse/idmap.h"
#include "fuse/reply.h"
#include "fuse/xattrmap.h"
#include "holdfast/exit.h"

/* --- what the options describe ----------------------------------------------------------------------- */

static int parse_ids(const char *option, const char *const *rules, unsigned n, struct idmap **out)
{
	char error[256] = "";

	for (unsigned i = 0; i < n; i++) {
		int err = idmap_add(out, rules[i], error, sizeof(error));

		if (err) {
			log_error("--%s=%s: %s", option, rules[i],
				  err == -EINVAL ? error : strerror(-err));
			return HOLDFAST_EXIT_USAGE;
		}
	}
	return 0;
}

static int parse_maps(struct serving *v)
{
	const struct config *c = v->c;
	char error[256] = "";
	int err;

	if (c->xattrmap) {
		err = xattrmap_parse(c->xattrmap, &v->xattrmap, error, sizeof(error));
		if (err) {
			log_error("--xattrmap: %s", err == -EINVAL ? error : strerror(-err));
			return HOLDFAST_EXIT_USAGE;
		}
	}
	err = parse_ids("translate-uid", c->translate_uid, c->translate_uids, &v->uidmap);
	if (err)
		return err;
	return parse_ids("translate-gid", c->translate_gid, c->translate_gids, &v->gidmap);
}

/* --- the state ---------------------------------------------------------------------------- */

static int open_state(struct serving *v)
{
	const struct config *c = v->c;
	const struct state_request request = {
		.share = c->share,
		.statedir = c->statedir,
		.mode = c->handles == HANDLES_NEVER ? STATE_NONE : STATE_CREATE,
	};
	int exit_code = HOLDFAST_EXIT_FAILURE;

	return state_find(&request, &v->state, &exit_code) ? exit_code : 0;
}

/* --- the parts that serve ------------------------------------------------------------------------------ */

static int open_export(struct serving *v)
{
	const struct config *c = v->c;
	const struct export_config config = {
		.share = v->state->sharepath,
		.places = sandbox_places(v->sandbox),
		.statedir = v->state->statedir,
		.statepath = v->state->statepath,
		.rundir = v->state->rundir,
		.boot = v->state->boot,
		.key = &v->state->key,
		.helper = v->helper,
		.key_is_new = v->key_is_new,
		.handles = (enum handles_mode)c->handles,
		.moved_out_allow = c->moved_out_allow,
		.strict = c->strict,
		.max_nodes = (size_t)c->max_nodes,
		.max_fds = (size_t)v->limits.nodes,
	};
	bool stateful = v->state->lock >= 0;
	int exit_code = HOLDFAST_EXIT_FAILURE;
	int err = stateful ? state_lock_start(v->state) : 0;

	/* The sandbox and the helper were the last forks that go on by themselves. */
	secret_heap_leave_children_out();
	if (err) {
		log_error("state: cannot lock %s: %s", v->state->statepath, strerror(-err));
		return HOLDFAST_EXIT_STATE;
	}
	/* With a helper this was done before it read the key. */
	err = c->new_key && !v->helper ? new_key_prepare(v->state) : 0;
	if (err)
		exit_code = err;
	else
		err = export_open(&config, &v->export, &exit_code);
	if (stateful)
		state_unlock_start(v->state);
	return err ? exit_code : 0;
}

/* A guest, or the kernel of a mount, that offers these gets them, unless it was said otherwise. */
static uint64_t flags_if_offered(const struct serving *v)
{
	const struct config *c = v->c;
	uint64_t flags = 0;

	if (!c->mount && c->killpriv_v2 == SWITCH_DEFAULT)
		flags |= FUSE_HANDLE_KILLPRIV_V2;
	if (!c->mount && c->announce_submounts == SWITCH_DEFAULT)
		flags |= FUSE_SUBMOUNTS;
	/*
	 * Or the kernel would go by mode bits alone, and let in whom an ACL of the host shuts out. A mount that is its
	 * user's alone needs none: there the host checks.
	 */
	if (c->mount && v->dev_config.default_permissions && c->posix_acl == SWITCH_DEFAULT)
		flags |= FUSE_POSIX_ACL | FUSE_DONT_MASK;
	return flags;
}

static int open_server(struct serving *v)
{
	const struct config *c = v->c;
	double timeout = c->timeout == CONFIG_TIMEOUT_DEFAULT
				 ? reply_cache_timeout((enum cache_policy)c->cache)
				 : (double)c->timeout;
	const struct fuse_config config = {
		.cache = (enum cache_policy)c->cache,
		.readonly = c->readonly,
		.xattr = c->xattr,
		.xattrmap = v->xattrmap,
		.posix_acl = c->posix_acl == SWITCH_ON,
		.security_label = c->security_label,
		.announce_submounts = c->announce_submounts == SWITCH_ON,
		.uidmap = v->uidmap,
		.gidmap = v->gidmap,
		.preserve_noatime = c->preserve_noatime,
		.killpriv_v2 = c->killpriv_v2 == SWITCH_ON,
		.writeback = c->writeback,
		.flock = c->flock,
		.posix_lock = c->posix_lock,
		.direct_io_allowed = c->direct_io,
		.local_mount = c->mount != NULL,
		.no_readdirplus = c->no_readdirplus,
		.if_offered = flags_if_offered(v),
		.max_open = (unsigned)v->limits.files,
		.max_locks = (unsigned)v->limits.locks,
		.entry_timeout = timeout,
		.attr_timeout = timeout,
	};
	int err = fuse_server_new(v->export, &config, &v->fuse);

	if (!err)
		return 0;
	log_error("cannot serve %s: %s", v->state->sharepath, strerror(-err));
	return HOLDFAST_EXIT_FAILURE;
}

/* --- the control socket ---------------------------------------------------------------------------- */

void serve_open_status(struct serving *v)
{
	int err;

	if (v->state->rundir < 0)
		return;
	err = status_server_new(v->state->rundir, v->about.pid, &v->status);
	if (err)
		log_warn("status: no control socket in %s: %s", v->state->runpath, strerror(-err));
}

void serve_start_status(struct serving *v)
{
	int err;

	v->about.export = v->export;
	v->about.fuse = v->fuse;
	v->about.share = v->state->sharepath;
	v->about.mount = v->mountpath;
	v->about.readonly = v->c->readonly;
	v->about.vhost = v->vhost;
	err = v->status ? status_server_start(v->status, &v->about) : 0;
	if (err)
		log_warn("status: no thread for the control socket: %s", strerror(-err));
}

/* --- all of it -------------------------------------------------------------------------------------- */

/* Everything that was begun, backwards. */
static void take_down(struct serving *v)
{
	serve_end_helper_watch(v);
	serve_end_signals(v);
	status_server_stop(v->status);
	if (v->dev)
		(void)fusedev_unmount(v->dev);
	fusedev_free(v->dev);
	fusekeeper_end(v->keeper);
	serve_close_device(v);
	fuse_server_free(v->fuse);
	export_close(v->export);
	helper_free(v->helper);
	sandbox_free(v->sandbox);
	state_free(v->state);
	free(v->mountpath);
	idmap_free(v->gidmap);
	idmap_free(v->uidmap);
	xattrmap_free(v->xattrmap);
}

/* What a device has before there is an export. */
static int prepare_device(struct serving *v, bool *leave)
{
	int exit_code = serve_open_socket(v);

	return exit_code ? exit_code : serve_enter_sandbox(v, leave);
}

/* What a mount has before there is a key. */
static int prepare_mount(struct serving *v)
{
	int exit_code = serve_check_mount(v);

	return exit_code ? exit_code : serve_start_keeper(v);
}

int serve(const struct config *c)
{
	struct serving v = {
		.c = c,
		.socket = VHOSTSOCKET_NONE,
		.about = { .pid = getpid(),
			   .started = (int64_t)time(NULL),
			   .started_ns = clock_ns() },
	};
	bool leave = false;
	int exit_code = serve_prepare_process(&v);

	if (!exit_code)
		exit_code = parse_maps(&v);
	if (!exit_code)
		exit_code = serve_check_sandbox(&v);
	if (!exit_code)
		exit_code = open_state(&v);
	if (!exit_code && c->mount)
		exit_code = prepare_mount(&v);
	if (!exit_code)
		exit_code = serve_open_key(&v);
	if (!exit_code && c->mount)
		exit_code = serve_shut_in_mount(&v);
	if (!exit_code && !c->mount)
		exit_code = prepare_device(&v, &leave);
	if (!exit_code && !leave)
		exit_code = serve_free_process();
	if (!exit_code && !leave)
		exit_code = open_export(&v);
	if (!exit_code && !leave)
		exit_code = open_server(&v);
	if (!exit_code && !leave)
		exit_code = c->mount ? serve_mount_share(&v) : serve_open_device(&v);
	if (!exit_code && !leave)
		exit_code = serve_watch_helper(&v);
	if (!exit_code && !leave)
		exit_code = c->mount ? serve_run_mount(&v) : serve_run_device(&v);
	if (!exit_code && atomic_load(&v.helper_lost))
		exit_code = HOLDFAST_EXIT_KEY;
	take_down(&v);
	return exit_code;
}
