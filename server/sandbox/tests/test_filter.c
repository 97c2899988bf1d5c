/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_filter.c - what a filtered process cannot do, in each mode; and what it must go on doing.
 *
 * A child of the test for each call: it installs the filter, makes the call with arguments that would do no harm if it
 * went through, and ends with GOT_THROUGH.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/rand.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "holdfast/exit.h"
#include "sandbox/filter.h"

#define GOT_THROUGH 42
#define NOT_INSTALLED 43
#define SET_VERSION _IOW('v', 2, long)

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static int install(enum filter_mode mode, bool readonly, bool plain)
{
	const struct filter_config config = { .mode = mode,
					      .readonly = readonly,
					      .plain_handles = plain };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -EPERM;
	return filter_install(&config);
}

/* --- what is forbidden ------------------------------------------------------------------------ */

/* A call of six arguments, which are numbers; -1 as an address is none. */
struct forbidden {
	const char *name; /* as the trap's line has it */
	long number;
	long arg[6];
	bool tests_only; /* the sanitizers need it */
	bool readonly;	 /* forbidden with --readonly */
};

#define HERE AT_FDCWD
#define NOWHERE (-1L)
static const struct forbidden forbidden[] = {
	/* other programs, other processes */
	{ "execve", SYS_execve, { NOWHERE, 0, 0 }, false, false },
	{ "execveat", SYS_execveat, { HERE, NOWHERE, 0, 0 }, false, false },
	{ "clone", SYS_clone, { SIGCHLD, 0, 0, 0, 0 }, true, false },
	{ "clone", SYS_clone, { CLONE_VFORK | CLONE_VM, NOWHERE, NOWHERE }, true, false },
#ifdef SYS_fork
	{ "fork", SYS_fork, { 0 }, false, false },
	{ "vfork", SYS_vfork, { 0 }, false, false },
#endif
	{ "ptrace", SYS_ptrace, { 16, 1, 0, 0 }, true, false },
	{ "kill", SYS_kill, { 1, 0 }, true, false },
	{ "tgkill", SYS_tgkill, { 1, 1, 0 }, false, false },
	{ "tkill", SYS_tkill, { 1, 0 }, false, false },
	{ "process_vm_readv", SYS_process_vm_readv, { 1, 0, 0, 0, 0, 0 }, true, false },
	{ "process_vm_writev", SYS_process_vm_writev, { 1, 0, 0, 0, 0, 0 }, false, false },
	{ "pidfd_open", SYS_pidfd_open, { 1, 0 }, false, false },
	{ "pidfd_getfd", SYS_pidfd_getfd, { -1, 0, 0 }, false, false },
	{ "prctl", SYS_prctl, { PR_SET_DUMPABLE, 1 }, true, false },
	{ "prctl", SYS_prctl, { PR_SET_KEEPCAPS, 1 }, true, false },
	{ "prlimit64", SYS_prlimit64, { 0, RLIMIT_CORE, NOWHERE, 0 }, true, false },
	{ "prlimit64", SYS_prlimit64, { 1, RLIMIT_CORE, 0, 0 }, true, false },
	{ "personality", SYS_personality, { 0xffffffff }, true, false },
	/* machine code that is made or loaded */
	{ "mmap", SYS_mmap, { 0, 0, PROT_READ | PROT_EXEC, MAP_PRIVATE, -1, 0 }, false, false },
	{ "mprotect", SYS_mprotect, { 0, 0, PROT_READ | PROT_EXEC }, false, false },
	{ "pkey_mprotect", SYS_pkey_mprotect, { 0, 0, PROT_EXEC, -1 }, false, false },
	/* ways out of the share */
	{ "open_by_handle_at", SYS_open_by_handle_at, { HERE, NOWHERE, O_RDWR }, false, false },
	{ "open_by_handle_at",
	  SYS_open_by_handle_at,
	  { HERE, NOWHERE, O_RDONLY | O_DIRECTORY },
	  false,
	  false },
	{ "open_by_handle_at",
	  SYS_open_by_handle_at,
	  { HERE, NOWHERE, O_PATH | O_NOFOLLOW | O_CLOEXEC },
	  false,
	  false },
	{ "mount", SYS_mount, { NOWHERE, NOWHERE, 0, 0, 0 }, false, false },
	{ "umount2", SYS_umount2, { NOWHERE, 0 }, false, false },
	{ "pivot_root", SYS_pivot_root, { NOWHERE, NOWHERE }, false, false },
	{ "chroot", SYS_chroot, { NOWHERE }, false, false },
	{ "chdir", SYS_chdir, { NOWHERE }, false, false },
	{ "open_tree", SYS_open_tree, { HERE, NOWHERE, 0 }, false, false },
	{ "move_mount", SYS_move_mount, { HERE, NOWHERE, HERE, NOWHERE, 0 }, false, false },
	{ "fsopen", SYS_fsopen, { NOWHERE, 0 }, false, false },
	{ "setns", SYS_setns, { -1, 0 }, false, false },
	{ "unshare", SYS_unshare, { CLONE_NEWUSER }, false, false },
	{ "unshare", SYS_unshare, { CLONE_NEWNS | CLONE_FS }, false, false },
	{ "clone", SYS_clone, { CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0 }, true, false },
	/* to whom it could speak */
	{ "socket", SYS_socket, { AF_INET, SOCK_STREAM, 0 }, false, false },
	{ "socket", SYS_socket, { AF_NETLINK, SOCK_RAW, 0 }, false, false },
	{ "socket", SYS_socket, { AF_UNIX, SOCK_STREAM, 0 }, false, false },
	{ "connect", SYS_connect, { -1, 0, 0 }, false, false },
	{ "bind", SYS_bind, { -1, 0, 0 }, false, false },
	{ "listen", SYS_listen, { -1, 0 }, false, false },
	/* the kernel's larger doors */
	{ "keyctl", SYS_keyctl, { -1, 0, 0, 0, 0 }, false, false },
	{ "add_key", SYS_add_key, { NOWHERE, NOWHERE, 0, 0, 0 }, false, false },
	{ "bpf", SYS_bpf, { -1, 0, 0 }, false, false },
	{ "perf_event_open", SYS_perf_event_open, { NOWHERE, 0, 0, -1, 0 }, false, false },
	{ "io_uring_setup", SYS_io_uring_setup, { 0, NOWHERE }, false, false },
	{ "userfaultfd", SYS_userfaultfd, { -1 }, false, false },
	{ "init_module", SYS_init_module, { NOWHERE, 0, NOWHERE }, false, false },
	{ "kexec_load", SYS_kexec_load, { 0, 0, 0, -1 }, false, false },
	{ "fanotify_init", SYS_fanotify_init, { -1, 0 }, false, false },
	{ "ioctl", SYS_ioctl, { -1, TIOCSTI, 0 }, true, false },
	{ "ioctl", SYS_ioctl, { -1, SET_VERSION, 0 }, true, false },
	{ "ioctl", SYS_ioctl, { -1, FIBMAP, 0 }, true, false },
	{ "fcntl", SYS_fcntl, { -1, F_SETOWN, 1 }, false, false },
	{ "fcntl", SYS_fcntl, { -1, F_NOTIFY, 0 }, false, false },
	/* ids for good */
	{ "setresuid", SYS_setresuid, { 65534, 65534, 65534 }, false, false },
	{ "setuid", SYS_setuid, { -1 }, false, false },
	{ "setfsuid", SYS_setfsuid, { -1 }, false, false },
	/* with --readonly */
	{ "mkdirat", SYS_mkdirat, { HERE, NOWHERE, 0700 }, false, true },
	{ "mknodat", SYS_mknodat, { HERE, NOWHERE, S_IFREG, 0 }, false, true },
	{ "linkat", SYS_linkat, { HERE, NOWHERE, HERE, NOWHERE, 0 }, false, true },
	{ "symlinkat", SYS_symlinkat, { NOWHERE, HERE, NOWHERE }, false, true },
	{ "renameat2", SYS_renameat2, { HERE, NOWHERE, HERE, NOWHERE, 0 }, false, true },
	{ "fchownat", SYS_fchownat, { HERE, NOWHERE, 0, 0, 0 }, false, true },
	{ "setxattr", SYS_setxattr, { NOWHERE, NOWHERE, NOWHERE, 0, 0 }, false, true },
	{ "utimensat", SYS_utimensat, { HERE, NOWHERE, NOWHERE, 0 }, false, true },
	{ "ioctl", SYS_ioctl, { -1, FS_IOC_SETFLAGS, 0 }, true, true },
};

/* The wait status of a child that installs and calls; what it says on its stderr. */
static int try_call(const struct forbidden *f, enum filter_mode mode, char *said, size_t room)
{
	int pipefd[2], status = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = { 0, 0 };

		(void)setrlimit(RLIMIT_CORE, &none);
		if (dup2(pipefd[1], STDERR_FILENO) < 0 || install(mode, f->readonly, false))
			_exit(NOT_INSTALLED);
		/* A child of a child that got through goes no further either. */
		(void)syscall(f->number, f->arg[0], f->arg[1], f->arg[2], f->arg[3], f->arg[4],
			      f->arg[5]);
		_exit(GOT_THROUGH);
	}
	fd_close(pipefd[1]);
	got = read(pipefd[0], said, room - 1);
	said[got > 0 ? got : 0] = '\0';
	fd_close(pipefd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static bool is_stopped(const struct forbidden *f, enum filter_mode mode, int status,
		       const char *said)
{
	char start[80];

	switch (mode) {
	case FILTER_KILL:
		return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
	case FILTER_TRAP:
		(void)snprintf(start, sizeof(start),
			       "holdfast: error: seccomp: %s (system call %ld) is not on the list",
			       f->name, f->number);
		return WIFEXITED(status) && WEXITSTATUS(status) == HOLDFAST_EXIT_SECCOMP &&
		       strncmp(said, start, strlen(start)) == 0;
	default: /* it is made */
		return WIFEXITED(status) && WEXITSTATUS(status) == GOT_THROUGH;
	}
}

static void check_all(enum filter_mode mode)
{
	char said[256];
	unsigned wrong = 0;

	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
		const struct forbidden *f = &forbidden[i];
		int status;

		if (SANITIZED && f->tests_only)
			continue;
		status = try_call(f, mode, said, sizeof(said));
		if (is_stopped(f, mode, status, said))
			continue;
		print_error("%s(%ld, %ld, %ld, ...) in mode %s: status 0x%x, said \"%s\"\n",
			    f->name, f->arg[0], f->arg[1], f->arg[2], filter_mode_name(mode),
			    (unsigned)status, said);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static void test_a_call_that_is_not_on_the_list_kills_the_process(void **state)
{
	(void)state;
	check_all(FILTER_KILL);
}

static void test_in_trap_mode_the_call_is_named_and_the_exit_code_is_its_own(void **state)
{
	(void)state;
	check_all(FILTER_TRAP);
}

/* fork(2) and execve(2) with bad arguments do nothing that the test would notice. */
static void test_in_log_mode_and_without_a_filter_the_call_is_made(void **state)
{
	static const struct forbidden one = { "keyctl", SYS_keyctl, { -1 }, false, false };
	char said[256];

	(void)state;
	for (int mode = 0; mode <= FILTER_NONE; mode++) {
		int status;

		if (mode == FILTER_KILL || mode == FILTER_TRAP)
			continue;
		status = try_call(&one, (enum filter_mode)mode, said, sizeof(said));
		assert_true(is_stopped(&one, (enum filter_mode)mode, status, said));
	}
}

/* --- in all threads --------------------------------------------------------------------------- */

static atomic_int step;

static void *wait_and_call(void *arg)
{
	(void)arg;
	while (atomic_load(&step) == 0)
		(void)sched_yield();
	(void)syscall(SYS_keyctl, -1, 0, 0, 0, 0);
	_exit(GOT_THROUGH);
}

/* With the signals blocked that our threads block. */
static int begin_early(enum filter_mode mode)
{
	pthread_t thread;
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGSYS);
	(void)pthread_sigmask(SIG_SETMASK, &all, NULL);
	if (pthread_create(&thread, NULL, wait_and_call, NULL) || install(mode, false, false))
		return NOT_INSTALLED;
	atomic_store(&step, 1);
	(void)pthread_join(thread, NULL);
	return GOT_THROUGH;
}

static void test_threads_that_run_already_are_filtered_too(void **state)
{
	(void)state;
	for (int mode = FILTER_KILL; mode <= FILTER_TRAP; mode++) {
		int status = 0;
		pid_t pid;

		if (mode == FILTER_LOG)
			continue;
		pid = fork();
		if (pid == 0)
			_exit(begin_early((enum filter_mode)mode));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (mode == FILTER_KILL)
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
		else
			assert_true(WIFEXITED(status) &&
				    WEXITSTATUS(status) == HOLDFAST_EXIT_SECCOMP);
	}
}

/* --- what must go on -------------------------------------------------------------------------- */

/* A thread's first malloc(3) makes an arena of its own; large ones are mapped, grown, and given back. */
static void *use_memory(void *arg)
{
	(void)arg;
	for (size_t size = 16; size < (size_t)64 << 20; size *= 4) {
		char *p = malloc(size), *grown;

		if (!p)
			return NULL;
		memset(p, 1, size);
		grown = realloc(p, size * 2);
		free(grown ? grown : p);
	}
	return &step; /* anything but NULL */
}

static bool use_threads(void)
{
	pthread_t thread[24];

	for (size_t i = 0; i < ARRAY_LEN(thread); i++)
		if (pthread_create(&thread[i], NULL, use_memory, NULL))
			return false;
	for (size_t i = 0; i < ARRAY_LEN(thread); i++) {
		void *result = NULL;

		if (pthread_join(thread[i], &result) || !result)
			return false;
	}
	return true;
}

static bool use_database(const char *path)
{
	sqlite3 *db = NULL;
	bool good;

	good = sqlite3_open(path, &db) == SQLITE_OK &&
	       sqlite3_exec(db,
			    "PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES(1);"
			    "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode=DELETE;"
			    "BEGIN; INSERT INTO t VALUES(2); COMMIT; VACUUM",
			    NULL, NULL, NULL) == SQLITE_OK;
	return sqlite3_close(db) == SQLITE_OK && good;
}

/* open_by_handle_at(2) as the resolver calls it: the kernel refuses a handle that is none. */
static bool use_handles(bool plain)
{
	struct {
		struct file_handle head;
		char bytes[8];
	} h = { .head = { .handle_bytes = 8, .handle_type = 1 } };
	int flags = O_PATH | O_NOFOLLOW | O_CLOEXEC | (plain ? 0 : O_DIRECTORY);

	return open_by_handle_at(-1, &h.head, flags) < 0 && errno != ENOSYS;
}

static bool use_creds(void)
{
	uint8_t random[16];

	return unshare(CLONE_FS) == 0 && RAND_bytes(random, sizeof(random)) == 1 &&
	       syscall(SYS_setresuid, -1, geteuid(), -1) == 0 &&
	       syscall(SYS_setresgid, -1, getegid(), -1) == 0 && raise(SIGURG) == 0;
}

static int go_on(const char *path)
{
	if (install(FILTER_TRAP, false, true))
		return NOT_INSTALLED;
	if (!use_threads())
		return 1;
	if (!use_database(path))
		return 2;
	if (!use_handles(false) || !use_handles(true))
		return 3;
	if (!use_creds())
		return 4;
	return GOT_THROUGH;
}

static void test_threads_memory_database_handles_and_ids_go_on(void **state)
{
	char dir[] = "/tmp/holdfast-filter-XXXXXX", path[64];
	int status = 0;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/db", dir);
	pid = fork();
	if (pid == 0)
		_exit(go_on(path));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)unlink(path);
	(void)rmdir(dir);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), GOT_THROUGH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_call_that_is_not_on_the_list_kills_the_process),
		cmocka_unit_test(test_in_trap_mode_the_call_is_named_and_the_exit_code_is_its_own),
		cmocka_unit_test(test_in_log_mode_and_without_a_filter_the_call_is_made),
		cmocka_unit_test(test_threads_that_run_already_are_filtered_too),
		cmocka_unit_test(test_threads_memory_database_handles_and_ids_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
