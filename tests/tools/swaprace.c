/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * swaprace - directories that the host moves out, in and about, while guests use them; and a watch over what never was inside.
 *
 *   swaprace host SHARE OUTSIDE SECONDS    renames SHARE/p/d0..d7 out to OUTSIDE/away and back, exchanges them with each other, with
 *                                          directories outside, and with the symlinks SHARE/p/l0..l7; files likewise
 *   swaprace guest MOUNT SECONDS SEED CANARY  every operation on what is there, by path and by handle, in a chroot of MOUNT;
 *                                          nothing that it sees may be of CANARY, a list of inode numbers
 *   swaprace watch SECONDS DIR...          fanotify(7) on each DIR and all below; one line for each event
 *
 * host and guest print their counts; guest exits with 1 if it saw something of CANARY, and with 2 if nobody serves any more.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define MARK "CANARY" /* each file of the canary tree begins with it */
#define PLACES 8
#define HANDLES 64
#define CANARIES 4096
#define WATCH_MASK                                                                                 \
	(FAN_ACCESS | FAN_MODIFY | FAN_OPEN | FAN_CLOSE | FAN_ATTRIB | FAN_CREATE | FAN_DELETE |   \
	 FAN_MOVE | FAN_ONDIR | FAN_EVENT_ON_CHILD)

static uint64_t random_state;

static unsigned pick(unsigned below)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(random_state >> 33) % below;
}

static time_t end_time(const char *seconds)
{
	return time(NULL) + strtol(seconds, NULL, 10);
}

/* --- host ------------------------------------------------------------------------------------- */

static int exchange(int a, const char *from, int b, const char *to)
{
	return (int)syscall(SYS_renameat2, a, from, b, to, 2 /* RENAME_EXCHANGE */);
}

/* One of the ways to pull the ground away. The number of moves that it made. */
static unsigned host_step(int place, int away)
{
	char a[16], b[16], l[16];
	unsigned n = pick(PLACES);

	(void)snprintf(a, sizeof(a), "d%u", n);
	(void)snprintf(b, sizeof(b), "d%u", pick(PLACES));
	(void)snprintf(l, sizeof(l), "l%u", pick(PLACES));
	switch (pick(6)) {
	case 0: /* out, and back a moment later */
		if (renameat(place, a, away, a))
			return 0;
		if (pick(64) == 0)
			(void)usleep(1200000); /* long enough for all to have gone stale */
		return 1 + (renameat(away, a, place, a) == 0);
	case 1:
		return exchange(place, a, place, b) == 0;
	case 2: /* with a directory that is outside */
		(void)snprintf(b, sizeof(b), "x%u", n);
		return exchange(place, a, away, b) == 0;
	case 3: /* a file and a symlink to a file */
		(void)snprintf(a, sizeof(a), "f%u", n);
		(void)snprintf(l, sizeof(l), "m%u", n);
		return exchange(place, a, place, l) == 0;
	default: /* a directory and a symlink to a directory; and back */
		if (exchange(place, a, place, l))
			return 0;
		return 1 + (exchange(place, a, place, l) == 0);
	}
}

static int host(char **argv)
{
	int place, away, share = open(argv[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
	time_t end = end_time(argv[2]);
	unsigned long moves = 0;

	place = openat(share, "p", O_PATH | O_DIRECTORY | O_CLOEXEC);
	away = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	away = openat(away, "away", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (place < 0 || away < 0)
		err(1, "swaprace: host");
	random_state = (uint64_t)getpid();
	while (time(NULL) < end)
		moves += host_step(place, away);
	printf("moves=%lu\n", moves);
	return moves ? 0 : 1;
}

/* --- guest ------------------------------------------------------------------------------------ */

static uint64_t canaries[CANARIES];
static size_t canary_count;
static bool seen;

static struct handle {
	struct file_handle head;
	unsigned char bytes[64];
} handles[HANDLES];
static unsigned long by_path, by_handle;

static void canaries_read(const char *file)
{
	FILE *f = fopen(file, "re");
	unsigned long ino;

	if (!f)
		err(1, "swaprace: %s", file);
	while (canary_count < CANARIES && fscanf(f, "%lu", &ino) == 1)
		canaries[canary_count++] = ino;
	(void)fclose(f);
}

static void check_inode(uint64_t ino, const char *how)
{
	for (size_t i = 0; i < canary_count; i++) {
		if (canaries[i] == ino && !seen) {
			printf("inode %lu of the canary tree was seen by %s\n", (unsigned long)ino,
			       how);
			seen = true;
		}
	}
}

static void check_stat(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		check_inode(st.st_ino, "stat");
}

static void check_content(int fd)
{
	char text[64] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) > 0 && strstr(text, MARK) && !seen) {
		printf("content of the canary tree was read: %s\n", text);
		seen = true;
	}
}

static void list(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d)))
		check_inode(e->d_ino, "readdir");
	(void)closedir(d);
}

static void write_some(int dir, const char *name, int flags)
{
	int fd = openat(dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0644);

	if (fd < 0)
		return;
	check_content(fd);
	(void)!pwrite(fd, "guest", 5, pick(4096));
	(void)!ftruncate(fd, pick(4096));
	(void)fchmod(fd, 0600 + pick(64));
	(void)fsetxattr(fd, "user.guest", "x", 1, 0);
	(void)close(fd);
}

/* What can be done in a directory, with names that the canary tree has too (f0, s) and with others (n0). */
static void operate(int dir)
{
	char f[16], n[16], m[16];
	char text[16];

	(void)snprintf(f, sizeof(f), "f%u", pick(PLACES));
	(void)snprintf(n, sizeof(n), "n%u", pick(PLACES));
	(void)snprintf(m, sizeof(m), "n%u", pick(PLACES));
	check_stat(dir, pick(2) ? f : ".");
	switch (pick(14)) {
	case 0:
		write_some(dir, f, 0);
		break;
	case 1:
		write_some(dir, n, O_CREAT);
		break;
	case 2:
		(void)mkdirat(dir, n, 0755);
		break;
	case 3:
		(void)unlinkat(dir, n, pick(2) ? AT_REMOVEDIR : 0);
		break;
	case 4:
		(void)renameat(dir, n, dir, m);
		break;
	case 5:
		(void)!linkat(dir, n, dir, m, 0);
		break;
	case 6:
		(void)!symlinkat("../../outside/canary/f0", dir, n);
		break;
	case 7:
		list(dir);
		break;
	case 8:
		(void)!fchownat(dir, f, 1, 1, AT_SYMLINK_NOFOLLOW);
		break;
	case 9:
		(void)utimensat(dir, f, NULL, AT_SYMLINK_NOFOLLOW);
		break;
	case 10:
		(void)mknodat(dir, n, S_IFIFO | 0644, 0);
		break;
	case 11:
		(void)!readlinkat(dir, n, text, sizeof(text));
		break;
	case 12:
		check_stat(dir, "..");
		break;
	default:
		check_stat(dir, "../canary");
		write_some(dir, "../canary/f0", O_CREAT);
		write_some(dir, "../../canary/f0", 0);
	}
}

/* p/d3, p/l3 (which is a directory now and then), p/d3/s, p/f3 */
static void somewhere(char path[32])
{
	(void)snprintf(path, 32, "p/%c%u%s", pick(5) < 3 ? 'd' : 'l', pick(PLACES),
		       pick(5) < 3 ? "" : "/s");
}

static void remember(int root, const char *path)
{
	struct handle *h = &handles[pick(HANDLES)];
	int mount_id;

	h->head.handle_bytes = sizeof(h->bytes);
	if (name_to_handle_at(root, path, &h->head, &mount_id, 0))
		h->head.handle_bytes = 0;
}

/* By handle: a directory to work in, or a file to read and write. */
static void revive(int root)
{
	struct handle *h = &handles[pick(HANDLES)];
	struct stat st;
	int fd;

	if (!h->head.handle_bytes)
		return;
	fd = open_by_handle_at(root, &h->head, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	by_handle++;
	if (fstat(fd, &st) == 0) {
		check_inode(st.st_ino, "handle");
		if (S_ISDIR(st.st_mode))
			operate(fd);
		else
			check_content(fd);
	}
	(void)close(fd);
}

static int guest_child(int root, time_t end)
{
	char path[32];
	struct stat st;

	while (time(NULL) < end && !seen) {
		int dir;

		somewhere(path);
		dir = openat(root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0) {
			by_path++;
			/* What is held goes on being used while it is moved. */
			for (unsigned i = pick(6) + 1; i; i--)
				operate(dir);
			(void)close(dir);
		}
		(void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "/f%u",
			       pick(PLACES));
		remember(root, path);
		somewhere(path);
		remember(root, path);
		(void)snprintf(path, sizeof(path), "p/%s%u", pick(2) ? "f" : "m", pick(PLACES));
		write_some(root, path, 0);
		remember(root, path);
		revive(root);
	}
	printf("by_path=%lu by_handle=%lu\n", by_path, by_handle);
	if (fstat(root, &st) && (errno == ENOTCONN || errno == ECONNABORTED))
		return 2;
	return seen ? 1 : 0;
}

static int guest(char **argv)
{
	time_t end = end_time(argv[1]);
	int root;

	canaries_read(argv[3]);
	random_state = strtoull(argv[2], NULL, 10);
	/* Symlinks that this kernel follows lead nowhere but into the mount. */
	if (chroot(argv[0]) || chdir("/"))
		err(2, "swaprace: %s", argv[0]);
	root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		err(2, "swaprace: guest");
	return guest_child(root, end);
}

/* --- watch ------------------------------------------------------------------------------------ */

static int notify;

static int watch_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	if (fanotify_mark(notify, FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW, WATCH_MASK, AT_FDCWD, path))
		err(1, "swaprace: fanotify on %s", path);
	return 0;
}

static int watch(char **argv)
{
	char buf[8192] __attribute__((aligned(8)));
	struct pollfd p = { .events = POLLIN };
	time_t end = end_time(argv[0]);
	unsigned long events = 0;

	notify = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_CLOEXEC, O_RDONLY);
	if (notify < 0)
		err(1, "swaprace: fanotify");
	for (char **dir = argv + 1; *dir; dir++)
		if (nftw(*dir, watch_one, 16, FTW_PHYS | FTW_DEPTH))
			err(1, "swaprace: %s", *dir);
	p.fd = notify;
	/* What the marking itself opened. */
	while (poll(&p, 1, 100) > 0)
		(void)!read(notify, buf, sizeof(buf));
	(void)puts("watching");
	(void)fflush(stdout);
	while (time(NULL) < end) {
		const struct fanotify_event_metadata *e = (void *)buf;
		ssize_t len;

		if (poll(&p, 1, 200) <= 0)
			continue;
		len = read(notify, buf, sizeof(buf));
		for (; FAN_EVENT_OK(e, len); e = FAN_EVENT_NEXT(e, len)) {
			printf("event 0x%llx by process %d\n", (unsigned long long)e->mask, e->pid);
			events++;
		}
	}
	printf("events=%lu\n", events);
	return events ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "host"))
		return host(argv + 2);
	if (argc == 6 && !strcmp(argv[1], "guest"))
		return guest(argv + 2);
	if (argc >= 4 && !strcmp(argv[1], "watch"))
		return watch(argv + 2);
	errx(2, "usage: swaprace host SHARE OUTSIDE SECONDS | guest MOUNT SECONDS SEED CANARY | "
		"watch SECONDS DIR...");
}
