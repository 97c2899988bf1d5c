/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_options.c - the command line: what is understood, what is refused, and in which words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "admin/options.h"
#include "base/log.h"
#include "base/util.h"
#include "export/export.h"
#include "fuse/fuse.h"
#include "sandbox/filter.h"
#include "sandbox/sandbox.h"

struct parsed {
	struct config config;
	char error[OPTIONS_ERROR_MAX];
	int result;
};

#define PARSE(...) parse((char *const[]){ (char *)"holdfast", __VA_ARGS__, NULL })

static struct parsed parse(char *const *argv)
{
	struct parsed p;
	int argc = 0;

	while (argv[argc])
		argc++;
	p.result = options_parse(argc, argv, &p.config, p.error);
	return p;
}

static void refused(struct parsed p, const char *said)
{
	if (p.result == 0 || !strstr(p.error, said))
		fail_msg("result %d, said \"%s\", not \"%s\"", p.result, p.error, said);
	assert_null(strchr(p.error, '\n'));
	options_free(&p.config);
}

#define BASE (char *)"--shared-dir=/a", (char *)"--mount=/b"
#define S(text) ((char *)(uintptr_t)(text))
#define DEVICE (char *)"--socket-path=/s"

static void test_share_and_mount_are_enough(void **unused)
{
	struct parsed p = PARSE(BASE);

	(void)unused;
	assert_int_equal(p.result, 0);
	assert_int_equal(p.config.command, COMMAND_SERVE);
	assert_string_equal(p.config.share, "/a");
	assert_string_equal(p.config.mount, "/b");
	assert_int_equal(p.config.handles, HANDLES_PREFER);
	assert_int_equal(p.config.cache, CACHE_AUTO);
	assert_int_equal(p.config.max_nodes, CONFIG_MAX_NODES_DEFAULT);
	assert_int_equal(p.config.log_level, LOG_LEVEL_INFO);
	assert_false(p.config.xattr);
	assert_int_equal(p.config.posix_acl, SWITCH_DEFAULT);
	options_free(&p.config);
}

static void test_a_value_may_be_the_next_argument(void **unused)
{
	struct parsed p = PARSE(S("--shared-dir"), S("/a b"), S("--mount"), S("/b"),
				S("--max-nodes"), S("5000"));

	(void)unused;
	assert_int_equal(p.result, 0);
	assert_string_equal(p.config.share, "/a b");
	assert_int_equal(p.config.max_nodes, 5000);
	options_free(&p.config);
	refused(PARSE(BASE, S("--cache")), "--cache: a value is missing");
}

static void test_root_and_key_options_given_twice_are_refused_by_name(void **unused)
{
	(void)unused;
	refused(PARSE(BASE, S("--shared-dir=/a")), "--shared-dir: given twice");
	refused(PARSE(BASE, S("--mount=/c")), "--mount: given twice");
	refused(PARSE(BASE, S("--state-dir=/s"), S("--state-dir=/s")), "--state-dir: given twice");
	refused(PARSE(BASE, S("--sandbox=none"), S("--sandbox=none")), "--sandbox: given twice");
	refused(PARSE(BASE, S("--new-key"), S("--new-key")), "--new-key: given twice");
	refused(PARSE(BASE, S("--key-file=a"), S("--key-file=b")), "--key-file: given twice");
	refused(PARSE(BASE, S("--key-file=a"), S("--key-fd=3")), "only one of --key-file");
	refused(PARSE(BASE, S("--key-file=a"), S("--new-key")), "--new-key: makes a key in");
	refused(PARSE(BASE, S("--key-fd=-1")), "--key-fd=-1: allowed is the number");
	refused(PARSE(BASE, S("--key-fd=12345678")), "--key-fd=12345678: allowed is the number");
	refused(PARSE(BASE, S("--key-credential=a/b")), "--key-credential=a/b: the name of");
	refused(PARSE(BASE, S("--key-credential=..")), "--key-credential=..: the name of");
	refused(PARSE(BASE, S("--key-helper"), S("--inode-file-handles=never")),
		"--key-helper: needs handles that persist");
	refused(PARSE(BASE, S("-o"), S("source=/c")), "--shared-dir: given twice");
	refused(PARSE(S("-osource=/a,source=/b"), S("--mount=/c")), "--shared-dir: given twice");
}

static void test_bad_values_name_option_value_and_what_is_allowed(void **unused)
{
	(void)unused;
	refused(PARSE(BASE, S("--cache=maybe")),
		"--cache=maybe: allowed is auto, always, metadata or never");
	refused(PARSE(BASE, S("--durability=")), "--durability=: allowed is relaxed or strict");
	refused(PARSE(BASE, S("--max-nodes=10")),
		"--max-nodes=10: allowed is a number from 1000 to");
	refused(PARSE(BASE, S("--max-nodes=-1")), "--max-nodes=-1: allowed");
	refused(PARSE(BASE, S("--max-nodes=5000x")), "allowed is a number");
	refused(PARSE(BASE, S("--max-nodes=99999999999999999999")), "allowed is a number");
	refused(PARSE(BASE, S("--xattr=yes")), "--xattr=yes: the option takes no value");
	refused(PARSE(BASE, S("--sandbox=jail")),
		"--sandbox=jail: allowed is namespace, chroot or none");
	refused(PARSE(BASE, S("--rlimit-nofile=10")),
		"--rlimit-nofile=10: allowed is 0 or a number from 256 to");
	refused(PARSE(S("--shared-dir="), S("--mount=/b")), "--shared-dir: the value is empty");
}

static void test_unknown_options_and_abbreviations_are_refused(void **unused)
{
	(void)unused;
	refused(PARSE(BASE, S("--socket-pat=/s")), "--socket-pat: unknown option");
	refused(PARSE(BASE, S("--xatt")), "--xatt: unknown option");
	refused(PARSE(BASE, S("-x")), "-x: unknown option");
	refused(PARSE(BASE, S("extra")), "unexpected argument \"extra\"");
	refused(PARSE(S("frobnicate")), "frobnicate: unknown command");
	refused(PARSE(BASE, S("--json")), "--json: holdfast has no such option");
	refused(PARSE(S("status"), S("--shared-dir=/a"), S("--xattr")),
		"--xattr: status has no such option");
}

static void test_what_is_missing_is_named(void **unused)
{
	(void)unused;
	refused(PARSE(S("--mount=/b")), "--shared-dir=PATH is missing");
	refused(PARSE(S("--shared-dir=/b")),
		"one of --mount=PATH, --socket-path=PATH and --fd=N is missing");
	refused(PARSE(S("inspect"), S("--shared-dir=/a")), "inspect: needs HANDLE");
	refused(PARSE(S("handle"), S("open"), S("81:00")), "handle open: needs HANDLE MOUNT");
	refused(PARSE(S("handle")), "handle get PATH");
	refused(PARSE(S("status")), "--shared-dir=PATH (or --state-dir=PATH) is missing");
}

static void test_submounts_are_refused_by_name_on_a_mount(void **unused)
{
	(void)unused;
	refused(PARSE(BASE, S("--announce-submounts")),
		"--announce-submounts: Linux does not offer it");
	refused(PARSE(BASE, S("--inode-file-handles=never"), S("--durability=strict")),
		"--durability=strict: needs");
}

static void test_commands_take_their_operands(void **unused)
{
	struct parsed p = PARSE(S("handle"), S("open"), S("--stat"), S("81:00"), S("/mnt"));

	(void)unused;
	assert_int_equal(p.result, 0);
	assert_int_equal(p.config.command, COMMAND_HANDLE_OPEN);
	assert_true(p.config.stat);
	assert_string_equal(p.config.operand[0], "81:00");
	assert_string_equal(p.config.operand[1], "/mnt");
	options_free(&p.config);

	p = PARSE(S("handle"), S("get"), S("--"), S("--stat"));
	assert_int_equal(p.result, 0);
	assert_string_equal(p.config.operand[0], "--stat");
	options_free(&p.config);

	p = PARSE(S("status"), S("--state-dir=/s"), S("--json"));
	assert_int_equal(p.result, 0);
	assert_true(p.config.json);
	options_free(&p.config);
}

static void test_translations_are_repeatable_up_to_a_cap(void **unused)
{
	char *argv[CONFIG_TRANSLATIONS_MAX + 5] = { S("holdfast"), BASE };
	struct parsed p =
		PARSE(BASE, S("--translate-uid=map:0:1000:1"), S("--translate-uid=map:1:1:1"));

	(void)unused;
	assert_int_equal(p.result, 0);
	assert_int_equal(p.config.translate_uids, 2);
	assert_string_equal(p.config.translate_uid[1], "map:1:1:1");
	assert_int_equal(p.config.translate_gids, 0);
	options_free(&p.config);

	for (int i = 0; i < CONFIG_TRANSLATIONS_MAX + 1; i++)
		argv[3 + i] = S("--translate-gid=map:0:1000:1");
	refused(parse(argv), "--translate-gid: given more than 64 times");
}

static void test_the_old_form_means_the_same_and_names_the_new(void **unused)
{
	struct parsed p =
		PARSE(S("-o"), S("source=/a\\,b,cache=none,no_killpriv_v2,xattr,,loglevel=err"),
		      S("--mount=/m"));

	(void)unused;
	assert_int_equal(p.result, 0);
	assert_string_equal(p.config.share, "/a,b");
	assert_int_equal(p.config.cache, CACHE_NEVER);
	assert_true(p.config.xattr);
	assert_int_equal(p.config.log_level, LOG_LEVEL_ERROR);
	assert_string_equal(
		p.config.old_form,
		"--shared-dir=/a,b --cache=never --no-killpriv-v2 --xattr --log-level=error");
	options_free(&p.config);

	p = PARSE(DEVICE, S("-d"), S("-o"),
		  S("source=/a,sandbox=chroot,modcaps=+sys_admin:-chown,timeout=5,no_readdirplus,"
		    "max_idle_threads=3,allow_root,security_label,log_level=warn"));
	assert_int_equal(p.result, 0);
	assert_int_equal(p.config.sandbox, SANDBOX_CHROOT);
	assert_string_equal(p.config.modcaps, "+sys_admin:-chown");
	assert_int_equal(p.config.timeout, 5);
	assert_true(p.config.no_readdirplus);
	assert_true(p.config.security_label && p.config.xattr);
	assert_int_equal(p.config.log_level, LOG_LEVEL_WARN);
	assert_string_equal(
		p.config.old_form,
		"--shared-dir=/a --sandbox=chroot --modcaps=+sys_admin:-chown --timeout=5 "
		"--no-readdirplus --security-label --log-level=warn");
	options_free(&p.config);

	refused(PARSE(BASE, S("-o"), S("frob=1")), "-o frob: unknown option");
	refused(PARSE(BASE, S("-o"), S("cache")), "-o cache: a value is missing");
	refused(PARSE(BASE, S("-o"), S("cache=odd")), "--cache=odd: allowed");
	refused(PARSE(BASE, S("-o")), "-o: a list of options is missing");
}

static void test_what_libvirt_passes_is_understood(void **unused)
{
	struct parsed p = PARSE(S("--fd=27"), S("--shared-dir"), S("/a"), S("--cache"), S("never"),
				S("--sandbox"), S("namespace"), S("--xattr"),
				S("--thread-pool-size=1024"), S("--rlimit-nofile=4096"),
				S("--log-level"), S("debug"), S("--uid-map=:0:1000:1:"),
				S("--uid-map=:1:100000:65536:"), S("--gid-map=:0:1000:1:"));

	(void)unused;
	assert_string_equal(p.error, "");
	assert_int_equal(p.result, 0);
	assert_int_equal(p.config.command, COMMAND_SERVE);
	assert_int_equal(p.config.fd, 27);
	assert_null(p.config.mount);
	assert_null(p.config.socket_path);
	assert_int_equal(p.config.cache, CACHE_NEVER);
	assert_int_equal(p.config.sandbox, SANDBOX_NAMESPACE);
	assert_true(p.config.xattr);
	assert_int_equal(p.config.threads, 1024);
	assert_int_equal(p.config.nofile, 4096);
	assert_int_equal(p.config.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(p.config.uid_maps, 2);
	assert_string_equal(p.config.uid_map[1], ":1:100000:65536:");
	assert_int_equal(p.config.gid_maps, 1);
	options_free(&p.config);

	p = PARSE(S("--print-capabilities"));
	assert_int_equal(p.result, 0);
	assert_int_equal(p.config.command, COMMAND_CAPABILITIES);
	options_free(&p.config);
}

static void test_a_device_has_the_defaults_of_virtiofsd(void **unused)
{
	struct parsed p = PARSE(S("--shared-dir=/a"), DEVICE);

	(void)unused;
	assert_int_equal(p.result, 0);
	assert_string_equal(p.config.socket_path, "/s");
	assert_int_equal(p.config.fd, CONFIG_FD_NONE);
	assert_int_equal(p.config.sandbox, SANDBOX_NAMESPACE);
	assert_int_equal(p.config.killpriv_v2, SWITCH_DEFAULT);
	assert_int_equal(p.config.announce_submounts, SWITCH_DEFAULT);
	assert_false(p.config.persist);
	assert_int_equal(p.config.poll_us, CONFIG_POLL_US_DEFAULT);
	assert_int_equal(p.config.nofile, CONFIG_NOFILE_DEFAULT);
	options_free(&p.config);

	p = PARSE(S("--shared-dir=/a"), DEVICE, S("--no-killpriv-v2"), S("--announce-submounts"),
		  S("--rlimit-nofile=0"), S("--poll-us=0"), S("--persist"), S("--tag=t"),
		  S("--socket-group=kvm"), S("--seccomp=none"), S("--allow-mmap"),
		  S("--security-label"), S("--no-readdirplus"));
	assert_string_equal(p.error, "");
	assert_int_equal(p.config.killpriv_v2, SWITCH_OFF);
	assert_int_equal(p.config.announce_submounts, SWITCH_ON);
	assert_int_equal(p.config.nofile, 0);
	assert_int_equal(p.config.seccomp, FILTER_NONE);
	assert_int_equal(p.config.poll_us, 0);
	assert_true(p.config.persist && p.config.xattr && p.config.no_readdirplus);
	options_free(&p.config);

	p = PARSE(BASE, S("--modcaps=-mknod"));
	assert_int_equal(p.config.sandbox, SANDBOX_NONE);
	assert_int_equal(p.config.seccomp, FILTER_KILL);
	assert_string_equal(p.config.modcaps, "-mknod");
	options_free(&p.config);
	refused(PARSE(BASE, S("--seccomp=log"), S("--seccomp=none")), "--seccomp: given twice");
}

static void test_what_a_device_alone_has_is_refused_for_a_mount_and_the_reverse(void **unused)
{
	static const char *const device[] = { "--tag=t",	   "--persist",
					      "--poll-us=9",	   "--socket-group=kvm",
					      "--uid-map=:0:0:1:", "--gid-map=:0:0:1:" };

	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(device); i++)
		refused(PARSE(BASE, S(device[i])), "not with --mount");
	refused(PARSE(BASE, S("--sandbox=chroot")),
		"--sandbox: a mount on this machine takes only");
	refused(PARSE(BASE, DEVICE), "only one of --mount, --socket-path and --fd");
	refused(PARSE(S("--shared-dir=/a"), DEVICE, S("--fd=3")), "only one of");
	refused(PARSE(S("--shared-dir=/a"), DEVICE, DEVICE), "--socket-path: given twice");
	refused(PARSE(S("--shared-dir=/a"), S("--fd=3"), S("--socket-group=kvm")),
		"--socket-group: only with --socket-path");
	refused(PARSE(S("--shared-dir=/a"), S("--socket-path=/s"), S("--mount-uuid")),
		"--mount-uuid: only with --mount");
	refused(PARSE(BASE, S("--mount-uuid"), S("--inode-file-handles=never")),
		"--mount-uuid: needs handles that persist");
	refused(PARSE(S("--shared-dir=/a"), DEVICE, S("--sandbox=none"), S("--gid-map=:0:0:1:")),
		"--gid-map: only with --sandbox=namespace");
	refused(PARSE(S("--shared-dir=/a"), DEVICE,
		      S("--tag=1234567890123456789012345678901234567")),
		"longer than 36 bytes");
}

static void test_what_is_not_to_be_had_is_refused_with_the_reason(void **unused)
{
	(void)unused;
	refused(PARSE(S("--shared-dir=/a"), DEVICE, S("--seccomp=maybe")),
		"--seccomp=maybe: allowed is kill, log, trap or none");
	refused(PARSE(S("--shared-dir=/a"), DEVICE, S("--daemonize")),
		"--daemonize: holdfast stays");
	refused(PARSE(S("--shared-dir=/a"), DEVICE, S("--migration-mode=find-paths")),
		"--migration-mode: live migration is not supported");
}

static void test_an_acl_needs_attributes_and_the_later_of_two_flags_wins(void **unused)
{
	struct parsed p = PARSE(BASE, S("--posix-acl"), S("--flock"), S("--no-flock"));

	(void)unused;
	assert_int_equal(p.result, 0);
	assert_true(p.config.xattr);
	assert_int_equal(p.config.posix_acl, SWITCH_ON);
	assert_false(p.config.flock);
	options_free(&p.config);

	p = PARSE(BASE, S("--posix-acl"), S("--no-posix-acl"));
	assert_int_equal(p.config.posix_acl, SWITCH_OFF);
	assert_false(p.config.xattr);
	options_free(&p.config);
}

static void test_help_fits_one_screen(void **unused)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	unsigned lines = 0;
	struct parsed p = PARSE(S("--shared-dir=/a"), S("--help"));

	(void)unused;
	assert_int_equal(p.result, 0);
	assert_int_equal(p.config.command, COMMAND_HELP);
	options_free(&p.config);

	assert_non_null(f);
	options_help(f);
	assert_int_equal(fclose(f), 0);
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
		if (strcspn(line, "\n") > 80)
			fail_msg("longer than 80 columns: %.100s", line);
		lines++;
	}
	assert_in_range(lines, 10, 40);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_share_and_mount_are_enough),
		cmocka_unit_test(test_a_value_may_be_the_next_argument),
		cmocka_unit_test(test_root_and_key_options_given_twice_are_refused_by_name),
		cmocka_unit_test(test_bad_values_name_option_value_and_what_is_allowed),
		cmocka_unit_test(test_unknown_options_and_abbreviations_are_refused),
		cmocka_unit_test(test_what_is_missing_is_named),
		cmocka_unit_test(test_submounts_are_refused_by_name_on_a_mount),
		cmocka_unit_test(test_commands_take_their_operands),
		cmocka_unit_test(test_translations_are_repeatable_up_to_a_cap),
		cmocka_unit_test(test_the_old_form_means_the_same_and_names_the_new),
		cmocka_unit_test(test_what_libvirt_passes_is_understood),
		cmocka_unit_test(test_a_device_has_the_defaults_of_virtiofsd),
		cmocka_unit_test(
			test_what_a_device_alone_has_is_refused_for_a_mount_and_the_reverse),
		cmocka_unit_test(test_what_is_not_to_be_had_is_refused_with_the_reason),
		cmocka_unit_test(test_an_acl_needs_attributes_and_the_later_of_two_flags_wins),
		cmocka_unit_test(test_help_fits_one_screen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
