/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * unixsock.c - stream sockets, for tests of who listens and who connects.
 *
 *   unixsock stale PATH                makes a socket file that nobody listens at
 *   unixsock listen PATH COMMAND...    listens, and becomes COMMAND, in whose arguments @FD is the descriptor
 *   unixsock connect PATH COMMAND...   the same with a connected socket
 *   unixsock hold PATH                 connects, says "connected", and waits for the end of the connection or of stdin
 *   unixsock junk PATH                 connects, sends what is no message, and waits for the end of the connection
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SECONDS_MAX 20

static int failed(const char *what)
{
	(void)fprintf(stderr, "unixsock: %s: %s\n", what, strerror(errno));
	return 1;
}

static int run(int fd, char **argv)
{
	for (char **arg = argv; *arg; arg++) {
		const char *at = strstr(*arg, "@FD");
		char *text;

		if (at && asprintf(&text, "%.*s%d%s", (int)(at - *arg), *arg, fd, at + 3) > 0)
			*arg = text;
	}
	if (argv[0])
		(void)execvp(argv[0], argv);
	return failed("exec");
}

/* 0 when the other side hangs up. */
static int wait_for_end(int fd, bool watch_stdin)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN },
			       { .fd = watch_stdin ? STDIN_FILENO : -1, .events = POLLIN } };
	char bytes[256];

	for (;;) {
		if (poll(p, 2, SECONDS_MAX * 1000) <= 0)
			return failed("the connection does not end");
		if (p[1].revents && read(STDIN_FILENO, bytes, sizeof(bytes)) <= 0)
			return 0;
		if (p[0].revents && read(fd, bytes, sizeof(bytes)) <= 0)
			return 0;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *what = argc > 2 ? argv[1] : "";
	bool runs = strcmp(what, "listen") == 0 || strcmp(what, "connect") == 0;
	char junk[64];
	int fd;

	if (argc < (runs ? 4 : 3) || strlen(argv[2]) >= sizeof(addr.sun_path)) {
		(void)fprintf(stderr, "usage: unixsock stale|listen|connect|hold|junk PATH ...\n");
		return 2;
	}
	memcpy(addr.sun_path, argv[2], strlen(argv[2]));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0)
		return failed("socket");

	if (strcmp(what, "stale") == 0 || strcmp(what, "listen") == 0) {
		if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1))
			return failed("bind");
		return what[0] == 's' ? 0 : run(fd, argv + 3);
	}
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return failed("connect");
	if (strcmp(what, "connect") == 0)
		return run(fd, argv + 3);
	(void)printf("connected\n");
	(void)fflush(stdout);
	if (strcmp(what, "hold") == 0)
		return wait_for_end(fd, true);
	memset(junk, 'b', sizeof(junk));
	if (send(fd, junk, sizeof(junk), MSG_NOSIGNAL) < 0 && errno != EPIPE)
		return failed("send");
	return wait_for_end(fd, false);
}
