/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhostpool.c - a list of jobs, and threads that take from it.
 *
 * `lock` guards the list and the counts; nobody holds it while a request is carried out. Jobs are given by the
 * queues' threads; the connection's thread drains and ends.
 */
#include "transport/vhostpool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

struct job {
	struct job *next;
	struct vhostrequest request;
	struct guestmem *memory; /* a reference: the pieces stay mapped */
	struct fuse_message message;
	uint8_t *bytes;
	struct iovec iov[]; /* payload, writable, room */
};

struct vhostpool {
	struct fuse_server *server;
	unsigned max;
	pthread_mutex_t lock;
	pthread_cond_t work; /* a job came, or the end */
	pthread_cond_t done; /* a ring's last job is done */
	struct job *first, **last;
	unsigned count, idle; /* threads: all, and those that wait for work */
	unsigned queued;      /* jobs that nobody has taken */
	bool stop;
	pthread_t threads[];
};

/* --- jobs ------------------------------------------------------------------------------------------ */

static const struct iovec *copy_pieces(struct job *job, unsigned *at, const struct iovec *iov,
				       unsigned count)
{
	struct iovec *to = &job->iov[*at];

	if (count)
		memcpy(to, iov, count * sizeof(*iov));
	*at += count;
	return to;
}

static struct job *job_new(const struct vhostrequest *r, const struct fuse_message *m)
{
	unsigned count = m->payload_count + r->count + m->room_count;
	struct job *job = malloc(sizeof(*job) + count * sizeof(job->iov[0]));
	unsigned at = 0;

	if (!job)
		return NULL;
	job->next = NULL;
	job->request = *r;
	job->request.pushed = NULL;
	job->message = *m;
	job->bytes = malloc(m->len ? m->len : 1);
	if (!job->bytes) {
		free(job);
		return NULL;
	}
	memcpy(job->bytes, m->bytes, m->len);
	job->message.bytes = job->bytes;
	job->message.payload = copy_pieces(job, &at, m->payload, m->payload_count);
	job->request.writable = copy_pieces(job, &at, r->writable, r->count);
	job->message.room = copy_pieces(job, &at, m->room, m->room_count);
	job->message.may_block = true;
	job->message.token = &job->request;
	job->request.ring = vhostring_ref(r->ring);
	job->memory = guestmem_ref(vring_memory(r->ring->ring));
	return job;
}

static void job_free(struct job *job)
{
	vhostring_unref(job->request.ring);
	guestmem_unref(job->memory);
	free(job->bytes);
	free(job);
}

static void job_run(struct fuse_thread *t, struct job *job)
{
	int result = fuse_thread_request(t, &job->message);

	if (result == FUSE_REQUEST_SILENT)
		vhostrequest_done(&job->request, 0);
	else if (result < 0 || result == FUSE_REQUEST_BLOCKS)
		vhostrequest_fail(&job->request, job->bytes, job->message.len, -EIO);
}

/* --- threads --------------------------------------------------------------------------------------- */

/* The next job, or NULL at the end. With the lock held. */
static struct job *next_job(struct vhostpool *p)
{
	struct job *job;

	p->idle++;
	while (!p->first && !p->stop)
		pthread_cond_wait(&p->work, &p->lock);
	p->idle--;
	job = p->first;
	if (job) {
		p->queued--;
		p->first = job->next;
		if (!p->first)
			p->last = &p->first;
	}
	return job;
}

static void *serve(void *arg)
{
	struct vhostpool *p = arg;
	struct fuse_thread *t = NULL;
	struct job *job;
	int error;

	pthread_mutex_lock(&p->lock);
	while ((job = next_job(p))) {
		pthread_mutex_unlock(&p->lock);
		/* Where memory or descriptors lacked, they may be there for the next. */
		error = t ? 0 : fuse_thread_new(p->server, &vhostrequest_ops, &t);
		if (error)
			log_limited(LOG_LEVEL_ERROR,
				    "vhost-user: a thread of the pool cannot serve: %s",
				    strerror(-error));
		if (!error)
			job_run(t, job);
		else
			vhostrequest_fail(&job->request, job->bytes, job->message.len, -ENOMEM);
		pthread_mutex_lock(&p->lock);
		if (atomic_fetch_sub(&job->request.ring->jobs, 1) == 1)
			pthread_cond_broadcast(&p->done);
		job_free(job);
	}
	pthread_mutex_unlock(&p->lock);
	fuse_thread_free(t);
	return NULL;
}

/* One thread more. With the lock held. Signals are for the main thread, but those that threads send each other. */
static int add_thread(struct vhostpool *p)
{
	sigset_t all;
	sigset_t before;
	int error;

	sigfillset(&all);
	sigdelset(&all, SIGURG);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = -pthread_create(&p->threads[p->count], NULL, serve, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		p->count++;
	return error;
}

/* --- the pool ---------------------------------------------------------------------------------------- */

int vhostpool_new(struct fuse_server *server, unsigned max, struct vhostpool **out)
{
	struct vhostpool *p = calloc(1, sizeof(*p) + max * sizeof(p->threads[0]));

	if (!p)
		return -ENOMEM;
	p->server = server;
	p->max = max;
	p->last = &p->first;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->done, NULL);
	*out = p;
	return 0;
}

void vhostpool_free(struct vhostpool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->count; i++)
		(void)pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->done);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int vhostpool_give(struct vhostpool *p, const struct vhostrequest *r,
		   const struct fuse_message *message)
{
	struct job *job = job_new(r, message);
	int error = 0;

	if (!job)
		return -ENOMEM;
	pthread_mutex_lock(&p->lock);
	if (p->queued >= p->idle && p->count < p->max)
		error = add_thread(p);
	if (error && p->count)
		error = 0; /* the others will do */
	if (!error) {
		atomic_fetch_add(&r->ring->jobs, 1);
		*p->last = job;
		p->last = &job->next;
		p->queued++;
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
	if (error)
		job_free(job);
	return error;
}

void vhostpool_drain(struct vhostpool *p, struct vhostring *ring)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	while (atomic_load(&ring->jobs))
		pthread_cond_wait(&p->done, &p->lock);
	pthread_mutex_unlock(&p->lock);
}
