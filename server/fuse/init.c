/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * init.c - INIT and DESTROY of the guest's kernel, answered by us and not by libfuse.
 *
 * libfuse 3.14 knows the protocol up to 7.31, and each of our threads has a session of it that was
 * fed an INIT of ours (session.c). What the guest's kernel agrees on is decided here, for all
 * threads at once. Called on the thread that has the request in hand.
 */
#include "fuse/init.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "fuse/server.h"

/* What we want wherever it is offered. */
static const uint64_t wanted_always = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT |
				      FUSE_BIG_WRITES | FUSE_HAS_IOCTL_DIR | FUSE_ASYNC_DIO |
				      FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_SETXATTR_EXT |
				      FUSE_INIT_EXT | FUSE_CREATE_SUPP_GROUP;

/* Default ACLs and the umask are weighed by the host: one comes with the other. */
#define ACL_FLAGS (FUSE_POSIX_ACL | FUSE_DONT_MASK)

/*
 * What the administrator asked for must be offered, or the promise of the option would be broken.
 */
static const struct {
	uint64_t flags;
	size_t option_at; /* of a bool in struct fuse_config */
	const char *option;
	const char *names;
} by_option[] = {
	{ ACL_FLAGS, offsetof(struct fuse_config, posix_acl), "--posix-acl", "FUSE_POSIX_ACL" },
	{ FUSE_SECURITY_CTX, offsetof(struct fuse_config, security_label), "--security-label",
	  "FUSE_SECURITY_CTX" },
	{ FUSE_HANDLE_KILLPRIV_V2, offsetof(struct fuse_config, killpriv_v2), "--killpriv-v2",
	  "FUSE_HANDLE_KILLPRIV_V2" },
	{ FUSE_SUBMOUNTS, offsetof(struct fuse_config, announce_submounts), "--announce-submounts",
	  "FUSE_SUBMOUNTS" },
	{ FUSE_WRITEBACK_CACHE, offsetof(struct fuse_config, writeback), "--writeback",
	  "FUSE_WRITEBACK_CACHE" },
	{ FUSE_FLOCK_LOCKS, offsetof(struct fuse_config, flock), "--flock", "FUSE_FLOCK_LOCKS" },
	{ FUSE_POSIX_LOCKS, offsetof(struct fuse_config, posix_lock), "--posix-lock",
	  "FUSE_POSIX_LOCKS" },
};

static bool option_set(const struct fuse_config *config, size_t at)
{
	bool set;

	memcpy(&set, (const char *)config + at, sizeof(set));
	return set;
}

/* What is wanted where it is offered, by the cache policy and the like. */
static uint64_t wanted(const struct fuse_config *config)
{
	uint64_t flags = wanted_always;

	/* Entries that expire at once make READDIRPLUS work for nothing. */
	if (config->cache != CACHE_NEVER && !config->no_readdirplus)
		flags |= FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO;
	/* Files that are not cached can be mapped nevertheless. */
	if (config->cache == CACHE_NEVER || config->cache == CACHE_METADATA)
		flags |= FUSE_DIRECT_IO_ALLOW_MMAP;
	if (config->cache == CACHE_ALWAYS)
		flags |= FUSE_CACHE_SYMLINKS;
	else
		flags |= FUSE_AUTO_INVAL_DATA;
	return flags | config->if_offered;
}

/* Adds what the options ask for; -EOPNOTSUPP when it is not offered. */
static int apply_options(const struct fuse_config *config, uint64_t offered, uint64_t *flags,
			 char refused[INIT_REFUSAL_MAX])
{
	if (!(offered & FUSE_EXPORT_SUPPORT)) {
		(void)snprintf(
			refused, INIT_REFUSAL_MAX,
			"the kernel offers no FUSE_EXPORT_SUPPORT: handles could not be opened");
		return -EOPNOTSUPP;
	}
	for (size_t i = 0; i < ARRAY_LEN(by_option); i++) {
		if (!option_set(config, by_option[i].option_at))
			continue;
		if ((offered & by_option[i].flags) != by_option[i].flags) {
			(void)snprintf(refused, INIT_REFUSAL_MAX,
				       "%s: the kernel does not offer it on this transport (%s)",
				       by_option[i].option, by_option[i].names);
			return -EOPNOTSUPP;
		}
		*flags |= by_option[i].flags;
	}
	return 0;
}

void init_negotiate(const struct fuse_config *config, const void *args, size_t len,
		    struct init_answer *out)
{
	struct fuse_init_in in = { 0 };
	uint64_t offered;
	uint64_t flags = wanted(config);

	*out = (struct init_answer){ 0 };
	memcpy(&in, args, len < sizeof(in) ? len : sizeof(in));
	out->out.major = FUSE_KERNEL_VERSION;
	out->out.minor = FUSE_KERNEL_MINOR_VERSION;
	if (in.major > FUSE_KERNEL_VERSION)
		return; /* it knows ours too, and will say so */
	if (in.major < FUSE_KERNEL_VERSION || in.minor < INIT_MINOR_MIN ||
	    len < offsetof(struct fuse_init_in, flags2)) {
		out->error = -EPROTO;
		return;
	}

	offered = in.flags;
	if (offered & FUSE_INIT_EXT)
		offered |= (uint64_t)in.flags2 << 32;
	out->error = apply_options(config, offered, &flags, out->refused);
	if (out->error)
		return;

	out->settled = true;
	out->offered = offered;
	out->minor = in.minor < FUSE_KERNEL_MINOR_VERSION ? in.minor : FUSE_KERNEL_MINOR_VERSION;
	out->flags = flags & offered;
	if ((out->flags & ACL_FLAGS) != ACL_FLAGS)
		out->flags &= ~(uint64_t)ACL_FLAGS;
	out->out.flags = (uint32_t)out->flags;
	out->out.flags2 = (uint32_t)(out->flags >> 32);
	out->out.max_readahead =
		in.max_readahead < INIT_MAX_WRITE ? in.max_readahead : INIT_MAX_WRITE;
	out->out.max_background = INIT_MAX_BACKGROUND;
	out->out.congestion_threshold = INIT_CONGESTION;
	out->out.max_write = INIT_MAX_WRITE;
	out->out.max_pages = out->flags & FUSE_MAX_PAGES ? INIT_MAX_PAGES : 0;
	out->out.time_gran = 1;
}

void fuse_wire_init(struct fuse_thread *t)
{
	const struct fuse_request *r = &t->request;
	struct init_answer answer;

	init_negotiate(&t->server->config, r->args, r->args_len, &answer);
	if (answer.refused[0])
		log_limited(LOG_LEVEL_ERROR, "fuse: %s", answer.refused);
	else if (answer.error)
		log_limited(LOG_LEVEL_ERROR,
			    "fuse: the guest's kernel speaks a FUSE protocol older than 7.%d",
			    INIT_MINOR_MIN);
	else if (answer.settled)
		log_debug("fuse: INIT agreed on 7.%" PRIu32 ", flags 0x%" PRIx64, answer.minor,
			  answer.flags);

	/* Before the reply: the next request may be in another thread's hands at once. */
	server_begin(t->server, r, &answer);
	fuse_thread_reply(t, r->in->unique, answer.error, &answer.out, sizeof(answer.out));
}

void fuse_wire_destroy(struct fuse_thread *t)
{
	server_end(t->server);
	fuse_thread_reply(t, t->request.in->unique, 0, NULL, 0);
}
