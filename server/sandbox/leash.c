/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * leash.c - the process that stays outside of a PID namespace, and the one inside.
 *
 * Who started us knows the one outside: it hands signals on and gives the exit code. If it is killed, the kernel
 * kills the one inside. The leash is a pair of sockets: it tells the one inside that the other is gone
 * already, and the one outside that the other need not be waited for, with its exit code.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/util.h"
#include "sandbox/sandbox_private.h"

#define FIRST_PID_BITS 20

/*
 * The locks of the ring know a thread by its number, and daemons in namespaces of their own would all count from 1. Where
 * the number cannot be set, or is too large for the kernel, it stays as it is.
 */
static void scatter_pids(void)
{
	CLEANUP_FD int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	uint32_t start = 0;

	if (fd < 0 || getrandom(&start, sizeof(start), 0) != (ssize_t)sizeof(start))
		return;
	for (unsigned bits = FIRST_PID_BITS; bits > 8; bits -= 3) {
		if (dprintf(fd, "%u", start & ((1U << bits) - 1)) > 0)
			return;
	}
}

int leash_fork(struct sandbox *s)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return sandbox_failed("make a socket", errno_neg(), "");
	pid = unshare(CLONE_NEWPID) ? -1 : fork();
	if (pid < 0) {
		int error = errno_neg();

		fd_close(pair[0]);
		fd_close(pair[1]);
		return sandbox_failed("make a PID namespace", error,
				      "; in a container, use --sandbox=chroot");
	}
	s->child = pid;
	s->leash = pair[pid ? 0 : 1];
	fd_close(pair[pid ? 1 : 0]);
	if (pid)
		return 1;
	scatter_pids();
	return 0;
}

int leash_hold(const struct sandbox *s)
{
	struct pollfd p = { .fd = s->leash };

	if (s->leash < 0)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		return sandbox_failed("tie the process to its parent", errno_neg(), "");
	/* Has it gone before that? */
	if (poll(&p, 1, 0) < 0 || p.revents & POLLHUP)
		_exit(1);
	return 0;
}

void sandbox_leave(const struct sandbox *s, uint8_t exit_code)
{
	if (s && s->leash >= 0)
		(void)send(s->leash, &exit_code, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* The exit code, or -1: it still runs. */
static int collect(const struct sandbox *s)
{
	int status = 0;
	pid_t pid = waitpid(s->child, &status, WNOHANG);

	if (pid == 0 || (pid < 0 && errno == EINTR))
		return -1;
	if (pid > 0 && WIFEXITED(status))
		return WEXITSTATUS(status);
	if (pid > 0 && WTERMSIG(status) == SIGSYS)
		log_error("the daemon was killed by signal %d: a system call that is not on the "
			  "list; "
			  "--seccomp=trap names it",
			  SIGSYS);
	else if (pid > 0)
		log_error("the daemon was killed by signal %d", WTERMSIG(status));
	return EXIT_FAILURE;
}

static int watch_for_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -1;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd;
}

int sandbox_wait(struct sandbox *s)
{
	CLEANUP_FD int signals = watch_for_signals();
	struct pollfd fds[2] = { { .fd = signals, .events = POLLIN },
				 { .fd = s->leash, .events = POLLIN } };
	struct signalfd_siginfo info;
	uint8_t left_with;

	if (signals < 0) {
		log_error("sandbox: cannot watch for signals: %s", strerror(errno));
		(void)kill(s->child, SIGKILL);
	}
	for (;;) {
		int code = collect(s);

		if (code >= 0)
			return code;
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return EXIT_FAILURE;
		while (signals >= 0 && read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
			if (info.ssi_signo != SIGCHLD)
				(void)kill(s->child, (int)info.ssi_signo);
		if (fds[1].revents) {
			if (recv(s->leash, &left_with, 1, MSG_DONTWAIT) > 0)
				return left_with;
			fds[1].fd = -1; /* it is ending */
		}
	}
}
