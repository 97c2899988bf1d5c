/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * map.h - the SQLite database of an export: which rowid is which object, last seen under which name.
 *
 * One file, WAL. Tables: node(id INTEGER PRIMARY KEY, sealed BLOB), alias, clash, place, meta; schema and
 * stored bytes are documented in map.c. `struct map` is the process's own, shared by its threads;
 * a map_reader belongs to one thread (with one exception: map_reader_relax), a map_writer to another.
 * Nothing in here logs on the request path; failures are negative errno: -EIO (and -ENOSPC, -EROFS,
 * -ENOMEM, -EBUSY after a busy timeout) as SQLite met them, -EBADMSG for what does not authenticate,
 * -EUCLEAN for a database that SQLite calls corrupt.
 */
#ifndef HOLDFAST_EXPORT_MAP_H
#define HOLDFAST_EXPORT_MAP_H

#include "export/envelope.h"
#include "export/ring.h"
#include "export/row.h"

#define MAP_FILE "map.db"
#define MAP_SCHEMA 1

struct map;
struct map_reader;
struct map_writer;

struct map_config {
	const char *path;	       /* of the database file */
	const char *vfs;	       /* SQLite VFS, NULL for the default; for fault injection */
	const struct keyring *keyring; /* outlives the map */
	bool strict;		       /* synchronous=FULL: a commit survives a crash of the host */
	bool create;		       /* make it if it is not there */
	bool readonly;		       /* for status, verify, inspect */
	uint64_t wal_cap; /* bytes at which the writer waits for the checkpoint; 0: 64 MiB */
};

/*
 * -ENOENT (not there, no `create`), -EUCLEAN (corrupt, or no database at all), -EPROTO (newer schema),
 * -EBADE (of another export), -ESTALE (its root generation is newer than the key's: the key is older
 * than the last revoke), -EACCES, -EROFS, -ENOSPC, -EIO. An older schema is upgraded in one
 * transaction. Rows of older root generations are dropped. `created` may be NULL.
 */
int map_open(const struct map_config *config, struct map **out, bool *created);

bool map_strict(const struct map *m);	   /* as configured */
const char *map_path(const struct map *m); /* for messages */

/* Takes the remaining WAL in (checkpoint TRUNCATE), when nobody else has the map open; takes NULL. */
void map_close(struct map *m);

/* Named numbers in the map: 0 when never set. Own short transactions; -errno. */
enum map_field {
	MAP_CLEAN = 1, /* 1: the last daemon that left had drained everything */
	MAP_COMPLETE =
		2, /* 1: a scan or an unbroken history vouches that every seen object has its row */
	MAP_ROOT_GENERATION = 3,
	MAP_DRAINED = 4,     /* ring position of the last commit */
	MAP_SCANNED_AT = 5,  /* time(2) of the last complete scan */
	MAP_SEALED_BY = 6,   /* id of the sealing key that has sealed everything; 0: not known */
	MAP_RESEALING = 7,   /* how far map_reseal() is: id of the key << 8 | table */
	MAP_RESEAL_NEXT = 8, /* and the rowid in that table to go on from */
};
int map_field_get(struct map *m, enum map_field field, uint64_t *value);
int map_field_set(struct map *m, enum map_field field, uint64_t value); /* committed with a sync */

/* --- reading ------------------------------------------------------------------------------------ */

int map_reader_new(struct map *m, struct map_reader **out);
void map_reader_free(struct map_reader *r); /* takes NULL */

/*
 * A reader keeps its snapshot from call to call (a fresh one costs as much as the SELECT).
 * map_reader_snapshot() renews it if it is older than `max_age_ms`, or if `force`; `drained` is a
 * ring_drained() that is read inside, before the snapshot is taken: the snapshot holds at least all
 * records before it. Gives that position in *position. Any thread may call map_reader_relax(): it
 * gives back a snapshot older than max_age_ms if the owner is not reading at the moment, so that the
 * WAL can be taken in.
 */
int map_reader_snapshot(struct map_reader *r, struct ring *ring, unsigned max_age_ms, bool force,
			uint64_t *position);
void map_reader_relax(struct map_reader *r, unsigned max_age_ms);

/* The row of `rowid` in the snapshot: 0, -ENOENT, -EBADMSG (not authentic), or as above. */
int map_get(struct map_reader *r, rowid_t rowid, struct row *out);

/*
 * The rowids from `first` to `last` that have a row, in order; both of one half of the numbers (SQLite sorts
 * them as signed). Their number, or -E2BIG if there are more than `max`, or as above.
 */
int map_ids(struct map_reader *r, rowid_t first, rowid_t last, rowid_t *out, unsigned max);

/* Up to `max` further names; their number or -errno. Names that do not authenticate are left out. */
int map_aliases(struct map_reader *r, rowid_t rowid, struct name *out, unsigned max);

/*
 * The clash table at `rowid` (what tweak 0 gives). 0: no clash was ever here. 1: there was one, and
 * *tweak is the tweak of `id`. -ENOENT: there was one, and `id` has no entry.
 */
int map_clash_find(struct map_reader *r, rowid_t rowid, const struct identity *id, unsigned *tweak);

/* Rows in order of rowid, from `from` on, until `each` gives false; for gc, verify, rebuild, inspect.
 * `authentic` false: the row did not open, `row` is then undefined. Number shown or -errno. */
typedef bool map_each_fn(void *arg, rowid_t rowid, bool authentic, const struct row *row);
int64_t map_walk(struct map_reader *r, rowid_t from, map_each_fn *each, void *arg);

int64_t map_count(
	struct map_reader *r); /* rows, or -errno; reads the whole index: for status only */

/* --- writing ------------------------------------------------------------------------------------ */

int map_writer_new(struct map *m, struct map_writer **out);
void map_writer_free(struct map_writer *w); /* takes NULL */

/*
 * One transaction: begin, any number of apply, commit with the ring position that is now taken in.
 * Any failure rolls back; the caller begins again. apply:
 *   SEEN    no row: insert. Row of the same identity: same name -> nothing; `multi` -> alias (at most
 *           64 names of an object are kept, the oldest go); else the name is replaced.
 *           Row of another identity: -EEXIST, nothing is changed.
 *   UNNAMED the primary name: an alias takes its place, or the row stays without a name; an alias: removed
 *   GONE    row (if of the same identity) and aliases are deleted
 * map_apply: 0; 1: there was nothing to change; -EEXIST, which leaves the transaction open; or a
 * failure. A row of which an alias is or was kept counts as `multi` for ever. A row that does not
 * authenticate counts as none. map_begin: -ESTALE when the root generation of the map was raised.
 */
int map_begin(struct map_writer *w);
int map_apply(struct map_writer *w, const struct record *rec);
int map_commit(struct map_writer *w, uint64_t drained);
void map_rollback(struct map_writer *w);

/*
 * Records a clash: in a transaction of its own with a full sync, finds the first tweak of `id` whose
 * rowid (minted[t].rowid, t = 1..MINT_TWEAK_MAX) has neither a row nor an entry of another identity,
 * writes (rowid of tweak 0, tweak, sealed identity), and gives the tweak. An entry that is there
 * already is found and used. -EOVERFLOW: no tweak is left. `rowids` has MINT_TWEAK_MAX + 1 elements.
 */
int map_clash_add(struct map_writer *w, const struct identity *id, const rowid_t *rowids,
		  unsigned *tweak);
int64_t map_clash_count(struct map_reader *r);

/*
 * Deletes the rows listed and their aliases in one transaction, but those with a record in `ring`
 * (NULL: none) at or after `since`, a ring_tail() read before the caller looked at the host; number
 * deleted or -errno.
 */
int64_t map_delete(struct map_writer *w, struct ring *ring, uint64_t since, const rowid_t *rowids,
		   size_t n);

/*
 * One step of sealing everything anew with the active key, after a rotation: some hundred rows, in a transaction of
 * its own. It goes on from where the map says that the last step has ended, whoever made it. 1: there is more to
 * do; 0: all is sealed by the active key, and MAP_SEALED_BY says so; or -errno. *rows: objects looked at.
 */
int map_reseal(struct map_writer *w, uint64_t *rows);

/* Is there nothing to seal anew, as far as the map knows? 1, 0 or -errno. For any thread that has the map. */
int map_sealed_by_active(struct map *m);

/*
 * One step of throwing out the rows of older root generations, which a new one has put aside. 1: there may be more,
 * 0: there is nothing left, or -errno.
 */
int map_sweep(struct map_writer *w);

/* Asks whether there was a rotation (keyring_renew()); the id of the key that seals. */
uint8_t map_active_key(const struct map *m);

/* Everything but the schema goes: rows, aliases, clashes, places (revoke, rebuild from nothing). */
int map_clear(struct map_writer *w);

/* Checkpoint: PASSIVE when the WAL is over 4 MiB, else nothing; over the cap it waits for readers. */
int map_checkpoint(struct map_writer *w);

#endif
