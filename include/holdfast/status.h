/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holdfast/status.h - the format of `holdfast status --json`, for programs that watch a daemon.
 *
 * One JSON object (RFC 8259) on one line. Members may be added within a format; a member that is described
 * here keeps its name, type and meaning as long as "format" is the same. Strings may come from paths that
 * are not UTF-8: each byte that is not is written as \udc80 to \udcff (Python: os.fsencode).
 *
 *   format            number  HOLDFAST_STATUS_FORMAT
 *   share             string  path of the shared directory, as last served
 *   state_directory   string
 *   run_directory     string  where the ring and the control sockets are
 *   files             object  what the state directory holds, as read by the command itself
 *     key             string  "ok", "missing", "damaged", "newer", "open to others", "unreadable"
 *     uuid            string  32 hex digits: the export's UUID; "" unless key is "ok"
 *     root_generation number  raised by `revoke`; 0 unless key is "ok"
 *     map             string  "ok", "missing", "damaged", "newer", "other export", "older key", "unreadable", "revoked" (of before
 *                             the last revoke: the next start drops its rows)
 *     map_bytes       number  size of the database, without its write-ahead log
 *     clean           boolean the last daemon had written everything when it left
 *     complete        boolean no rebuild is due
 *     scanned_at      number  end of the last complete scan of the share, seconds since 1970; 0: never
 *   daemons           array   one object for each running daemon that answered, in order of pid
 *     pid             number  of the process that was started; in a sandbox it waits for the one that serves
 *     version         string  of the program
 *     share           string
 *     mount           string  mount point; "" for a device
 *     device          object  of a virtio-fs device only
 *       socket        string  path; "" if it was handed over by --fd
 *       sandbox, capabilities strings: as in the object "sandbox"
 *       connected     boolean there is a front-end
 *       connections   number  so far
 *       refused       number  connections that ended because of what the front-end or guest sent
 *       queues        number  running
 *       requests, kicks, notifications numbers
 *     sandbox         object
 *       mode          string  "namespace", "chroot", "none"
 *       capabilities  string  those in effect, with blanks between: "chown fowner"
 *       seccomp       string  "kill", "log", "trap", "none"
 *     readonly        boolean
 *     started         number  seconds since 1970
 *     uptime_seconds  number
 *     export          object
 *       uuid          string  32 hex digits
 *       root_generation number
 *       persistent    boolean the share's own file system has handles that persist
 *       fs_type       string  "ext4", ...
 *       ways          string  how a nodeid becomes a descriptor: "cached, by name, ..."
 *     nodes           object
 *       count, max, pinned            numbers: nodes in the cache, its cap, those that may not leave
 *       descriptors, max_descriptors  numbers: O_PATH descriptors that they hold, and the cap
 *       lookups, hits                 numbers: nodes asked for, and those that were in the cache
 *       by_name, by_handle, by_path   numbers: the others, by the way that found them
 *     answers         object
 *       stale, try_again              numbers: ESTALE and ENOMEM
 *       unknown       number  of the stale: no row has that nodeid (forged, or long gone)
 *       forged        number  handles and rows that did not authenticate, or were another object's
 *     map             object
 *       complete      boolean no rebuild is due
 *       clashes       number  objects whose nodeid was taken and that have another
 *       drained       number  records that this daemon took from the ring into the map
 *       undrained_bytes number what waits in the ring
 *       error         string  what the map met last; "" if all is well
 *     key             object
 *       source        string  "state directory", "--key-file", "--key-fd", "--key-credential", "--key-keyring"
 *       helper        number  pid of the key helper; 0: none
 *       sealing_key   number  id of the key that seals
 *       resealing     boolean rows are being sealed anew after a rotation
 *       resealed      number  rows looked at for that, by all daemons
 *     scan            object
 *       running       boolean
 *       objects       number  seen by the running scan
 *       completed     number  scans
 *     fuse            object
 *       initialized   boolean the guest's kernel has said INIT
 *       protocol      string  "7.31", as agreed; "" before INIT
 *       flags         string  "0x...", FUSE_* flags as agreed
 *       requests, refused             numbers: all, and those that were malformed
 *       open_files, locks             numbers
 *   silent            array   of numbers: pids of daemons that did not answer in time
 *
 * A control socket is ctl.PID.sock in the run directory (mode 0600, stream). It takes one line, "json" or
 * "text", and answers with one member of "daemons" or with text, then closes. Root and the daemon's own
 * user are answered.
 */
#ifndef HOLDFAST_STATUS_H
#define HOLDFAST_STATUS_H

#define HOLDFAST_STATUS_FORMAT 1
#define HOLDFAST_STATUS_SOCKET_PREFIX "ctl."
#define HOLDFAST_STATUS_SOCKET_SUFFIX ".sock"

#endif
