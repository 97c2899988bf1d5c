/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_sandbox.c - what can be reached from inside, and that an export is the same there as outside.
 *
 * Each sandbox is entered by a child of the test, which reports by its exit code and in shared memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#undef MAP_FILE /* the name of the map */
#include <sys/prctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/mountinfo.h"
#include "base/util.h"
#include "export/core.h"
#include "sandbox/sandbox.h"

/* What children and test tell each other. */
struct shared {
	atomic_int turn;
	nodeid_t dir, file, mount, below;
	generation_t generation;
};

struct fixture {
	char dir[64], share[96], state[96], outside[96];
	int sharefd, statedir;
	struct shared *shared;
};

static const enum sandbox_mode modes[] = { SANDBOX_NONE, SANDBOX_CHROOT, SANDBOX_NAMESPACE };

static void make_file(const char *dir, const char *name, const char *text)
{
	char path[160];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char path[128];

	assert_non_null(f);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/holdfast-sandbox-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->share, sizeof(f->share), "%s/share", f->dir);
	(void)snprintf(f->state, sizeof(f->state), "%s/state", f->dir);
	(void)snprintf(f->outside, sizeof(f->outside), "%s/outside", f->dir);
	assert_int_equal(mkdir(f->share, 0755), 0);
	assert_int_equal(mkdir(f->state, 0700), 0);
	assert_int_equal(mkdir(f->outside, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/d", f->share);
	assert_int_equal(mkdir(path, 0755), 0);
	make_file(path, "f", "inside");
	f->sharefd = open(f->share, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	f->statedir = open(f->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->sharefd >= 0 && f->statedir >= 0);
	f->shared = mmap(NULL, sizeof(*f->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(f->shared != MAP_FAILED);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[192];

	(void)snprintf(command, sizeof(command), "%s/m", f->share);
	(void)umount2(command, MNT_DETACH);
	(void)snprintf(command, sizeof(command), "rm -rf --one-file-system %s", f->dir);
	assert_int_equal(system(command), 0);
	fd_close(f->sharefd);
	fd_close(f->statedir);
	(void)munmap(f->shared, sizeof(*f->shared));
	free(f);
	return 0;
}

/* --- inside ----------------------------------------------------------------------------------- */

typedef int inside_fn(struct fixture *f, struct sandbox *s);

/* In a child: says which line was not true. */
#define MUST(what)                                                                                 \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			(void)fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #what, \
				      errno);                                                      \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

#define CANNOT_ENTER 99

static int enter_and_run(struct fixture *f, enum sandbox_mode mode, uint64_t caps, inside_fn *run)
{
	const struct sandbox_config config = { .mode = mode,
					       .share = f->sharefd,
					       .caps = caps,
					       .dir_count = 1,
					       .dirs = { f->statedir } };
	struct sandbox *s;
	int ret = sandbox_enter(&config, &s);

	if (ret < 0)
		return CANNOT_ENTER;
	if (ret > 0)
		return sandbox_wait(s);
	fd_close(f->sharefd);
	return run(f, s);
}

static pid_t start(struct fixture *f, enum sandbox_mode mode, uint64_t caps, inside_fn *run)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(enter_and_run(f, mode, caps, run));
	return pid;
}

static void finish(pid_t pid, enum sandbox_mode mode)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT_ENTER)
		skip();
	if (WEXITSTATUS(status))
		fail_msg("mode %d: exit code %d", (int)mode, WEXITSTATUS(status));
}

static void in_sandbox(struct fixture *f, enum sandbox_mode mode, inside_fn *run)
{
	finish(start(f, mode, sandbox_caps_default(false), run), mode);
}

static void only_as_root(void)
{
	if (geteuid() != 0)
		skip();
}

/* --- what is left of the host ------------------------------------------------------------------ */

static bool count_mount(void *arg, const struct mountinfo *m)
{
	(void)m;
	++*(unsigned *)arg;
	return true;
}

static int look_around(struct fixture *f, struct sandbox *s)
{
	const struct places *p = sandbox_places(s);
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];
	bool namespaces = strcmp(sandbox_mode_name(s), "namespace") == 0;
	char path[160];
	unsigned mounts = 0;
	struct stat st;
	CLEANUP_FD int fd = -1;

	MUST(p);
	MUST(stat("/proc", &st) < 0 && errno == ENOENT);
	MUST(stat("/etc", &st) < 0 && errno == ENOENT);
	MUST(stat(f->state, &st) < 0 && errno == ENOENT);
	(void)snprintf(path, sizeof(path), "%s/d/f", p->root);
	MUST(stat(path, &st) == 0);
	(void)snprintf(path, sizeof(path), "%s/../../../outside", p->root);
	MUST(stat(path, &st) < 0 && errno == ENOENT);

	/* Descriptors by their number, and nothing else of proc. */
	fd = open(p->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "%d", fd);
	MUST(faccessat(p->proc, path, F_OK, 0) == 0);
	if (namespaces) {
		MUST(fstatat(p->proc, "../status", &st, 0) < 0);
		MUST(fstatat(p->proc, "../../1/root", &st, 0) < 0);
		MUST(getpid() == 1);
		MUST(mkdir("/more", 0700) < 0 && errno == EROFS);
	}
	MUST(mountinfo_each(p->mountinfo, count_mount, &mounts) == 0);
	MUST(mounts == (namespaces ? 2 : 0));

	/* Capabilities, in each set. */
	MUST(syscall(SYS_capget, &header, caps) == 0);
	MUST((caps[0].effective | (uint64_t)caps[1].effective << 32) ==
	     sandbox_caps_default(false));
	MUST((caps[0].permitted | (uint64_t)caps[1].permitted << 32) ==
	     sandbox_caps_default(false));
	MUST(caps[0].inheritable == 0 && caps[1].inheritable == 0);
	MUST(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN) == 0 && prctl(PR_CAPBSET_READ, CAP_CHOWN) == 1);
	MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_DUMPABLE) == 0);
	MUST(strcmp(sandbox_caps_text(s), "chown dac_override dac_read_search fowner fsetid setgid "
					  "setuid mknod setfcap") == 0);
	return 0;
}

static void test_nothing_but_the_share_can_be_reached(void **state)
{
	only_as_root();
	in_sandbox(*state, SANDBOX_CHROOT, look_around);
	in_sandbox(*state, SANDBOX_NAMESPACE, look_around);
}

/* From a descriptor of a directory outside, ".." would lead to all of the host's files. */
static int the_state_leads_nowhere(struct fixture *f, struct sandbox *s)
{
	struct stat here, up;
	int fd;

	(void)s;
	MUST(fstat(f->statedir, &here) == 0);
	MUST(fstatat(f->statedir, "..", &up, 0) == 0);
	MUST(here.st_ino == up.st_ino && here.st_dev == up.st_dev);
	MUST(openat(f->statedir, "../outside", O_PATH | O_CLOEXEC) < 0 && errno == ENOENT);
	/* It is of use all the same. */
	fd = openat(f->statedir, "new", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	MUST(fd >= 0 && write(fd, "x", 1) == 1);
	MUST(renameat(f->statedir, "new", f->statedir, "old") == 0);
	MUST(fsync(f->statedir) == 0 && unlinkat(f->statedir, "old", 0) == 0);
	fd_close(fd);
	return 0;
}

static void test_no_directory_of_the_state_leads_out(void **state)
{
	only_as_root();
	in_sandbox(*state, SANDBOX_NAMESPACE, the_state_leads_nowhere);
	in_sandbox(*state, SANDBOX_CHROOT, the_state_leads_nowhere);
}

static int have_asked_for(struct fixture *f, struct sandbox *s)
{
	(void)f;
	MUST(strcmp(sandbox_caps_text(s), "fowner") == 0);
	return 0;
}

static void test_a_capability_that_is_not_kept_is_gone(void **state)
{
	only_as_root();
	finish(start(*state, SANDBOX_NONE, UINT64_C(1) << CAP_FOWNER, have_asked_for),
	       SANDBOX_NONE);
}

/* --- the process outside ------------------------------------------------------------------------ */

static int exit_with_seven(struct fixture *f, struct sandbox *s)
{
	(void)f;
	(void)s;
	return 7;
}

static int leave_in_the_lurch(struct fixture *f, struct sandbox *s)
{
	struct timespec nap = { .tv_sec = 5 };

	sandbox_leave(s, 5);
	(void)nanosleep(&nap, NULL);
	atomic_store(&f->shared->turn, 1);
	return 1;
}

static int count_up(struct fixture *f, struct sandbox *s)
{
	const struct timespec moment = { .tv_nsec = 2000000 };

	(void)s;
	for (int i = 0; i < 10000; i++) {
		atomic_fetch_add(&f->shared->turn, 1);
		(void)nanosleep(&moment, NULL);
	}
	return 1;
}

static int wait_for_sigterm(struct fixture *f, struct sandbox *s)
{
	sigset_t set;
	int number = 0;

	(void)s;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	atomic_store(&f->shared->turn, 1);
	MUST(sigwait(&set, &number) == 0);
	return number == SIGTERM ? 5 : 1;
}

static void wait_for_turn(struct fixture *f, int turn)
{
	const struct timespec moment = { .tv_nsec = 1000000 };

	for (int i = 0; i < 20000 && atomic_load(&f->shared->turn) < turn; i++)
		(void)nanosleep(&moment, NULL);
}

static void test_the_process_outside_gives_the_exit_code(void **state)
{
	struct fixture *f = *state;
	int status = 0;
	uint64_t begin;
	pid_t pid;

	only_as_root();
	pid = start(f, SANDBOX_NAMESPACE, 0, exit_with_seven);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == CANNOT_ENTER)
		skip();
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);

	begin = clock_ns();
	pid = start(f, SANDBOX_NAMESPACE, 0, leave_in_the_lurch);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 5);
	assert_true(clock_ns() - begin < 3000000000U);
}

static void test_sigterm_is_handed_on_to_the_process_inside(void **state)
{
	struct fixture *f = *state;
	int status = 0;
	pid_t pid;

	only_as_root();
	pid = start(f, SANDBOX_NAMESPACE, 0, wait_for_sigterm);
	wait_for_turn(f, 1);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 5);
}

static void test_the_process_inside_dies_with_the_one_outside(void **state)
{
	const struct timespec moment = { .tv_nsec = 100000000 };
	struct fixture *f = *state;
	int status = 0, turn;
	pid_t pid;

	only_as_root();
	pid = start(f, SANDBOX_NAMESPACE, 0, count_up);
	wait_for_turn(f, 10);
	assert_true(atomic_load(&f->shared->turn) >= 10);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	(void)nanosleep(&moment, NULL);
	turn = atomic_load(&f->shared->turn);
	(void)nanosleep(&moment, NULL);
	assert_int_equal(atomic_load(&f->shared->turn), turn);
}

/* --- an export inside ---------------------------------------------------------------------------- */

static int open_inside(struct fixture *f, struct sandbox *s, struct export **x, struct worker **w)
{
	const struct export_config config = {
		.share = f->share,
		.places = sandbox_places(s),
		.statedir = f->statedir,
		.statepath = f->state,
		.rundir = f->statedir,
		.handles = HANDLES_PREFER,
		.max_nodes = 1000,
		.max_fds = 200,
	};
	int exit_code;

	if (export_open(&config, x, &exit_code) || worker_new(*x, w))
		return -EIO;
	worker_begin(*w, true);
	return 0;
}

static int look_up(struct worker *w, nodeid_t dir, const char *name, struct entry *e)
{
	struct node *parent;
	int ret = node_get(w, dir, &parent);

	if (ret)
		return ret;
	ret = export_lookup(w, parent, name, e);
	node_put(w, parent);
	return ret;
}

static int opens(struct worker *w, nodeid_t id)
{
	struct node *n;
	int ret;

	worker_begin(w, true);
	ret = node_get(w, id, &n);
	if (!ret) {
		ret = node_fd(w, n);
		node_put(w, n);
	}
	return ret < 0 ? ret : 0;
}

/* The first to come writes the numbers, the others must see the same. */
static int same_numbers(struct fixture *f, struct sandbox *s)
{
	struct shared *known = f->shared;
	struct entry dir, file, mount, below;
	struct worker *w;
	struct export *x;

	MUST(open_inside(f, s, &x, &w) == 0);
	if (known->file.v) {
		MUST(opens(w, known->file) == 0);
		MUST(opens(w, known->below) == 0);
	}
	MUST(look_up(w, NODEID_ROOT, "d", &dir) == 0);
	MUST(look_up(w, dir.nodeid, "f", &file) == 0);
	MUST(look_up(w, NODEID_ROOT, "m", &mount) == 0);
	MUST(look_up(w, mount.nodeid, "g", &below) == 0);
	MUST(mount.submount);
	if (known->file.v) {
		MUST(nodeid_equal(known->mount, mount.nodeid));
		MUST(nodeid_equal(known->below, below.nodeid));
		MUST(nodeid_equal(known->dir, dir.nodeid));
		MUST(nodeid_equal(known->file, file.nodeid));
		MUST(known->generation.v == file.generation.v);
	}
	known->dir = dir.nodeid;
	known->file = file.nodeid;
	known->mount = mount.nodeid;
	known->below = below.nodeid;
	known->generation = file.generation;
	worker_free(w);
	export_close(x);
	return 0;
}

/* "outside" is mounted at "m" in the share. */
static void mount_at(struct fixture *f, const char *name, bool make)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", f->share, name);
	if (make)
		assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(mount(f->outside, path, NULL, MS_BIND, NULL), 0);
}

static void test_nodeids_are_the_same_in_every_mode(void **state)
{
	struct fixture *f = *state;

	only_as_root();
	make_file(f->outside, "g", "mounted");
	mount_at(f, "m", true);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		in_sandbox(f, modes[i], same_numbers);
	in_sandbox(f, SANDBOX_NONE, same_numbers);
}

static int see_a_mount_come(struct fixture *f, struct sandbox *s)
{
	char path[128];
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/m/g", sandbox_places(s)->root);
	MUST(stat(path, &st) < 0 && errno == ENOENT);
	atomic_store(&f->shared->turn, 1);
	wait_for_turn(f, 2);
	MUST(stat(path, &st) == 0);
	return 0;
}

static void test_a_mount_that_the_host_makes_later_is_seen_inside(void **state)
{
	struct fixture *f = *state;
	char path[128];
	pid_t pid;

	only_as_root();
	make_file(f->outside, "g", "mounted");
	(void)snprintf(path, sizeof(path), "%s/m", f->share);
	assert_int_equal(mkdir(path, 0755), 0);
	pid = start(f, SANDBOX_NAMESPACE, sandbox_caps_default(false), see_a_mount_come);
	wait_for_turn(f, 1);
	mount_at(f, "m", false);
	atomic_store(&f->shared->turn, 2);
	finish(pid, SANDBOX_NAMESPACE);
}

static int raise_key(struct fixture *f, struct export *x)
{
	struct keyring *k, *raised;

	MUST(keyring_load(f->statedir, KEY_FILE, &k) == 0);
	MUST(keyring_copy(k, &raised) == 0);
	MUST(keyring_raise(raised) == 0);
	MUST(keyring_store(raised, f->statedir, KEY_FILE, false) == 0);
	ring_shared_set(x->ring, RING_ROOT_GENERATION, keyring_root_generation(raised));
	keyring_free(k);
	keyring_free(raised);
	return 0;
}

static int follow_revoke(struct fixture *f, struct sandbox *s)
{
	struct entry before, after;
	struct worker *w;
	struct export *x;

	MUST(open_inside(f, s, &x, &w) == 0);
	MUST(look_up(w, NODEID_ROOT, "d", &before) == 0);
	MUST(opens(w, before.nodeid) == 0);
	MUST(raise_key(f, x) == 0);
	MUST(opens(w, before.nodeid) == -ESTALE);
	MUST(look_up(w, NODEID_ROOT, "d", &after) == 0);
	MUST(!nodeid_equal(before.nodeid, after.nodeid));
	MUST(opens(w, after.nodeid) == 0);
	worker_free(w);
	export_close(x);
	return 0;
}

static void test_a_revoke_is_followed_inside(void **state)
{
	only_as_root();
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		in_sandbox(*state, modes[i], follow_revoke);
}

/* The test moves "d" about: to another name inside (turn 2), then out (turn 4). */
static int watch_moves(struct fixture *f, struct sandbox *s)
{
	const struct timespec second = { .tv_sec = 1, .tv_nsec = 100000000 };
	struct export_stats stats;
	struct entry dir, file;
	struct worker *w;
	struct export *x;

	MUST(open_inside(f, s, &x, &w) == 0);
	MUST(look_up(w, NODEID_ROOT, "d", &dir) == 0);
	MUST(look_up(w, dir.nodeid, "f", &file) == 0);
	MUST(opens(w, file.nodeid) == 0);
	atomic_store(&f->shared->turn, 1);
	wait_for_turn(f, 2);
	(void)nanosleep(&second, NULL);
	MUST(opens(w, dir.nodeid) == 0);
	MUST(opens(w, file.nodeid) == 0);
	atomic_store(&f->shared->turn, 3);
	wait_for_turn(f, 4);
	(void)nanosleep(&second, NULL);
	MUST(opens(w, file.nodeid) == -ESTALE);
	MUST(opens(w, dir.nodeid) == -ESTALE);
	/* It was seen that they are outside: no scan had to look for them. */
	export_stats(x, &stats);
	MUST(stats.scans == 0 && !stats.scanning);
	worker_free(w);
	export_close(x);
	return 0;
}

static void test_what_the_host_moves_is_found_inside_and_stale_outside(void **state)
{
	struct fixture *f = *state;
	char d[128], e[128], out[128];

	only_as_root();
	(void)snprintf(d, sizeof(d), "%s/d", f->share);
	(void)snprintf(e, sizeof(e), "%s/e", f->share);
	(void)snprintf(out, sizeof(out), "%s/d", f->outside);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		pid_t pid = start(f, modes[i], sandbox_caps_default(false), watch_moves);

		wait_for_turn(f, 1);
		assert_int_equal(rename(d, e), 0);
		atomic_store(&f->shared->turn, 2);
		wait_for_turn(f, 3);
		assert_int_equal(rename(e, out), 0);
		atomic_store(&f->shared->turn, 4);
		finish(pid, modes[i]);
		assert_int_equal(rename(out, d), 0);
		atomic_store(&f->shared->turn, 0);
	}
}

/* --- symbolic links that take the place of directories ------------------------------------------- */

#define SWAPS_NS 1500000000U

/* What is opened under "d" is inside or not there; never what the link leads to. 1: it was looked at outside. */
static int look_while_swapped(struct worker *w, bool *found)
{
	struct entry dir, file;
	struct node *n;
	char text[16] = "";
	int fd;

	worker_begin(w, true);
	if (look_up(w, NODEID_ROOT, "d", &dir) || look_up(w, dir.nodeid, "f", &file) ||
	    node_get(w, file.nodeid, &n))
		return 0;
	fd = node_open(w, n, O_RDONLY);
	node_put(w, n);
	if (fd < 0)
		return 0;
	*found = true;
	MUST(pread(fd, text, sizeof(text) - 1, 0) > 0);
	fd_close(fd);
	MUST(strcmp(text, "inside") == 0);
	return 0;
}

static int watch_swaps(struct fixture *f, struct sandbox *s)
{
	uint64_t end = clock_ns() + SWAPS_NS;
	bool found = false;
	struct worker *w;
	struct export *x;
	int ret = 0;

	MUST(open_inside(f, s, &x, &w) == 0);
	atomic_store(&f->shared->turn, 1);
	while (!ret && clock_ns() < end)
		ret = look_while_swapped(w, &found);
	atomic_store(&f->shared->turn, 2);
	worker_free(w);
	export_close(x);
	MUST(found);
	return ret;
}

static void test_a_link_swapped_for_a_directory_leads_nowhere_in_any_mode(void **state)
{
	struct fixture *f = *state;
	char d[128], l[128];

	only_as_root();
	make_file(f->outside, "f", "outside");
	(void)snprintf(d, sizeof(d), "%s/d", f->share);
	(void)snprintf(l, sizeof(l), "%s/l", f->share);
	assert_int_equal(symlink(f->outside, l), 0);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		pid_t pid = start(f, modes[i], sandbox_caps_default(false), watch_swaps);
		uint64_t end = clock_ns() + 20 * (uint64_t)SWAPS_NS;
		unsigned long swaps = 0;

		wait_for_turn(f, 1);
		while (atomic_load(&f->shared->turn) == 1 && clock_ns() < end)
			swaps += renameat2(AT_FDCWD, d, AT_FDCWD, l, RENAME_EXCHANGE) == 0;
		if (swaps % 2)
			assert_int_equal(renameat2(AT_FDCWD, d, AT_FDCWD, l, RENAME_EXCHANGE), 0);
		finish(pid, modes[i]);
		assert_true(swaps > 100);
		atomic_store(&f->shared->turn, 0);
	}
}

/* --- words ------------------------------------------------------------------------------------- */

static void test_ranges_are_read_with_any_separator(void **state)
{
	static const char *const bad[] = {
		"",	     "0:0:1",	 ":0:0",     ":0:0:0:",		 ":a:0:1:",
		":0:0:1:2:", ":0:0:1::", ":-1:0:1:", ":0:4294967295:1:", ":4294967290:0:10:",
		": 1:2:3:"
	};
	struct sandbox_ranges r = { 0 };

	(void)state;
	assert_int_equal(sandbox_ranges_add(&r, ":0:1000:1:"), 0);
	assert_int_equal(sandbox_ranges_add(&r, "/1/100000/65536/"), 0);
	assert_int_equal(sandbox_ranges_add(&r, ":7:8:9"), 0);
	assert_int_equal(r.count, 3);
	assert_int_equal(r.range[1].inside, 1);
	assert_int_equal(r.range[1].outside, 100000);
	assert_int_equal(r.range[1].count, 65536);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (sandbox_ranges_add(&r, bad[i]) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
	while (r.count < SANDBOX_RANGES_MAX)
		assert_int_equal(sandbox_ranges_add(&r, ":0:1000:1:"), 0);
	assert_int_equal(sandbox_ranges_add(&r, ":0:1000:1:"), -ENOSPC);
}

static void test_capabilities_are_added_and_taken_by_name(void **state)
{
	static const char *const bad[] = { "sys_admin", "+", "+nonsense", "+chown,-fowner",
					   "+chown:x" };
	uint64_t caps = sandbox_caps_default(false);
	char error[128];

	(void)state;
	assert_int_equal(sandbox_caps_modify("+sys_admin:-chown:+CAP_SYS_RESOURCE", &caps, error,
					     128),
			 0);
	assert_true(caps & UINT64_C(1) << CAP_SYS_ADMIN);
	assert_true(caps & UINT64_C(1) << CAP_SYS_RESOURCE);
	assert_false(caps & UINT64_C(1) << CAP_CHOWN);
	assert_true(caps & UINT64_C(1) << CAP_FOWNER);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (sandbox_caps_modify(bad[i], &caps, error, sizeof(error)) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges_are_read_with_any_separator),
		cmocka_unit_test(test_capabilities_are_added_and_taken_by_name),
		cmocka_unit_test_setup_teardown(test_no_directory_of_the_state_leads_out, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_nothing_but_the_share_can_be_reached, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_a_capability_that_is_not_kept_is_gone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_the_process_outside_gives_the_exit_code, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_sigterm_is_handed_on_to_the_process_inside,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_process_inside_dies_with_the_one_outside,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_nodeids_are_the_same_in_every_mode, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_a_mount_that_the_host_makes_later_is_seen_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_revoke_is_followed_inside, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_the_host_moves_is_found_inside_and_stale_outside, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_a_link_swapped_for_a_directory_leads_nowhere_in_any_mode, setup,
			teardown),
	};

	log_init(LOG_LEVEL_ERROR, false);
	/* Mounts are our own, and shared with the sandboxes as on a host with systemd. */
	if (geteuid() == 0 &&
	    (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	     mount("/tmp", "/tmp", NULL, MS_BIND | MS_REC, NULL) ||
	     mount(NULL, "/tmp", NULL, MS_SHARED, NULL)))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
