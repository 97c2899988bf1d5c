/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * export.h - the core as its users see it: an export, its workers, its nodes.
 *
 * Knows nothing of FUSE. A transport's operations are written against this header alone. Each thread
 * that serves requests has a worker; a worker is used by its own thread only. All functions give 0 or a
 * negative errno unless it says otherwise.
 */
#ifndef HOLDFAST_EXPORT_EXPORT_H
#define HOLDFAST_EXPORT_EXPORT_H

#include <stddef.h>
#include <sys/stat.h>

#include "base/places.h"
#include "export/row.h"
#include "export/types.h"

struct export;
struct worker;
struct node;
struct keysource;
struct helper;

enum handles_mode { HANDLES_NEVER, HANDLES_PREFER, HANDLES_MANDATORY };

struct export_config {
	const char *share;	     /* path of the shared directory */
	const struct places *places; /* NULL: the host's; kept by the caller until export_close() */
	int statedir; /* descriptor of the state directory, -1 with HANDLES_NEVER; kept by the caller */
	const char *statepath; /* its path, for messages */
	int rundir;	       /* descriptor of the directory for the ring */
	uint64_t
		boot; /* tells this boot of the host from others; a ring that is settled in another may be old */
	enum handles_mode handles;
	struct keysource *
		key; /* where the key comes from; NULL: KEY_FILE in the state directory; kept by the caller */
	struct helper *
		helper; /* has the sealing keys; NULL: we have; kept by the caller, outlives the export */
	bool key_is_new;      /* it was made for this run: nobody has seen a handle */
	bool moved_out_allow; /* --moved-out=allow */
	bool strict;	      /* --durability=strict */
	bool rebuild;	      /* scan the share in the background even if the map is complete */
	size_t max_nodes;     /* cap of the node cache */
	size_t max_fds;	      /* cap of O_PATH descriptors held by nodes */
	const char *vfs;      /* SQLite VFS for fault injection, or NULL */
};

/*
 * Opens key, map and ring in the state directory (making what a first run lacks), probes what the
 * share's file system and the kernel can do, starts the drainer and, where needed, the scan.
 * On failure the reason was logged in one line, and *exit_code says which documented exit code it is.
 */
int export_open(const struct export_config *config, struct export **out, int *exit_code);

/* Stops threads, drains, closes. Every worker must be gone. Takes NULL. */
void export_close(struct export *x);

int worker_new(struct export *x, struct worker **out);
void worker_free(struct worker *w); /* takes NULL */

/*
 * An O_PATH descriptor of /proc/self/fd, valid as long as the export: the name of a number in it leads to what the
 * descriptor of that number has open.
 */
int worker_proc(const struct worker *w);

/*
 * To be called when a request begins: takes a new root generation over when `revoke` has raised it
 * (every nodeid but the root's is stale from then on). Costs one load. Without `may_wait` nothing waits for
 * a scan or a lease: the answer is -ENOMEM (-EAGAIN) then, and worker_would_wait() tells it from others until the next begin.
 */
void worker_begin(struct worker *w, bool may_wait);
bool worker_would_wait(const struct worker *w);

/* --- nodes -------------------------------------------------------------------------------------- */

/*
 * The node of a nodeid, with a reference: from the cache, or through the resolver. It is contained in
 * the share as of a second ago at most. -ESTALE: no such object, for good (or moved out). -ENOMEM:
 * cannot be said now (a scan is running, a passing fault), try again. -EXDEV and kin never come out.
 */
int node_get(struct worker *w, nodeid_t id, struct node **out);
struct node *node_ref(struct worker *w, struct node *n); /* one reference more */
void node_put(struct worker *w, struct node *n);	 /* takes NULL */

nodeid_t node_nodeid(const struct node *n);
generation_t node_generation(const struct node *n); /* of a mount's root: 0 */
mode_t node_type(const struct node *n);		    /* S_IFMT bits */
bool node_persistent(const struct node *n);	    /* its handle survives this daemon */

/*
 * An O_PATH descriptor of the node, valid while the reference is held (do not close it). Opened on
 * demand and verified. -ESTALE, -ENOMEM as node_get; -ENFILE at the cap of descriptors.
 */
int node_fd(struct worker *w, struct node *n);

/*
 * A new descriptor for I/O, by the O_PATH one through /proc/self/fd: regular files and directories only
 * (else -ENXIO for FIFOs, sockets and devices, -ELOOP for symlinks). O_NOFOLLOW, O_CREAT, O_EXCL are taken
 * out of `flags`; O_CLOEXEC | O_NOCTTY | O_NONBLOCK put in. The caller owns the result.
 */
int node_open(struct worker *w, struct node *n, int flags);

/* The sealed handle, for the xattr: its length, -ENODATA (no persistent handle), -ERANGE (`cap`). */
ssize_t node_sealed_handle(struct worker *w, struct node *n, uint8_t *out, size_t cap);

/* --- entries ------------------------------------------------------------------------------------ */

/* What a reply names. Counts as one lookup of the node, until export_forget(). */
struct entry {
	nodeid_t nodeid;
	generation_t generation;
	struct statx
		stx; /* stx_ino is the number to show (synthetic for roots of mounts and subvolumes) */
	bool submount; /* found by name, and the root of a mount inside the share (FUSE_ATTR_SUBMOUNT) */
};

int export_lookup(struct worker *w, struct node *parent, const char *name, struct entry *out);
int export_lookup_self(struct worker *w, nodeid_t id, struct entry *out); /* LOOKUP "." */
int export_lookup_parent(struct worker *w, nodeid_t id,
			 struct entry *out); /* LOOKUP ".."; the root's is the root */

/*
 * An object just made under `name` and open as `fd`: the entry is that object's, whatever has
 * happened to the name. `name` NULL: a file without name (O_TMPFILE). `since` is what
 * export_position() gave before it was made: what another daemon has told of it since then stands.
 */
int export_enter_fd(struct worker *w, struct node *parent, const char *name, int fd, uint64_t since,
		    struct entry *out);
uint64_t export_position(struct worker *w);

/* statx of a node, with the number to show; counts no lookup. `fd` >= 0: by that descriptor. */
int export_getattr(struct worker *w, struct node *n, int fd, unsigned mask, struct statx *out);

/* FORGET; unknown nodes, the root and counts that are too large are ignored. */
void export_forget(struct worker *w, nodeid_t id, uint64_t count);
/* The end of a session: its lookups hold nothing any more. Nodeids stay as valid as they are. */
void export_forget_all(struct worker *w);

/* The inode number that READDIR must show for an entry of `dir`, given what getdents said. */
int export_shown_ino(struct worker *w, struct node *dir, const char *name, uint64_t d_ino,
		     unsigned char d_type, uint64_t *out);

/* --- changes of names: the host's call, and what the map must know of it ---------------------------- */

int export_unlink(struct worker *w, struct node *parent, const char *name,
		  int at_flags); /* 0 or AT_REMOVEDIR */
int export_rename(struct worker *w, struct node *from, const char *name, struct node *to,
		  const char *newname, unsigned flags); /* those of renameat2(2); others -EINVAL */
int export_link(struct worker *w, struct node *n, struct node *parent, const char *name,
		struct entry *out);

/* syncfs of the node's file system and, for strict durability, of what the map has yet to take in. */
int export_sync(struct worker *w, struct node *n);

/* --- for status and the tools ----------------------------------------------------------------------- */

struct export_stats {
	uint8_t uuid[HOLDFAST_UUID_LEN];
	uint32_t root_generation;
	bool persistent;  /* the share's own file system has handles that persist */
	char fs_type[32]; /* "ext4", ... */
	char ways[128];	  /* ways of the resolver in use: "cached, by name, directory by handle" */
	uint64_t nodes, max_nodes, fds, max_fds, pinned;
	uint64_t lookups, hits; /* node_get: all, and those from the cache */
	uint64_t resolved_by_name, resolved_by_handle, resolved_by_path;
	uint64_t stale, again; /* answers ESTALE and ENOMEM */
	uint64_t unknown;      /* of the stale: nodeids that no row has (forged, or long gone) */
	uint64_t forged; /* envelopes and rows that did not authenticate, rows of other objects */
	uint64_t clashes;
	uint64_t drained, undrained_bytes;
	int map_error; /* what the drainer met last, 0 if nothing */
	bool complete; /* no rebuild is due */
	bool scanning;
	uint64_t scanned; /* objects seen by the running scan */
	uint64_t scans;
	char key_source[64]; /* "state directory", "--key-file", ... */
	int key_helper;	     /* its pid; 0: none */
	unsigned sealing_key;
	bool resealing; /* rows are being sealed anew after a rotation */
	uint64_t resealed;
};
void export_stats(struct export *x, struct export_stats *out);
void worker_count_forged(struct worker *w,
			 const char *what); /* counts, and logs at a bounded rate */

/*
 * Scans the share in the calling thread (the `rebuild` command), with progress(arg, objects). 0 or -errno; with 0,
 * *failures: objects that could not be looked at (unless it is NULL).
 */
typedef void export_progress_fn(void *arg, uint64_t objects);
int export_rebuild(struct export *x, export_progress_fn *progress, void *arg, uint64_t *failures);

/*
 * Does a daemon (or command) have the export of this state directory open with a key that it has read once? It cannot follow a
 * rotation. To be asked with state_lock_start(): who opens an export has that until it can be seen here.
 */
bool export_key_kept(int statedir);

/* What `inspect` tells of a nodeid (and the generation that goes with it) or a sealed handle. */
struct export_inspection {
	bool known;   /* there is a row (nodeid), or it authenticates (sealed handle) */
	bool has_row; /* else, of a sealed handle, only row.identity is known of what follows */
	nodeid_t nodeid;
	generation_t generation; /* the right one */
	struct row row;		 /* of the root what there would be in one, without a name */
	char path[4096];	 /* relative to the share, when it resolves now; else "" */
	/* 0, or why it does not: -ESTALE; -ENOMEM: there is none, but a rebuild is running or due; or another */
	int resolve_error;
};
int export_inspect_nodeid(struct worker *w, nodeid_t id, struct export_inspection *out);
int export_inspect_sealed(struct worker *w, const uint8_t *sealed, size_t len,
			  struct export_inspection *out);

#endif
