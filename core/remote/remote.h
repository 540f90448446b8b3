/* remote.h - a data folder of another machine: a cache that looks like a data folder, filled by ranges.
 *
 * `--data https://HOST/PATH` (http, s3://BUCKET/PREFIX) is read through a folder of the cache. There each file has
 * its place and its size, and a map of the blocks that came. What is missing is fetched when it is asked for.
 * Readers check each picture by its CRC-32C and have wrong blocks fetched again. They check the labels by
 * labels_sha256; wrong ones are an error. All functions but remote_data() and remote_index() may be called from any
 * thread. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_REMOTE_REMOTE_H
#define PRESIZE_REMOTE_REMOTE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/path.h"

/* Where DATA is an address, makes its folder in the cache and leads *DATA there; FOLDER owns the name. Else does
 * nothing. $PRESIZE_CACHE, else $XDG_CACHE_HOME/presize, else ~/.cache/presize. ERR_INPUT, ERR_IO. */
int remote_data(const char **data, char folder[PATH_LEN], struct err *err) MUST_USE;
/* Whether DATA is such a folder of the cache. */
bool remote_is(const char *data);
/* Fetches SUB/index.json of such a folder (SUB: NAME/shards-SIZE). Where the server's is another one than before, all
 * of SUB is forgotten. ERR_NETWORK, unless an earlier one is there (a warning); ERR_INPUT: the server has none. */
int remote_index(const char *data, const char *sub, struct err *err) MUST_USE;

struct remote;      /* a folder of shards in the cache */
struct remote_file; /* one of its files */

/* *OUT is NULL where FOLDER is no folder of the cache. ERR_FORMAT, ERR_NOMEM, ERR_NETWORK. */
int remote_open(struct remote **out, const char *folder, struct err *err) MUST_USE;
void remote_close(struct remote *r); /* NULL is fine; after its files */
/* The file NAME of BYTES bytes, made sparse where it is not there yet. R outlives it. ERR_IO, ERR_NOMEM. */
int remote_file_open(struct remote_file **out, struct remote *r, const char *name, uint64_t bytes,
                     struct err *err) MUST_USE;
void remote_file_close(struct remote_file *f); /* NULL is fine */
/* SIZE bytes from AT on are in the file when this returns 0. ERR_NETWORK: the server cannot be reached, answers with an
 * error, sends no parts, or has another file now; ERR_FULL, ERR_IO, ERR_NOMEM. */
int remote_file_need(struct remote_file *f, uint64_t at, uint64_t size, struct err *err) MUST_USE;
/* They are not what they should be: they are fetched again when needed. */
void remote_file_forget(struct remote_file *f, uint64_t at, uint64_t size);

void remote_libraries(FILE *file); /* for base/version.h */

#endif
