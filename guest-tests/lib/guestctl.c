/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guestctl - the host's end of a guest's two channels, both UNIX sockets of its QEMU.
 *
 *   guestctl wait SOCKET SECONDS              until the guest's agent answers
 *   guestctl run SOCKET SECONDS COMMAND       runs it in the guest by sh: its output, its exit status
 *   guestctl reboot SOCKET SECONDS            the guest's own reboot(2): nothing is answered from then until it is up
 *   guestctl qmp SOCKET SECONDS JSON [EVENT]  one QMP command; then waits for a line with all words of EVENT
 *
 * Exit of run: the command's; 124 when the time is over, 125 when the channel broke. The protocol is in guest/agent.c.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define COMMAND_MAX 4000
#define LINE_MAX_LEN 65536
#define GRACE 5.0 /* beyond the guest's own deadline, seconds */
/* A QEMU that has been there and takes no connection for so long has ended, seconds. */
#define GONE 20.0

enum { OVER = 124, BROKEN = 125 };

struct channel {
	int fd;
	double until;
	char buf[LINE_MAX_LEN];
	size_t len;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Good for `seconds`; it is there within `patience`. */
static void channel_open(struct channel *c, const char *path, double seconds, double patience)
{
	const double begun = now();
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		errx(BROKEN, "guestctl: path too long: %s", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	c->len = 0;
	c->until = begun + seconds;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	while (connect(c->fd, (const struct sockaddr *)&address, sizeof(address))) {
		if (now() > begun + patience)
			err(BROKEN, "guestctl: %s", path);
		usleep(20000);
	}
}

static void channel_write(const struct channel *c, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(c->fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			err(BROKEN, "guestctl: the channel broke");
		bytes += n;
		len -= (size_t)n;
	}
}

/* More bytes, at `deadline` at the latest; false when nothing came. */
static bool channel_fill(struct channel *c, double deadline)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	double left = deadline - now();
	ssize_t n;

	if (c->len == sizeof(c->buf))
		c->len = 0; /* a line without end is noise */
	if (poll(&p, 1, left > 0 ? (int)(left * 1000) + 1 : 0) <= 0)
		return false;
	n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - c->len, 0);
	if (n <= 0)
		errx(BROKEN, "guestctl: the guest has gone");
	c->len += (size_t)n;
	return true;
}

static void channel_drop(struct channel *c, size_t n)
{
	c->len -= n;
	memmove(c->buf, c->buf + n, c->len);
}

/* The next line without its end, at `deadline` at the latest. */
static bool channel_line(struct channel *c, char *line, size_t room, double deadline)
{
	for (;;) {
		char *end = memchr(c->buf, '\n', c->len);

		if (end) {
			size_t n = (size_t)(end - c->buf);
			size_t copied = n < room - 1 ? n : room - 1;

			memcpy(line, c->buf, copied);
			line[copied] = 0;
			channel_drop(c, n + 1);
			return true;
		}
		if (now() > deadline || !channel_fill(c, deadline))
			return false;
	}
}

static int reboot_guest(struct channel *c)
{
	char line[256];
	char want[64];
	unsigned long id = (unsigned long)getpid() * 1000;

	channel_write(c, line, (size_t)snprintf(line, sizeof(line), "B %lu\n", id));
	snprintf(want, sizeof(want), "A %lu", id);
	while (channel_line(c, line, sizeof(line), c->until))
		if (!strcmp(line, want))
			return 0;
	warnx("guestctl: no answer from the guest");
	return OVER;
}

static int wait_for_agent(struct channel *c)
{
	char ping[64];
	char line[256];
	char want[64];
	unsigned long id = (unsigned long)getpid() * 1000;

	for (; now() < c->until; id++) {
		double step = now() + 0.1;

		channel_write(c, ping, (size_t)snprintf(ping, sizeof(ping), "P %lu\n", id));
		snprintf(want, sizeof(want), "A %lu", id);
		while (channel_line(c, line, sizeof(line), step))
			if (!strcmp(line, want))
				return 0;
	}
	warnx("guestctl: no answer from the guest");
	return OVER;
}

static bool output_copy(struct channel *c, size_t len, bool shown)
{
	while (len) {
		size_t n = c->len < len ? c->len : len;

		if (!n) {
			if (!channel_fill(c, c->until))
				return false;
			continue;
		}
		if (shown)
			fwrite(c->buf, 1, n, stdout);
		channel_drop(c, n);
		len -= n;
	}
	fflush(stdout);
	return true;
}

static int run(struct channel *c, unsigned seconds, const char *command)
{
	unsigned long mine = (unsigned long)getpid();
	unsigned long id;
	char line[256];
	size_t len = strlen(command);
	int status;

	if (len > COMMAND_MAX)
		errx(2, "guestctl: the command is longer than %d bytes", COMMAND_MAX);
	channel_write(c, line,
		      (size_t)snprintf(line, sizeof(line), "\nR %lu %u %zu\n", mine, seconds, len));
	channel_write(c, command, len);
	c->until += GRACE;
	while (channel_line(c, line, sizeof(line), c->until)) {
		if (sscanf(line, "O %lu %zu", &id, &len) == 2) {
			if (!output_copy(c, len, id == mine))
				break;
		} else if (sscanf(line, "X %lu %d", &id, &status) == 2 && id == mine) {
			return status;
		}
	}
	warnx("guestctl: no answer from the guest within %u s", seconds);
	return OVER;
}

/* Does the line have every word of `words`? */
static bool has_words(const char *line, const char *words)
{
	char copy[256];
	char *rest = copy;
	char *word;

	snprintf(copy, sizeof(copy), "%s", words);
	while ((word = strsep(&rest, " ")))
		if (!strstr(line, word))
			return false;
	return true;
}

static int qmp_answer(struct channel *c, bool shown)
{
	static char line[LINE_MAX_LEN];

	while (channel_line(c, line, sizeof(line), c->until)) {
		if (!strncmp(line, "{\"return\"", 9)) {
			if (shown)
				puts(line);
			return 0;
		}
		if (!strncmp(line, "{\"error\"", 8)) {
			fprintf(stderr, "guestctl: %s\n", line);
			return 1;
		}
	}
	warnx("guestctl: QMP does not answer");
	return OVER;
}

static int qmp(struct channel *c, const char *command, const char *event)
{
	static const char hello[] = "{\"execute\":\"qmp_capabilities\"}\n";
	static char line[LINE_MAX_LEN];
	int rc;

	channel_write(c, hello, sizeof(hello) - 1);
	rc = qmp_answer(c, false);
	if (rc)
		return rc;
	channel_write(c, command, strlen(command));
	channel_write(c, "\n", 1);
	rc = qmp_answer(c, !event);
	if (rc || !event)
		return rc;
	while (channel_line(c, line, sizeof(line), c->until))
		if (strstr(line, "\"event\"") && has_words(line, event))
			return 0;
	warnx("guestctl: no event %s", event);
	return OVER;
}

int main(int argc, char **argv)
{
	static struct channel c;
	double seconds;
	bool there;

	if (argc < 4)
		errx(2, "wait|run|reboot|qmp SOCKET SECONDS ...");
	seconds = strtod(argv[3], NULL);
	there = !strcmp(argv[1], "run") || !strcmp(argv[1], "reboot");
	channel_open(&c, argv[2], seconds, there && seconds > GONE ? GONE : seconds);
	if (!strcmp(argv[1], "wait"))
		return wait_for_agent(&c);
	if (!strcmp(argv[1], "run") && argc == 5)
		return run(&c, (unsigned)seconds, argv[4]);
	if (!strcmp(argv[1], "reboot"))
		return reboot_guest(&c);
	if (!strcmp(argv[1], "qmp") && argc >= 5)
		return qmp(&c, argv[4], argc > 5 ? argv[5] : NULL);
	errx(2, "wait|run|reboot|qmp SOCKET SECONDS ...");
}
