/* scan.c - from a set's name to its description and listing; and one picture through the steps.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/text.h"
#include "data/shard_write.h"
#include "image/encode_jpeg.h"
#include "prep.h"

enum { PICTURE_FILE_MAX = 1 << 30 };

static int name_of_set(struct prep *p, struct err *err)
{
    const char *base = path_base(p->name);
    size_t n = strlen(base);

    if (text_ends_in(base, ".yaml"))
        n -= 5;
    if (n == 0 || n >= sizeof p->set || base[0] == '.')
        return err_set(err, ERR_INPUT, "'%s' cannot be the name of a data set", p->name);
    memcpy(p->set, base, n);
    p->set[n] = 0;
    return 0;
}

/* A set that was fetched but that no YAML describes: say how to make one. */
static int no_description(const struct prep *p, struct err *err)
{
    if (path_is_dir(p->tree))
        err_append(err, "; its pictures are in %s: `prep --init %s %s` makes one", p->tree, p->tree,
                   p->set);
    return -1;
}

/* Where the folder of shards is a link, the one it names: new shards are made beside that, and change places with
 * it. */
static int follow_link(struct prep *p, struct err *err)
{
    struct stat is;
    char *real;
    int rc;

    if (lstat(p->folder, &is) < 0 || !S_ISLNK(is.st_mode))
        return 0;
    real = realpath(p->folder, NULL);
    if (!real)
        return err_errno(err, "%s: the link leads nowhere", p->folder);
    rc = path_format(p->folder, err, "%s", real);
    free(real);
    return rc;
}

/* Adds TEXT as one word of a shell's command line; what does not fit is left out. */
static void add_typed(struct prep *p, const char *text)
{
    const size_t n = strlen(p->typed), blank = n > 0;

    if (n + 5 > sizeof p->typed)
        return;
    memcpy(p->typed + n, " ", blank);
    text_shell(p->typed + n + blank, sizeof p->typed - n - blank, text);
}

int prep_open(struct prep *p, const char *data, char *const *overrides, int n, struct err *err)
{
    struct dataset_options preset;
    char found[PATH_LEN];
    struct err lost = {0};

    if (p->data) {
        add_typed(p, "--data");
        add_typed(p, p->data);
    }
    add_typed(p, p->name);
    for (int i = 0; i < n; i++)
        add_typed(p, overrides[i]);
    if (name_of_set(p, err) < 0 || path_format(p->tree, err, "%s/%s/tree", data, p->set) < 0 ||
        path_format(p->manifest, err, "%s/%s/manifest.jsonl", data, p->set) < 0)
        return -1;
    if (dataset_read(&p->options, p->name, overrides, n, err) < 0) {
        if (strchr(p->name, '/') == NULL && strcmp(p->set, p->name) == 0 &&
            path_find_share(found, SHARE_DATASETS, p->name, &lost) < 0)
            return no_description(p, err);
        return -1;
    }
    keys_default(&(struct key_table){dataset_keys, 0}, 1, KEYS_NEWEST, &preset);
    if (p->options.storage != STORAGE_JPEG && p->options.quality != preset.quality)
        log_warn("shard.quality has no effect without shard.storage=jpeg");
    if (p->options.root[0]) {
        p->manifest[0] = 0;
        if (path_format(p->tree, err, "%s", p->options.root) < 0)
            return -1;
    }
    return path_format(p->folder, err, "%s/%s/shards-%jd", data, p->set,
                       (intmax_t)p->options.size) < 0
               ? -1
               : follow_link(p, err);
}

/* The listing asks about one file after the other, and knows no formats: they are noted here. */
static unsigned formats_seen;

static int look(const char *path)
{
    enum image_format format;
    int picture = image_is_picture(path, &format);

    formats_seen |= picture > 0 ? 1u << format : 0;
    return picture;
}

const char *prep_decoder(const struct prep *p)
{
    return image_decoder_version(p->formats);
}

int prep_list(struct prep *p, struct err *err)
{
    int rc;

    if (!path_is_dir(p->tree)) {
        if (p->options.root[0])
            return err_set(err, ERR_INPUT, "%s: no such folder (key root of %s)", p->tree, p->name);
        return err_set(err, ERR_INPUT, "%s: not there; run `fetch %s` first", p->tree, p->set);
    }
    formats_seen = 0;
    rc = dataset_list(&p->dataset, &p->options, p->tree, look, err);
    p->formats = formats_seen;
    return rc;
}

void prep_close(struct prep *p)
{
    dataset_free(p->dataset);
    p->dataset = NULL;
}

int picture_read(char **bytes, size_t *size, const struct prep *p, uint32_t i, struct err *err)
{
    char path[PATH_LEN];

    *bytes = NULL;
    if (path_format(path, err, "%s/%s", p->dataset->root, p->dataset->items[i].path) < 0)
        return -1;
    return path_read(bytes, size, path, PICTURE_FILE_MAX, err);
}

int picture_decode_bytes(struct picture *c, const struct prep *p, uint32_t i, struct err *err)
{
    const char *id = p->dataset->items[i].path;

    if (image_decode(&c->image, (const uint8_t *)c->bytes, c->size, p->options.exif == EXIF_APPLY,
                     err) < 0) {
        if (err->kind == ERR_FORMAT && image_known_by_name(id) &&
            image_sniff((const uint8_t *)c->bytes, c->size) == IMAGE_UNKNOWN)
            err_append(err, " (by its name it is %s)", image_known_by_name(id));
        return err_wrap(err, "%s", id);
    }
    c->plan =
        presize_plan(c->image.height, c->image.width, (int)p->options.size, p->options.max_aspect);
    return 0;
}

int picture_decode(struct picture *c, const struct prep *p, uint32_t i, struct err *err)
{
    free(c->bytes);
    return picture_read(&c->bytes, &c->size, p, i, err) < 0 ? -1
                                                            : picture_decode_bytes(c, p, i, err);
}

int picture_presize(struct picture *c, struct err *err)
{
    const size_t bytes = picture_bytes(c);
    uint8_t *grown;

    if (bytes > c->capacity) {
        grown = malloc(bytes);
        if (!grown)
            return err_set(err, ERR_NOMEM, "out of memory: %zu bytes of pixels", bytes);
        free(c->pixels);
        c->pixels = grown;
        c->capacity = bytes;
    }
    return resize_bilinear(&c->resizer, c->pixels, c->plan.height, c->plan.width, c->image.pixels,
                           c->image.height, c->image.width, c->plan.box, err);
}

static int pack_zstd(struct picture *c, struct err *err)
{
    const size_t bound = shard_compress_bound(picture_bytes(c));
    uint8_t *grown;

    if (bound > c->packed_capacity) {
        grown = malloc(bound);
        if (!grown)
            return err_set(err, ERR_NOMEM, "out of memory: %zu bytes", bound);
        free(c->packed);
        c->packed = grown;
        c->packed_capacity = bound;
    }
    return shard_compress(c->packed, c->packed_capacity, &c->packed_size, c->pixels,
                          picture_bytes(c), err);
}

static int pack_jpeg(struct picture *c, int quality, struct err *err)
{
    uint8_t *file;
    size_t size;

    if (encode_jpeg(&file, &size, c->pixels, c->plan.height, c->plan.width, quality, JPEG_444,
                    err) < 0) {
        if (err->kind == ERR_INPUT)
            err_append(err, "; set shard.storage=raw, or presize.size or presize.max_aspect lower");
        return -1;
    }
    free(c->packed);
    c->packed = file;
    c->packed_size = c->packed_capacity = size;
    if (image_decode_jpeg(c->pixels, (uint32_t)c->plan.height, (uint32_t)c->plan.width, file, size,
                          err) < 0)
        return err_wrap(err, "its JPEG, just made");
    return 0;
}

int picture_pack(struct picture *c, const struct prep *p, struct err *err)
{
    switch (p->options.storage) {
    case STORAGE_ZSTD:
        return pack_zstd(c, err);
    case STORAGE_JPEG:
        return pack_jpeg(c, (int)p->options.quality, err);
    default:
        return 0;
    }
}

void picture_free(struct picture *c)
{
    free(c->bytes);
    free(c->pixels);
    free(c->packed);
    image_free(&c->image);
    resizer_free(&c->resizer);
    memset(c, 0, sizeof *c);
}
