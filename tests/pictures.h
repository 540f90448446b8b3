/* pictures.h - the mini set's pictures, out of its archive, for tests. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_TESTS_PICTURES_H
#define PRESIZE_TESTS_PICTURES_H

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "image/decode.h"

/* Opens the archive of real pictures; NULL when it is not there. */
static inline struct archive *open_pictures(void)
{
    const char *shared = getenv("PRESIZE_SHARED");
    struct archive *a = archive_read_new();
    char path[PATH_LEN];
    struct err err;

    BUG_IF(!a);
    archive_read_support_filter_gzip(a);
    archive_read_support_format_tar(a);
    if (path_format(path, &err, "%s/data/oxford-iiit-pet-mini.tgz",
                    shared ? shared : "../shared") == 0 &&
        archive_read_open_filename(a, path, 1 << 16) == ARCHIVE_OK)
        return a;
    archive_read_free(a);
    return NULL;
}

/* The next picture, from A that may be NULL; false after the last. */
static inline bool next_picture(struct archive *a, struct image *img)
{
    struct archive_entry *entry;
    bool found = false;

    while (a && !found && archive_read_next_header(a, &entry) == ARCHIVE_OK) {
        const bool photograph =
            strstr(archive_entry_pathname(entry), ".jpg") != NULL; /* no trimap */
        int64_t size = archive_entry_size(entry);
        uint8_t *bytes = photograph && size > 0 ? malloc((size_t)size) : NULL;
        struct err err = {0};

        found = bytes && archive_read_data(a, bytes, (size_t)size) == size &&
                image_decode(img, bytes, (size_t)size, false, &err) == 0;
        free(bytes);
    }
    return found;
}

#endif
