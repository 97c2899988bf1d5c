/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * forcecall PID NUMBER - lets a thread of PID make the system call NUMBER once, in the place of a statx(2) that it is about to
 * make: what machine code of an attacker would do. Says "ready" when it watches all threads, and "done" after.
 *
 * By ptrace(2), which sees a call before seccomp(2) does. Exits with 77 where it does not know the machine's registers.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#ifdef __x86_64__

static void seize(pid_t task)
{
	if (ptrace(PTRACE_SEIZE, task, NULL, PTRACE_O_TRACESYSGOOD) ||
	    ptrace(PTRACE_INTERRUPT, task, NULL, NULL))
		err(1, "forcecall: %d", (int)task);
}

static void seize_all(const char *pid)
{
	const struct dirent *d;
	char path[64];
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%s/task", pid);
	dir = opendir(path);
	if (!dir)
		err(1, "forcecall: %s", path);
	while ((d = readdir(dir)))
		if (d->d_name[0] != '.')
			seize((pid_t)strtol(d->d_name, NULL, 10));
	(void)closedir(dir);
}

/* Is it at the beginning of a statx(2)? Then it is another call now. */
static int replace(pid_t task, long number)
{
	struct user_regs_struct regs;

	/* -ENOSYS stands there until the call has been made. */
	if (ptrace(PTRACE_GETREGS, task, NULL, &regs) || regs.orig_rax != SYS_statx ||
	    (long)regs.rax != -ENOSYS)
		return 0;
	regs.orig_rax = (unsigned long long)number;
	if (ptrace(PTRACE_SETREGS, task, NULL, &regs))
		err(1, "forcecall: registers");
	return 1;
}

int main(int argc, char **argv)
{
	int status;
	pid_t task;

	if (argc != 3)
		errx(2, "usage: forcecall PID NUMBER");
	seize_all(argv[1]);
	(void)puts("ready");
	(void)fflush(stdout);
	while ((task = waitpid(-1, &status, __WALL)) > 0) {
		if (!WIFSTOPPED(status))
			continue;
		if (WSTOPSIG(status) == (SIGTRAP | 0x80) &&
		    replace(task, strtol(argv[2], NULL, 10))) {
			(void)puts("done");
			/* All others are let go by our end. */
			return ptrace(PTRACE_DETACH, task, NULL, NULL) ? 1 : 0;
		}
		(void)ptrace(PTRACE_SYSCALL, task, NULL, NULL);
	}
	errx(1, "forcecall: %s made no statx(2)", argv[1]);
}

#else

int main(void)
{
	warnx("the registers of this machine are not known");
	return 77;
}

#endif
