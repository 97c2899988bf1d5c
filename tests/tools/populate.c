/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * populate DIR N [FILES_A_DIRECTORY] - makes a tree of about N objects whose content names them.
 *
 * Directories d0000, d0001, ... with files f000, f001, ... in each; every tenth directory also has a
 * symlink, a FIFO, a socket, a character and a block device, a second name of its first file, an empty
 * file and a file whose name has a space, a newline and bytes that are no UTF-8. Below "deep" is a chain of
 * 30 directories with a file in each.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "handle.h"

#define DEPTH 30

static unsigned long made;

static void file_make(int dir, const char *name, const char *content)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	size_t len = strlen(content);

	if (fd < 0 || write(fd, content, len) != (ssize_t)len)
		err(1, "%s", content);
	close(fd);
	made++;
}

static int directory_make(int dir, const char *name)
{
	int fd;

	if (mkdirat(dir, name, 0755))
		err(1, "mkdir %s", name);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err(1, "open %s", name);
	made++;
	return fd;
}

static void node_make(int dir, const char *name, mode_t mode, dev_t dev)
{
	if (mknodat(dir, name, mode | 0600, dev))
		err(1, "mknod %s", name);
	made++;
}

static void specials_make(int dir, const char *label)
{
	char content[64];

	if (symlinkat("f000", dir, "symlink"))
		err(1, "symlink");
	made++;
	node_make(dir, "fifo", S_IFIFO, 0);
	node_make(dir, "socket", S_IFSOCK, 0);
	node_make(dir, "null", S_IFCHR, makedev(1, 3));
	node_make(dir, "block", S_IFBLK, makedev(7, 0));
	if (linkat(dir, "f000", dir, "second-name", 0))
		err(1, "link");
	made++;
	file_make(dir, "empty", "");
	snprintf(content, sizeof(content), "%s/odd", label);
	file_make(dir, "odd \n\xff name", content);
}

static void chain_make(int top)
{
	int dir = directory_make(top, "deep");

	for (int i = 0; i < DEPTH; i++) {
		char name[32];
		char content[32];
		int next;

		snprintf(content, sizeof(content), "deep %d", i);
		file_make(dir, "leaf", content);
		snprintf(name, sizeof(name), "level%d", i);
		next = directory_make(dir, name);
		close(dir);
		dir = next;
	}
	close(dir);
}

int main(int argc, char **argv)
{
	unsigned long n;
	unsigned per;
	int top;

	if (argc < 3)
		errx(2, "DIR N [FILES_A_DIRECTORY]");
	n = strtoul(argv[2], NULL, 10);
	per = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 100;
	top = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top < 0 || !per)
		err(1, "%s", argv[1]);
	umask(022);
	chain_make(top);
	for (unsigned d = 0; made < n; d++) {
		char name[32];
		char content[64];
		int dir;

		snprintf(name, sizeof(name), "d%04u", d);
		dir = directory_make(top, name);
		for (unsigned f = 0; f < per && (made < n || !f); f++) {
			char file[32];

			snprintf(file, sizeof(file), "f%03u", f);
			snprintf(content, sizeof(content), "%s/%s", name, file);
			file_make(dir, file, content);
		}
		if (d % 10 == 0)
			specials_make(dir, name);
		close(dir);
	}
	printf("made=%lu\n", made);
	return 0;
}
