/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve_private.h - between serve.c and its parts: the process, a mount, a device.
 *
 * The functions give 0 or the exit code that is due (enum holdfast_exit), after one line in the log.
 */
#ifndef HOLDFAST_ADMIN_SERVE_PRIVATE_H
#define HOLDFAST_ADMIN_SERVE_PRIVATE_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "admin/serve.h"
#include "admin/state.h"
#include "admin/status.h"
#include "fuse/fuse.h"
#include "sandbox/filter.h"
#include "sandbox/sandbox.h"
#include "transport/fusedev.h"
#include "transport/fusekeeper.h"
#include "transport/vhostsocket.h"
#include "transport/vhostuser.h"

struct idmap;
struct xattrmap;

struct serving {
	const struct config *c;
	struct serve_limits limits;
	struct xattrmap *xattrmap;
	struct idmap *uidmap, *gidmap;
	struct state *state;
	struct helper *helper; /* --key-helper */
	pthread_t helper_watch;
	bool helper_watched;
	bool key_is_new; /* made for this run */
	atomic_bool helper_lost;
	struct export *export;
	struct fuse_server *fuse;
	struct status_server *status;
	struct status_source about; /* what `status` tells */
	pthread_t signals;
	bool signals_started;
	atomic_bool served; /* the threads that serve are gone */

	/* a mount */
	char *mountpath; /* absolute, without symbolic links */
	struct fusedev_config dev_config;
	struct fusekeeper *keeper;
	struct fusedev *dev;

	struct sandbox_config sandbox_config;
	struct sandbox *sandbox;

	/* a device */
	struct vhostsocket socket;
	struct vhostuser *vhost;
};

/* --- serve_process.c -------------------------------------------------------------------------- */

/* Limits, signals, umask. */
int serve_prepare_process(struct serving *v);
int serve_free_process(void); /* holds no directory busy */
/* SIGINT, SIGTERM and SIGHUP, which are blocked in all threads. */
void serve_stop_signals(sigset_t *set);
/* The thread that waits for them, and its end. */
int serve_start_signals(struct serving *v);
void serve_end_signals(struct serving *v);

/* --- serve_sandbox.c -------------------------------------------------------------------------- */

/* What the options say of the sandbox. */
int serve_check_sandbox(struct serving *v);
/* For status, once it is entered. */
void serve_note_sandbox(struct serving *v);
/* The last thing before the first byte of a guest: system calls are limited. */
int serve_limit_calls(const struct serving *v);

/* --- serve_key.c ------------------------------------------------------------------------------ */

/* Where the key comes from; with --key-helper the process that has it, forked now. */
int serve_open_key(struct serving *v);
/* The thread that ends the daemon when the helper ends, and its end. */
int serve_watch_helper(struct serving *v);
void serve_end_helper_watch(struct serving *v);

/* --- serve_mount.c ---------------------------------------------------------------------------- */

int serve_check_mount(struct serving *v);
/* Who mounts is set apart, before there is a key in memory. */
int serve_start_keeper(struct serving *v);
/* From here on this process has the rights of serving and no others. */
int serve_shut_in_mount(struct serving *v);
int serve_mount_share(struct serving *v);
int serve_run_mount(struct serving *v);

/* --- serve_device.c --------------------------------------------------------------------------- */

/* The listening socket; the control socket, too, as its place cannot be reached later. */
int serve_open_socket(struct serving *v);
/*
 * From here on this process is shut in. *leave is set in the process that stays outside: it has waited for
 * the end, gives the exit code, and has nothing left but to free what it has.
 */
int serve_enter_sandbox(struct serving *v, bool *leave);
int serve_open_device(struct serving *v);
int serve_run_device(struct serving *v);
void serve_close_device(struct serving *v);

/* The control socket (serve.c); without it the share is served all the same. */
void serve_open_status(struct serving *v);
void serve_start_status(struct serving *v);

#endif
