/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * session.c - connections, brought up as far as a case wants them, and the innocent use of one.
 */
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "hostile.h"

#define CONNECT_MS 20000
#define SLOTS FEFUSE_SLOTS_MAX

int session_init(struct hostile *h)
{
	return fecall_init(&h->f, FECALL_FLAGS_ALL);
}

void session_close(struct hostile *h)
{
	fedevice_close(&h->dev);
	memset(&h->f, 0, sizeof(h->f));
}

bool session_ended(struct hostile *h, int timeout_ms)
{
	return frontend_hung_up(&h->dev.fe, timeout_ms);
}

int session_innocent(struct hostile *h)
{
	struct fuse_entry_out entry;
	char text[sizeof(KNOWN_TEXT)];
	uint64_t fh;
	int n;
	int ret = fecall_lookup(&h->f, FUSE_ROOT_ID, KNOWN, &entry);

	if (ret)
		return wrong(h, "an innocent lookup: %s", result_name(ret));
	ret = fecall_open(&h->f, entry.nodeid, 0, &fh);
	if (ret)
		return wrong(h, "an innocent open: %s", result_name(ret));
	n = fecall_read(&h->f, entry.nodeid, fh, 0, text, sizeof(text));
	ret = fecall_release(&h->f, entry.nodeid, fh);
	if (n != (int)strlen(KNOWN_TEXT) || memcmp(text, KNOWN_TEXT, (size_t)n) != 0)
		return wrong(h, "an innocent read: %s", n < 0 ? result_name(n) : "other bytes");
	return ret ? wrong(h, "an innocent release: %s", result_name(ret)) : 0;
}

/* The objects that cases are about. */
static int look_around(struct hostile *h)
{
	const struct {
		const char *name;
		uint64_t *nodeid;
	} all[] = { { KNOWN, &h->known }, { OTHER, &h->other_file }, { "dir", &h->dir } };
	struct fuse_entry_out entry;

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		int ret = fecall_lookup(&h->f, FUSE_ROOT_ID, all[i].name, &entry);

		if (ret)
			return wrong(h, "lookup of %s: %s", all[i].name, result_name(ret));
		*all[i].nodeid = entry.nodeid;
	}
	return session_innocent(h);
}

static int bring_up(struct hostile *h, enum stage stage)
{
	int ret = 0;

	if (stage == NEGOTIATED || stage == WITH_MEMORY)
		ret = fedevice_negotiate(&h->dev);
	if (!ret && stage != CONNECTED)
		ret = fedevice_make_rings(&h->dev);
	if (!ret && stage == WITH_MEMORY)
		ret = fedevice_share_memory(&h->dev);
	return ret;
}

int session_open(struct hostile *h, enum stage stage, const struct fedevice_options *options)
{
	int ret;

	session_close(h);
	fedevice_init(&h->dev, options ? options : &h->options);
	ret = femem_add(&h->dev.mem, FEDEVICE_BASE, FEDEVICE_MEMORY);
	if (!ret)
		ret = femem_add(&h->dev.mem, EXTRA_BASE, EXTRA_SIZE);
	if (!ret)
		ret = stage == RUNNING ? fedevice_open(&h->dev, h->socket)
				       : frontend_connect(&h->dev.fe, h->socket, CONNECT_MS);
	if (!ret)
		ret = bring_up(h, stage);
	if (ret)
		return wrong(h, "no connection: %s", result_name(ret));
	if (stage != RUNNING)
		return 0;
	ret = fefuse_open(&h->f, &h->dev, 0, SLOTS);
	h->f.timeout_ms = CASE_TIMEOUT_MS;
	if (!ret)
		ret = session_init(h);
	return ret ? wrong(h, "INIT: %s", result_name(ret)) : look_around(h);
}
