/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sandbox.c - the stages of the sandbox, in their order. Main thread, the only one.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "base/util.h"
#include "sandbox/sandbox_private.h"

int sandbox_failed(const char *what, int error, const char *hint)
{
	log_error("sandbox: cannot %s: %s%s", what, strerror(-error), hint);
	return error;
}

static bool wants_users(const struct sandbox_config *config)
{
	return geteuid() != 0 || config->uids.count || config->gids.count;
}

static int stage_kernel_parts(void)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS))
		return sandbox_failed("make namespaces", errno_neg(),
				      "; in a container, use --sandbox=chroot");
	return 0;
}

/* All of --sandbox=namespace; 1: outside. */
static int enter_namespaces(const struct sandbox_config *config, struct sandbox *s)
{
	int self = -1;
	bool users = wants_users(config);
	int ret = users ? users_enter(config) : 0;

	if (!ret)
		ret = leash_fork(s);
	if (ret)
		return ret;

	if (users)
		ret = users_become_root(config);
	if (!ret)
		ret = leash_hold(s);
	/* The share in the new mount namespace is found as the working directory: it moves over. */
	if (!ret && fchdir(config->share))
		ret = sandbox_failed("enter the share", errno_neg(), "");
	if (!ret)
		ret = stage_kernel_parts();
	if (!ret)
		ret = mounts_take_descriptors(s, &self);
	if (!ret)
		ret = mounts_take_directories(config);
	if (!ret)
		ret = mounts_pivot(s);
	if (!ret)
		ret = mounts_settle(s, config->share, self);
	fd_close(self);
	return ret;
}

static int enter_chroot(const struct sandbox_config *config, struct sandbox *s)
{
	int self = -1;
	int ret = mounts_take_descriptors(s, &self);

	s->root[0] = '/';
	if (!ret)
		ret = mounts_take_directories(config);
	if (!ret && (fchdir(config->share) || chroot(".")))
		ret = sandbox_failed("change the root", errno_neg(), "");
	if (!ret)
		ret = mounts_settle(s, config->share, self);
	fd_close(self);
	return ret;
}

static int stage_privileges(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return sandbox_failed("give privileges up", errno_neg(), "");
	return 0;
}

int sandbox_enter(const struct sandbox_config *config, struct sandbox **out)
{
	struct sandbox *s = calloc(1, sizeof(*s));
	int ret = 0;

	*out = NULL;
	if (!s)
		return sandbox_failed("begin", -ENOMEM, "");
	s->mode = config->mode;
	s->leash = s->places.proc = s->places.mountinfo = -1;

	if (config->mode == SANDBOX_NAMESPACE)
		ret = enter_namespaces(config, s);
	else if (config->mode == SANDBOX_CHROOT)
		ret = enter_chroot(config, s);
	if (!ret)
		ret = caps_apply(s, config->caps);
	if (!ret)
		ret = stage_privileges();
	if (ret < 0)
		sandbox_free(s);
	else
		*out = s;
	return ret;
}

void sandbox_free(struct sandbox *s)
{
	if (!s)
		return;
	fd_close(s->places.proc);
	fd_close(s->places.mountinfo);
	fd_close(s->leash);
	free(s);
}

const struct places *sandbox_places(const struct sandbox *s)
{
	return s && s->places.root ? &s->places : NULL;
}

const char *sandbox_mode_name(const struct sandbox *s)
{
	switch (s ? s->mode : SANDBOX_NONE) {
	case SANDBOX_NAMESPACE:
		return "namespace";
	case SANDBOX_CHROOT:
		return "chroot";
	default:
		return "none";
	}
}

const char *sandbox_caps_text(const struct sandbox *s)
{
	return s ? s->caps : "";
}
