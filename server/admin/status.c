/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * status.c - the words and numbers of one daemon's status. Called by the status thread only.
 */
#include "admin/status.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "admin/config.h"
#include "admin/json.h"
#include "base/util.h"
#include "export/export.h"
#include "fuse/fuse.h"
#include "transport/vhostuser.h"

struct snapshot {
	struct export_stats x;
	struct fuse_server_stats f;
	char uuid[2 * HOLDFAST_UUID_LEN + 1];
	char protocol[32];
	const char *map_error;
	uint64_t uptime;
};

static const char *truth(bool b)
{
	return b ? "true" : "false";
}

static void take(const struct status_source *source, struct snapshot *s)
{
	memset(s, 0, sizeof(*s));
	export_stats(source->export, &s->x);
	fuse_server_stats(source->fuse, &s->f);
	hex_encode(s->x.uuid, sizeof(s->x.uuid), s->uuid);
	if (s->f.initialized)
		(void)snprintf(s->protocol, sizeof(s->protocol), "%" PRIu32 ".%" PRIu32, s->f.major,
			       s->f.minor);
	s->map_error = s->x.map_error
			       ? strerror(s->x.map_error < 0 ? -s->x.map_error : s->x.map_error)
			       : "";
	s->uptime = (clock_ns() - source->started_ns) / 1000000000U;
}

/* `"name": string` with what stands before it. */
static void member(FILE *to, const char *before, const char *value)
{
	(void)fputs(before, to);
	json_string(to, value);
}

static void write_json_way(FILE *to, const struct status_source *source)
{
	struct vhostuser_stats v = { 0 };

	member(to, ", \"mount\": ", source->mount ? source->mount : "");
	if (source->mount)
		return;
	vhostuser_stats(source->vhost, &v);
	member(to, ", \"device\": {\"socket\": ", source->socket);
	member(to, ", \"sandbox\": ", source->sandbox);
	member(to, ", \"capabilities\": ", source->capabilities);
	(void)fprintf(to,
		      ", \"connected\": %s, \"connections\": %" PRIu64 ", \"refused\": %" PRIu64
		      ", \"queues\": %u, \"requests\": %" PRIu64 ", \"kicks\": %" PRIu64
		      ", \"notifications\": %" PRIu64 "}",
		      truth(v.connected), v.connections, v.refused, v.queues, v.requests, v.kicks,
		      v.notifications);
}

static void write_json(FILE *to, const struct status_source *source, const struct snapshot *s)
{
	const struct export_stats *x = &s->x;

	(void)fprintf(to, "{\"pid\": %ld", source->pid);
	member(to, ", \"version\": ", HOLDFAST_VERSION);
	member(to, ", \"share\": ", source->share);
	write_json_way(to, source);
	member(to, ", \"sandbox\": {\"mode\": ", source->sandbox);
	member(to, ", \"capabilities\": ", source->capabilities);
	member(to, ", \"seccomp\": ", source->seccomp);
	(void)fprintf(to,
		      "}, \"readonly\": %s, \"started\": %" PRId64 ", \"uptime_seconds\": %" PRIu64,
		      truth(source->readonly), source->started, s->uptime);

	member(to, ", \"export\": {\"uuid\": ", s->uuid);
	(void)fprintf(to, ", \"root_generation\": %" PRIu32 ", \"persistent\": %s",
		      x->root_generation, truth(x->persistent));
	member(to, ", \"fs_type\": ", x->fs_type);
	member(to, ", \"ways\": ", x->ways);

	(void)fprintf(to,
		      "}, \"nodes\": {\"count\": %" PRIu64 ", \"max\": %" PRIu64
		      ", \"pinned\": %" PRIu64 ", \"descriptors\": %" PRIu64
		      ", \"max_descriptors\": %" PRIu64 ", \"lookups\": %" PRIu64
		      ", \"hits\": %" PRIu64 ", \"by_name\": %" PRIu64 ", \"by_handle\": %" PRIu64
		      ", \"by_path\": %" PRIu64 "}",
		      x->nodes, x->max_nodes, x->pinned, x->fds, x->max_fds, x->lookups, x->hits,
		      x->resolved_by_name, x->resolved_by_handle, x->resolved_by_path);
	(void)fprintf(to,
		      ", \"answers\": {\"stale\": %" PRIu64 ", \"try_again\": %" PRIu64
		      ", \"unknown\": %" PRIu64 ", \"forged\": %" PRIu64 "}",
		      x->stale, x->again, x->unknown, x->forged);
	(void)fprintf(to,
		      ", \"map\": {\"complete\": %s, \"clashes\": %" PRIu64
		      ", \"drained\": %" PRIu64 ", \"undrained_bytes\": %" PRIu64,
		      truth(x->complete), x->clashes, x->drained, x->undrained_bytes);
	member(to, ", \"error\": ", s->map_error);
	member(to, "}, \"key\": {\"source\": ", x->key_source);
	(void)fprintf(to,
		      ", \"helper\": %d, \"sealing_key\": %u, \"resealing\": %s"
		      ", \"resealed\": %" PRIu64,
		      x->key_helper, x->sealing_key, truth(x->resealing), x->resealed);
	(void)fprintf(to,
		      "}, \"scan\": {\"running\": %s, \"objects\": %" PRIu64
		      ", \"completed\": %" PRIu64 "}",
		      truth(x->scanning), x->scanned, x->scans);

	(void)fprintf(to, ", \"fuse\": {\"initialized\": %s", truth(s->f.initialized));
	member(to, ", \"protocol\": ", s->protocol);
	(void)fprintf(to,
		      ", \"flags\": \"0x%" PRIx64 "\", \"requests\": %" PRIu64
		      ", \"refused\": %" PRIu64 ", \"open_files\": %u, \"locks\": %u}}",
		      s->f.flags, s->f.requests, s->f.refused, s->f.open_files, s->f.locks);
}

void status_put_path(FILE *to, const char *path)
{
	for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
		if (*p < ' ' || *p == 0x7f)
			(void)fprintf(to, "\\x%02x", *p);
		else
			(void)fputc(*p, to);
	}
}

static void write_text_device(FILE *to, const struct status_source *source)
{
	struct vhostuser_stats v = { 0 };

	vhostuser_stats(source->vhost, &v);
	(void)fprintf(to,
		      "  device:  %s, %" PRIu64 " connections (%" PRIu64
		      " ended for bad input), %u queues, %" PRIu64 " requests, %" PRIu64
		      " kicks, %" PRIu64 " notifications\n",
		      v.connected ? "connected" : "no front-end", v.connections, v.refused,
		      v.queues, v.requests, v.kicks, v.notifications);
}

static void write_text_key(FILE *to, const struct export_stats *x)
{
	if (!x->persistent)
		return;
	(void)fprintf(to, "  key:     from %s, sealing key %u", x->key_source, x->sealing_key);
	if (x->key_helper)
		(void)fprintf(to, ", in the helper %d", x->key_helper);
	if (x->resealing)
		(void)fprintf(to, "; %" PRIu64 " objects sealed anew so far", x->resealed);
	(void)fputc('\n', to);
}

static void write_text(FILE *to, const struct status_source *source, const struct snapshot *s)
{
	const struct export_stats *x = &s->x;
	time_t started = (time_t)source->started;
	char when[64] = "";
	struct tm tm;

	if (gmtime_r(&started, &tm))
		(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
	(void)fprintf(to, "daemon %ld (holdfast %s) since %s: serves ", source->pid,
		      HOLDFAST_VERSION, when);
	status_put_path(to, source->share);
	(void)fputs(source->mount ? " at " : " on socket ", to);
	status_put_path(to, source->mount ? source->mount : source->socket);
	(void)fprintf(to, "%s\n", source->readonly ? ", read-only" : "");
	(void)fprintf(to, "  sandbox: %s, seccomp %s, capabilities %s\n", source->sandbox,
		      source->seccomp, source->capabilities[0] ? source->capabilities : "none");
	if (!source->mount)
		write_text_device(to, source);

	(void)fprintf(to, "  export:  %s, root generation %" PRIu32 ", %s, handles %s (%s)\n",
		      s->uuid, x->root_generation, x->fs_type,
		      x->persistent ? "persist" : "do not persist", x->ways);
	(void)fprintf(to,
		      "  nodes:   %" PRIu64 " of %" PRIu64 " (%" PRIu64
		      " pinned), descriptors %" PRIu64 " of %" PRIu64 "\n",
		      x->nodes, x->max_nodes, x->pinned, x->fds, x->max_fds);
	(void)fprintf(to,
		      "  found:   %" PRIu64 " asked for, %" PRIu64 " cached, %" PRIu64
		      " by name, %" PRIu64 " by handle, %" PRIu64 " by path\n",
		      x->lookups, x->hits, x->resolved_by_name, x->resolved_by_handle,
		      x->resolved_by_path);
	(void)fprintf(to,
		      "  answers: stale %" PRIu64 " (unknown %" PRIu64 "), try again %" PRIu64
		      ", forged %" PRIu64 "\n",
		      x->stale, x->unknown, x->again, x->forged);
	(void)fprintf(to,
		      "  map:     %s, %" PRIu64 " records taken in, %" PRIu64
		      " bytes waiting, %" PRIu64 " clashes%s%s\n",
		      x->complete ? "complete" : "to be rebuilt", x->drained, x->undrained_bytes,
		      x->clashes, s->map_error[0] ? "; last error: " : "", s->map_error);
	write_text_key(to, x);
	if (x->scanning)
		(void)fprintf(to, "  scan:    running, %" PRIu64 " objects so far\n", x->scanned);
	(void)fprintf(to,
		      "  fuse:    %s%s, %" PRIu64 " requests (%" PRIu64
		      " malformed), %u open files, %u locks\n",
		      s->f.initialized ? "protocol " : "no INIT yet", s->protocol, s->f.requests,
		      s->f.refused, s->f.open_files, s->f.locks);
}

void status_write(FILE *to, const struct status_source *source, bool json)
{
	struct snapshot s;

	take(source, &s);
	if (json)
		write_json(to, source, &s);
	else
		write_text(to, source, &s);
}
