/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * filter.h - which system calls the process may make once it serves (seccomp(2), by libseccomp).
 *
 * A list of what is allowed, filter_table.c; whatever is not in it ends the process, or what the mode says. Installed
 * when all that only the start needs is done and before the first byte of a guest is read, for all threads at once.
 */
#ifndef HOLDFAST_SANDBOX_FILTER_H
#define HOLDFAST_SANDBOX_FILTER_H

#include <stdbool.h>

/* --seccomp, in virtiofsd's words. */
enum filter_mode {
	FILTER_KILL, /* the process is killed by SIGSYS; the kernel's audit log names the call */
	FILTER_LOG,  /* the call is made, and the kernel's audit log names it */
	FILTER_TRAP, /* one line names the call, and the process ends with HOLDFAST_EXIT_SECCOMP */
	FILTER_NONE  /* no filter */
};

struct filter_config {
	enum filter_mode mode;
	bool readonly;	    /* nothing in the share is made or changed: no calls for it */
	bool plain_handles; /* --moved-out=allow: files are opened by handle, not directories alone */
	bool keyring;	    /* the kernel's keyring is read */
	bool syslog;	    /* syslog(3) may have to connect anew */
};

/*
 * Installs the filter in all threads; they have no_new_privs from then on. The calling thread has it already. Once for
 * a process. 0, or -errno after one line in the log.
 */
int filter_install(const struct filter_config *config);

/* "kill", "log", "trap", "none" */
const char *filter_mode_name(enum filter_mode mode);

#endif
