/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * agent TTY - the guest's first process after init: does what the host's guestctl says over a serial line.
 *
 * From the host:  "P ID\n"                          are you there?
 *                 "B ID\n"                          reboot; the answer comes before, and none after
 *                 "R ID SECONDS LENGTH\n" + bytes   run this by sh, for so long at most
 * To the host:    "A ID\n"                          here I am
 *                 "O ID LENGTH\n" + bytes           output
 *                 "X ID STATUS\n"                   ended; 124 when the time was over, 128 + N by signal N
 *
 * It holds nothing of any mount open: a command that blocks for good is left behind, and the next one is run.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define COMMAND_MAX 4000 /* the line discipline keeps 4095 bytes */

struct agent {
	int tty;
	pid_t child; /* 0: none */
	int pipe;
	unsigned long id;
	double until;
	char in[2 * COMMAND_MAX];
	size_t in_len;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void tty_write(const struct agent *a, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(a->tty, bytes, len);

		if (n < 0 && errno != EINTR)
			err(1, "agent: write");
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
	}
}

static int tty_open(const char *path)
{
	struct termios t;
	int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || tcgetattr(fd, &t))
		err(1, "agent: %s", path);
	cfmakeraw(&t);
	cfsetspeed(&t, B115200);
	t.c_cflag |= CLOCAL | CREAD;
	if (tcsetattr(fd, TCSAFLUSH, &t))
		err(1, "agent: %s", path);
	return fd;
}

static void command_run(struct agent *a, const char *command)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		err(1, "agent: pipe");
	a->child = fork();
	if (a->child < 0)
		err(1, "agent: fork");
	if (!a->child) {
		int null = open("/dev/null", O_RDONLY);
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setsid();
		dup2(null, 0);
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	a->pipe = ends[0];
}

/* What the command has written so far; false when nobody can write any more. */
static bool output_pass(const struct agent *a)
{
	char buf[4096];
	char head[64];
	ssize_t n;

	while ((n = read(a->pipe, buf, sizeof(buf))) > 0) {
		int len = snprintf(head, sizeof(head), "O %lu %zd\n", a->id, n);

		tty_write(a, head, (size_t)len);
		tty_write(a, buf, (size_t)n);
	}
	return n < 0 && errno == EAGAIN;
}

static void command_end(struct agent *a, int status)
{
	char line[64];
	int len;

	/* A process that it left behind may hold the pipe: only what is there. */
	output_pass(a);
	close(a->pipe);
	a->pipe = -1;
	a->child = 0;
	len = snprintf(line, sizeof(line), "X %lu %d\n", a->id, status);
	tty_write(a, line, (size_t)len);
}

static void command_kill(struct agent *a)
{
	kill(-a->child, SIGKILL);
	kill(a->child, SIGKILL);
}

/* Every child that has ended; the first process has orphans too. */
static void reap(struct agent *a)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != a->child)
			continue;
		command_end(a, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	}
	if (a->child && now() > a->until) {
		command_kill(a);
		command_end(a, 124);
	}
}

/* One request from the front of what has come; the bytes that it took, 0 if it is not whole yet. */
static size_t request_take(struct agent *a)
{
	char command[COMMAND_MAX + 1];
	char answer[64];
	unsigned long id;
	unsigned seconds;
	size_t len;
	size_t head;
	char *end = memchr(a->in, '\n', a->in_len);

	if (!end)
		return a->in_len == sizeof(a->in) ? a->in_len : 0;
	*end = 0;
	head = (size_t)(end - a->in) + 1;
	if (sscanf(a->in, "P %lu", &id) == 1 || sscanf(a->in, "B %lu", &id) == 1) {
		tty_write(a, answer, (size_t)snprintf(answer, sizeof(answer), "A %lu\n", id));
		if (a->in[0] == 'B' && (tcdrain(a->tty) || reboot(RB_AUTOBOOT)))
			warn("agent: reboot");
	} else if (sscanf(a->in, "R %lu %u %zu", &id, &seconds, &len) == 3 && len <= COMMAND_MAX) {
		if (a->in_len < head + len) {
			*end = '\n';
			return 0;
		}
		if (a->child) {
			command_kill(a);
			command_end(a, 124);
		}
		memcpy(command, a->in + head, len);
		command[len] = 0;
		a->id = id;
		a->until = now() + seconds;
		command_run(a, command);
		return head + len;
	}
	return head;
}

static void input_take(struct agent *a)
{
	ssize_t n = read(a->tty, a->in + a->in_len, sizeof(a->in) - a->in_len);
	size_t taken;

	if (n <= 0)
		return;
	a->in_len += (size_t)n;
	while (a->in_len && (taken = request_take(a)) > 0) {
		a->in_len -= taken;
		memmove(a->in, a->in + taken, a->in_len);
	}
}

static void child_ended(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	static struct agent a = { .pipe = -1 };
	struct sigaction act = { .sa_handler = child_ended };
	const struct timespec tick = { .tv_nsec = 200000000 };
	sigset_t blocked;
	sigset_t open;

	if (argc != 2)
		errx(2, "agent TTY");
	a.tty = tty_open(argv[1]);
	setenv("PATH", "/bin", 1);
	setenv("HOME", "/tmp", 1);
	/* SIGCHLD comes only while ppoll sleeps, so that none is missed. */
	sigaction(SIGCHLD, &act, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, &open);
	for (;;) {
		struct pollfd fds[2] = { { .fd = a.tty, .events = POLLIN },
					 { .fd = a.pipe, .events = POLLIN } };

		ppoll(fds, 2, &tick, &open);
		if (fds[0].revents & POLLIN)
			input_take(&a);
		if (a.pipe >= 0 && !output_pass(&a))
			usleep(1000); /* at its end, the child itself soon too */
		reap(&a);
	}
}
