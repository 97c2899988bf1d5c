/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * places.h - what else is reached by path, for a process that has given the host's paths up.
 */
#ifndef HOLDFAST_BASE_PLACES_H
#define HOLDFAST_BASE_PLACES_H

struct places {
	const char *root; /* the share, now */
	int proc;	  /* O_PATH descriptor of /proc/self/fd */
	int mountinfo;	  /* /proc/self/mountinfo, opened with the root that paths in it begin at */
};

#endif
