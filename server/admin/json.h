/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * json.h - text in JSON (RFC 8259).
 */
#ifndef HOLDFAST_ADMIN_JSON_H
#define HOLDFAST_ADMIN_JSON_H

#include <stdio.h>

/*
 * Writes `text` as a JSON string with its quotes. Names and paths may hold any bytes: those that are not
 * UTF-8 (RFC 3629) are written as \udc80 to \udcff, one for each byte, as Python's "surrogateescape" reads
 * them back.
 */
void json_string(FILE *to, const char *text);

#endif
