/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve.c - the daemon from its start to its end.
 *
 * In stages, each undone in reverse order: the process (limits, signals), the maps of names and ids, the
 * state, the export, the FUSE server, the mount, the control socket. SIGINT, SIGTERM and SIGHUP are blocked
 * before the first thread starts; a thread of its own waits for them and stops the device, so that the
 * main thread comes back from serving and takes everything down. It never becomes a background process.
 */
#include "admin/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "admin/new_key.h"
#include "admin/state.h"
#include "admin/status.h"
#include "base/log.h"
#include "base/util.h"
#include "export/export.h"
#include "fuse/fuse.h"
#include "fuse/idmap.h"
#include "fuse/reply.h"
#include "fuse/xattrmap.h"
#include "holdfast/exit.h"
#include "transport/fusedev.h"

#define SIGNAL_END SIGHUP /* wakes our own signal thread at the end */
#define CONF_FUSE "/etc/fuse.conf"

struct serving {
	const struct config *c;
	struct serve_limits limits;
	struct xattrmap *xattrmap;
	struct idmap *uidmap, *gidmap;
	char *mountpath; /* absolute, without symbolic links */
	struct state *state;
	struct export *export;
	struct fuse_server *fuse;
	struct fusedev *dev;
	struct status_server *status;
	pthread_t signals;
	bool signals_started;
};

void serve_divide(uint64_t nofile, uint64_t max_nodes, struct serve_limits *out)
{
	uint64_t rest = nofile > 2 * SERVE_RESERVED ? nofile - SERVE_RESERVED : nofile / 2;

	out->files = rest / 2;
	out->locks = rest / 8;
	out->nodes = rest - out->files - out->locks;
	if (out->nodes > max_nodes)
		out->nodes = max_nodes;
	if (out->files > UINT32_MAX / 2)
		out->files = UINT32_MAX / 2;
	if (out->locks > UINT32_MAX / 2)
		out->locks = UINT32_MAX / 2;
}

/* --- the process ------------------------------------------------------------------------------------ */

/* Sets RLIMIT_NOFILE as near to what is wanted as may be; what it is then. */
static uint64_t raise_nofile(uint64_t wanted)
{
	struct rlimit limit;
	rlim_t before;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return CONFIG_NOFILE_MIN;
	before = limit.rlim_cur;
	limit.rlim_cur = wanted ? wanted : limit.rlim_max;
	if (wanted > limit.rlim_max) {
		struct rlimit both = { .rlim_cur = wanted, .rlim_max = wanted };

		if (setrlimit(RLIMIT_NOFILE, &both) == 0)
			return wanted;
		log_warn("--rlimit-nofile=%llu cannot be had (%s); going on with %llu descriptors",
			 (unsigned long long)wanted, strerror(errno),
			 (unsigned long long)limit.rlim_max);
		limit.rlim_cur = limit.rlim_max;
	}
	if (setrlimit(RLIMIT_NOFILE, &limit)) {
		log_warn("the limit of open files cannot be set (%s); going on with %llu "
			 "descriptors",
			 strerror(errno), (unsigned long long)before);
		return before;
	}
	return limit.rlim_cur;
}

static void stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

static int prepare_process(struct serving *v)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t set;

	serve_divide(raise_nofile(v->c->nofile), v->c->max_nodes, &v->limits);
	stop_signals(&set);
	if (sigaction(SIGPIPE, &ignore, NULL) || pthread_sigmask(SIG_BLOCK, &set, NULL) ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) {
		log_error("the process cannot be prepared: %s", strerror(errno));
		return HOLDFAST_EXIT_FAILURE;
	}
	(void)umask(0); /* what a guest makes has the mode that it says */
	return 0;
}

static int free_process(void)
{
	if (chdir("/")) {
		log_error("cannot change to /: %s", strerror(errno));
		return HOLDFAST_EXIT_FAILURE;
	}
	return 0;
}

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

/* --- state and mount point ---------------------------------------------------------------------------- */

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

static int check_mount(struct serving *v)
{
	CLEANUP_FD int fd = -1;

	v->mountpath = realpath(v->c->mount, NULL);
	fd = v->mountpath ? open(v->mountpath, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd < 0) {
		log_error("mount: cannot use %s: %s; give an existing directory", v->c->mount,
			  strerror(errno));
		return HOLDFAST_EXIT_MOUNT;
	}
	return state_check_mount(v->state, fd, v->mountpath) ? HOLDFAST_EXIT_USAGE : 0;
}

/* --- the parts that serve ------------------------------------------------------------------------------ */

static int open_export(struct serving *v)
{
	const struct config *c = v->c;
	const struct export_config config = {
		.share = v->state->sharepath,
		.statedir = v->state->statedir,
		.statepath = v->state->statepath,
		.rundir = v->state->rundir,
		.handles = (enum handles_mode)c->handles,
		.moved_out_allow = c->moved_out_allow,
		.strict = c->strict,
		.max_nodes = (size_t)c->max_nodes,
		.max_fds = (size_t)v->limits.nodes,
	};
	bool stateful = v->state->lock >= 0;
	int exit_code = HOLDFAST_EXIT_FAILURE;
	int err = stateful ? state_lock_start(v->state) : 0;

	if (err) {
		log_error("state: cannot lock %s: %s", v->state->statepath, strerror(-err));
		return HOLDFAST_EXIT_STATE;
	}
	err = c->new_key ? new_key_prepare(v->state) : 0;
	if (err)
		exit_code = err;
	else
		err = export_open(&config, &v->export, &exit_code);
	if (stateful)
		state_unlock_start(v->state);
	return err ? exit_code : 0;
}

static int open_server(struct serving *v)
{
	const struct config *c = v->c;
	const struct fuse_config config = {
		.cache = (enum cache_policy)c->cache,
		.readonly = c->readonly,
		.xattr = c->xattr,
		.xattrmap = v->xattrmap,
		.posix_acl = c->posix_acl,
		.announce_submounts = c->announce_submounts,
		.uidmap = v->uidmap,
		.gidmap = v->gidmap,
		.preserve_noatime = c->preserve_noatime,
		.killpriv_v2 = c->killpriv_v2,
		.writeback = c->writeback,
		.flock = c->flock,
		.posix_lock = c->posix_lock,
		.direct_io_allowed = c->direct_io,
		.local_mount = true,
		.max_open = (unsigned)v->limits.files,
		.max_locks = (unsigned)v->limits.locks,
		.entry_timeout = reply_cache_timeout((enum cache_policy)c->cache),
		.attr_timeout = reply_cache_timeout((enum cache_policy)c->cache),
	};
	int err = fuse_server_new(v->export, &config, &v->fuse);

	if (!err)
		return 0;
	log_error("cannot serve %s: %s", v->state->sharepath, strerror(-err));
	return HOLDFAST_EXIT_FAILURE;
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

static int mount_share(struct serving *v)
{
	bool others = others_allowed();
	const struct fusedev_config config = {
		.mountpoint = v->mountpath,
		.fsname = v->state->sharepath,
		.allow_other = others,
		.default_permissions = others,
		.readonly = v->c->readonly,
		.threads = v->c->threads == CONFIG_THREADS_DEFAULT ? 0
			   : v->c->threads == 0			   ? 1
								   : (unsigned)v->c->threads,
	};

	return fusedev_mount(&config, v->fuse, &v->dev) ? HOLDFAST_EXIT_MOUNT : 0;
}

static void *wait_for_signal(void *arg)
{
	struct serving *v = arg;
	sigset_t set;
	int number = 0;

	stop_signals(&set);
	if (sigwait(&set, &number) == 0)
		fusedev_stop(v->dev);
	return NULL;
}

/* The control socket is a convenience: without it the share is served all the same. */
static void start_status(struct serving *v)
{
	const struct status_source source = {
		.export = v->export,
		.fuse = v->fuse,
		.share = v->state->sharepath,
		.mount = v->mountpath,
		.readonly = v->c->readonly,
		.started = (int64_t)time(NULL),
		.started_ns = clock_ns(),
	};
	int err;

	if (v->state->rundir < 0)
		return;
	err = status_server_start(v->state->rundir, &source, &v->status);
	if (err)
		log_warn("status: no control socket in %s: %s", v->state->runpath, strerror(-err));
}

static int run(struct serving *v)
{
	const char *refused;
	int err = pthread_create(&v->signals, NULL, wait_for_signal, v);

	if (err) {
		log_error("cannot start a thread: %s", strerror(err));
		return HOLDFAST_EXIT_FAILURE;
	}
	v->signals_started = true;
	start_status(v);
	log_info("serving %s at %s", v->state->sharepath, v->mountpath);
	err = fusedev_serve(v->dev);
	if (!err)
		return 0;
	refused = fuse_server_refused(v->fuse);
	log_error("mount: %s is no longer served: %s", v->mountpath,
		  refused ? refused : strerror(-err));
	return refused ? HOLDFAST_EXIT_USAGE : HOLDFAST_EXIT_FAILURE;
}

/* Everything that was begun, backwards. */
static void take_down(struct serving *v)
{
	if (v->signals_started) {
		/* It waits for one of them, and a second stop does no harm. */
		(void)pthread_kill(v->signals, SIGNAL_END);
		(void)pthread_join(v->signals, NULL);
	}
	status_server_stop(v->status);
	if (v->dev)
		(void)fusedev_unmount(v->dev);
	fusedev_free(v->dev);
	fuse_server_free(v->fuse);
	export_close(v->export);
	state_free(v->state);
	free(v->mountpath);
	idmap_free(v->gidmap);
	idmap_free(v->uidmap);
	xattrmap_free(v->xattrmap);
}

int serve(const struct config *c)
{
	struct serving v = { .c = c };
	int exit_code = prepare_process(&v);

	if (!exit_code)
		exit_code = parse_maps(&v);
	if (!exit_code)
		exit_code = open_state(&v);
	if (!exit_code)
		exit_code = check_mount(&v);
	if (!exit_code)
		exit_code = free_process();
	if (!exit_code)
		exit_code = open_export(&v);
	if (!exit_code)
		exit_code = open_server(&v);
	if (!exit_code)
		exit_code = mount_share(&v);
	if (!exit_code)
		exit_code = run(&v);
	take_down(&v);
	return exit_code;
}
