/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * daemon.c - the daemon's life: started, stopped, killed, its map taken away. Its messages go to a file `log`.
 */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUEST_SLOTS 4
#define RING_SIZE 64

static void run(const struct world *w)
{
	char share[96], state[96], sock[96], log[96];
	int fd;

	(void)snprintf(share, sizeof(share), "--shared-dir=%s/share", w->dir);
	(void)snprintf(state, sizeof(state), "--state-dir=%s/state", w->dir);
	(void)snprintf(sock, sizeof(sock), "--socket-path=%s/socket", w->dir);
	(void)snprintf(log, sizeof(log), "%s/log", w->dir);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd >= 0)
		(void)dup2(fd, STDERR_FILENO);
	(void)execl(w->holdfast, "holdfast", share, state, sock, "--sandbox=none", "--persist",
		    "--log-level=warn", (char *)NULL);
	_exit(127);
}

void world_start(struct world *w)
{
	const struct fedevice_options options = { .size = RING_SIZE };
	char path[96];
	int ret;

	(void)snprintf(path, sizeof(path), "%s/socket", w->dir);
	w->daemon = fork();
	if (w->daemon == 0)
		run(w);
	if (w->daemon < 0)
		world_fail(w, NULL, "fork: %s", strerror(errno));
	if (w->connected) {
		ret = fedevice_reconnect(&w->dev, path);
	} else {
		fedevice_init(&w->dev, &options);
		ret = fedevice_open(&w->dev, path);
		if (!ret)
			ret = fefuse_open(&w->fuse, &w->dev, 0, REQUEST_SLOTS);
		w->connected = true;
	}
	if (!ret)
		ret = fecall_init(&w->fuse, FECALL_FLAGS_ALL);
	if (ret)
		world_fail(w, NULL, "the daemon does not serve: %s", strerror(-ret));
}

void world_end(struct world *w, enum world_end how)
{
	int status = 0;

	(void)kill(w->daemon, how == WORLD_KILL ? SIGKILL : SIGTERM);
	if (waitpid(w->daemon, &status, 0) != w->daemon)
		world_fail(w, NULL, "the daemon has gone");
	if (how == WORLD_TERM && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
		world_fail(w, NULL, "the daemon ended with status 0x%x", (unsigned)status);
	if (how == WORLD_KILL && !WIFSIGNALED(status))
		world_fail(w, NULL, "the daemon had ended by itself, with %d", WEXITSTATUS(status));
	w->daemon = 0;
	w->restarts++;
	fedevice_hang_up(&w->dev);
	for (unsigned i = 0; i < w->tree.count; i++)
		w->tree.objects[i].opened = false;
}

void world_lose_map(struct world *w)
{
	static const char *const names[] = { "map.db", "map.db-wal", "map.db-shm" };
	char path[96];

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/state/%s", w->dir, names[i]);
		(void)unlink(path);
	}
}
