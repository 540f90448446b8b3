/* scan.c - from a set's name to its description, listing and hash; and one picture through the steps.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/text.h"
#include "data/entry_path.h"
#include "data/manifest.h"
#include "data/offenders.h"
#include "data/shard_write.h"
#include "image/encode_jpeg.h"
#include "prep.h"

enum { PICTURE_FILE_MAX = 1 << 30 };

static int name_of_set(struct prep *p, struct err *err)
{
    const char *base = path_base(p->name);
    size_t n = strlen(base);

    if (n > 5 && strcmp(base + n - 5, ".yaml") == 0)
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

static int hash_listing(struct prep *p, struct err *err)
{
    struct sha256 *all;

    if (sha256_new(&all, err) < 0)
        return -1;
    progress_begin("hash", p->dataset->n);
    for (uint32_t i = 0; i < p->dataset->n; i++) {
        char path[PATH_LEN], hex[SHA256_HEX], line[PATH_LEN + SHA256_HEX + 32];
        uint64_t size;
        int length;

        if (path_format(path, err, "%s/%s", p->dataset->root, p->dataset->items[i].path) < 0 ||
            sha256_file(path, hex, &size, err) < 0) {
            progress_end();
            sha256_free(all);
            return -1;
        }
        length = snprintf(line, sizeof line, "%s %ju %s\n", p->dataset->items[i].path,
                          (uintmax_t)size, hex);
        sha256_update(all, line, (size_t)length);
        progress_set(i + 1, NULL);
    }
    progress_end();
    sha256_hex(all, p->manifest_sha256);
    sha256_free(all);
    return 0;
}

struct against { /* what of a set is not as it was fetched */
    const struct prep *p;
    /* folder of the pictures, as paths in a manifest are written */
    char images[ENTRY_PATH_MAX + 1];
    char tables[3][ENTRY_PATH_MAX + 1]; /* files that the description names */
    struct offenders offenders;
};

static int name_parts(struct against *a, struct err *err)
{
    const struct dataset_options *o = &a->p->options;
    const struct {
        const char *key, *path;
        char *clean;
    } parts[] = {{"images", o->images, a->images},
                 {"label.csv", o->label_csv, a->tables[0]},
                 {"official.trainval", o->official_trainval, a->tables[1]},
                 {"official.test", o->official_test, a->tables[2]}};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (entry_path_clean(parts[i].clean, parts[i].path, err) < 0)
            return err_wrap(err, "%s: %s", a->p->name, parts[i].key);
    return 0;
}

/* Whether PATH is AT or, where a link was followed, below it. */
static bool is_within(const char *path, const char *at)
{
    const size_t n = strlen(at);

    return strncmp(path, at, n) == 0 && (path[n] == 0 || path[n] == '/');
}

/* Whether PATH, below the tree, has part in the set: a table or list, or a file where the pictures are; of those that
 * were not fetched, a picture. */
static bool has_part(const struct against *a, const char *how, const char *path)
{
    const struct dataset *d = a->p->dataset;
    const size_t n = strlen(a->images);
    const char *below = path;

    for (int i = 0; i < 3; i++)
        if (is_within(a->tables[i], path))
            return true;
    if (n > 0) {
        if (strncmp(path, a->images, n) != 0 || path[n] != '/')
            return false;
        below = path + n + 1;
    }
    if (strcmp(how, "extra") != 0)
        return true;
    for (uint32_t i = 0; i < d->n; i++)
        if (is_within(d->items[i].path, below))
            return true;
    return false;
}

static void note_difference(void *ctx, const char *how, const char *path)
{
    struct against *a = ctx;

    if (has_part(a, how, path))
        offenders_add(&a->offenders, "%s %s", how, path);
}

static int compare_with_manifest(struct prep *p, struct err *err)
{
    struct against a = {.p = p};
    struct manifest m = {0};
    int rc = -1;

    if (name_parts(&a, err) == 0 && manifest_read(&m, p->manifest, err) == 0)
        rc = manifest_check(&m, p->tree, note_difference, &a, err);
    memcpy(p->manifest_sha256, m.sha256, SHA256_HEX);
    manifest_free(&m);
    if (rc < 0 || a.offenders.n == 0)
        return rc;
    err_set(err, ERR_CHECKSUM, "%s: %u file%s not as fetched", p->tree, a.offenders.n,
            a.offenders.n == 1 ? " is" : "s are");
    offenders_append(err, &a.offenders);
    return err_append(err,
                      "; to have them back: `fetch %s --repair`; to take the folder as it is now, "
                      "give it as a set of your own: root=%s",
                      p->set, p->tree);
}

int prep_hash(struct prep *p, struct err *err)
{
    p->fetched = p->manifest[0] && path_is_file(p->manifest);
    if (p->manifest[0] && !p->fetched)
        log_warn("%s is missing: nothing says that %s is as it was fetched; it is taken as it is",
                 p->manifest, p->tree);
    return p->fetched ? compare_with_manifest(p, err) : hash_listing(p, err);
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
