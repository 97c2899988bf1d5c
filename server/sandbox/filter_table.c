/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * filter_table.c - the system calls of a daemon that serves, grouped by who needs them and why.
 *
 * Nothing is here for the start: what is needed only until the first request (namespaces, mounts, execve(2) of
 * newuidmap(1), bind(2), mlock(2) of a limit) is done before. What a mount needs at its end, umount(2) and fusermount3(1), is
 * done by a process of its own (transport/fusekeeper.c). A call with many uses is let through only for ours.
 *
 * Numbers: the lower half of an argument alone counts where the kernel takes an int.
 */
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/keyctl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/util.h"
#include "sandbox/filter_private.h"

#define INT_BITS 0xffffffffU

/* Newer than the headers of Debian 12, or not in any header for programs; export/hostfs_ids.c has the structures. */
#define CALL_FCHMODAT2 452
#define GET_FS_UUID _IOR(0x15, 0, uint8_t[17])
#define GET_EXT4_UUID _IOR('f', 44, uint64_t)
#define GET_XFS_GEOMETRY _IOR('X', 100, uint8_t[112])

#define ANY(name)                                                                                  \
	{                                                                                          \
		.call = SCMP_SYS(name)                                                             \
	}
/* Argument `n` (an int) is `v`. */
#define IF(name, n, v)                                                                             \
	{                                                                                          \
		.call = SCMP_SYS(name), .terms = 1, .term = { { (n), INT_BITS, (uint32_t)(v) } },  \
	}
/* Of the bits `m` of argument `n` those of `v` are set. */
#define BITS(name, n, m, v)                                                                        \
	{                                                                                          \
		.call = SCMP_SYS(name), .terms = 1, .term = { { (n), (m), (v) } },                 \
	}

/* Threads: pthread_create(3) and what the C library does on its own in a thread that begins, waits or ends. */
#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define NAMESPACES                                                                                 \
	((uint64_t)CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |   \
	 CLONE_NEWPID | CLONE_NEWNET)
static const struct filter_call threads[] = {
	BITS(clone, 0, THREAD | NAMESPACES | CLONE_PTRACE | CLONE_VFORK | CLONE_PARENT, THREAD),
	ANY(set_robust_list),
	ANY(rseq),
	ANY(set_tid_address),
	ANY(gettid),
	ANY(futex),
	ANY(sched_yield),
	IF(setpriority, 0, PRIO_PROCESS), /* who works in the background steps back */
	ANY(sched_getaffinity), /* malloc(3) makes an arena for a new thread: as many as processors */
	ANY(getcpu),
	IF(prctl, 0, PR_SET_NAME),
	IF(prctl, 0, PR_SET_VMA), /* newer C libraries name their stacks */
	ANY(exit),
	ANY(exit_group),
	ANY(restart_syscall),
};

/* Memory, never executable: malloc(3), stacks, a guest's memory, the ring, SQLite's shared index, export/secret pages. */
static const struct filter_call memory[] = {
	BITS(mmap, 2, PROT_EXEC, 0),
	BITS(mprotect, 2, PROT_EXEC, 0),
	ANY(munmap),
	ANY(mremap),
	ANY(madvise),
	ANY(brk),
	ANY(mlock), /* base/secret.c: keys of a new root generation */
	ANY(munlock),
	ANY(getrandom), /* OpenSSL, SQLite */
};

/* Signals: the thread that waits for the end, and those that are woken (fuse/locks.c, transport/fusedev.c). */
static const struct filter_call signals[] = {
	ANY(rt_sigaction),
	ANY(rt_sigprocmask),
	ANY(rt_sigreturn),
	ANY(rt_sigtimedwait),
	{ .call = SCMP_SYS(tgkill), .own_pid = true }, /* pthread_kill(3), abort(3) */
	{ .call = SCMP_SYS(kill), .own_pid = true },   /* the end, when the key helper has gone */
};

/* The time and what the process knows of itself. All of it without effect. */
static const struct filter_call questions[] = {
	ANY(clock_gettime),
	ANY(clock_getres),
	ANY(gettimeofday),
	ANY(time),
	ANY(clock_nanosleep),
	ANY(nanosleep),
	ANY(getpid),
	ANY(getuid),
	ANY(geteuid),
	ANY(getgid),
	ANY(getegid),
	ANY(uname),
	ANY(sysinfo),
	/* getrlimit(3), of ourselves; sets nothing */
	{ .call = SCMP_SYS(prlimit64),
	  .terms = 2,
	  .term = { { 0, INT_BITS, 0 }, { 2, UINT64_MAX, 0 } } },
};

/* Waiting: queues and socket of a device, the status thread, fusedev_serve(). */
static const struct filter_call waiting[] = {
	ANY(poll),	 ANY(ppoll),	   ANY(epoll_create1), ANY(epoll_ctl),
	ANY(epoll_wait), ANY(epoll_pwait), ANY(eventfd2),
};

/* The front-end's socket and the status socket, which are open already; none is made. (transport/vhost*.c, status_server.c) */
static const struct filter_call sockets[] = {
	ANY(accept4),	  ANY(accept),	   ANY(recvmsg),    ANY(sendmsg),
	ANY(recvfrom),	  ANY(sendto),	   ANY(shutdown),   ANY(getpeername),
	ANY(getsockname), ANY(getsockopt), ANY(setsockopt),
};

/* transport/inflight.c: the memory in which a front-end keeps what is in flight. */
static const struct filter_call inflight[] = {
	ANY(memfd_create),
	IF(fcntl, 1, F_ADD_SEALS),
	IF(fcntl, 1, F_GET_SEALS),
};

/* syslog(3) connects anew when the log's daemon was restarted. */
static const struct filter_call logging[] = {
	IF(socket, 0, AF_UNIX),
	ANY(connect),
};

/* Descriptors: data of the share and of the state (fuse/ops_data.c, SQLite), the device, pipes of the log. */
static const struct filter_call data[] = {
	ANY(read),
	ANY(write),
	ANY(readv),
	ANY(writev),
	ANY(pread64),
	ANY(pwrite64),
	ANY(preadv),
	ANY(pwritev),
	ANY(preadv2),
	ANY(pwritev2),
	ANY(lseek),
	ANY(close),
	ANY(copy_file_range),
	ANY(fsync),
	ANY(fdatasync),
	ANY(syncfs),
	ANY(ftruncate),
	ANY(fallocate),
	ANY(flock),
	ANY(fadvise64),
	IF(fcntl, 1, F_DUPFD_CLOEXEC),
	IF(fcntl, 1, F_GETFD),
	IF(fcntl, 1, F_SETFD), /* fdopendir(3) */
	IF(fcntl, 1, F_GETFL),
	IF(fcntl, 1, F_SETFL),
	IF(fcntl, 1, F_GETLK),
	IF(fcntl, 1, F_SETLK),
	IF(fcntl, 1, F_SETLKW),
	IF(fcntl, 1, F_OFD_GETLK),
	IF(fcntl, 1, F_OFD_SETLK),
	IF(fcntl, 1, F_OFD_SETLKW),
};

/*
 * Looking: export/hostfs.c, resolver.c, scan.c, fuse/ops_dir.c, and SQLite for its files. A handle is opened for looking only
 * (O_PATH), and only as a directory. That it lies in the share the kernel checks if it is asked to, as we do; whoever has
 * CAP_DAC_READ_SEARCH over the host need not ask (doc/security.md, "What is not a boundary").
 */
#define LOOK (O_PATH | O_NOFOLLOW | O_CLOEXEC)
static const struct filter_call looking[] = {
	ANY(open), /* SQLite, sysconf(3) */
	ANY(openat),
	BITS(open_by_handle_at, 2, LOOK | O_DIRECTORY, LOOK | O_DIRECTORY),
	ANY(name_to_handle_at),
	ANY(statx),
	ANY(stat),
	ANY(lstat),
	ANY(fstat),
	ANY(newfstatat),
	ANY(fstatfs),
	ANY(statfs),
	ANY(access),
	ANY(faccessat),
	ANY(faccessat2),
	ANY(readlink),
	ANY(readlinkat),
	ANY(getdents64),
	ANY(getcwd), /* SQLite */
	ANY(getxattr),
	ANY(listxattr),
	IF(ioctl, 1, GET_FS_UUID),
	IF(ioctl, 1, GET_EXT4_UUID),
	IF(ioctl, 1, GET_XFS_GEOMETRY),
	IF(ioctl, 1, BTRFS_IOC_FS_INFO),
	IF(ioctl, 1, BTRFS_IOC_GET_SUBVOL_INFO),
	IF(ioctl, 1, FS_IOC_GETFLAGS), /* fuse/ops_ioctl.c */
	IF(ioctl, 1, FS_IOC_FSGETXATTR),
};

static const struct filter_call plain_handles[] = {
	BITS(open_by_handle_at, 2, LOOK, LOOK),
};

/* The state: SQLite's journals come and go, with the owner and mode of the database; the status socket at the end. */
static const struct filter_call state[] = {
	ANY(unlink), ANY(unlinkat), ANY(rename), ANY(renameat), ANY(fchmod), ANY(fchown),
};

/* Changes to the share: fuse/ops_*.c, all relative to a descriptor, or through /proc/self/fd. */
static const struct filter_call changing[] = {
	ANY(mkdirat),
	ANY(mknodat),
	ANY(symlinkat),
	ANY(linkat),
	ANY(renameat2),
	ANY(fchownat),
	ANY(fchmodat),
	{ .call = CALL_FCHMODAT2 },
	ANY(utimensat),
	ANY(setxattr),
	ANY(removexattr),
	IF(ioctl, 1, FS_IOC_SETFLAGS),
	IF(ioctl, 1, FS_IOC_FSSETXATTR),
};

/* Acting as the caller: fuse/creds.c. Real and saved ids stay, so nobody can be locked in as somebody else. */
static const struct filter_call identity[] = {
	{ .call = SCMP_SYS(setresuid),
	  .terms = 2,
	  .term = { { 0, INT_BITS, INT_BITS }, { 2, INT_BITS, INT_BITS } } },
	{ .call = SCMP_SYS(setresgid),
	  .terms = 2,
	  .term = { { 0, INT_BITS, INT_BITS }, { 2, INT_BITS, INT_BITS } } },
	ANY(setgroups),
	ANY(capget),
	ANY(capset),
	ANY(umask),
	ANY(fchdir),
	IF(unshare, 0, CLONE_FS),
};

/* --key-keyring without a helper: the key is read anew when it was rotated (export/keysource.c). */
static const struct filter_call keyring[] = {
	IF(keyctl, 0, KEYCTL_SEARCH),
	IF(keyctl, 0, KEYCTL_READ),
};

/* The keeper of a mount is waited for at the end (transport/fusekeeper.c). */
static const struct filter_call children[] = {
	ANY(wait4),
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* A build for tests: stacks for signals, its reports, and the look for leaks, which stops all threads by ptrace(2). */
static const struct filter_call sanitizer[] = {
	ANY(sigaltstack), ANY(pipe),	   ANY(pipe2),	 ANY(prctl),
	ANY(clone),	  ANY(ptrace),	   ANY(kill),	 ANY(waitid),
	ANY(dup),	  ANY(dup2),	   ANY(ioctl),	 ANY(prlimit64),
	ANY(personality), ANY(arch_prctl), ANY(getppid), ANY(process_vm_readv),
};
#endif

#define GROUP(w, list)                                                                             \
	{                                                                                          \
		.when = (w), .calls = (list), .count = ARRAY_LEN(list)                             \
	}

const struct filter_group filter_groups[] = {
	GROUP(FILTER_ALWAYS, threads),	    GROUP(FILTER_ALWAYS, memory),
	GROUP(FILTER_ALWAYS, signals),	    GROUP(FILTER_ALWAYS, questions),
	GROUP(FILTER_ALWAYS, waiting),	    GROUP(FILTER_ALWAYS, sockets),
	GROUP(FILTER_ALWAYS, inflight),	    GROUP(FILTER_SYSLOG, logging),
	GROUP(FILTER_ALWAYS, data),	    GROUP(FILTER_ALWAYS, looking),
	GROUP(FILTER_PLAIN, plain_handles), GROUP(FILTER_ALWAYS, state),
	GROUP(FILTER_WRITABLE, changing),   GROUP(FILTER_ALWAYS, identity),
	GROUP(FILTER_ALWAYS, children),	    GROUP(FILTER_KEYRING, keyring),
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	GROUP(FILTER_ALWAYS, sanitizer),
#endif
};
const size_t filter_groups_count = ARRAY_LEN(filter_groups);

/* pthread_create(3) tries clone3(2) first, whose flags no filter can see. */
const int filter_unknown[] = { SCMP_SYS(clone3) };
const size_t filter_unknown_count = ARRAY_LEN(filter_unknown);
