/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_xattr.c - which attributes reach the host, by which name, and what the guest's kernel is told. The host is this file's:
 * its system calls stand in for the C library's, and know every name.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/util.h"
#include "fuse/fuse.h"
#include "fuse/xattrmap.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* --- the host ---------------------------------------------------------------------------------- */

static struct {
	char asked[XATTR_NAME_MAX + 1]; /* "": it was not asked */
	int error;			/* its answer to everything, or 0 */
} host;

static int answer(const char *name)
{
	(void)snprintf(host.asked, sizeof(host.asked), "%s", name);
	errno = host.error;
	return host.error ? -1 : 0;
}

int setxattr(const char *path, const char *name, const void *value, size_t size, int flags)
{
	(void)path;
	(void)value;
	(void)size;
	(void)flags;
	return answer(name);
}

int removexattr(const char *path, const char *name)
{
	(void)path;
	return answer(name);
}

ssize_t getxattr(const char *path, const char *name, void *value, size_t size)
{
	(void)path;
	if (answer(name))
		return -1;
	if (size)
		memset(value, 0, 1);
	return 1;
}

static const char host_list[] =
	"user.a\0system.nfs4_acl\0" ACL_ACCESS "\0user.virtiofs." ACL_DEFAULT "\0trusted.b";

ssize_t listxattr(const char *path, char *list, size_t size)
{
	(void)path;
	if (size < sizeof(host_list))
		return -1;
	memcpy(list, host_list, sizeof(host_list));
	return sizeof(host_list);
}

/* --- a guest's session ---------------------------------------------------------------------------- */

struct guest {
	char share[64];
	struct xattrmap *map;
	struct export *export;
	struct fuse_server *server;
	struct fuse_thread *thread;
	uint64_t unique;
	int error;	/* of the last reply */
	char data[512]; /* behind its header */
	size_t len;
};

static int take_reply(void *token, const struct iovec *iov, int count, size_t placed)
{
	struct guest *g = token;
	struct fuse_out_header out;

	assert_true(placed == 0);
	memcpy(&out, iov[0].iov_base, sizeof(out));
	g->error = out.error;
	g->len = 0;
	for (int i = 1; i < count; i++) {
		assert_true(g->len + iov[i].iov_len <= sizeof(g->data));
		memcpy(g->data + g->len, iov[i].iov_base, iov[i].iov_len);
		g->len += iov[i].iov_len;
	}
	return 0;
}

static const struct fuse_transport_ops ops = { .reply = take_reply };

/* Args, then a name and a value if there are; the reply's error. */
static int ask(struct guest *g, uint32_t opcode, const void *args, size_t args_len,
	       const char *name, size_t value)
{
	uint64_t room[128] = { 0 };
	size_t name_len = name ? strlen(name) + 1 : 0;
	struct fuse_in_header in = { .len = (uint32_t)(sizeof(in) + args_len + name_len + value),
				     .opcode = opcode,
				     .unique = g->unique += 2,
				     .nodeid = FUSE_ROOT_ID,
				     .uid = geteuid(),
				     .gid = getegid() };
	struct fuse_message message = {
		.bytes = room, .len = in.len, .may_block = true, .token = g
	};

	assert_true(in.len <= sizeof(room));
	memcpy(room, &in, sizeof(in));
	memcpy((char *)room + sizeof(in), args, args_len);
	if (name)
		memcpy((char *)room + sizeof(in) + args_len, name, name_len);
	host.asked[0] = '\0';
	assert_int_equal(fuse_thread_request(g->thread, &message), FUSE_REQUEST_ANSWERED);
	return g->error;
}

static void begin(struct guest *g, struct fuse_config config, const char *rules, uint64_t offered)
{
	const struct fuse_init_in in = { .major = 7,
					 .minor = 38,
					 .flags = (uint32_t)(offered | FUSE_EXPORT_SUPPORT) };
	struct export_config export = { .statedir = -1,
					.rundir = -1,
					.handles = HANDLES_NEVER,
					.max_nodes = 1000,
					.max_fds = 100 };
	char error[128];
	int exit_code = 0;

	*g = (struct guest){ .share = "/tmp/holdfast-xattr-XXXXXX" };
	host.error = 0;
	log_init(LOG_LEVEL_OFF, false);
	assert_non_null(mkdtemp(g->share));
	export.share = g->share;
	config.max_open = config.max_locks = 10;
	if (rules)
		assert_int_equal(xattrmap_parse(rules, &g->map, error, sizeof(error)), 0);
	config.xattrmap = g->map;
	assert_int_equal(export_open(&export, &g->export, &exit_code), 0);
	assert_int_equal(fuse_server_new(g->export, &config, &g->server), 0);
	assert_int_equal(fuse_thread_new(g->server, &ops, &g->thread), 0);
	assert_int_equal(ask(g, FUSE_INIT, &in, sizeof(in), NULL, 0), 0);
}

static void end(struct guest *g)
{
	fuse_thread_free(g->thread);
	fuse_server_free(g->server);
	export_close(g->export);
	xattrmap_free(g->map);
	(void)rmdir(g->share);
}

static int set(struct guest *g, const char *name)
{
	/* Without FUSE_SETXATTR_EXT, of the short form. */
	const uint32_t in[2] = { 4, 0 };

	return ask(g, FUSE_SETXATTR, in, sizeof(in), name, 4);
}

static int get(struct guest *g, const char *name)
{
	const struct fuse_getxattr_in in = { .size = 256 };

	return ask(g, FUSE_GETXATTR, &in, sizeof(in), name, 0);
}

static int take_away(struct guest *g, const char *name)
{
	return ask(g, FUSE_REMOVEXATTR, "", 0, name, 0);
}

static int list(struct guest *g)
{
	const struct fuse_getxattr_in in = { .size = 256 };

	return ask(g, FUSE_LISTXATTR, &in, sizeof(in), NULL, 0);
}

/* All three operations: the host is asked by this name. */
static void reaches(struct guest *g, const char *name, const char *by)
{
	assert_int_equal(get(g, name), 0);
	assert_string_equal(host.asked, by);
	assert_int_equal(set(g, name), 0);
	assert_string_equal(host.asked, by);
	assert_int_equal(take_away(g, name), 0);
	assert_string_equal(host.asked, by);
}

/* All three: the host is not asked. */
static void refused(struct guest *g, const char *name, int error)
{
	assert_int_equal(get(g, name), error);
	assert_string_equal(host.asked, "");
	assert_int_equal(set(g, name), error);
	assert_string_equal(host.asked, "");
	assert_int_equal(take_away(g, name), error);
	assert_string_equal(host.asked, "");
}

static void lists(struct guest *g, const char *names, size_t len)
{
	assert_int_equal(list(g), 0);
	assert_int_equal(g->len, len);
	assert_memory_equal(g->data, names, len);
}

#define LISTS(g, names) lists(g, names, sizeof(names))
#define LISTS_NOTHING(g) lists(g, "", 0)

/* --- ACLs --------------------------------------------------------------------------------------- */

#define ACL_FLAGS (FUSE_POSIX_ACL | FUSE_DONT_MASK)
#define PREFIX ":prefix:all::user.virtiofs.::bad:all:::"

static const struct fuse_config by_default = { .if_offered = ACL_FLAGS };
static const struct fuse_config by_default_xattr = { .if_offered = ACL_FLAGS, .xattr = true };

static void test_acls_agreed_on_by_default_need_no_xattr(void **state)
{
	struct guest g;

	(void)state;
	begin(&g, by_default, NULL, ACL_FLAGS);
	reaches(&g, ACL_ACCESS, ACL_ACCESS);
	reaches(&g, ACL_DEFAULT, ACL_DEFAULT);
	refused(&g, "user.a", -EOPNOTSUPP);
	refused(&g, "security.capability", -EOPNOTSUPP);
	refused(&g, "system.posix_acl_accessory", -EOPNOTSUPP);
	LISTS(&g, ACL_ACCESS);
	end(&g);
}

static void test_without_agreement_there_are_no_acls(void **state)
{
	struct guest g;

	(void)state;
	/* One of the two does not come alone: the umask would cut what a default ACL gives. */
	begin(&g, by_default, NULL, FUSE_POSIX_ACL);
	refused(&g, ACL_ACCESS, -EOPNOTSUPP);
	assert_int_equal(list(&g), -EOPNOTSUPP);
	end(&g);
	begin(&g, (struct fuse_config){ .xattr = true }, NULL, ACL_FLAGS);
	refused(&g, ACL_ACCESS, -EOPNOTSUPP);
	reaches(&g, "user.a", "user.a");
	LISTS(&g, "user.a\0user.virtiofs." ACL_DEFAULT "\0trusted.b");
	end(&g);
}

static void test_a_map_does_not_lead_around_the_hosts_acls(void **state)
{
	struct guest g;

	(void)state;
	begin(&g, by_default_xattr, PREFIX, ACL_FLAGS);
	reaches(&g, ACL_ACCESS, ACL_ACCESS);
	reaches(&g, "user.a", "user.virtiofs.user.a");
	/* And not twice, should the host have one by the mapped name. */
	LISTS(&g, ACL_ACCESS);
	end(&g);
	/* Asked for, they go through the map as everything does. */
	begin(&g, (struct fuse_config){ .posix_acl = true, .xattr = true }, PREFIX, ACL_FLAGS);
	reaches(&g, ACL_ACCESS, "user.virtiofs." ACL_ACCESS);
	LISTS(&g, ACL_DEFAULT);
	end(&g);
}

static void test_a_file_system_without_acls_has_none_and_no_error(void **state)
{
	const struct fuse_config configs[] = { by_default, { .posix_acl = true, .xattr = true } };
	struct guest g;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
		begin(&g, configs[i], NULL, ACL_FLAGS);
		host.error = EOPNOTSUPP;
		assert_int_equal(get(&g, ACL_ACCESS), -ENODATA);
		assert_int_equal(get(&g, "user.a"), -EOPNOTSUPP);
		assert_int_equal(set(&g, ACL_ACCESS), -EOPNOTSUPP);
		host.error = EIO;
		assert_int_equal(get(&g, ACL_ACCESS), -EIO);
		end(&g);
	}
}

/* --- other attributes of the host's file system --------------------------------------------------- */

static void test_no_guest_sets_what_nobody_checks(void **state)
{
	static const char *const names[] = { "system.nfs4_acl", "system.cifs_acl",
					     "system.ntfs_attrib", "system." };
	struct guest g;

	(void)state;
	begin(&g, (struct fuse_config){ .xattr = true, .posix_acl = true }, NULL, ACL_FLAGS);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		refused(&g, names[i], -EOPNOTSUPP);
	reaches(&g, ACL_DEFAULT, ACL_DEFAULT);
	reaches(&g, "system", "system");
	LISTS(&g, "user.a\0" ACL_ACCESS "\0user.virtiofs." ACL_DEFAULT "\0trusted.b");
	end(&g);
	begin(&g, by_default_xattr, NULL, ACL_FLAGS);
	refused(&g, "system.nfs4_acl", -EOPNOTSUPP);
	LISTS(&g, "user.a\0" ACL_ACCESS "\0user.virtiofs." ACL_DEFAULT "\0trusted.b");
	end(&g);
}

static void test_the_hosts_name_counts_and_not_the_guests(void **state)
{
	struct guest g;

	(void)state;
	begin(&g, (struct fuse_config){ .xattr = true }, PREFIX, 0);
	reaches(&g, "system.nfs4_acl", "user.virtiofs.system.nfs4_acl");
	end(&g);
	begin(&g, (struct fuse_config){ .xattr = true },
	      ":prefix:all:user.:system.::bad:all:::", 0);
	refused(&g, "user.nfs4_acl", -EOPNOTSUPP);
	refused(&g, "user.posix_acl_access", -EOPNOTSUPP);
	LISTS_NOTHING(&g);
	end(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_acls_agreed_on_by_default_need_no_xattr),
		cmocka_unit_test(test_without_agreement_there_are_no_acls),
		cmocka_unit_test(test_a_map_does_not_lead_around_the_hosts_acls),
		cmocka_unit_test(test_a_file_system_without_acls_has_none_and_no_error),
		cmocka_unit_test(test_no_guest_sets_what_nobody_checks),
		cmocka_unit_test(test_the_hosts_name_counts_and_not_the_guests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
