/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server.c - what all threads of one connection share: options, open files, locks, what INIT agreed
 * on.
 *
 * A session of the guest begins with INIT and ends with DESTROY, with the next INIT (a kernel that
 * booted anew without saying good-bye), or with fuse_server_reset() by a transport that was
 * unplugged.
 */
#include "fuse/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "fuse/files.h"
#include "fuse/locks.h"
#include "fuse/reopen.h"

/* libfuse's own complaints, for the log instead of stderr. */
__attribute__((format(printf, 2, 0))) static void log_from_libfuse(enum fuse_log_level level,
								   const char *fmt, va_list ap)
{
	char text[256];
	size_t len;

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	len = strcspn(text, "\n");
	text[len] = '\0';
	log_limited(level <= FUSE_LOG_ERR ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "libfuse: %s", text);
}

int fuse_server_new(struct export *x, const struct fuse_config *config, struct fuse_server **out)
{
	struct fuse_server *s = calloc(1, sizeof(*s));
	int error;

	if (!s)
		return -ENOMEM;
	fuse_set_log_func(log_from_libfuse);
	s->export = x;
	s->config = *config;
	s->minor = FUSE_KERNEL_MINOR_VERSION;
	error = -pthread_mutex_init(&s->lock, NULL);
	if (error)
		goto err_free;
	error = worker_new(x, &s->worker);
	if (error)
		goto err_mutex;
	error = file_table_new(config->max_open, &s->files);
	if (error)
		goto err_worker;
	error = lock_table_new(config->max_locks, &s->locks);
	if (error)
		goto err_files;
	error = reopened_new(&s->reopened);
	if (error)
		goto err_locks;
	*out = s;
	return 0;

err_locks:
	lock_table_free(s->locks);
err_files:
	file_table_free(s->files);
err_worker:
	worker_free(s->worker);
err_mutex:
	pthread_mutex_destroy(&s->lock);
err_free:
	free(s);
	return error;
}

/* With s->lock held. */
static void tell(struct fuse_server *s, const struct fuse_agreement *agreement)
{
	if (s->keep)
		s->keep(s->keep_arg, agreement);
}

/* Closes what the guest's session had open, and forgets what it agreed on. With s->lock held. */
static void drop_session(struct fuse_server *s, enum server_state state)
{
	/* First: no daemon that comes after us goes on with a session whose files are closed. */
	tell(s, NULL);
	atomic_store(&s->state, state);
	atomic_store(&s->flags, 0);
	atomic_store(&s->minor, FUSE_KERNEL_MINOR_VERSION);
	atomic_store(&s->resumed, false);
	reopened_clear(s->reopened);
	worker_begin(s->worker, true);
	lock_table_clear(s->locks);
	file_table_clear(s->worker, s->files);
	/* Or what the next guest cannot know of, unlinked files and their descriptors, would be held for ever. */
	export_forget_all(s->worker);
}

void fuse_server_free(struct fuse_server *s)
{
	if (!s)
		return;
	drop_session(s, SERVER_ENDED);
	reopened_free(s->reopened);
	lock_table_free(s->locks);
	file_table_free(s->files);
	worker_free(s->worker);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void fuse_server_reset(struct fuse_server *s)
{
	pthread_mutex_lock(&s->lock);
	drop_session(s, SERVER_WAITING);
	pthread_mutex_unlock(&s->lock);
}

void server_end(struct fuse_server *s)
{
	pthread_mutex_lock(&s->lock);
	drop_session(s, SERVER_ENDED);
	pthread_mutex_unlock(&s->lock);
}

/* With s->lock held. */
static void go_live(struct fuse_server *s, const struct init_answer *answer,
		    const struct fuse_agreement *agreement)
{
	s->agreement = *agreement;
	tell(s, agreement);
	atomic_store(&s->flags, answer->flags);
	atomic_store(&s->minor, answer->minor);
	atomic_store(&s->state, SERVER_LIVE);
}

void server_begin(struct fuse_server *s, const struct fuse_request *init,
		  const struct init_answer *answer)
{
	struct fuse_agreement agreement = { .offered = answer->offered, .agreed = answer->flags };
	struct fuse_init_in in = { 0 };

	pthread_mutex_lock(&s->lock);
	drop_session(s, SERVER_WAITING);
	if (answer->refused[0] && !atomic_load(&s->is_refused)) {
		memcpy(s->refusal, answer->refused, sizeof(s->refusal));
		atomic_store(&s->is_refused, true);
	}
	if (answer->settled) {
		memcpy(&in, init->args, init->args_len < sizeof(in) ? init->args_len : sizeof(in));
		agreement.minor = in.minor;
		agreement.max_readahead = in.max_readahead;
		go_live(s, answer, &agreement);
	}
	pthread_mutex_unlock(&s->lock);
}

void fuse_server_end_waits(struct fuse_server *s)
{
	lock_table_stop(s->locks, NULL);
}

void fuse_server_keep(struct fuse_server *s, fuse_keep_fn *keep, void *arg)
{
	pthread_mutex_lock(&s->lock);
	s->keep = keep;
	s->keep_arg = arg;
	if (atomic_load(&s->state) == SERVER_LIVE)
		tell(s, &s->agreement);
	pthread_mutex_unlock(&s->lock);
}

int fuse_server_resume(struct fuse_server *s, const struct fuse_agreement *agreement)
{
	const struct fuse_init_in in = { .major = FUSE_KERNEL_VERSION,
					 .minor = agreement->minor,
					 .max_readahead = agreement->max_readahead,
					 .flags = (uint32_t)agreement->offered,
					 .flags2 = (uint32_t)(agreement->offered >> 32) };
	struct init_answer answer;
	int error = 0;

	init_negotiate(&s->config, &in, sizeof(in), &answer);
	if (answer.error || !answer.settled || answer.flags != agreement->agreed ||
	    answer.offered != agreement->offered)
		return -EINVAL;
	pthread_mutex_lock(&s->lock);
	if (atomic_load(&s->state) == SERVER_LIVE)
		error = -EBUSY;
	if (!error) {
		atomic_store(&s->resumed, true);
		go_live(s, &answer, agreement);
	}
	pthread_mutex_unlock(&s->lock);
	return error;
}

struct guard_terms server_terms(const struct fuse_server *s)
{
	return (struct guard_terms){ .flags = atomic_load(&s->flags),
				     .minor = atomic_load(&s->minor) };
}

bool server_live(const struct fuse_server *s)
{
	return atomic_load(&s->state) == SERVER_LIVE;
}

const char *fuse_server_refused(const struct fuse_server *s)
{
	return atomic_load(&s->is_refused) ? s->refusal : NULL;
}

void fuse_server_stats(struct fuse_server *s, struct fuse_server_stats *out)
{
	*out = (struct fuse_server_stats){
		.requests = atomic_load(&s->requests),
		.refused = atomic_load(&s->refused),
		.open_files = file_table_count(s->files),
		.locks = lock_table_count(s->locks),
		.initialized = server_live(s),
		.major = FUSE_KERNEL_VERSION,
		.minor = atomic_load(&s->minor),
		.flags = atomic_load(&s->flags),
	};
}

const struct fuse_config *fuse_server_config(const struct fuse_server *s)
{
	return &s->config;
}

uint64_t fuse_server_flags(const struct fuse_server *s)
{
	return atomic_load(&s->flags);
}

struct file_table *fuse_server_files(struct fuse_server *s)
{
	return s->files;
}

struct reopened *fuse_server_reopened(struct fuse_server *s)
{
	return atomic_load_explicit(&s->resumed, memory_order_relaxed) ? s->reopened : NULL;
}

struct lock_table *fuse_server_locks(struct fuse_server *s)
{
	return s->locks;
}
