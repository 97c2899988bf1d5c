/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ops_xattr.c - extended attributes, and the sealed handle that is read as one.
 *
 * Objects are reached by the name "N" of their O_PATH descriptor in /proc/self/fd, the thread's working directory: the
 * magic link leads to the object itself, a symlink too, and is not followed further.
 *
 * Rules, in this order: our own attribute is served here, read-only, whatever the options say; ACLs that INIT agreed on
 * without --posix-acl are the host's by their own names; without --xattr there is nothing else; names go through the
 * map; ACLs, by the guest's or the host's name, only with --posix-acl; nothing else that is "system." on the host.
 *
 * Called by libfuse in the thread of the request.
 */
#include <errno.h>
#include <holdfast/handle.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/util.h"
#include "fuse/aclmap.h"
#include "fuse/creds.h"
#include "fuse/ops.h"
#include "fuse/reply.h"
#include "fuse/xattrmap.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define SYSTEM "system."
#define CAPABILITY "security.capability"
#define VALUE_MAX ((size_t)XATTR_SIZE_MAX) /* 64 KiB, of a value and of a list */

static bool is_ours(const char *name)
{
	return strcmp(name, HOLDFAST_SEALED_XATTR) == 0;
}

static bool is_acl(const char *name)
{
	return strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0;
}

/*
 * system.nfs4_acl and kin: Linux leaves it to the file system who may set them, FUSE passes every name on, and the host's
 * file system would ask what the daemon may, not what the caller may.
 */
static bool is_unchecked(const char *host)
{
	return strncmp(host, SYSTEM, strlen(SYSTEM)) == 0 && !is_acl(host);
}

static bool acl_allowed(const struct fuse_thread *t)
{
	return fuse_server_config(t->server)->posix_acl && agreed(t, FUSE_POSIX_ACL);
}

/*
 * Agreed on by default, for the users of a mount on this machine: what binds them are the host's ACLs, whatever else of
 * attributes is served, and under whichever names.
 */
static bool acl_as_on_host(const struct fuse_thread *t)
{
	return !fuse_server_config(t->server)->posix_acl && agreed(t, FUSE_POSIX_ACL);
}

/* The host's name of an attribute that the guest may use. Ours is none of them. */
static int host_name(const struct fuse_thread *t, const char *name, char out[XATTR_NAME_MAX + 1])
{
	const struct fuse_config *config = fuse_server_config(t->server);
	int error;

	if (is_ours(name))
		return -EPERM;
	if (is_acl(name) && acl_as_on_host(t)) {
		memcpy(out, name, strlen(name) + 1);
		return 0;
	}
	if (!config->xattr)
		return -EOPNOTSUPP;
	error = xattrmap_to_host(config->xattrmap, name, out);
	if (!error && is_ours(out))
		error = -EPERM;
	if (!error && (is_unchecked(out) || ((is_acl(name) || is_acl(out)) && !acl_allowed(t))))
		error = -EOPNOTSUPP;
	return error;
}

/* The guest's name of an attribute that the host lists, or NULL. */
static const char *guest_name(const struct fuse_thread *t, const char *host)
{
	const struct fuse_config *config = fuse_server_config(t->server);
	const char *name;

	if (is_acl(host) && acl_as_on_host(t))
		return host;
	if (!config->xattr || is_unchecked(host))
		return NULL;
	name = xattrmap_to_guest(config->xattrmap, host);
	if (!name || is_ours(name) || is_ours(host))
		return NULL;
	return (is_acl(name) || is_acl(host)) && !acl_allowed(t) ? NULL : name;
}

static int node_path(struct fuse_thread *t, struct node *node, char path[PROC_NAME_LEN])
{
	int fd = node_fd(t->worker, node);
	int error = fd < 0 ? fd : creds_enter_proc(t);

	if (error)
		return error;
	(void)proc_name(fd, path);
	return 0;
}

/* ---- setting and removing -------------------------------------------------------------------------- */

/* With FUSE_SETXATTR_ACL_KILL_SGID: a caller outside of the file's group loses setgid by an access ACL. */
static int set_killing_sgid(struct fuse_thread *t, const char *path, const char *name,
			    const void *value, size_t len, int flags)
{
	struct killpriv caps;
	struct creds saved;
	int error = creds_enter_group(t, &saved);

	if (error)
		return error;
	error = killpriv_enter(true, &caps);
	if (!error) {
		error = call_result(setxattr(path, name, value, len, flags));
		killpriv_leave(&caps);
	}
	creds_leave(&saved);
	return error;
}

/* The ids in an ACL are the guest's: the host gets its own, in a copy at t->io. */
static int acl_for_host(struct fuse_thread *t, const void **value, size_t len)
{
	const struct fuse_config *config = fuse_server_config(t->server);

	if (!config->uidmap && !config->gidmap)
		return 0;
	memcpy(t->io, *value, len);
	*value = t->io;
	return aclmap_to_host(config->uidmap, config->gidmap, t->io, len);
}

int xattr_store(struct fuse_thread *t, struct node *node, const char *name, const void *value,
		size_t len, int flags)
{
	char host[XATTR_NAME_MAX + 1], path[PROC_NAME_LEN];
	int error = host_name(t, name, host);

	if (error)
		return error;
	if (len > VALUE_MAX)
		return -E2BIG;
	if (flags & ~(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	if (is_acl(host))
		error = acl_for_host(t, &value, len);
	if (!error)
		error = node_path(t, node, path);
	if (error)
		return error;
	if (t->request.acl_kill_sgid && strcmp(host, ACL_ACCESS) == 0)
		return set_killing_sgid(t, path, host, value, len, flags);
	return call_result(setxattr(path, host, value, len, flags));
}

static int do_setxattr(struct fuse_thread *t, uint64_t nodeid, const char *name, const void *value,
		       size_t len, int flags)
{
	CLEANUP_HELD struct held held = { .t = t };
	int error = check_writable(t);

	if (!error)
		error = held_get(t, nodeid, &held);
	return error ? error : xattr_store(t, held.node, name, value, len, flags);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size,
		 int flags)
{
	reply_result(req, do_setxattr(fuse_thread_of(req), ino, name, value, size, flags));
}

static int do_removexattr(struct fuse_thread *t, uint64_t nodeid, const char *name)
{
	CLEANUP_HELD struct held held = { .t = t };
	char host[XATTR_NAME_MAX + 1], path[PROC_NAME_LEN];
	int error = check_writable(t);

	if (!error)
		error = host_name(t, name, host);
	if (!error)
		error = held_get(t, nodeid, &held);
	if (!error)
		error = node_path(t, held.node, path);
	return error ? error : call_result(removexattr(path, host));
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	reply_result(req, do_removexattr(fuse_thread_of(req), ino, name));
}

void xattr_drop_capability(struct fuse_thread *t, int fd)
{
	const struct fuse_config *config = fuse_server_config(t->server);
	char host[XATTR_NAME_MAX + 1], path[PROC_NAME_LEN];

	if (!config->xattr || !config->xattrmap)
		return;
	if (xattrmap_to_host(config->xattrmap, CAPABILITY, host) != 0 ||
	    strcmp(host, CAPABILITY) == 0)
		return;
	/* Mostly there is none; the data is written and the owner changed in any case. */
	if (!creds_enter_proc(t))
		(void)removexattr(proc_name(fd, path), host);
}

/* ---- reading --------------------------------------------------------------------------------------- */

/* What all three give: a length, that of a value in t->io unless `size` is 0; or -errno. */
static ssize_t sealed_get(struct fuse_thread *t, struct node *node, size_t size)
{
	ssize_t len = node_sealed_handle(t->worker, node, t->io, HOLDFAST_SEALED_MAX);

	return len > 0 && size > 0 && (size_t)len > size ? -ERANGE : len;
}

static ssize_t do_getxattr(struct fuse_thread *t, uint64_t nodeid, const char *name, size_t size)
{
	const struct fuse_config *config = fuse_server_config(t->server);
	CLEANUP_HELD struct held held = { .t = t };
	char host[XATTR_NAME_MAX + 1], path[PROC_NAME_LEN];
	int error = is_ours(name) ? 0 : host_name(t, name, host);
	ssize_t len;

	if (!error)
		error = held_get(t, nodeid, &held);
	if (error)
		return error;
	if (is_ours(name))
		return sealed_get(t, held.node, size);
	error = node_path(t, held.node, path);
	if (error)
		return error;
	len = getxattr(path, host, size ? t->io : NULL, size < VALUE_MAX ? size : VALUE_MAX);
	if (len > 0 && size && is_acl(host))
		aclmap_to_guest(config->uidmap, config->gidmap, t->io, (size_t)len);
	if (len >= 0)
		return len;
	/* A kernel that checks by ACLs takes any other error for the check's: nobody but the owner would come in. */
	return errno == EOPNOTSUPP && is_acl(name) && agreed(t, FUSE_POSIX_ACL) ? -ENODATA : -errno;
}

/* The names for the guest at t->io, of the host's behind them; gives the length. */
static size_t list_translate(struct fuse_thread *t, const char *list, size_t len)
{
	size_t used = 0;

	for (const char *host = list; host < list + len; host += strlen(host) + 1) {
		const char *name = guest_name(t, host);
		size_t n;

		if (!name)
			continue;
		n = strlen(name) + 1; /* never longer than the host's */
		memcpy(t->io + used, name, n);
		used += n;
	}
	return used;
}

static ssize_t do_listxattr(struct fuse_thread *t, uint64_t nodeid, size_t size)
{
	CLEANUP_HELD struct held held = { .t = t };
	char *list = (char *)t->io + VALUE_MAX;
	char path[PROC_NAME_LEN];
	ssize_t len;
	int error;

	if (!fuse_server_config(t->server)->xattr && !acl_as_on_host(t))
		return -EOPNOTSUPP;
	error = held_get(t, nodeid, &held);
	if (!error)
		error = node_path(t, held.node, path);
	if (error)
		return error;
	len = listxattr(path, list, VALUE_MAX);
	if (len < 0)
		return -errno;
	len = (ssize_t)list_translate(t, list, (size_t)len);
	return size > 0 && (size_t)len > size ? -ERANGE : len;
}

/* GETXATTR and LISTXATTR with size 0 ask for the length alone. */
static void reply_value(fuse_req_t req, ssize_t len, size_t size)
{
	if (len < 0)
		reply_result(req, (int)len);
	else if (size == 0)
		(void)fuse_reply_xattr(req, (size_t)len);
	else
		(void)fuse_reply_buf(req, (const char *)fuse_thread_of(req)->io, (size_t)len);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	reply_value(req, do_getxattr(fuse_thread_of(req), ino, name, size), size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	reply_value(req, do_listxattr(fuse_thread_of(req), ino, size), size);
}
