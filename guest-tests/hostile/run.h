/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * run.h - one case tried on a device.
 */
#ifndef HOLDFAST_HOSTILE_RUN_H
#define HOLDFAST_HOSTILE_RUN_H

#include "hostile.h"

enum verdict { PASSED, FAILED, DEAD, SKIPPED };

/*
 * Tries a case on holdfast with --persist; before it and after it h has an innocent connection. What happened is in h->said.
 * DEAD: the process is gone.
 */
enum verdict run_case(struct hostile *h, const struct hostile_case *c);

/* What a device that ends with its connection made of a case; it is started for it. */
struct foreign_result {
	bool started; /* it could be brought to where the case begins */
	bool lived;   /* the process was there until we hung up, and ended by itself then */
	bool served; /* and answered an innocent request on the same connection, or a message where no ring ran */
	bool right; /* and did what the case wants of holdfast's replies */
};
void run_foreign(struct hostile *h, const struct hostile_case *c, struct foreign_result *out);

#endif
