/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve_device.c - the share as a virtio-fs device at a socket, shut in before the first byte of a guest.
 *
 * What needs the host's paths comes first: state, socket, control socket. Then the sandbox; keys, map and
 * threads after it. With --sandbox=namespace the process that was started stays outside, and removes the socket.
 */
#include "admin/serve_private.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "export/helper.h"
#include "holdfast/exit.h"

#define POLL_US_DEFAULT 50
#define POOL_DEFAULT 8

int serve_open_socket(struct serving *v)
{
	const struct config *c = v->c;
	int err = c->socket_path ? vhostsocket_listen(c->socket_path, c->socket_group, &v->socket)
				 : vhostsocket_adopt((int)c->fd, &v->socket);

	if (err)
		return HOLDFAST_EXIT_MOUNT;
	serve_open_status(v);
	return 0;
}

/* The process outside: nothing of the daemon's may be open in it, or locks would outlive the daemon. */
static int wait_outside(struct serving *v)
{
	status_server_abandon(v->status);
	v->status = NULL;
	helper_abandon(v->helper);
	v->helper = NULL;
	state_free(v->state);
	v->state = NULL;
	v->socket.fd = fd_close(v->socket.fd);
	return sandbox_wait(v->sandbox);
}

/* What libraries read from files when they are first used. */
static void read_ahead(void)
{
	uint8_t byte;

	tzset();
	(void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
	sqlite3_randomness(sizeof(byte), &byte); /* /dev/urandom */
}

int serve_enter_sandbox(struct serving *v, bool *leave)
{
	int ret;

	read_ahead();
	v->sandbox_config.share = v->state->share;
	v->sandbox_config.dir_count = SANDBOX_DIRS_MAX;
	v->sandbox_config.dirs[0] = v->state->statedir;
	v->sandbox_config.dirs[1] = v->state->rundir;
	v->sandbox_config.dirs[2] = v->sandbox_config.mode == SANDBOX_CHROOT ? v->socket.dir : -1;
	v->sandbox_config.dirs[3] = keysource_way_up(&v->state->key);
	ret = sandbox_enter(&v->sandbox_config, &v->sandbox);
	if (ret < 0)
		return HOLDFAST_EXIT_SANDBOX;
	*leave = ret > 0;
	if (*leave)
		return wait_outside(v);
	if (v->sandbox_config.mode == SANDBOX_NAMESPACE)
		v->socket.dir = fd_close(v->socket.dir); /* seen to outside */
	/* The last way up and out of the share. */
	v->state->share = fd_close(v->state->share);
	serve_note_sandbox(v);
	v->about.socket = v->c->socket_path ? v->c->socket_path : "";
	return 0;
}

static unsigned pool_size(const struct config *c)
{
	if (c->threads == CONFIG_THREADS_DEFAULT)
		return POOL_DEFAULT;
	return c->threads < VHOSTUSER_POOL_MAX ? (unsigned)c->threads : VHOSTUSER_POOL_MAX;
}

int serve_open_device(struct serving *v)
{
	const struct config *c = v->c;
	const struct vhostuser_config config = {
		.socket = v->socket.fd,
		.listening = v->socket.listening,
		.persist = c->persist,
		.tag = c->tag,
		.pool = pool_size(c),
		.poll_us = c->poll_us == CONFIG_POLL_US_DEFAULT ? POLL_US_DEFAULT
								: (unsigned)c->poll_us,
	};
	int err = vhostuser_new(&config, v->fuse, &v->vhost);

	if (!err)
		return 0;
	log_error("socket: cannot make the device: %s", strerror(-err));
	return HOLDFAST_EXIT_FAILURE;
}

int serve_run_device(struct serving *v)
{
	int err = serve_start_signals(v);

	if (err)
		return err;
	serve_start_status(v);
	err = serve_limit_calls(v);
	if (err)
		return err;
	if (v->c->socket_path)
		log_info("serving %s on socket %s", v->state->sharepath, v->c->socket_path);
	else
		log_info("serving %s on descriptor %d", v->state->sharepath, v->socket.fd);
	err = vhostuser_serve(v->vhost);
	if (!err)
		return 0;
	/* The front-end's or guest's fault has had its line. */
	if (err != -EPROTO)
		log_error("socket: %s is no longer served: %s", v->state->sharepath,
			  strerror(-err));
	return HOLDFAST_EXIT_FAILURE;
}

void serve_close_device(struct serving *v)
{
	vhostuser_free(v->vhost);
	v->vhost = NULL;
	vhostsocket_remove(&v->socket);
	vhostsocket_close(&v->socket);
}
