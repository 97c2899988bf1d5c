/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * creds.c - acting as the guest's caller.
 *
 * The effective ids of a thread are changed by raw system calls; the real and saved ones stay the
 * daemon's, so that it can come back. Failing to come back is the end of the process: no further request
 * may be served with a guest's ids, nor one as the daemon that thinks it is a guest.
 *
 * Threads of the daemon hold no supplementary groups (CVE-2022-0358: with root's own, setgid on a
 * directory of that group would be kept), dropped when a thread first acts as somebody.
 */
#include "fuse/creds.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "base/util.h"
#include "fuse/idmap.h"

static int raw_setgroups(size_t count, const gid_t *list)
{
	return syscall(SYS_setgroups, count, list) == 0 ? 0 : -errno;
}

static int raw_seteuid(uid_t uid)
{
	return syscall(SYS_setresuid, -1, uid, -1) == 0 ? 0 : -errno;
}

static int raw_setegid(gid_t gid)
{
	return syscall(SYS_setresgid, -1, gid, -1) == 0 ? 0 : -errno;
}

/* Our own mistake or a broken kernel: better no daemon than one with the wrong ids. */
static void must(int error, const char *what)
{
	if (error) {
		log_error("credentials: cannot %s again (error %d); ending, so that no request is "
			  "served with wrong rights",
			  what, -error);
		abort();
	}
}

/*
 * A user who has mapped but its own group into a user namespace may not change groups there, whatever the capabilities:
 * it keeps those that it has anyhow.
 */
static bool groups_fixed(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	return syscall(SYS_capget, &header, caps) == 0 && caps[0].effective & (1U << CAP_SETGID);
}

/* Once for each thread: an umask and a working directory of its own, and no supplementary groups. */
static int thread_prepare(struct fuse_thread *t)
{
	if (t->umask_private)
		return 0;
	if (unshare(CLONE_FS) != 0)
		return -errno;
	if (geteuid() == 0 && raw_setgroups(0, NULL) != 0 && !groups_fixed())
		return -EPERM;
	t->umask_private = true;
	return 0;
}

int creds_enter_proc(struct fuse_thread *t)
{
	int error = thread_prepare(t);

	if (!error && fchdir(worker_proc(t->worker)) != 0)
		error = -errno;
	return error;
}

static int group_add(struct fuse_thread *t, struct creds *saved)
{
	gid_t group;
	int error;

	if (!t->request.has_group)
		return 0;
	error = idmap_to_host(fuse_server_config(t->server)->gidmap, t->request.group, &group);
	if (error)
		return error;
	error = raw_setgroups(1, &group);
	saved->group_added = error == 0;
	/* Where groups are fixed we do as for a kernel that does not send it. */
	return error == -EPERM && groups_fixed() ? 0 : error;
}

static int ids_switch(struct fuse_thread *t, struct creds *saved, uid_t uid, gid_t gid)
{
	int error = group_add(t, saved);

	if (!error && gid != 0) {
		error = raw_setegid(gid);
		saved->gid_switched = error == 0;
	}
	/* Last: with it go the capabilities. */
	if (!error && uid != 0) {
		error = raw_seteuid(uid);
		saved->uid_switched = error == 0;
	}
	return error;
}

static void ids_return(const struct creds *saved)
{
	if (saved->uid_switched)
		must(raw_seteuid(0), "become root");
	if (saved->gid_switched)
		must(raw_setegid(0), "take root's group");
	if (saved->group_added)
		must(raw_setgroups(0, NULL), "drop the supplementary group");
}

int creds_enter(struct fuse_thread *t, mode_t mask, struct creds *saved)
{
	const struct fuse_config *config = fuse_server_config(t->server);
	bool root = geteuid() == 0;
	uid_t uid;
	gid_t gid;
	int error;

	*saved = (struct creds){ 0 };
	/* What is forbidden is so for a daemon without privileges, too. */
	error = idmap_to_host(config->uidmap, t->request.in->uid, &uid);
	if (!error)
		error = idmap_to_host(config->gidmap, t->request.in->gid, &gid);
	if (!error)
		error = thread_prepare(t);
	if (!error && root) {
		error = ids_switch(t, saved, uid, gid);
		if (error)
			ids_return(saved);
	}
	if (!error)
		saved->umask = umask(mask & 0777);
	return error;
}

void creds_leave(const struct creds *saved)
{
	ids_return(saved);
	(void)umask(saved->umask);
}

int creds_enter_group(struct fuse_thread *t, struct creds *saved)
{
	bool root = geteuid() == 0;
	gid_t gid;
	int error;

	*saved = (struct creds){ 0 };
	error = idmap_to_host(fuse_server_config(t->server)->gidmap, t->request.in->gid, &gid);
	if (!error)
		error = thread_prepare(t);
	if (!error && root) {
		error = ids_switch(t, saved, 0, gid);
		if (error)
			ids_return(saved);
	}
	if (!error)
		saved->umask = umask(0);
	return error;
}

mode_t creds_umask(const struct fuse_thread *t, mode_t guest)
{
	return fuse_server_flags(t->server) & FUSE_DONT_MASK ? guest & 0777 : 0;
}

int creds_may_open(struct fuse_thread *t, int fd, int flags)
{
	static const int modes[] = { [O_RDONLY] = R_OK, [O_WRONLY] = W_OK, [O_RDWR] = R_OK | W_OK };
	int accmode = flags & O_ACCMODE;
	int wanted = R_OK | W_OK;
	struct creds saved;
	int error;

	if (accmode < (int)ARRAY_LEN(modes))
		wanted = modes[accmode];
	if (flags & O_TRUNC)
		wanted |= W_OK;
	error = creds_enter(t, 0, &saved);
	if (error)
		return error;
	error = faccessat(fd, "", wanted, AT_EMPTY_PATH | AT_EACCESS) == 0 ? 0 : -errno;
	creds_leave(&saved);
	return error;
}

#define FSETID_BIT (1U << CAP_FSETID)

int killpriv_enter(bool wanted, struct killpriv *saved)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct less[2];

	saved->dropped = false;
	if (!wanted)
		return 0;
	if (syscall(SYS_capget, &header, saved->caps) != 0)
		return -errno;
	if (!(saved->caps[0].effective & FSETID_BIT))
		return 0;
	less[0] = saved->caps[0];
	less[1] = saved->caps[1];
	less[0].effective &= ~FSETID_BIT;
	if (syscall(SYS_capset, &header, less) != 0)
		return -errno;
	saved->dropped = true;
	return 0;
}

void killpriv_leave(const struct killpriv *saved)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	if (saved->dropped)
		must(syscall(SYS_capset, &header, saved->caps) == 0 ? 0 : -errno,
		     "take CAP_FSETID");
}
