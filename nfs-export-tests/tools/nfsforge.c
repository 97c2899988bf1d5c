/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nfsforge - a hostile client of NFSv3 (RFC 1813), which sends what handles it likes.
 *
 *   nfsforge get EXPORT NAME...        mounts by MNT, prints "HANDLE FILEID NAME" (hex) of each path below it; "." is the root
 *   nfsforge ask HANDLE...             GETATTR of each: "ok FILEID" or "error STATUS", a line each
 *   nfsforge change EXPORT NAME...     of each name's handle: every bit turned, every byte 0 and 255, every length; then
 *                                      GETATTR, READ and LOOKUP. Whatever opens must be the object itself
 *   nfsforge random EXPORT NAME N      N handles with the header of that one's and random file parts: none may open
 *   nfsforge mix HANDLE HANDLE         prints the header of the first with the file part of the second
 *
 * knfsd's handles: version 1, 0, type of the file system part, type of the file part; 4 bytes of fsid=; the file part.
 * Talks to 127.0.0.1, as root; exits with 1 if anything opened that should not.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HANDLE_MAX 64
#define HEADER_LEN 8 /* with fsid= */
#define MESSAGE_MAX 65536
#define NFS_PROGRAM 100003
#define MOUNT_PROGRAM 100005
#define PORTMAP_PROGRAM 100000
#define NFS_PORT 2049
#define PORTMAP_PORT 111

enum { GETATTR = 1, LOOKUP = 3, READ = 6 };

struct handle {
	uint32_t len;
	uint8_t bytes[HANDLE_MAX + 4];
};

/* A call under construction, then its reply. */
struct message {
	uint8_t bytes[MESSAGE_MAX];
	size_t len, at;
};

static struct message m;
static unsigned opened_wrong;
static uint64_t random_state = 20260101;

static uint32_t rnd(void)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(random_state >> 32);
}

/* ---- XDR ------------------------------------------------------------------------------------------------ */

static void put(uint32_t v)
{
	v = htonl(v);
	memcpy(m.bytes + m.len, &v, 4);
	m.len += 4;
}

static void put_opaque(const void *bytes, uint32_t len)
{
	put(len);
	memset(m.bytes + m.len, 0, (len + 3) & ~3U);
	memcpy(m.bytes + m.len, bytes, len);
	m.len += (len + 3) & ~3U;
}

static uint32_t get(void)
{
	uint32_t v = 0;

	if (m.at + 4 <= m.len)
		memcpy(&v, m.bytes + m.at, 4);
	m.at += 4;
	return ntohl(v);
}

static uint64_t get64(void)
{
	uint64_t high = get();

	return high << 32 | get();
}

static void get_handle(struct handle *h)
{
	h->len = get();
	if (h->len > HANDLE_MAX || m.at + h->len > m.len)
		errx(1, "nfsforge: a handle of %u bytes", h->len);
	memcpy(h->bytes, m.bytes + m.at, h->len);
	m.at += (h->len + 3) & ~3U;
}

/* ---- RPC (RFC 5531) over TCP -------------------------------------------------------------------------------- */

static int dial(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof(a)))
		err(1, "nfsforge: port %u", port);
	return fd;
}

static void begin(uint32_t program, uint32_t version, uint32_t procedure)
{
	static uint32_t xid = 1;

	m.len = 4; /* the record's mark comes last */
	put(xid++);
	put(0);
	put(2);
	put(program);
	put(version);
	put(procedure);
	/* AUTH_SYS: root of this machine. */
	put(1);
	put(28);
	put(0);
	put_opaque("evil", 4);
	put(0);
	put(0);
	put(1);
	put(0);
	/* no verifier */
	put(0);
	put(0);
}

static void receive(int fd, void *to, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = recv(fd, (uint8_t *)to + done, len - done, 0);

		if (n <= 0)
			errx(1, "nfsforge: the server hung up");
		done += (size_t)n;
	}
}

/* True if the call was executed: the results are next in `m`. */
static bool call(int fd)
{
	uint32_t mark = htonl((uint32_t)(m.len - 4) | 0x80000000U);

	memcpy(m.bytes, &mark, 4);
	if (send(fd, m.bytes, m.len, MSG_NOSIGNAL) != (ssize_t)m.len)
		err(1, "nfsforge: send");
	receive(fd, &mark, 4);
	m.len = ntohl(mark) & 0x7fffffffU;
	if (m.len > sizeof(m.bytes))
		errx(1, "nfsforge: a reply of %zu bytes", m.len);
	receive(fd, m.bytes, m.len);
	m.at = 4;
	if (get() != 1) /* a reply */
		return false;
	if (get() != 0) /* accepted */
		return false;
	get();
	m.at += (get() + 3) & ~3U;
	return get() == 0;
}

static uint16_t port_of(uint32_t program, uint32_t version)
{
	int fd = dial(PORTMAP_PORT);
	uint32_t port;

	begin(PORTMAP_PROGRAM, 2, 3);
	put(program);
	put(version);
	put(IPPROTO_TCP);
	put(0);
	if (!call(fd) || !(port = get()))
		errx(1, "nfsforge: program %u is not there", program);
	close(fd);
	return (uint16_t)port;
}

/* ---- the protocol --------------------------------------------------------------------------------------------- */

static void mount_root(const char *export, struct handle *root)
{
	int fd = dial(port_of(MOUNT_PROGRAM, 3));

	begin(MOUNT_PROGRAM, 3, 1);
	put_opaque(export, (uint32_t)strlen(export));
	if (!call(fd) || get() != 0)
		errx(1, "nfsforge: MNT %s is refused", export);
	get_handle(root);
	close(fd);
}

/* The status, 0 with `fileid`, or -1 if the server did not take the call (a handle that is too long). */
static int getattr(int fd, const struct handle *h, uint64_t *fileid)
{
	int status;

	begin(NFS_PROGRAM, 3, GETATTR);
	put_opaque(h->bytes, h->len);
	if (!call(fd))
		return -1;
	status = (int)get();
	m.at += 5 * 4 + 2 * 8 + 2 * 4 + 8; /* type, mode, nlink, uid, gid; size, used; rdev; fsid */
	*fileid = get64();
	return status;
}

static int lookup(int fd, const struct handle *dir, const char *name, struct handle *out)
{
	int status;

	begin(NFS_PROGRAM, 3, LOOKUP);
	put_opaque(dir->bytes, dir->len);
	put_opaque(name, (uint32_t)strlen(name));
	if (!call(fd))
		return -1;
	status = (int)get();
	if (!status)
		get_handle(out);
	return status;
}

static int read_some(int fd, const struct handle *h)
{
	begin(NFS_PROGRAM, 3, READ);
	put_opaque(h->bytes, h->len);
	put(0);
	put(0);
	put(512);
	return call(fd) ? (int)get() : -1;
}

static void walk(int fd, const struct handle *root, const char *path, struct handle *out)
{
	char copy[1024];
	char *rest = copy;
	char *part;
	struct handle dir = *root;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((part = strsep(&rest, "/"))) {
		int status = strcmp(part, ".") != 0 ? lookup(fd, &dir, part, out) : (*out = dir, 0);

		if (status)
			errx(1, "nfsforge: LOOKUP %s: %d", path, status);
		dir = *out;
	}
}

/* ---- forging ------------------------------------------------------------------------------------------------------ */

static void handle_print(const struct handle *h)
{
	for (uint32_t i = 0; i < h->len; i++)
		printf("%02x", h->bytes[i]);
}

static void handle_parse(const char *hex, struct handle *h)
{
	unsigned byte;

	for (h->len = 0; h->len < HANDLE_MAX && sscanf(hex + 2 * h->len, "%2x", &byte) == 1;
	     h->len++)
		h->bytes[h->len] = (uint8_t)byte;
}

/*
 * Asks for it in three ways. What opens must be the object `own`; or the export's root, if the handle says that it
 * has no file part.
 */
static void attempt(int fd, const struct handle *h, uint64_t own, uint64_t root, const char *what)
{
	struct handle child;
	uint64_t fileid = 0;
	int status = getattr(fd, h, &fileid);
	bool may = own && fileid == own;

	if (h->len >= 4 && h->bytes[3] == 0 && fileid == root)
		may = true;
	if (status == 0 && !may) {
		opened_wrong++;
		printf("%s: opened file %lu instead of %lu by ", what, (unsigned long)fileid,
		       (unsigned long)own);
		handle_print(h);
		puts("");
	}
	if (status &&
	    (!read_some(fd, h) || !lookup(fd, h, "..", &child) || !lookup(fd, h, ".", &child))) {
		opened_wrong++;
		printf("%s: GETATTR says %d, and READ or LOOKUP opens ", what, status);
		handle_print(h);
		puts("");
	}
}

static unsigned change(int fd, const struct handle *h, uint64_t own, uint64_t root,
		       const char *name)
{
	unsigned tried = 0;

	for (uint32_t i = 0; i < h->len; i++) {
		for (unsigned bit = 0; bit < 10; bit++, tried++) {
			struct handle forged = *h;

			forged.bytes[i] = bit < 8    ? (uint8_t)(h->bytes[i] ^ (1U << bit))
					  : bit == 8 ? 0
						     : 255;
			attempt(fd, &forged, own, root, name);
		}
	}
	for (uint32_t len = 0; len <= HANDLE_MAX; len += 4, tried++) {
		struct handle forged = { .len = len };

		memcpy(forged.bytes, h->bytes, h->len < len ? h->len : len);
		attempt(fd, &forged, own, root, name);
	}
	return tried;
}

static int forge(int argc, char **argv)
{
	int fd = dial(NFS_PORT);
	struct handle root, h;
	uint64_t root_id = 0, id = 0;
	unsigned long tried = 0;
	bool random = !strcmp(argv[1], "random");

	mount_root(argv[2], &root);
	getattr(fd, &root, &root_id);
	for (int i = 3; i < (random ? 4 : argc); i++) {
		walk(fd, &root, argv[i], &h);
		getattr(fd, &h, &id);
		if (!random)
			tried += change(fd, &h, id, root_id, argv[i]);
	}
	for (unsigned long n = random ? strtoul(argv[4], NULL, 10) : 0; n; n--, tried++) {
		for (uint32_t i = HEADER_LEN; i < h.len; i++)
			h.bytes[i] = (uint8_t)rnd();
		attempt(fd, &h, 0, root_id, "random");
	}
	printf("nfsforge: %lu forged handles, %u opened what they should not\n", tried,
	       opened_wrong);
	return opened_wrong ? 1 : 0;
}

static int take(int argc, char **argv)
{
	int fd = dial(NFS_PORT);
	struct handle root, h;
	uint64_t id = 0;

	mount_root(argv[2], &root);
	for (int i = 3; i < argc; i++) {
		walk(fd, &root, argv[i], &h);
		if (getattr(fd, &h, &id))
			errx(1, "nfsforge: GETATTR %s", argv[i]);
		handle_print(&h);
		printf(" %lu %s\n", (unsigned long)id, argv[i]);
	}
	return 0;
}

static int ask(int argc, char **argv)
{
	int fd = dial(NFS_PORT);
	struct handle h;
	uint64_t id = 0;

	for (int i = 2; i < argc; i++) {
		int status;

		handle_parse(argv[i], &h);
		status = getattr(fd, &h, &id);
		if (status)
			printf("error %d\n", status);
		else
			printf("ok %lu\n", (unsigned long)id);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct handle a, b;

	if (argc >= 4 && !strcmp(argv[1], "get"))
		return take(argc, argv);
	if (argc >= 3 && !strcmp(argv[1], "ask"))
		return ask(argc, argv);
	if ((argc >= 4 && !strcmp(argv[1], "change")) || (argc == 5 && !strcmp(argv[1], "random")))
		return forge(argc, argv);
	if (argc == 4 && !strcmp(argv[1], "mix")) {
		handle_parse(argv[2], &a);
		handle_parse(argv[3], &b);
		/* The type of the file part is the file part's. */
		memcpy(b.bytes, a.bytes, 3);
		memcpy(b.bytes + 4, a.bytes + 4, HEADER_LEN - 4);
		handle_print(&b);
		puts("");
		return 0;
	}
	errx(2, "get|ask|change|random|mix");
}
