/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * caps.c - which capabilities are kept, and that no other ever comes back.
 */
#include <cap-ng.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "base/util.h"
#include "sandbox/sandbox_private.h"

#define CAPS 64
#define NAME_LEN 32

static uint64_t bit(unsigned cap)
{
	return UINT64_C(1) << cap;
}

uint64_t sandbox_caps_default(bool readonly)
{
	const uint64_t looking = bit(CAP_DAC_OVERRIDE) | bit(CAP_DAC_READ_SEARCH) |
				 bit(CAP_FOWNER) | bit(CAP_SETGID) | bit(CAP_SETUID);

	if (readonly)
		return looking;
	return looking | bit(CAP_CHOWN) | bit(CAP_FSETID) | bit(CAP_MKNOD) | bit(CAP_SETFCAP);
}

uint64_t sandbox_caps_local(bool readonly, bool xattr)
{
	return (readonly ? 0 : bit(CAP_LINUX_IMMUTABLE)) | (xattr ? bit(CAP_SYS_ADMIN) : 0);
}

uint64_t sandbox_caps_own_namespace(void)
{
	return bit(CAP_SYS_ADMIN);
}

/* One of "+sys_admin", "-chown"; "cap_" in front is allowed. */
static int modify_one(const char *word, size_t len, uint64_t *caps)
{
	char name[NAME_LEN];
	int cap;

	if (len < 2 || len > sizeof(name) || (word[0] != '+' && word[0] != '-'))
		return -EINVAL;
	memcpy(name, word + 1, len - 1);
	name[len - 1] = '\0';
	cap = capng_name_to_capability(strncasecmp(name, "cap_", 4) == 0 ? name + 4 : name);
	if (cap < 0 || cap >= CAPS)
		return -EINVAL;
	if (word[0] == '+')
		*caps |= bit((unsigned)cap);
	else
		*caps &= ~bit((unsigned)cap);
	return 0;
}

int sandbox_caps_modify(const char *text, uint64_t *caps, char *error, size_t size)
{
	while (*text) {
		size_t len = strcspn(text, ":");

		if (modify_one(text, len, caps)) {
			(void)snprintf(error, size,
				       "\"%.*s\" is no change of a capability; say +NAME:-NAME",
				       len < NAME_LEN ? (int)len : NAME_LEN, text);
			return -EINVAL;
		}
		text += len + (text[len] == ':');
	}
	return 0;
}

static void note(struct sandbox *s, unsigned cap)
{
	size_t used = strlen(s->caps);
	const char *name = capng_capability_to_name(cap);

	if (name)
		(void)snprintf(s->caps + used, sizeof(s->caps) - used, "%s%s", used ? " " : "",
			       name);
}

/* A capability that the process has not is not wanted either. */
int caps_apply(struct sandbox *s, uint64_t caps)
{
	capng_select_t sets = CAPNG_SELECT_CAPS;
	uint64_t have = 0;

	if (capng_get_caps_process())
		return sandbox_failed("read the capabilities", errno_neg(), "");
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (capng_have_capability(CAPNG_PERMITTED, cap))
			have |= bit(cap);
	/* The bounding set matters to who may gain something by execve(2). */
	if (have & bit(CAP_SETPCAP))
		sets = CAPNG_SELECT_BOTH;

	capng_clear(sets);
	for (unsigned cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (!(caps & have & bit(cap)))
			continue;
		(void)capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, cap);
		if (sets == CAPNG_SELECT_BOTH)
			(void)capng_update(CAPNG_ADD, CAPNG_BOUNDING_SET, cap);
		note(s, cap);
	}
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (capng_apply(sets))
		return sandbox_failed("give capabilities up", errno_neg(), "");
	return 0;
}
