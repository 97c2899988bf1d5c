/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * helper_process.c - the key helper: one thread that reads the key, shuts itself in, and then seals and opens.
 *
 * In stages: the key is read; limits; the root (the directory that the key file is in, for who may chroot);
 * capabilities; privileges; system calls. After that it has the key in locked memory, the memory that it shares with
 * the daemon, and the calls of `allowed` below: nothing that makes a file, a process or a connection. Where the
 * key is a file it may read it again, after a revoke or a rotation. It ends with the daemon: the kernel kills it.
 *
 * The daemon may be in the hands of a guest. Whatever is read from the shared memory is copied first and
 * then checked. What a hostile daemon gets is what it can ask for anyhow: opening and sealing, while it lives.
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secret.h"
#include "base/secret_heap.h"
#include "base/util.h"
#include "export/helper_private.h"

#define DESCRIPTORS 16 /* limit; two are open */
#define NICE (-10)     /* a request of a guest waits for each answer, which takes microseconds */

struct service {
	struct helper_memory *memory;
	struct keysource *source;
	int statedir;
	struct keyring *keyring; /* NULL: it could not be read */
	int load_error;
	bool loaded_first; /* the answer to the first KEYRING is what was read at the start */
	struct envelope *envelope;
	uint8_t in[HELPER_BYTES]; /* a request's bytes, out of the daemon's reach */
	uint8_t out[HELPER_BYTES];
};

/* --- stages ---------------------------------------------------------------------------------------- */

static int stage_limits(void)
{
	int before = getpriority(PRIO_PROCESS, 0);

	static const struct {
		int which;
		rlim_t most;
	} limits[] = {
		{ RLIMIT_FSIZE, 0 },
		{ RLIMIT_NPROC, 0 },
		{ RLIMIT_MSGQUEUE, 0 },
		{ RLIMIT_NOFILE, DESCRIPTORS },
	};

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		const struct rlimit r = { limits[i].most, limits[i].most };

		if (setrlimit((__rlimit_resource_t)limits[i].which, &r))
			return errno_neg();
	}
	if (secret_forbid_cores())
		return errno_neg();
	/* Who may not goes on as it is. */
	if (before > NICE && setpriority(PRIO_PROCESS, 0, NICE) && errno != EACCES)
		return errno_neg();
	return 0;
}

/*
 * Nothing stays open but what is needed, under numbers that the filter of system calls knows. The directory of
 * the key becomes the root.
 */
static int stage_root(struct service *v, int life)
{
	int dir = v->source->kind == KEYSOURCE_STATE ? v->statedir : v->source->dir;

	if (!keysource_is_file(v->source))
		dir = -1;
	life = fcntl(life, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	dir = dir < 0 ? -1 : fcntl(dir, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (life < 0 || (dir < 0 && keysource_is_file(v->source)))
		return errno_neg();
	if (dup2(life, STDIN_FILENO) < 0)
		return errno_neg();
	if (dir >= 0) {
		if (dup2(dir, STDOUT_FILENO) < 0)
			return errno_neg();
		v->statedir = STDOUT_FILENO;
		if (v->source->kind == KEYSOURCE_FILE)
			v->source->dir = STDOUT_FILENO;
		/* Who may not chroot is no more than an ordinary user of the host. */
		if (geteuid() == 0 && (fchdir(STDOUT_FILENO) || chroot(".")))
			return errno_neg();
	}
	return close_range(dir >= 0 ? STDERR_FILENO : STDOUT_FILENO, UINT_MAX, 0) ? errno_neg() : 0;
}

static int stage_privileges(int parent)
{
	capng_clear(CAPNG_SELECT_BOTH);
	/* An ordinary user has none, and no right to change the bounding set. */
	if (capng_apply(geteuid() == 0 ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS))
		return -EPERM;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		return errno_neg();
	/* Has it gone before that? */
	return getppid() == parent ? 0 : -ESRCH;
}

static const int allowed[] = {
	SCMP_SYS(futex),      SCMP_SYS(brk),	      SCMP_SYS(munmap),
	SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
};
/* To read the key file again, and to lock the memory for it. */
static const int allowed_file[] = {
	SCMP_SYS(read),	   SCMP_SYS(close), SCMP_SYS(fstat),   SCMP_SYS(newfstatat),
	SCMP_SYS(madvise), SCMP_SYS(mlock), SCMP_SYS(geteuid),
};

static int allow_all(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	int ret = 0;

	for (size_t i = 0; i < n && !ret; i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	return ret;
}

static int stage_system_calls(bool file)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int ret = ctx ? allow_all(ctx, allowed, ARRAY_LEN(allowed)) : -ENOMEM;

	/* No memory that can be executed. */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!ret && file)
		ret = allow_all(ctx, allowed_file, ARRAY_LEN(allowed_file));
	/* For reading, and from the key's directory. */
	if (!ret && file)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 2,
				       SCMP_A0(SCMP_CMP_EQ, STDOUT_FILENO),
				       SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC,
					       O_RDONLY));
#if defined(__SANITIZE_ADDRESS__)
	(void)ret;
	ret = 0; /* the sanitizer needs calls that we do not know */
#else
	if (!ret)
		ret = seccomp_load(ctx);
#endif
	if (ctx)
		seccomp_release(ctx);
	return ret;
}

static int shut_in(struct service *v, int life, int parent)
{
	int ret = stage_limits();

	if (!ret)
		ret = stage_root(v, life);
	if (!ret)
		ret = stage_privileges(parent);
	return ret ? ret : stage_system_calls(keysource_is_file(v->source));
}

/* --- requests --------------------------------------------------------------------------------------- */

static int load(struct service *v)
{
	struct keyring *fresh = NULL;
	int ret = keysource_read(v->source, v->statedir, &fresh);
	struct envelope *envelope = NULL;

	if (!ret)
		ret = envelope_new(fresh, &envelope);
	if (ret) {
		keyring_free(fresh);
		return ret;
	}
	envelope_free(v->envelope);
	keyring_free(v->keyring);
	v->envelope = envelope;
	v->keyring = fresh;
	return 0;
}

/* The keyring as it is now: read anew where it can be, but for the first time. */
static int32_t answer_keyring(struct service *v)
{
	int ret = v->load_error;

	if (v->loaded_first && keysource_is_file(v->source))
		ret = load(v);
	v->loaded_first = true;
	if (ret)
		return ret;
	keyring_to_stripped(v->keyring, v->out);
	return KEYRING_STRIPPED_LEN;
}

static int32_t answer_message(struct service *v, uint32_t op, enum envelope_domain domain,
			      uint64_t number, uint32_t len)
{
	if (!v->envelope)
		return -EIO;
	if (op == HELPER_SEAL)
		return (int32_t)envelope_seal(v->envelope, domain, number, v->in, len, v->out,
					      sizeof(v->out));
	/* Of the lengths that there are: what is longer or shorter is no message of the daemon's. */
	if (len <= ENVELOPE_OVERHEAD)
		return -EBADMSG;
	if (!keyring_sealing_key(v->keyring, envelope_key_id(v->in, len)))
		return -ENOKEY;
	return (int32_t)envelope_open(v->envelope, domain, number, v->in, len, v->out,
				      len - ENVELOPE_OVERHEAD);
}

static int answer_reseal(struct service *v, struct helper_slot *slot, enum envelope_domain domain,
			 uint32_t count)
{
	struct envelope_item items[HELPER_MESSAGES];
	size_t used = 0;
	int ret;

	for (uint32_t i = 0; i < count; i++) {
		size_t len = slot->messages[i].len;

		if (len > sizeof(v->in) - used)
			return -EINVAL;
		items[i] = (struct envelope_item){ .number = slot->messages[i].number,
						   .sealed = v->in + used,
						   .len = len };
		used += len;
	}
	memcpy(v->in, slot->bytes, used);
	ret = v->envelope ? envelope_reseal(v->envelope, domain, items, count) : -EIO;
	for (uint32_t i = 0; !ret && i < count; i++)
		slot->messages[i].result = items[i].changed;
	if (!ret)
		memcpy(slot->bytes, v->in, used);
	return ret;
}

static int answer_one(struct service *v, struct helper_slot *slot, uint32_t op,
		      enum envelope_domain domain)
{
	struct helper_message m = slot->messages[0];

	if (m.len > sizeof(v->in))
		return -EINVAL;
	memcpy(v->in, slot->bytes, m.len);
	m.result = op == HELPER_KEYRING ? answer_keyring(v)
					: answer_message(v, op, domain, m.number, m.len);
	if (m.result > 0)
		memcpy(slot->bytes, v->out, (size_t)m.result);
	slot->messages[0].result = m.result;
	if (op == HELPER_KEYRING)
		secret_wipe(v->out, KEYRING_STRIPPED_LEN);
	return 0;
}

static void answer(struct service *v, struct helper_slot *slot)
{
	uint32_t op = slot->op, domain = slot->domain, count = slot->count;

	if (op == HELPER_QUIT)
		_exit(EXIT_SUCCESS);
	if (v->envelope)
		envelope_set_generation(v->envelope, slot->root_generation);
	if (op > HELPER_QUIT || domain > ENVELOPE_HANDLE || count > HELPER_MESSAGES)
		slot->result = -EINVAL;
	else if (op == HELPER_RESEAL)
		slot->result = answer_reseal(v, slot, (enum envelope_domain)domain, count);
	else
		slot->result = answer_one(v, slot, op, (enum envelope_domain)domain);
	if (atomic_exchange(&slot->state, SLOT_ANSWERED) == SLOT_ASKED_ASLEEP)
		helper_futex_wake(&slot->state);
}

/* The bits of slots that wait for an answer, when there are any. */
static uint64_t wait_for_requests(struct helper_memory *m)
{
	for (;;) {
		unsigned bell;
		uint64_t asked = atomic_exchange(&m->asked, 0);

		if (asked)
			return asked;
		bell = atomic_load(&m->bell);
		atomic_store(&m->asleep, 1);
		if (!atomic_load(&m->asked))
			helper_futex_wait(&m->bell, bell, 0);
		atomic_store(&m->asleep, 0);
	}
}

_Noreturn void helper_run(struct helper_memory *memory, struct keysource *source, int statedir,
			  int life, int parent)
{
	struct service *v = secret_alloc(sizeof(*v));
	int ret;

	if (!v)
		_exit(EXIT_FAILURE);
	v->memory = memory;
	v->source = source;
	v->statedir = statedir;
	(void)prctl(PR_SET_NAME, "holdfast-key", 0, 0, 0);
	secret_heap_leave_children_out();
	v->load_error = load(v);
	ret = shut_in(v, life, parent);
	if (ret)
		_exit(EXIT_FAILURE); /* the daemon says that there is no helper */
	for (;;) {
		uint64_t asked = wait_for_requests(memory);

		for (; asked; asked &= asked - 1)
			answer(v, &memory->slots[__builtin_ctzll(asked)]);
	}
}
