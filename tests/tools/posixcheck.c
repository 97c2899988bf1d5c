/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * posixcheck DIR [SKIPPED...] - ordinary work in an empty directory: every operation once, as programs use it.
 *
 * Each check is a function in a table; its name is what must hold. Names given as further arguments are left
 * out. Prints one line for each check that fails, then "checks=N failed=N"; exits with 1 if one failed.
 * It passes on ext4, xfs and btrfs themselves, which says that what it wants is right.
 */
#include <dirent.h>
#include <grp.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "handle.h"

static int failed_line;
static int failed_errno;

/* Leaves the check at the first thing that does not hold. */
#define WANT(condition)                                                                            \
	do {                                                                                       \
		errno = 0;                                                                         \
		if (!(condition)) {                                                                \
			failed_line = __LINE__;                                                    \
			failed_errno = errno;                                                      \
			return false;                                                              \
		}                                                                                  \
	} while (0)
#define WANT_ERRNO(call, error) WANT((call) == -1 && errno == (error))

static int make(const char *name, const char *content)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd >= 0 && write(fd, content, strlen(content)) != (ssize_t)strlen(content)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool content_is(const char *name, const char *want)
{
	char buf[256];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, sizeof(buf));
	close(fd);
	return n == (ssize_t)strlen(want) && !memcmp(buf, want, (size_t)n);
}

static struct stat st_of(const char *name)
{
	struct stat st = { 0 };

	(void)lstat(name, &st);
	return st;
}

static bool create_write_read(void)
{
	int fd = make("f", "hello");

	WANT(fd >= 0);
	WANT(content_is("f", "hello"));
	WANT(st_of("f").st_size == 5 && (st_of("f").st_mode & 07777) == 0644);
	WANT_ERRNO(open("f", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
	WANT(pwrite(fd, "J", 1, 0) == 1 && content_is("f", "Jello"));
	WANT(fsync(fd) == 0 && fdatasync(fd) == 0 && syncfs(fd) == 0);
	close(fd);
	return true;
}

static bool append_goes_to_the_end(void)
{
	int fd = make("append", "one");
	int other;

	WANT(fd >= 0);
	close(fd);
	fd = open("append", O_WRONLY | O_APPEND);
	other = open("append", O_WRONLY | O_APPEND);
	WANT(write(fd, "two", 3) == 3 && write(other, "three", 5) == 5 &&
	     write(fd, "four", 4) == 4);
	close(fd);
	close(other);
	WANT(content_is("append", "onetwothreefour"));
	return true;
}

static bool truncate_both_ways(void)
{
	int fd = make("t", "0123456789");
	char buf[16];

	WANT(fd >= 0 && ftruncate(fd, 4) == 0 && content_is("t", "0123"));
	WANT(truncate("t", 8) == 0 && st_of("t").st_size == 8);
	WANT(pread(fd, buf, 16, 0) == 8 && !memcmp(buf, "0123\0\0\0\0", 8));
	close(fd);
	fd = open("t", O_WRONLY | O_TRUNC);
	WANT(fd >= 0 && st_of("t").st_size == 0);
	close(fd);
	return true;
}

static bool mode_owner_and_times_are_set(void)
{
	const struct timespec ts[2] = { { 1000000, 123456789 }, { 2000000, 987654321 } };
	const struct timespec omit[2] = { { 0, UTIME_OMIT }, { 0, UTIME_NOW } };
	int fd = make("m", "x");
	struct stat st;

	WANT(fd >= 0 && chmod("m", 0640) == 0 && (st_of("m").st_mode & 07777) == 0640);
	WANT(fchmod(fd, 0600) == 0 && (st_of("m").st_mode & 07777) == 0600);
	if (geteuid() == 0)
		WANT(chown("m", 1234, 4321) == 0 && st_of("m").st_uid == 1234 &&
		     st_of("m").st_gid == 4321);
	WANT(utimensat(AT_FDCWD, "m", ts, 0) == 0);
	st = st_of("m");
	WANT(st.st_atim.tv_sec == 1000000 && st.st_atim.tv_nsec == 123456789);
	WANT(st.st_mtim.tv_sec == 2000000 && st.st_mtim.tv_nsec == 987654321);
	WANT(futimens(fd, omit) == 0);
	st = st_of("m");
	WANT(st.st_atim.tv_sec == 1000000 && st.st_mtim.tv_sec > 1600000000);
	close(fd);
	return true;
}

static bool umask_is_the_callers(void)
{
	mode_t old = umask(027);
	int fd = open("u", O_CREAT | O_EXCL | O_WRONLY, 0666);
	bool made = fd >= 0 && mkdir("ud", 0777) == 0;

	umask(old);
	WANT(made);
	close(fd);
	WANT((st_of("u").st_mode & 07777) == 0640 && (st_of("ud").st_mode & 07777) == 0750);
	return true;
}

static bool directories_are_made_and_removed(void)
{
	WANT(mkdir("d", 0755) == 0 && mkdir("d/e", 0700) == 0);
	WANT(st_of("d").st_nlink == 3 || st_of("d").st_nlink == 1); /* btrfs says 1 */
	WANT_ERRNO(rmdir("d"), ENOTEMPTY);
	WANT_ERRNO(mkdir("d", 0755), EEXIST);
	WANT_ERRNO(unlink("d"), EISDIR);
	WANT(rmdir("d/e") == 0 && rmdir("d") == 0);
	WANT_ERRNO(rmdir("d"), ENOENT);
	return true;
}

static bool symlinks_are_read_back(void)
{
	char target[4096];
	char got[4096];

	memset(target, 'x', sizeof(target));
	target[1000] = 0;
	WANT(symlink("f", "s") == 0 && readlink("s", got, sizeof(got)) == 1 && got[0] == 'f');
	WANT(symlink(target, "long") == 0 && readlink("long", got, sizeof(got)) == 1000);
	WANT(S_ISLNK(st_of("s").st_mode) && st_of("long").st_size == 1000);
	WANT_ERRNO(open("s", O_RDONLY | O_NOFOLLOW), ELOOP);
	WANT(unlink("long") == 0);
	return true;
}

static bool hard_links_share_the_file(void)
{
	int fd = make("h1", "linked");

	WANT(fd >= 0 && link("h1", "h2") == 0);
	WANT(st_of("h1").st_nlink == 2 && st_of("h1").st_ino == st_of("h2").st_ino);
	WANT_ERRNO(link("h1", "h2"), EEXIST);
	WANT(unlink("h1") == 0 && content_is("h2", "linked") && st_of("h2").st_nlink == 1);
	WANT(pwrite(fd, "L", 1, 0) == 1 && content_is("h2", "Linked"));
	close(fd);
	return true;
}

static bool special_files_have_type_and_number(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "sock" };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	WANT(mkfifo("fifo", 0600) == 0 && S_ISFIFO(st_of("fifo").st_mode));
	WANT(bind(s, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	     S_ISSOCK(st_of("sock").st_mode));
	close(s);
	if (geteuid())
		return true;
	WANT(mknod("chr", S_IFCHR | 0600, makedev(1, 3)) == 0 &&
	     st_of("chr").st_rdev == makedev(1, 3));
	WANT(mknod("blk", S_IFBLK | 0600, makedev(259, 70000)) == 0 &&
	     st_of("blk").st_rdev == makedev(259, 70000));
	return true;
}

static bool a_fifo_carries_bytes(void)
{
	char buf[8];
	int fd;

	WANT(mkfifo("pipe", 0600) == 0);
	fd = open("pipe", O_RDWR);
	WANT(fd >= 0 && write(fd, "fifo", 4) == 4 && read(fd, buf, 8) == 4 &&
	     !memcmp(buf, "fifo", 4));
	close(fd);
	return true;
}

static bool rename_with_its_flags(void)
{
	int fd = make("r1", "one");

	WANT(fd >= 0);
	close(fd);
	fd = make("r2", "two");
	WANT(fd >= 0);
	close(fd);
	WANT_ERRNO(renameat2(AT_FDCWD, "r1", AT_FDCWD, "r2", RENAME_NOREPLACE), EEXIST);
	WANT(renameat2(AT_FDCWD, "r1", AT_FDCWD, "r2", RENAME_EXCHANGE) == 0);
	WANT(content_is("r1", "two") && content_is("r2", "one"));
	WANT(mkdir("rd", 0755) == 0 && rename("r1", "rd/r1") == 0 && content_is("rd/r1", "two"));
	WANT(rename("r2", "rd/r1") == 0 && content_is("rd/r1", "one"));
	WANT_ERRNO(rename("rd", "rd/below"), EINVAL);
	WANT(renameat2(AT_FDCWD, "rd/r1", AT_FDCWD, "r3", RENAME_NOREPLACE) == 0 &&
	     content_is("r3", "one"));
	WANT_ERRNO(rename("r1", "r9"), ENOENT);
	WANT(mkdir("re", 0755) == 0 && rename("rd", "re") == 0 && S_ISDIR(st_of("re").st_mode));
	return true;
}

static bool a_file_without_name_gets_one(void)
{
	char path[64];
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);

	WANT(fd >= 0 && write(fd, "tmp", 3) == 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	WANT(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == 0);
	WANT(content_is("named", "tmp") && st_of("named").st_nlink == 1);
	close(fd);
	fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
	WANT(fd >= 0 && write(fd, "tmp", 3) == 3 && lseek(fd, 0, SEEK_END) == 3);
	close(fd);
	return true;
}

static bool an_unlinked_file_goes_on(void)
{
	struct stat st;
	char buf[8];
	int fd = make("gone", "still");

	WANT(fd >= 0 && unlink("gone") == 0);
	WANT(fstat(fd, &st) == 0 && st.st_nlink == 0 && st.st_size == 5);
	WANT(pwrite(fd, "S", 1, 0) == 1 && pread(fd, buf, 8, 0) == 5 && !memcmp(buf, "Still", 5));
	WANT(ftruncate(fd, 2) == 0 && fchmod(fd, 0600) == 0 && fstat(fd, &st) == 0 &&
	     st.st_size == 2);
	close(fd);
	return true;
}

static bool a_file_renamed_over_goes_on(void)
{
	char buf[8];
	int old = make("over", "old");
	int new = make("new", "new");

	WANT(old >= 0 && new >= 0 && rename("new", "over") == 0);
	WANT(pread(old, buf, 8, 0) == 3 && !memcmp(buf, "old", 3));
	WANT(pread(new, buf, 8, 0) == 3 && !memcmp(buf, "new", 3) && content_is("over", "new"));
	close(old);
	close(new);
	return true;
}

static bool cwd_in_a_removed_directory(void)
{
	int here = open(".", O_RDONLY | O_DIRECTORY);
	struct stat st;
	bool ok;

	WANT(mkdir("cwd", 0755) == 0 && chdir("cwd") == 0);
	ok = unlinkat(here, "cwd", AT_REMOVEDIR) == 0 && stat(".", &st) == 0 &&
	     S_ISDIR(st.st_mode) && open("x", O_CREAT | O_WRONLY, 0600) == -1 && errno == ENOENT;
	if (fchdir(here))
		ok = false;
	close(here);
	WANT(ok);
	return true;
}

static bool many_entries_are_listed_once(void)
{
	enum { COUNT = 1500 };
	static bool found[COUNT];
	char name[32];
	struct dirent *e;
	unsigned total = 0;
	DIR *dir;

	WANT(mkdir("many", 0755) == 0);
	for (int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "many/entry-%d", i);
		WANT(mknod(name, S_IFREG | 0600, 0) == 0);
	}
	dir = opendir("many");
	WANT(dir);
	while ((e = readdir(dir))) {
		int i;

		if (sscanf(e->d_name, "entry-%d", &i) != 1)
			continue;
		WANT(i >= 0 && i < COUNT && !found[i]);
		found[i] = true;
		total++;
		snprintf(name, sizeof(name), "many/entry-%d", i);
		if (i % 100 == 0)
			WANT(st_of(name).st_ino == e->d_ino);
	}
	WANT(total == COUNT);
	rewinddir(dir);
	WANT(readdir(dir));
	closedir(dir);
	return true;
}

static bool names_of_every_kind(void)
{
	char name[NAME_MAX + 2];
	int fd;

	memset(name, 'n', sizeof(name));
	name[NAME_MAX] = 0;
	fd = make(name, "longest");
	WANT(fd >= 0 && content_is(name, "longest"));
	close(fd);
	name[NAME_MAX] = 'n';
	name[NAME_MAX + 1] = 0;
	WANT_ERRNO(open(name, O_RDONLY), ENAMETOOLONG);
	fd = make("sp ace\n\t\x01\xff\xfe\\", "odd");
	WANT(fd >= 0 && content_is("sp ace\n\t\x01\xff\xfe\\", "odd"));
	close(fd);
	return true;
}

static bool user_xattrs(void)
{
	char buf[256];
	int fd = make("x", "");

	WANT(fd >= 0 && setxattr("x", "user.a", "1234", 4, XATTR_CREATE) == 0);
	WANT_ERRNO(setxattr("x", "user.a", "5", 1, XATTR_CREATE), EEXIST);
	WANT_ERRNO(setxattr("x", "user.b", "5", 1, XATTR_REPLACE), ENODATA);
	WANT(getxattr("x", "user.a", buf, sizeof(buf)) == 4 && !memcmp(buf, "1234", 4));
	WANT(getxattr("x", "user.a", NULL, 0) == 4);
	WANT_ERRNO(getxattr("x", "user.a", buf, 2), ERANGE);
	WANT(fsetxattr(fd, "user.empty", "", 0, 0) == 0 &&
	     fgetxattr(fd, "user.empty", buf, 1) == 0);
	WANT(listxattr("x", buf, sizeof(buf)) >= 18 && memmem(buf, sizeof(buf), "user.a", 7));
	WANT(removexattr("x", "user.a") == 0);
	WANT_ERRNO(getxattr("x", "user.a", buf, sizeof(buf)), ENODATA);
	WANT_ERRNO(removexattr("x", "user.a"), ENODATA);
	close(fd);
	return true;
}

static bool holes_are_found(void)
{
	const off_t data = 1 << 20;
	int fd = make("hole", "");

	WANT(fd >= 0 && pwrite(fd, "end", 3, data) == 3 && fsync(fd) == 0);
	WANT(lseek(fd, 0, SEEK_DATA) == data && lseek(fd, 0, SEEK_HOLE) == 0);
	WANT(lseek(fd, data, SEEK_HOLE) == data + 3);
	WANT_ERRNO(lseek(fd, data + 3, SEEK_DATA), ENXIO);
	close(fd);
	return true;
}

static bool space_is_allocated_and_punched(void)
{
	char buf[8];
	int fd = make("fa", "01234567");

	WANT(fd >= 0 && fallocate(fd, 0, 0, 65536) == 0 && st_of("fa").st_size == 65536);
	WANT(fallocate(fd, FALLOC_FL_KEEP_SIZE, 65536, 65536) == 0 && st_of("fa").st_size == 65536);
	WANT(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4) == 0);
	WANT(pread(fd, buf, 8, 0) == 8 && !memcmp(buf,
						  "\0\0\0\0"
						  "4567",
						  8));
	WANT_ERRNO(fallocate(fd, 0, -1, 1), EINVAL);
	close(fd);
	return true;
}

static bool ranges_are_copied(void)
{
	int in = make("cin", "0123456789");
	int out = make("cout", "");
	off_t from = 2;

	WANT(in >= 0 && out >= 0 && copy_file_range(in, &from, out, NULL, 5, 0) == 5);
	WANT(content_is("cout", "23456") && from == 7);
	close(in);
	close(out);
	return true;
}

static bool file_flags_are_kept(void)
{
	int flags = 0;
	int fd = make("flags", "x");

	WANT(fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0);
	if (geteuid() == 0) {
		flags |= FS_APPEND_FL;
		WANT(ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0);
		WANT_ERRNO(open("flags", O_WRONLY), EPERM);
		flags &= ~FS_APPEND_FL;
		WANT(ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0);
	}
	flags |= FS_NODUMP_FL;
	WANT(ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0);
	flags = 0;
	WANT(ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && flags & FS_NODUMP_FL);
	close(fd);
	return true;
}

static bool locks_exclude_each_other(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };
	int a = make("lock", "x");
	int b = open("lock", O_RDWR);

	WANT(a >= 0 && b >= 0 && flock(a, LOCK_EX | LOCK_NB) == 0);
	WANT_ERRNO(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	WANT(flock(a, LOCK_UN) == 0 && flock(b, LOCK_SH | LOCK_NB) == 0 &&
	     flock(a, LOCK_SH | LOCK_NB) == 0);
	WANT(fcntl(a, F_OFD_SETLK, &lock) == 0);
	lock.l_pid = 0;
	WANT(fcntl(b, F_OFD_SETLK, &lock) == -1 && (errno == EAGAIN || errno == EACCES));
	lock.l_type = F_WRLCK;
	WANT(fcntl(b, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK);
	lock.l_pid = 0; /* F_OFD_GETLK wrote -1 */
	lock.l_type = F_UNLCK;
	WANT(fcntl(a, F_OFD_SETLK, &lock) == 0);
	lock.l_type = F_WRLCK;
	WANT(fcntl(b, F_OFD_SETLK, &lock) == 0);
	close(a);
	close(b);
	return true;
}

static bool memory_maps_see_writes(void)
{
	int fd = make("map", "mapped....");
	char *p;

	WANT(fd >= 0);
	WANT((p = mmap(NULL, 10, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) != MAP_FAILED);
	WANT(!memcmp(p, "mapped", 6));
	memcpy(p, "MAPPED", 6);
	WANT(msync(p, 10, MS_SYNC) == 0 && munmap(p, 10) == 0);
	WANT(content_is("map", "MAPPED...."));
	close(fd);
	return true;
}

static bool large_writes_come_back(void)
{
	enum { SIZE = 5 << 20 };
	uint32_t *out = malloc(SIZE);
	uint32_t *in = malloc(SIZE);
	int fd = make("large", "");
	bool same;

	for (uint32_t i = 0; out && i < SIZE / 4; i++)
		out[i] = i * 2654435761U;
	same = out && in && fd >= 0 && pwrite(fd, out, SIZE, 12345) == SIZE &&
	       posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0 &&
	       pread(fd, in, SIZE, 12345) == SIZE && !memcmp(in, out, SIZE);
	free(out);
	free(in);
	WANT(same && st_of("large").st_size == SIZE + 12345);
	WANT(pread(fd, &same, 1, SIZE + 99999) == 0);
	close(fd);
	return true;
}

static bool statfs_makes_sense(void)
{
	struct statvfs v;

	WANT(statvfs(".", &v) == 0 && v.f_bsize > 0 && v.f_blocks >= v.f_bfree &&
	     v.f_namemax == 255);
	return true;
}

/* What a child does as user 1234 with the groups 1234 and 5678; its exit status. */
static int as_other_user(bool (*act)(void))
{
	const gid_t group = 5678;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (setgroups(1, &group) || setgid(1234) || setuid(1234))
			_exit(99);
		_exit(act() ? 0 : failed_line % 200 + 1);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
									       : 98;
}

static bool act_as_other(void)
{
	int fd;

	WANT_ERRNO(open("private", O_RDONLY), EACCES);
	WANT_ERRNO(open("new-here", O_CREAT | O_WRONLY, 0600), EACCES);
	fd = open("public/mine", O_CREAT | O_WRONLY, 0600);
	WANT(fd >= 0);
	close(fd);
	WANT(st_of("public/mine").st_uid == 1234 && st_of("public/mine").st_gid == 1234);
	WANT(content_is("for-group", "group"));
	WANT_ERRNO(chmod("for-group", 0666), EPERM);
	WANT_ERRNO(unlink("private"), EACCES);
	return true;
}

static bool users_have_their_own_rights(void)
{
	int fd;

	if (geteuid())
		return true;
	WANT(chmod(".", 0755) == 0 && mkdir("public", 0777) == 0 && chmod("public", 0777) == 0);
	fd = make("private", "secret");
	WANT(fd >= 0 && fchmod(fd, 0600) == 0);
	close(fd);
	fd = make("for-group", "group");
	WANT(fd >= 0 && fchmod(fd, 0640) == 0 && fchown(fd, 0, 5678) == 0);
	close(fd);
	WANT(as_other_user(act_as_other) == 0);
	return true;
}

static bool act_write(void)
{
	int fd = open("suid", O_WRONLY);

	WANT(fd >= 0 && write(fd, "x", 1) == 1);
	close(fd);
	return true;
}

static bool setuid_goes_with_a_write_by_others(void)
{
	int fd;

	if (geteuid())
		return true;
	fd = make("suid", "program");
	WANT(fd >= 0 && fchmod(fd, 06777) == 0 && (st_of("suid").st_mode & 07777) == 06777);
	close(fd);
	WANT(as_other_user(act_write) == 0);
	WANT((st_of("suid").st_mode & 07777) == 0777);
	return true;
}

static bool act_setgid_directory(void)
{
	int fd = open("sgid/f", O_CREAT | O_WRONLY, 02775);

	WANT(fd >= 0 && mkdir("sgid/d", 0755) == 0);
	close(fd);
	/* CVE-2022-0358: a caller outside the group must not get a setgid file of the group. */
	WANT(st_of("sgid/f").st_gid == 7777 && !(st_of("sgid/f").st_mode & S_ISGID));
	WANT(st_of("sgid/d").st_gid == 7777 && st_of("sgid/d").st_mode & S_ISGID);
	return true;
}

static bool a_setgid_directory_gives_its_group(void)
{
	if (geteuid())
		return true;
	WANT(mkdir("sgid", 0777) == 0 && chown("sgid", 0, 7777) == 0 && chmod("sgid", 02777) == 0);
	WANT(as_other_user(act_setgid_directory) == 0);
	return true;
}

static bool access_follows_the_mode(void)
{
	int fd = make("acc", "x");

	WANT(fd >= 0 && fchmod(fd, 0644) == 0);
	close(fd);
	WANT(access("acc", R_OK | W_OK) == 0);
	WANT_ERRNO(access("acc", X_OK), EACCES);
	WANT_ERRNO(access("none", F_OK), ENOENT);
	return true;
}

#define CHECK(f)                                                                                   \
	{                                                                                          \
#f, f                                                                              \
	}
static const struct {
	const char *name;
	bool (*run)(void);
} checks[] = {
	CHECK(create_write_read),
	CHECK(append_goes_to_the_end),
	CHECK(truncate_both_ways),
	CHECK(mode_owner_and_times_are_set),
	CHECK(umask_is_the_callers),
	CHECK(directories_are_made_and_removed),
	CHECK(symlinks_are_read_back),
	CHECK(hard_links_share_the_file),
	CHECK(special_files_have_type_and_number),
	CHECK(a_fifo_carries_bytes),
	CHECK(rename_with_its_flags),
	CHECK(a_file_without_name_gets_one),
	CHECK(an_unlinked_file_goes_on),
	CHECK(a_file_renamed_over_goes_on),
	CHECK(cwd_in_a_removed_directory),
	CHECK(many_entries_are_listed_once),
	CHECK(names_of_every_kind),
	CHECK(user_xattrs),
	CHECK(holes_are_found),
	CHECK(space_is_allocated_and_punched),
	CHECK(ranges_are_copied),
	CHECK(file_flags_are_kept),
	CHECK(locks_exclude_each_other),
	CHECK(memory_maps_see_writes),
	CHECK(large_writes_come_back),
	CHECK(statfs_makes_sense),
	CHECK(users_have_their_own_rights),
	CHECK(setuid_goes_with_a_write_by_others),
	CHECK(a_setgid_directory_gives_its_group),
	CHECK(access_follows_the_mode),
};

static bool left_out(const char *name, int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	unsigned count = 0;
	unsigned failed = 0;

	if (argc < 2)
		errx(2, "DIR [SKIPPED...]");
	if (chdir(argv[1]))
		err(1, "%s", argv[1]);
	umask(022);
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (left_out(checks[i].name, argc, argv))
			continue;
		count++;
		if (!checks[i].run()) {
			failed++;
			printf("  %s: line %d: %s\n", checks[i].name, failed_line,
			       strerror(failed_errno));
			fflush(stdout);
		}
	}
	printf("checks=%u failed=%u\n", count, failed);
	return failed ? 1 : 0;
}
