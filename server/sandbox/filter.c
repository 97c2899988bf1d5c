/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * filter.c - puts the list of system calls into force. Main thread, when all others of the start are there.
 *
 * In trap mode a handler of SIGSYS names the call. It may run in any thread at any instruction, so the names of all
 * calls are looked up beforehand, and the line is put together with nothing but write(2).
 */
#include "sandbox/filter.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "holdfast/exit.h"
#include "sandbox/filter_private.h"
#include "sandbox/sandbox_private.h"

#define CALLS_NAMED 512
#define NAME_BYTES 32
#define NUMBER_DIGITS 11

static const char *const mode_names[] = {
	[FILTER_KILL] = "kill",
	[FILTER_LOG] = "log",
	[FILTER_TRAP] = "trap",
	[FILTER_NONE] = "none",
};

const char *filter_mode_name(enum filter_mode mode)
{
	return mode_names[mode];
}

/* --- trap ------------------------------------------------------------------------------------- */

/* Written before the handler is installed, read by it only. */
static char call_names[CALLS_NAMED][NAME_BYTES];

static void name_calls(void)
{
	for (int i = 0; i < CALLS_NAMED; i++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);

		(void)snprintf(call_names[i], sizeof(call_names[i]), "%s", name ? name : "");
		free(name);
	}
}

/* Appends to a line, whose room is enough for all that comes. */
static size_t append(char *line, size_t used, const char *text)
{
	size_t len = strlen(text);

	memcpy(line + used, text, len + 1);
	return used + len;
}

static size_t append_number(char *line, size_t used, unsigned n)
{
	char digits[NUMBER_DIGITS];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	return append(line, used, digits + at);
}

static void say_and_end(int signal_number, siginfo_t *info, void *context)
{
	char line[160];
	unsigned call = (unsigned)info->si_syscall;
	size_t n = append(line, 0, "holdfast: error: seccomp: ");

	(void)signal_number;
	(void)context;
	if (call < CALLS_NAMED && call_names[call][0])
		n = append(line, n, call_names[call]);
	else
		n = append(line, n, "a call without a name");
	n = append(line, n, " (system call ");
	n = append_number(line, n, call);
	n = append(line, n, ") is not on the list, or not with these arguments\n");
	if (write(STDERR_FILENO, line, n) < 0)
		_exit(HOLDFAST_EXIT_SECCOMP); /* with nobody to tell */
	_exit(HOLDFAST_EXIT_SECCOMP);
}

static int catch_traps(void)
{
	struct sigaction action = { .sa_sigaction = say_and_end, .sa_flags = SA_SIGINFO };

	name_calls();
	return sigaction(SIGSYS, &action, NULL) ? errno_neg() : 0;
}

/* --- the list --------------------------------------------------------------------------------- */

static int add_call(scmp_filter_ctx ctx, const struct filter_call *c)
{
	struct scmp_arg_cmp terms[FILTER_TERMS + 1];
	unsigned n = 0;

	for (unsigned i = 0; i < c->terms; i++)
		terms[n++] = (struct scmp_arg_cmp){ .arg = c->term[i].arg,
						    .op = SCMP_CMP_MASKED_EQ,
						    .datum_a = c->term[i].mask,
						    .datum_b = c->term[i].value };
	if (c->own_pid)
		terms[n++] = (struct scmp_arg_cmp){ .arg = 0,
						    .op = SCMP_CMP_EQ,
						    .datum_a = (scmp_datum_t)getpid() };
	return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, c->call, n, terms);
}

static bool is_due(const struct filter_config *config, enum filter_when when)
{
	switch (when) {
	case FILTER_ALWAYS:
		return true;
	case FILTER_WRITABLE:
		return !config->readonly;
	case FILTER_PLAIN:
		return config->plain_handles;
	case FILTER_SYSLOG:
		return config->syslog;
	case FILTER_KEYRING:
		return config->keyring;
	}
	return false;
}

static int add_groups(scmp_filter_ctx ctx, const struct filter_config *config)
{
	int err = 0;

	for (size_t g = 0; g < filter_groups_count; g++) {
		const struct filter_group *group = &filter_groups[g];

		if (!is_due(config, group->when))
			continue;
		for (size_t i = 0; i < group->count && !err; i++)
			err = add_call(ctx, &group->calls[i]);
	}
	for (size_t i = 0; i < filter_unknown_count && !err; i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), filter_unknown[i], 0);
	return err;
}

static uint32_t action_of(enum filter_mode mode)
{
	switch (mode) {
	case FILTER_LOG:
		return SCMP_ACT_LOG;
	case FILTER_TRAP:
		return SCMP_ACT_TRAP;
	default:
		return SCMP_ACT_KILL_PROCESS;
	}
}

int filter_install(const struct filter_config *config)
{
	uint32_t action = action_of(config->mode);
	scmp_filter_ctx ctx;
	int err;

	if (config->mode == FILTER_NONE)
		return 0;
	ctx = seccomp_init(action);
	if (!ctx)
		return sandbox_failed("make a filter of system calls", -ENOMEM, "");
	/* A call of another architecture of the machine is none of ours. */
	err = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, action);
	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	/* A tree instead of a chain: the calls of each request are found in a few steps. */
	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!err)
		err = add_groups(ctx, config);
	if (!err && config->mode == FILTER_TRAP)
		err = catch_traps();
	if (!err)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	return err ? sandbox_failed("install the filter of system calls", err,
				    "; give --seccomp=none where the kernel has none")
		   : 0;
}
