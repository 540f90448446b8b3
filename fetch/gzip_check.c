/* gzip_check.c - see gzip_check.h; by zlib, which checks what it reads.
 * SPDX-License-Identifier: MIT */
#include "gzip_check.h"

#include <stdlib.h>
#include <zlib.h>

enum { BLOCK = 1 << 20 };

int gzip_check(const char *path, struct err *err)
{
    gzFile file = gzopen(path, "rbe");
    char *block = malloc(BLOCK);
    int n = 1, rc;

    if (!file || !block) {
        rc = file ? err_set(err, ERR_NOMEM, "%d bytes", BLOCK) : err_errno(err, "cannot read");
        free(block);
        if (file)
            gzclose_r(file);
        return rc;
    }
    while (n > 0 && (gzdirect(file) == 0 || gztell(file) == 0))
        n = gzread(file, block, BLOCK);
    free(block);
    if (gzclose_r(file) == Z_OK && n >= 0)
        return 0;
    return err_set(err, ERR_FORMAT,
                   "gzip's own checksum does not hold: the file is damaged, get it again");
}
