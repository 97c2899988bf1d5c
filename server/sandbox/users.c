/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * users.c - a user namespace, and which ids of it are which outside.
 *
 * The ranges are written by a helper process that stays outside of it for so long: root may write any, an ordinary user
 * one range of one id, its own; for others it has newuidmap(1) and newgidmap(1), which ask /etc/subuid and /etc/subgid.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/util.h"
#include "sandbox/sandbox_private.h"

#define RANGE_TEXT 40 /* three numbers with blanks */
#define PATH_LEN 64
#define ARGS_MAX (3 * SANDBOX_RANGES_MAX + 3)

static bool parse_number(const char **p, char separator, uint32_t *out)
{
	char *end = NULL;
	unsigned long long n;

	errno = 0;
	if (**p < '0' || **p > '9')
		return false;
	n = strtoull(*p, &end, 10);
	if (errno || n >= UINT32_MAX || (*end && *end != separator))
		return false;
	*p = end + (*end != '\0');
	*out = (uint32_t)n;
	return true;
}

int sandbox_ranges_add(struct sandbox_ranges *ranges, const char *text)
{
	struct sandbox_range r;
	char separator = text[0];
	const char *p = text + 1;

	if (!separator || (separator >= '0' && separator <= '9'))
		return -EINVAL;
	if (!parse_number(&p, separator, &r.inside) || !parse_number(&p, separator, &r.outside) ||
	    !parse_number(&p, separator, &r.count) || *p || r.count == 0 ||
	    r.inside > UINT32_MAX - r.count || r.outside > UINT32_MAX - r.count)
		return -EINVAL;
	if (ranges->count == SANDBOX_RANGES_MAX)
		return -ENOSPC;
	ranges->range[ranges->count++] = r;
	return 0;
}

/* --- the helper ------------------------------------------------------------------------------- */

static int write_file(pid_t pid, const char *name, const char *text)
{
	char path[PATH_LEN];
	CLEANUP_FD int fd = -1;

	(void)snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno_neg();
	return write(fd, text, strlen(text)) < 0 ? errno_neg() : 0;
}

/* By ourselves: all lines in one write. */
static int write_map(pid_t pid, const char *name, const struct sandbox_ranges *ranges)
{
	char text[SANDBOX_RANGES_MAX * RANGE_TEXT] = "";
	size_t used = 0;

	for (unsigned i = 0; i < ranges->count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%u %u %u\n",
					 ranges->range[i].inside, ranges->range[i].outside,
					 ranges->range[i].count);
	return write_file(pid, name, text);
}

/* By newuidmap(1) or newgidmap(1), in a process of its own. */
static int run_tool(const char *tool, pid_t pid, const struct sandbox_ranges *ranges)
{
	char text[ARGS_MAX][12];
	char *argv[ARGS_MAX];
	unsigned n = 0;
	sigset_t none;
	int status = 0;
	pid_t child;

	argv[n++] = (char *)(uintptr_t)tool;
	(void)snprintf(text[n], sizeof(text[n]), "%ld", (long)pid);
	argv[n] = text[n];
	n++;
	for (unsigned i = 0; i < ranges->count; i++) {
		const uint32_t numbers[3] = { ranges->range[i].inside, ranges->range[i].outside,
					      ranges->range[i].count };

		for (unsigned j = 0; j < 3; j++, n++) {
			(void)snprintf(text[n], sizeof(text[n]), "%u", numbers[j]);
			argv[n] = text[n];
		}
	}
	argv[n] = NULL;

	child = fork();
	if (child == 0) {
		sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		(void)execvp(tool, argv);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return errno_neg();
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return -ENOENT;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

/* One id, the process's own. */
static bool is_plain(const struct sandbox_ranges *ranges, uint32_t own)
{
	return ranges->count == 1 && ranges->range[0].count == 1 && ranges->range[0].outside == own;
}

static int map_users(pid_t pid, const struct sandbox_ranges *uids,
		     const struct sandbox_ranges *gids)
{
	bool root = geteuid() == 0;
	int err;

	err = root || is_plain(uids, geteuid()) ? write_map(pid, "uid_map", uids)
						: run_tool("newuidmap", pid, uids);
	if (err)
		return sandbox_failed("map user ids (--uid-map)", err,
				      root ? "" : "; see newuidmap(1) and /etc/subuid");
	if (!root && is_plain(gids, getegid())) {
		/* Else a group that takes rights away could be dropped. */
		err = write_file(pid, "setgroups", "deny");
		if (!err)
			err = write_map(pid, "gid_map", gids);
	} else {
		err = root ? write_map(pid, "gid_map", gids) : run_tool("newgidmap", pid, gids);
	}
	if (err)
		return sandbox_failed("map group ids (--gid-map)", err,
				      root ? "" : "; see newgidmap(1) and /etc/subgid");
	return 0;
}

/* --- the namespace ---------------------------------------------------------------------------- */

static void ranges_or_own(const struct sandbox_ranges *given, uint32_t own,
			  struct sandbox_ranges *out)
{
	*out = *given;
	if (out->count)
		return;
	out->count = 1;
	out->range[0] = (struct sandbox_range){ .inside = 0, .outside = own, .count = 1 };
}

/* The helper: waits until the namespace is there, maps, gives its result as exit code. */
static void help(int go, pid_t pid, const struct sandbox_config *config)
{
	struct sandbox_ranges uids, gids;
	char byte;

	ranges_or_own(&config->uids, geteuid(), &uids);
	ranges_or_own(&config->gids, getegid(), &gids);
	if (read(go, &byte, 1) != 1)
		_exit(0); /* there is none */
	_exit(map_users(pid, &uids, &gids) ? 1 : 0);
}

int users_enter(const struct sandbox_config *config)
{
	pid_t self = getpid(), helper;
	int go[2], status = 0, err;

	if (pipe2(go, O_CLOEXEC))
		return sandbox_failed("make a pipe", errno_neg(), "");
	helper = fork();
	if (helper == 0) {
		fd_close(go[1]);
		help(go[0], self, config);
	}
	err = helper < 0 || unshare(CLONE_NEWUSER) ? errno_neg() : 0;
	if (!err && write(go[1], "", 1) != 1)
		err = errno_neg();
	fd_close(go[0]);
	fd_close(go[1]);
	if (helper > 0 && waitpid(helper, &status, 0) != helper)
		err = err ? err : errno_neg();
	if (err)
		return sandbox_failed("make a user namespace", err,
				      "; they may be forbidden here (sysctl "
				      "user.max_user_namespaces); then use --sandbox=none");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM; /* said by the helper */
}

static bool has_zero(const struct sandbox_ranges *ranges)
{
	for (unsigned i = 0; i < ranges->count; i++)
		if (ranges->range[i].inside == 0)
			return true;
	return ranges->count == 0; /* our own id is it */
}

int users_become_root(const struct sandbox_config *config)
{
	/* Not allowed where a user has mapped the one group by itself. */
	if (setgroups(0, NULL) && errno != EPERM)
		return sandbox_failed("drop the supplementary groups", errno_neg(), "");
	if ((has_zero(&config->gids) && setresgid(0, 0, 0)) ||
	    (has_zero(&config->uids) && setresuid(0, 0, 0)))
		return sandbox_failed("become root of the user namespace", errno_neg(), "");
	return 0;
}
