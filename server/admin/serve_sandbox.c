/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * serve_sandbox.c - what the options say of how the daemon is shut in, and its last stage. Main thread.
 */
#include "admin/serve_private.h"

#include "base/log.h"
#include "holdfast/exit.h"

static int add_ranges(const char *option, const char *const *texts, unsigned n,
		      struct sandbox_ranges *out)
{
	for (unsigned i = 0; i < n; i++) {
		if (sandbox_ranges_add(out, texts[i]) == 0)
			continue;
		log_error("--%s=%s: say :ID:HOST-ID:COUNT: (the first character separates)", option,
			  texts[i]);
		return HOLDFAST_EXIT_USAGE;
	}
	return 0;
}

/* In the user namespace the files in the state directory must be ours still. */
static bool state_is_reached(const struct sandbox_ranges *uids)
{
	for (unsigned i = 0; i < uids->count; i++)
		if (uids->range[i].inside == 0)
			return uids->range[i].outside == geteuid();
	return true;
}

/* Capabilities that the options need. */
static uint64_t caps_due(const struct config *c)
{
	uint64_t caps = sandbox_caps_default(c->readonly);

	if (c->sandbox == SANDBOX_NAMESPACE && (geteuid() != 0 || c->uid_maps || c->gid_maps))
		caps |= sandbox_caps_own_namespace();
	if (c->mount)
		caps |= sandbox_caps_local(c->readonly, c->xattr);
	return caps;
}

int serve_check_sandbox(struct serving *v)
{
	const struct config *c = v->c;
	struct sandbox_config *s = &v->sandbox_config;
	char error[128];
	int exit_code;

	s->mode = (enum sandbox_mode)c->sandbox;
	s->caps = caps_due(c);
	if (c->modcaps && sandbox_caps_modify(c->modcaps, &s->caps, error, sizeof(error))) {
		log_error("--modcaps=%s: %s", c->modcaps, error);
		return HOLDFAST_EXIT_USAGE;
	}
	exit_code = add_ranges("uid-map", c->uid_map, c->uid_maps, &s->uids);
	if (!exit_code)
		exit_code = add_ranges("gid-map", c->gid_map, c->gid_maps, &s->gids);
	if (exit_code || c->handles == HANDLES_NEVER || state_is_reached(&s->uids))
		return exit_code;
	log_error("--uid-map: the state belongs to user %u of the host, who is not in the map; "
		  "start holdfast as "
		  "the user whose ids these are, or with --inode-file-handles=never",
		  (unsigned)geteuid());
	return HOLDFAST_EXIT_USAGE;
}

void serve_note_sandbox(struct serving *v)
{
	v->about.sandbox = sandbox_mode_name(v->sandbox);
	v->about.capabilities = sandbox_caps_text(v->sandbox);
	v->about.seccomp = filter_mode_name((enum filter_mode)v->c->seccomp);
}

int serve_limit_calls(const struct serving *v)
{
	const struct filter_config config = {
		.mode = (enum filter_mode)v->c->seccomp,
		.readonly = v->c->readonly,
		.plain_handles = v->c->moved_out_allow != 0,
		.keyring = v->c->key_keyring && !v->c->key_helper,
		.syslog = v->c->syslog,
	};

	return filter_install(&config) ? HOLDFAST_EXIT_SANDBOX : 0;
}
