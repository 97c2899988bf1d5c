/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sandbox.h - shuts the process in, before the first byte of a guest.
 *
 * sandbox_enter() goes through stages, each a function of its name in sandbox.c, in this order:
 *
 *   users        a user namespace (only for who is not root, or with ranges of ids)      namespace
 *   processes    a PID namespace: a child goes on, the parent waits outside (leash.c)    namespace
 *   identity     root of the user namespace, no supplementary groups                     namespace
 *   kernel parts mount, network, IPC and UTS namespaces                                  namespace
 *   descriptors  /proc/self/fd, and the directories that serving needs, as mounts of      namespace, chroot
 *                their own that lead nowhere else
 *   root         the share is all there is                                               namespace, chroot
 *   capabilities those that serving needs, in all sets                                   all modes
 *   privileges   none are gained any more; no core dump, no ptrace                       all modes
 *
 * A mount on this machine goes through those of mode none. Later, when all that only the start needs is done, comes
 *
 *   calls        the list of system calls that serving needs (filter.h)                  all modes
 *
 * One thread only. What is needed by path later must be open before.
 */
#ifndef HOLDFAST_SANDBOX_SANDBOX_H
#define HOLDFAST_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/places.h"

enum sandbox_mode { SANDBOX_DEFAULT, SANDBOX_NAMESPACE, SANDBOX_CHROOT, SANDBOX_NONE };

#define SANDBOX_RANGES_MAX 64
#define SANDBOX_DIRS_MAX 4

/* `count` ids from `inside` on in the user namespace are those from `outside` on. */
struct sandbox_range {
	uint32_t inside, outside, count;
};

struct sandbox_ranges {
	unsigned count;
	struct sandbox_range range[SANDBOX_RANGES_MAX];
};

struct sandbox_config {
	enum sandbox_mode mode;
	int share; /* the directory that becomes the root; the caller closes it */
	struct sandbox_ranges uids,
		gids;  /* both empty: no user namespace for root, else own id to 0 */
	uint64_t caps; /* bits 1 << CAP_* to keep, of those that the process has */
	/*
	 * Directories of the host that stay open, by numbers that stay the same; -1: none. What is in them is reached as
	 * before, ".." is not.
	 */
	unsigned dir_count;
	int dirs[SANDBOX_DIRS_MAX];
};

struct sandbox;

/*
 * What serving needs: CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, SETGID, SETUID, MKNOD, SETFCAP.
 * Read-only, those that only making and changing needs are left out: CHOWN, FSETID, MKNOD, SETFCAP.
 */
uint64_t sandbox_caps_default(bool readonly);
/*
 * What a mount has besides, whose users are this machine's: LINUX_IMMUTABLE (chattr(1)), if it may be written, and with
 * `xattr` SYS_ADMIN, which trusted.* attributes take.
 */
uint64_t sandbox_caps_local(bool readonly, bool xattr);
/*
 * What open_by_handle_at(2) takes in a user namespace (Linux 6.11): SYS_ADMIN over the mount namespace that belongs to it. Of
 * the machine's own it is nothing.
 */
uint64_t sandbox_caps_own_namespace(void);

/* "+sys_admin:-chown" on top of *caps. 0, or -EINVAL with the word that is wrong in `error`. */
int sandbox_caps_modify(const char *text, uint64_t *caps, char *error, size_t size);

/* Adds ":INSIDE:OUTSIDE:COUNT:" (the first character separates). 0, -EINVAL, -ENOSPC (too many). */
int sandbox_ranges_add(struct sandbox_ranges *ranges, const char *text);

/*
 * 0: this process is inside. 1: a child is, and this one is to close all it has and call sandbox_wait(). -errno
 * after one line in the log. *out is to be freed with sandbox_free() if it is not negative.
 */
int sandbox_enter(const struct sandbox_config *config, struct sandbox **out);
void sandbox_free(struct sandbox *s); /* takes NULL */

/*
 * Outside: waits for the child, hands SIGTERM, SIGINT and SIGHUP (which are blocked) on to it. Its exit code, 1 if
 * it was killed; at once the one that it has given to sandbox_leave().
 */
int sandbox_wait(struct sandbox *s);
/*
 * Inside: the process ends with this code although the kernel holds one of its threads; nobody need wait. Any thread; takes
 * NULL.
 */
void sandbox_leave(const struct sandbox *s, uint8_t exit_code);

/* NULL where the host's paths are still there; valid until sandbox_free(). */
const struct places *sandbox_places(const struct sandbox *s);

/* For status: the mode, and the effective capabilities ("chown fowner"). `s` may be NULL: "none", and "" */
const char *sandbox_mode_name(const struct sandbox *s);
const char *sandbox_caps_text(const struct sandbox *s);

#endif
