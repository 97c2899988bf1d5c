/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * secret_heap.h - memory for what OpenSSL makes of keys.
 *
 * A keyed context holds the key, in memory that OpenSSL takes from where it is told to. From here it is memory as
 * secret_alloc() gives it: locked, left out of core dumps, wiped when it is freed.
 */
#ifndef HOLDFAST_BASE_SECRET_HEAP_H
#define HOLDFAST_BASE_SECRET_HEAP_H

/*
 * To be called first of all, before anything of OpenSSL. 0, or -EBUSY: OpenSSL has memory from elsewhere already.
 * Does nothing where a sanitizer watches the heap.
 */
int secret_heap_init(void);

/*
 * From now on a child after fork() finds zeros: for who has made its last child that needs OpenSSL. Those that only
 * exec(2) do not. Locks the memory again, as a process that is a child itself must.
 */
void secret_heap_leave_children_out(void);

#endif
