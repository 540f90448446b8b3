/* test_shard.c - shards: equal bytes for equal pictures, reading them back, and every kind of damage.
 * SPDX-License-Identifier: MIT */
#include "shards.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/json.h"
#include "data/shard.h"
#include "data/shard_check.h"

/* HDF5 1.10 itself loses an object header where one is damaged or cannot be written. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

static void flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void check_contents(const struct shards *t, const struct shard_set *s)
{
    uint8_t expected[40000], got[40000];
    struct err err;
    uint32_t rank = 0;

    assert_int_equal(shard_set_count(s), t->dataset.n - (t->skip < SHARDS_MAX));
    for (uint32_t i = 0; i < t->dataset.n; i++) {
        const struct shard_picture *p;

        if (i == t->skip)
            continue;
        p = shard_set_picture(s, rank);
        assert_string_equal(p->path, t->items[i].path);
        assert_int_equal(p->rank, rank);
        assert_int_equal(p->label, t->items[i].label);
        assert_int_equal(p->official, t->items[i].official);
        assert_int_equal(p->height, shards_height(i));
        assert_int_equal(p->width, shards_width(i));
        assert_int_equal(p->original_width, 2 * shards_width(i));
        shards_pixels(t, i, expected);
        assert_int_equal(shard_set_read(s, rank, got, true, &err), 0);
        assert_memory_equal(got, expected, shards_size(i));
        rank++;
    }
}

static void read_back(int storage)
{
    struct shards t;
    struct shard_set *s;
    struct shard_check_report report;
    struct err err = {0};

    shards_describe(&t, 33);
    t.options.storage = storage;
    if (shards_write(&t, &err) < 0)
        fail_msg("%s", err.msg);
    if (shard_set_open(&s, t.folder, &err) < 0)
        fail_msg("%s", err.msg);
    check_contents(&t, s);
    assert_int_equal(shard_set_classes(s), 3);
    assert_string_equal(shard_set_label(s, 2), "dog\xc3\xa9");
    assert_string_equal(shard_set_group(s, 0), "cat");
    assert_string_equal(shard_set_group(s, 2), "dog");
    assert_int_equal(shard_set_size(s), 40);
    assert_string_equal(shard_set_manifest_sha256(s), "0123456789abcdef");
    assert_int_equal(strlen(shard_set_index_sha256(s)), 64);
    shard_set_close(s);
    if (shard_check(&report, t.folder, NULL, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(report.shards, 4);
    assert_int_equal(report.pictures, 33);
    shards_end(&t);
}

static void raw_is_read_back(void **state)
{
    (void)state;
    read_back(STORAGE_RAW);
}

static void zstd_is_read_back(void **state)
{
    (void)state;
    read_back(STORAGE_ZSTD);
}

static void jpeg_is_read_back(void **state)
{
    (void)state;
    read_back(STORAGE_JPEG);
}

/* The SHA-256 of every shard and of index.json. */
static void all_hashes(const struct shards *t, char out[5][SHA256_HEX])
{
    static const char *const files[] = {"shard-00000.h5", "shard-00001.h5", "shard-00002.h5",
                                        "shard-00003.h5", "index.json"};
    struct err err;

    for (int i = 0; i < 5; i++)
        assert_int_equal(sha256_file(shards_file(t, files[i]), out[i], NULL, &err), 0);
}

static void same_pictures_give_same_bytes(void **state)
{
    enum { KINDS = STORAGE_JPEG + 1 };
    char first[KINDS][5][SHA256_HEX], second[5][SHA256_HEX], other[5][SHA256_HEX];
    struct shards t[2 * KINDS];
    struct err err;

    (void)state;
    for (int k = 0; k < 2 * KINDS;
         k++) { /* each storage, and two seconds later, in another folder, again */
        if (k == KINDS)
            sleep(2); /* times in seconds would differ */
        shards_describe(&t[k], 33);
        t[k].options.storage = k % KINDS;
        assert_int_equal(shards_write(&t[k], &err), 0);
        all_hashes(&t[k], k < KINDS ? first[k] : second);
        for (int i = 0; k >= KINDS && i < 5; i++)
            assert_string_equal(first[k % KINDS][i], second[i]);
    }
    for (int k = 0; k < KINDS; k++) { /* the control: another setting, over what is there */
        t[k].options.max_aspect = 1.5;
        assert_int_equal(shards_write(&t[k], &err), 0);
        all_hashes(&t[k], other);
        for (int i = 0; i < 5; i++)
            assert_string_not_equal(first[k][i], other[i]);
    }
    for (int k = 0; k < 2 * KINDS; k++)
        shards_end(&t[k]);
}

static void skipped_pictures_move_the_others_up(void **state)
{
    struct shards t;
    struct shard_set *s;
    struct shard_check_report report;
    struct err err;
    json_t *index;

    (void)state;
    shards_describe(&t, 33);
    t.skip = 5;
    assert_int_equal(shards_write(&t, &err), 0);
    assert_int_equal(shard_set_open(&s, t.folder, &err), 0);
    check_contents(&t, s);
    shard_set_close(s);
    assert_int_equal(shard_check(&report, t.folder, NULL, NULL, &err), 0);
    assert_int_equal(json_read(&index, shards_file(&t, "index.json"), &err), 0);
    assert_string_equal(json_string_value(json_array_get(json_object_get(index, "skipped"), 0)),
                        t.items[5].path);
    assert_int_equal(json_integer_value(json_object_get(
                         json_array_get(json_object_get(index, "shards"), 0), "count")),
                     10);
    json_decref(index);
    shards_end(&t);
}

static void many_classes_fit(void **state)
{
    enum { MANY = 5000 };
    struct shards t;
    struct shard_set *s;
    struct shard_check_report report;
    struct err err;
    char **vocab = calloc(MANY, sizeof *vocab);
    int32_t *group = calloc(MANY, sizeof *group);

    (void)state;
    shards_describe(&t, 3);
    assert_non_null(vocab);
    assert_non_null(group);
    for (int i = 0; i < MANY; i++) {
        vocab[i] = malloc(32);
        assert_non_null(vocab[i]);
        snprintf(vocab[i], 32, "class of the number %05d", i);
        group[i] = -1;
    }
    t.dataset.vocab = vocab;
    t.dataset.group = group;
    t.dataset.n_classes = MANY;
    if (shards_write(&t, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(shard_set_open(&s, t.folder, &err), 0);
    assert_int_equal(shard_set_classes(s), MANY);
    assert_null(shard_set_group(s, 4));
    shard_set_close(s);
    if (shard_check(&report, t.folder, NULL, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    for (int i = 0; i < MANY; i++)
        free(vocab[i]);
    free(vocab);
    free(group);
    shards_end(&t);
}

/* --- damage ------------------------------------------------------------------------------------- */

static void expect_check_fails(const struct shards *t, enum err_kind kind, const char *first,
                               const char *second)
{
    struct shard_check_report report;
    struct err err = {0};

    assert_int_equal(shard_check(&report, t->folder, NULL, NULL, &err), -1);
    assert_int_equal(err.kind, kind);
    assert_true(report.problems > 0);
    if (!strstr(err.msg, first) || !strstr(err.msg, second))
        fail_msg("no %s or %s in: %s", first, second, err.msg);
}

static void a_flipped_byte_is_named(void **state)
{
    static const int storages[] = {STORAGE_RAW, STORAGE_ZSTD, STORAGE_JPEG};

    (void)state;
    for (int k = 0; k < 3; k++) {
        struct shards t;
        struct shard_set *s;
        const struct shard_picture *p;
        struct err err = {0};
        uint8_t pixels[40000];
        char file[32], path[64];

        shards_describe(&t, 33);
        t.options.storage = storages[k];
        assert_int_equal(shards_write(&t, &err), 0);
        assert_int_equal(shard_set_open(&s, t.folder, &err), 0);
        p = shard_set_picture(s, 17);
        snprintf(file, sizeof file, "shard-%05u.h5", p->shard);
        snprintf(path, sizeof path, "%s", p->path);
        assert_int_equal(shard_set_read(s, 17, pixels, true, &err), 0);
        flip(shards_file(&t, file), (off_t)(p->address + p->stored / 2));
        assert_int_equal(shard_set_read(s, 17, pixels, true, &err), -1);
        assert_int_equal(err.kind, ERR_FORMAT);
        assert_non_null(strstr(err.msg, file));
        assert_non_null(strstr(err.msg, path));
        assert_true(storages[k] != STORAGE_RAW ||
                    strstr(err.msg, "prep --repair")); /* the way out */
        if (storages[k] == STORAGE_RAW) /* the control: unasked, it is not looked for */
            assert_int_equal(shard_set_read(s, 17, pixels, false, &err), 0);
        assert_int_equal(shard_set_read(s, 16, pixels, true, &err), 0);
        shard_set_close(s);
        expect_check_fails(&t, ERR_FORMAT, file, path);
        shards_end(&t);
    }
}

/* A flipped byte anywhere is either harmless to what is read or an error; the check always finds it. */
static void flipped_bytes_everywhere_are_found(void **state)
{
    struct shards t;
    struct stat st;
    struct err err = {0};
    struct shard_check_report report;

    (void)state;
    shards_describe(&t, 3);
    assert_int_equal(shards_write(&t, &err), 0);
    assert_int_equal(stat(shards_file(&t, "shard-00000.h5"), &st), 0);
    for (off_t at = 0; at < st.st_size; at += at < 400 ? 7 : 229) {
        struct shard_set *s;

        flip(shards_file(&t, "shard-00000.h5"), at);
        if (shard_set_open(&s, t.folder, &err) == 0)
            shard_set_close(s);
        assert_int_equal(shard_check(&report, t.folder, NULL, NULL, &err), -1);
        assert_non_null(strstr(err.msg, "shard-00000.h5"));
        flip(shards_file(&t, "shard-00000.h5"), at);
    }
    assert_int_equal(shard_check(&report, t.folder, NULL, NULL, &err), 0);
    shards_end(&t);
}

static void a_truncated_shard_is_refused(void **state)
{
    struct shards t;
    struct shard_set *s;
    struct stat st;
    struct err err = {0};
    uint8_t pixels[40000];
    uint32_t rank = 0;

    (void)state;
    shards_describe(&t, 33);
    assert_int_equal(shards_write(&t, &err), 0);
    assert_int_equal(shard_set_open(&s, t.folder, &err), 0);
    while (shard_set_picture(s, rank)->shard != 2)
        rank++;
    assert_int_equal(stat(shards_file(&t, "shard-00002.h5"), &st), 0);
    assert_int_equal(truncate(shards_file(&t, "shard-00002.h5"), 500), 0);
    assert_int_equal(shard_set_read(s, rank, pixels, true, &err), -1);
    assert_non_null(strstr(err.msg, "ends early"));
    shard_set_close(s);
    assert_int_equal(shard_set_open(&s, t.folder, &err), -1);
    assert_null(s);
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_non_null(strstr(err.msg, "shard-00002.h5: 500 bytes"));
    expect_check_fails(&t, ERR_FORMAT, "shard-00002.h5", "cut short");
    /* as long as before, but zeros from there on */
    assert_int_equal(truncate(shards_file(&t, "shard-00002.h5"), st.st_size), 0);
    assert_int_equal(shard_set_open(&s, t.folder, &err), -1);
    expect_check_fails(&t, ERR_FORMAT, "shard-00002.h5", "SHA-256");
    shards_end(&t);
}

static void missing_files_are_named(void **state)
{
    struct shards t;
    struct shard_set *s;
    struct err err = {0};

    (void)state;
    shards_describe(&t, 33);
    assert_int_equal(shard_set_open(&s, t.folder, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_non_null(strstr(err.msg, "make it with prep"));
    assert_int_equal(shards_write(&t, &err), 0);
    assert_int_equal(unlink(shards_file(&t, "shard-00001.h5")), 0);
    assert_int_equal(shard_set_open(&s, t.folder, &err), -1);
    assert_int_equal(err.kind, ERR_IO);
    assert_non_null(strstr(err.msg, "shard-00001.h5: missing"));
    expect_check_fails(&t, ERR_IO, "shard-00001.h5", "missing");
    assert_int_equal(unlink(shards_file(&t, "index.json")), 0);
    assert_int_equal(shard_set_open(&s, t.folder, &err), -1);
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_non_null(strstr(err.msg, "not finished"));
    shards_end(&t);
}

static void a_lying_index_is_refused(void **state)
{
    static const struct {
        const char *key;
        const char *value; /* JSON */
    } lies[] = {
        {"version", "3"},
        {"version", "2"}, /* that has a hash of itself */
        {"sha256", "\"\""},
        {"count", "34"},
        {"count", "\"33\""},
        {"size", "0"},
        {"classes", "[]"},
        {"classes", "[\"b\", \"a\"]"},
        {"shards", "[]"},
        {"shards", "[{\"file\": \"../x\", \"count\": 33, \"bytes\": 99, \"sha256\": \"\"}]"},
        {"manifest_sha256", "\"f\""},
        {"settings", "{}"},
        {"groups", "[{\"name\": \"x\", "
                   "\"classes\": [\"none\"]}]"},
    };
    struct shards t;
    struct err err = {0};
    json_t *good, *lie;

    (void)state;
    shards_describe(&t, 33);
    assert_int_equal(shards_write(&t, &err), 0);
    assert_int_equal(json_read(&good, shards_file(&t, "index.json"), &err), 0);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct shard_set *s;

        lie = json_deep_copy(good);
        if (strcmp(lies[i].key, "sha256") != 0) { /* as an older prep wrote it */
            json_object_set_new(lie, "version", json_integer(1));
            json_object_del(lie, "sha256");
        }
        json_object_set_new(lie, lies[i].key, json_loads(lies[i].value, JSON_DECODE_ANY, NULL));
        assert_int_equal(json_write(shards_file(&t, "index.json"), lie, &err), 0);
        json_decref(lie);
        if (shard_set_open(&s, t.folder, &err) == 0)
            fail_msg("%s %s was believed", lies[i].key, lies[i].value);
        assert_int_equal(err.kind, ERR_FORMAT);
    }
    assert_int_equal(path_write(shards_file(&t, "index.json"), "{\"version\": ", 12, &err), 0);
    expect_check_fails(&t, ERR_FORMAT, "index.json", "line 1");
    json_decref(good);
    shards_end(&t);
}

/* What no other check sees; the control: of an older prep, whose index has no hash, it is believed. */
static void an_index_knows_its_hash(void **state)
{
    struct shards t;
    struct err err = {0};
    json_t *good, *lie;

    (void)state;
    shards_describe(&t, 33);
    assert_int_equal(shards_write(&t, &err), 0);
    assert_int_equal(json_read(&good, shards_file(&t, "index.json"), &err), 0);
    for (int old = 0; old < 2; old++) {
        struct shard_set *s;

        lie = json_deep_copy(good);
        json_object_set_new(lie, "set", json_string("another"));
        if (old) {
            json_object_set_new(lie, "version", json_integer(1));
            json_object_del(lie, "sha256");
        }
        assert_int_equal(json_write(shards_file(&t, "index.json"), lie, &err), 0);
        json_decref(lie);
        assert_int_equal(shard_set_open(&s, t.folder, &err), old ? 0 : -1);
        assert_true(old || strstr(err.msg, "the SHA-256 of its members"));
        shard_set_close(s);
    }
    json_decref(good);
    shards_end(&t);
}

/* --- writing that fails ------------------------------------------------------------------------- */

/* A limit on file sizes stands in for a full disk: the n-th byte of a file is refused. */
static void a_full_disk_leaves_nothing(void **state)
{
    struct rlimit old, limit;
    struct shards t;
    struct shard_set *s;
    struct shard_check_report report;
    struct err err = {0};
    int failed = 0;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    shards_describe(&t, 33);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    for (rlim_t bytes = 0; bytes < 130000; bytes += bytes < 1000 ? 90 : 1777) {
        int rc;

        limit = old;
        limit.rlim_cur = bytes;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        rc = shards_write(&t, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        failed += rc < 0;
        if (rc == 0)
            continue;
        if (err.kind != ERR_FULL)
            fail_msg("limit %lu: kind %d: %s", (unsigned long)bytes, err.kind, err.msg);
        assert_false(path_exists(t.folder));
        assert_false(path_exists(shards_file(&t, "../shards-40.part")));
    }
    assert_true(failed >= 50);
    /* and an earlier set stays as it was */
    assert_int_equal(shards_write(&t, &err), 0);
    limit.rlim_cur = 3000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(shards_write(&t, &err), -1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(shard_check(&report, t.folder, NULL, NULL, &err), 0);
    assert_int_equal(shard_set_open(&s, t.folder, &err), 0);
    shard_set_close(s);
    shards_end(&t);
}

/* Larger than any buffer of the library: the write itself fails, and it must not be missed at exit. */
static void a_large_picture_on_a_full_disk(void **state)
{
    enum { LARGE = 400 * 300 * 3 };
    uint8_t *pixels = malloc(LARGE);
    struct rlimit old, limit;
    struct shards t;

    (void)state;
    assert_non_null(pixels);
    for (size_t i = 0; i < LARGE; i++)
        pixels[i] = (uint8_t)(i * i >> 7);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    shards_describe(&t, 3);
    for (int storage = STORAGE_RAW; storage <= STORAGE_JPEG; storage++) {
        const struct shard_pixels p = {400, 300, 400, 300, "png", 0, pixels, LARGE};
        struct shard_writer *w;
        struct err err = {0};

        t.options.storage = storage;
        limit = old;
        limit.rlim_cur = 200000;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_int_equal(shard_writer_open(&w, t.folder, &t.plan, &err), 0);
        assert_int_equal(shard_writer_add(w, &p, &err), -1);
        assert_int_equal(err.kind, ERR_FULL);
        shard_writer_abort(w);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_false(path_exists(shards_file(&t, "../shards-40.part")));
    }
    free(pixels);
    shards_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_is_read_back),
        cmocka_unit_test(zstd_is_read_back),
        cmocka_unit_test(jpeg_is_read_back),
        cmocka_unit_test(same_pictures_give_same_bytes),
        cmocka_unit_test(skipped_pictures_move_the_others_up),
        cmocka_unit_test(many_classes_fit),
        cmocka_unit_test(a_flipped_byte_is_named),
        cmocka_unit_test(flipped_bytes_everywhere_are_found),
        cmocka_unit_test(a_truncated_shard_is_refused),
        cmocka_unit_test(missing_files_are_named),
        cmocka_unit_test(a_lying_index_is_refused),
        cmocka_unit_test(an_index_knows_its_hash),
        cmocka_unit_test(a_full_disk_leaves_nothing),
        cmocka_unit_test(a_large_picture_on_a_full_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
