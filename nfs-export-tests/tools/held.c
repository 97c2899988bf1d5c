/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * held - holds files and directories of an NFS mount open and says, whenever it is asked, whether they are still the same.
 *
 *   held make DIR DIRS FILES [ENTRIES]         the tree: dDDD/fFFF whose first line is its name (its id); big/eNNNNN
 *   held hold DIR SOCKET DIRS FILES N FROM     opens N of the files, evenly spread, beginning with number FROM, and as many
 *                                              directories as there are (32 at most), goes into the first, and serves
 *                                              commands at SOCKET until "quit"
 *   held do SOCKET COMMAND...                  one command; prints "ok=N stale=N error=N wrong=N" and the offenders
 *       check        every held file: the inode number, and every line of it begins with its id
 *       write TAG    appends a line "ID TAG" to every held file by its descriptor, and has it on the disk
 *       dirs TAG     in every held directory and the working one: a file is opened by name, another is made
 *       lock         a POSIX lock on every held file;   unlock: and off again
 *       busy         every held file is locked by somebody else
 *       begin N      reads the first N entries of big
 *       rest N       and all others: each of e00000 to the Nth must have come exactly once
 *   held verify DIR DIRS FILES N [FROM:TAG,TAG...]...
 *                                              on the host: every file's whole content is what it has to be, when those
 *                                              held from FROM on were written to with these tags
 *   held scan DIR                              on the host: no file has lines of two ids, no id is in two files (but for the
 *                                              directories storm-*)
 *
 * Exit of do, verify and scan: 0 if all are ok.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONTENT_MAX 16384
#define ID_MAX 64
#define DIRS_MAX 32
#define ENTRIES_MAX 100000
#define ANSWER_MAX 4096
#define SHOWN_MAX 6

struct held {
	int fd;
	ino_t ino;
	off_t size;
	char id[ID_MAX];
};

struct result {
	unsigned ok, stale, error, wrong;
	char text[ANSWER_MAX];
	size_t len;
};

static struct held *files;
static unsigned file_count;
static struct held dirs[DIRS_MAX];
static unsigned dir_count;
static DIR *big;
static uint8_t seen[ENTRIES_MAX];
static const char *big_path;

static void say(struct result *r, const char *what, const char *id, const char *detail)
{
	int n;

	if (r->wrong + r->error + r->stale > SHOWN_MAX || r->len >= sizeof(r->text) - 512)
		return;
	n = snprintf(r->text + r->len, 512, "  %s %s: %.300s\n", what, id, detail);
	r->len += (size_t)(n < 512 ? n : 511);
}

static void failed(struct result *r, const char *what, const char *id)
{
	int error = errno;

	if (error == ESTALE)
		r->stale++;
	else
		r->error++;
	say(r, what, id, strerror(error));
}

static void differs(struct result *r, const char *what, const char *id, const char *got)
{
	r->wrong++;
	say(r, what, id, got);
}

static unsigned number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

/* The id of the Ith of N files, spread over the tree; the directory's number by `dir`. */
static void id_of(char id[ID_MAX], unsigned k, unsigned per_dir)
{
	snprintf(id, ID_MAX, "d%03u/f%03u", k / per_dir, k % per_dir);
}

static void file_make(int dir, const char *name, const char *content)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, content, strlen(content)) != (ssize_t)strlen(content) || close(fd))
		err(1, "make %s", content);
}

static int make(const char *path, unsigned dir_total, unsigned per_dir, unsigned entries)
{
	int top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[ID_MAX + 1];

	for (unsigned d = 0; d < dir_total; d++) {
		snprintf(name, sizeof(name), "d%03u", d);
		if (mkdirat(top, name, 0755))
			err(1, "make %s/%s", path, name);
	}
	for (unsigned k = 0; k < dir_total * per_dir; k++) {
		char content[ID_MAX + 2];

		id_of(name, k, per_dir);
		snprintf(content, sizeof(content), "%s\n", name);
		file_make(top, name, content);
	}
	if (entries && mkdirat(top, "big", 0755))
		err(1, "make big");
	for (unsigned e = 0; e < entries; e++) {
		snprintf(name, sizeof(name), "big/e%05u", e);
		file_make(top, name, "");
	}
	close(top);
	return 0;
}

/* ---- what is held ----------------------------------------------------------------------------------- */

static void held_open(struct held *h, int top, int flags)
{
	struct stat st;

	h->fd = openat(top, h->id, flags | O_CLOEXEC);
	if (h->fd < 0 || fstat(h->fd, &st))
		err(1, "hold %s", h->id);
	h->ino = st.st_ino;
	h->size = st.st_size;
}

static void hold_all(const char *path, unsigned dir_total, unsigned per_dir, unsigned n,
		     unsigned from)
{
	int top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (top < 0)
		err(1, "%s", path);
	files = calloc(n, sizeof(*files));
	if (!files)
		err(1, "hold");
	for (file_count = 0; file_count < n; file_count++) {
		id_of(files[file_count].id, from + file_count * (dir_total * per_dir / n), per_dir);
		held_open(&files[file_count], top, O_RDWR);
	}
	for (; dir_count < dir_total && dir_count < DIRS_MAX; dir_count++) {
		snprintf(dirs[dir_count].id, ID_MAX, "d%03u", dir_count);
		held_open(&dirs[dir_count], top, O_RDONLY | O_DIRECTORY);
	}
	if (fchdir(dirs[0].fd))
		err(1, "hold: chdir");
	close(top);
}

/* Does every line of the `len` bytes begin with the id? */
static bool lines_are_of(const char *id, const char *text, size_t len)
{
	size_t want = strlen(id);

	if (!len)
		return false;
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;

		if (line < want || memcmp(text, id, want) != 0 ||
		    (line > want && text[want] != ' '))
			return false;
		line += end ? 1 : 0;
		text += line;
		len -= line;
	}
	return true;
}

static bool same_inode(const struct held *h, struct result *r, struct stat *st)
{
	char got[64];

	if (fstat(h->fd, st)) {
		failed(r, "stat", h->id);
		return false;
	}
	if (st->st_ino == h->ino)
		return true;
	snprintf(got, sizeof(got), "inode %lu instead of %lu", (unsigned long)st->st_ino,
		 (unsigned long)h->ino);
	differs(r, "stat", h->id, got);
	return false;
}

static void check_one(const struct held *h, struct result *r)
{
	char text[CONTENT_MAX + 1];
	struct stat st;
	ssize_t n;

	posix_fadvise(h->fd, 0, 0, POSIX_FADV_DONTNEED);
	if (!same_inode(h, r, &st))
		return;
	n = pread(h->fd, text, CONTENT_MAX, 0);
	if (n < 0) {
		failed(r, "read", h->id);
		return;
	}
	text[n] = 0;
	if (n != h->size || !lines_are_of(h->id, text, (size_t)n))
		differs(r, "read", h->id, text);
	else
		r->ok++;
}

static void write_one(struct held *h, struct result *r, const char *tag)
{
	char line[2 * ID_MAX];
	int n = snprintf(line, sizeof(line), "%s %.40s\n", h->id, tag);

	if (pwrite(h->fd, line, (size_t)n, h->size) != n || fsync(h->fd)) {
		failed(r, "write", h->id);
		return;
	}
	h->size += n;
	r->ok++;
}

/* F_WRLCK or F_UNLCK on the first bytes; `busy`: somebody else must have them. */
static void lock_one(const struct held *h, struct result *r, short type, bool busy)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_len = 8 };
	int rc = fcntl(h->fd, F_SETLK, &lock);
	bool refused = rc && (errno == EAGAIN || errno == EACCES);

	if (busy && !rc) {
		differs(r, "lock", h->id, "nobody has it");
		lock.l_type = F_UNLCK;
		fcntl(h->fd, F_SETLK, &lock);
	} else if (!busy && refused) {
		differs(r, "lock", h->id, "somebody else has it");
	} else if (rc && !refused) {
		failed(r, "lock", h->id);
	} else {
		r->ok++;
	}
}

/* Opens f000 in the directory, and makes a file. `h` is the directory `fd`, or the working one. */
static void dir_one(const struct held *h, int fd, struct result *r, const char *tag)
{
	char want[ID_MAX + 8];
	char got[ID_MAX + 8] = "";
	char name[ID_MAX];
	char content[3 * ID_MAX];
	struct stat st;
	int file;

	if (!same_inode(h, r, &st))
		return;
	file = openat(fd, "f000", O_RDONLY | O_CLOEXEC);
	if (file < 0 || read(file, got, sizeof(got) - 1) < 0) {
		failed(r, "open f000 in", h->id);
		if (file >= 0)
			close(file);
		return;
	}
	close(file);
	snprintf(want, sizeof(want), "%s/f000", h->id);
	if (strncmp(got, want, strlen(want)) != 0) {
		differs(r, "f000 in", h->id, got);
		return;
	}
	snprintf(name, sizeof(name), "%s-%.40s", fd == AT_FDCWD ? "cwd" : "made", tag);
	snprintf(content, sizeof(content), "%s/%s\n", h->id, name);
	file = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (file < 0 || write(file, content, strlen(content)) < 0 || close(file)) {
		failed(r, "create in", h->id);
		return;
	}
	r->ok++;
}

/* ---- a reader in the middle of a directory ------------------------------------------------------------- */

static void big_read(struct result *r, unsigned long n)
{
	const struct dirent *e;
	unsigned k;
	char end;

	errno = 0;
	for (; n && (e = readdir(big)); n--) {
		if (sscanf(e->d_name, "e%5u%c", &k, &end) != 1 || k >= ENTRIES_MAX)
			continue; /* ".", "..", and what came later */
		if (seen[k]++)
			differs(r, "entry twice", e->d_name, "");
		else
			r->ok++;
	}
	if (errno)
		failed(r, "readdir", big_path);
}

static void big_rest(struct result *r, unsigned long entries)
{
	char name[32];

	if (!big) {
		differs(r, "rest", big_path, "not begun");
		return;
	}
	big_read(r, (unsigned long)-1);
	for (unsigned k = 0; k < entries && k < ENTRIES_MAX; k++) {
		snprintf(name, sizeof(name), "e%05u", k);
		if (!seen[k])
			differs(r, "entry missed", name, "");
	}
	closedir(big);
	big = NULL;
}

static void big_begin(struct result *r, unsigned long n)
{
	int fd;

	if (big)
		closedir(big);
	memset(seen, 0, sizeof(seen));
	fd = openat(dirs[0].fd, "../big", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	big = fd < 0 ? NULL : fdopendir(fd);
	if (big)
		big_read(r, n);
	else
		failed(r, "open", big_path);
}

/* ---- commands ------------------------------------------------------------------------------------------ */

/* False: it was "quit". */
static bool command_do(char *command, struct result *r)
{
	char *argument = strchr(command, ' ');

	if (argument)
		*argument++ = 0;
	else
		argument = command + strlen(command);
	if (!strcmp(command, "check")) {
		for (unsigned i = 0; i < file_count; i++)
			check_one(&files[i], r);
	} else if (!strcmp(command, "write")) {
		for (unsigned i = 0; i < file_count; i++)
			write_one(&files[i], r, argument);
	} else if (!strcmp(command, "lock") || !strcmp(command, "unlock") ||
		   !strcmp(command, "busy")) {
		for (unsigned i = 0; i < file_count; i++)
			lock_one(&files[i], r, *command == 'u' ? F_UNLCK : F_WRLCK,
				 *command == 'b');
	} else if (!strcmp(command, "dirs")) {
		dir_one(&dirs[0], AT_FDCWD, r, argument);
		for (unsigned i = 0; i < dir_count; i++)
			dir_one(&dirs[i], dirs[i].fd, r, argument);
	} else if (!strcmp(command, "begin")) {
		big_begin(r, strtoul(argument, NULL, 10));
	} else if (!strcmp(command, "rest")) {
		big_rest(r, strtoul(argument, NULL, 10));
	} else if (strcmp(command, "quit") != 0) {
		differs(r, "no such command", command, "");
	}
	return strcmp(command, "quit") != 0;
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(a.sun_path))
		errx(2, "held: path too long: %s", path);
	memcpy(a.sun_path, path, strlen(path) + 1);
	return a;
}

static void result_line(char *line, size_t room, const struct result *r)
{
	snprintf(line, room, "ok=%u stale=%u error=%u wrong=%u", r->ok, r->stale, r->error,
		 r->wrong);
}

static int serve(const char *path)
{
	struct sockaddr_un a = address_of(path);
	static struct result r;
	static char answer[ANSWER_MAX + 256];
	char command[256];
	char line[128];
	bool more = true;
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (bind(listener, (const struct sockaddr *)&a, sizeof(a)) || listen(listener, 4))
		err(1, "held: %s", path);
	/* Who started it goes on once it listens. */
	if (daemon(1, 0))
		err(1, "held: daemon");
	while (more) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : recv(fd, command, sizeof(command) - 1, 0);

		if (n > 0) {
			memset(&r, 0, sizeof(r));
			command[n] = 0;
			more = command_do(command, &r);
			result_line(line, sizeof(line), &r);
			snprintf(answer, sizeof(answer), "%s\n%s", line, r.text);
			send(fd, answer, strlen(answer), MSG_NOSIGNAL);
		}
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

static int ask(const char *path, int argc, char **argv)
{
	struct sockaddr_un a = address_of(path);
	char command[256] = "";
	size_t len = 0;
	static char answer[ANSWER_MAX + 257];
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ssize_t n;

	for (int i = 0; i < argc && len < sizeof(command); i++)
		len += (size_t)snprintf(command + len, sizeof(command) - len, "%s%s", i ? " " : "",
					argv[i]);
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) ||
	    send(fd, command, strlen(command), 0) < 0)
		err(2, "held: %s", path);
	n = recv(fd, answer, sizeof(answer) - 1, 0);
	if (n <= 0)
		errx(2, "held: no answer");
	answer[n] = 0;
	fputs(answer, stdout);
	return strstr(answer, " stale=0 error=0 wrong=0\n") ? 0 : 1;
}

/* ---- on the host ----------------------------------------------------------------------------------------- */

static int report(const struct result *r)
{
	char line[256];

	result_line(line, sizeof(line), r);
	printf("%s\n%s", line, r->text);
	return r->stale || r->error || r->wrong;
}

/* What file number k has to contain; `sets` are FROM:TAG,TAG... */
static void content_of(char want[CONTENT_MAX], unsigned k, const char *id, unsigned each,
		       char **sets)
{
	int len = snprintf(want, CONTENT_MAX, "%s\n", id);

	for (; *sets; sets++) {
		char *copy;
		char *rest;
		char *tag;

		if (k % each != number(*sets))
			continue;
		copy = strdup(strchr(*sets, ':') + 1);
		for (rest = copy; (tag = strsep(&rest, ","));)
			len += snprintf(want + len, (size_t)(CONTENT_MAX - len), "%s %.40s\n", id,
					tag);
		free(copy);
	}
}

static int verify(const char *path, unsigned dir_total, unsigned per_dir, unsigned n, char **sets)
{
	static struct result r;

	for (unsigned k = 0; k < dir_total * per_dir; k++) {
		char want[CONTENT_MAX];
		char got[CONTENT_MAX + 1];
		char file[4096];
		char id[ID_MAX];
		ssize_t had;
		int fd;

		id_of(id, k, per_dir);
		content_of(want, k, id, dir_total * per_dir / n, sets);
		snprintf(file, sizeof(file), "%s/%s", path, id);
		fd = open(file, O_RDONLY | O_CLOEXEC);
		had = fd < 0 ? -1 : read(fd, got, CONTENT_MAX);
		if (fd >= 0)
			close(fd);
		if (had < 0) {
			failed(&r, "read", id);
			continue;
		}
		got[had] = 0;
		if (strcmp(want, got) != 0)
			differs(&r, "content of", id, got);
		else
			r.ok++;
	}
	return report(&r);
}

struct owner {
	char id[ID_MAX];
	ino_t ino;
};
static struct owner *owners;
static size_t owner_count;
static struct result scanned;

static int scan_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	char text[CONTENT_MAX + 1];
	char *end;
	ssize_t n;
	int fd;

	(void)ftw;
	if (type != FTW_F || !S_ISREG(st->st_mode) || !st->st_size || strstr(path, "/storm-"))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, CONTENT_MAX);
	if (fd >= 0)
		close(fd);
	if (n < 0) {
		failed(&scanned, "read", path);
		return 0;
	}
	text[n] = 0;
	owners = realloc(owners, (owner_count + 1) * sizeof(*owners));
	if (!owners)
		err(1, "scan");
	snprintf(owners[owner_count].id, ID_MAX, "%.63s", text);
	end = strpbrk(owners[owner_count].id, " \n");
	if (end)
		*end = 0;
	owners[owner_count].ino = st->st_ino;
	if (lines_are_of(owners[owner_count++].id, text, (size_t)n))
		scanned.ok++;
	else
		differs(&scanned, "lines of two files in", path, text);
	return 0;
}

static int owner_order(const void *a, const void *b)
{
	return strcmp(((const struct owner *)a)->id, ((const struct owner *)b)->id);
}

static int scan(const char *path)
{
	if (nftw(path, scan_one, 32, FTW_PHYS | FTW_MOUNT))
		err(1, "scan %s", path);
	qsort(owners, owner_count, sizeof(*owners), owner_order);
	for (size_t i = 1; i < owner_count; i++)
		if (!strcmp(owners[i].id, owners[i - 1].id) && owners[i].ino != owners[i - 1].ino)
			differs(&scanned, "two files are", owners[i].id, "");
	return report(&scanned);
}

int main(int argc, char **argv)
{
	static char path[4096];

	if (argc >= 5 && !strcmp(argv[1], "make"))
		return make(argv[2], number(argv[3]), number(argv[4]),
			    argc > 5 ? number(argv[5]) : 0);
	if (argc == 8 && !strcmp(argv[1], "hold")) {
		snprintf(path, sizeof(path), "%s/big", argv[2]);
		big_path = path;
		hold_all(argv[2], number(argv[4]), number(argv[5]), number(argv[6]),
			 number(argv[7]));
		return serve(argv[3]);
	}
	if (argc >= 4 && !strcmp(argv[1], "do"))
		return ask(argv[2], argc - 3, argv + 3);
	if (argc >= 6 && !strcmp(argv[1], "verify"))
		return verify(argv[2], number(argv[3]), number(argv[4]), number(argv[5]), argv + 6);
	if (argc == 3 && !strcmp(argv[1], "scan"))
		return scan(argv[2]);
	errx(2, "make|hold|do|verify|scan");
}
