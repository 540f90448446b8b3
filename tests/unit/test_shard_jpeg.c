/* test_shard_jpeg.c - shards of JPEG files: what lies in the file, and what is said when pixels differ.
 * SPDX-License-Identifier: MIT */
#include "shards.h"

#include "data/shard.h"

/* A picture in a shard is a JPEG file to the byte; the reader takes its size from /index and no other. */
static void a_stored_jpeg_is_a_file(void **state)
{
    struct shards t;
    struct shard_set *s;
    const struct shard_picture *p;
    struct err err = {0};
    char file[32], *bytes;
    size_t size;
    uint8_t pixels[40000];

    (void)state;
    shards_describe(&t, 3);
    t.options.storage = STORAGE_JPEG;
    assert_int_equal(shards_write(&t, &err), 0);
    assert_int_equal(shard_set_open(&s, t.folder, &err), 0);
    assert_int_equal(shard_set_storage(s), STORAGE_JPEG);
    assert_true(shard_set_stored_bytes(s) < shard_set_bytes(s));
    p = shard_set_picture(s, 1);
    snprintf(file, sizeof file, "shard-%05u.h5", p->shard);
    assert_int_equal(path_read(&bytes, &size, shards_file(&t, file), 1 << 20, &err), 0);
    assert_memory_equal(bytes + p->address, "\xff\xd8\xff", 3);
    assert_memory_equal(bytes + p->address + p->stored - 2, "\xff\xd9", 2);
    for (int wrong = 0; wrong < 3; wrong++) /* the control: the right size */
        assert_int_equal(image_decode_jpeg(pixels, p->height - (wrong == 1),
                                           p->width + (wrong == 2), (uint8_t *)bytes + p->address,
                                           p->stored, &err),
                         wrong ? -1 : 0);
    assert_non_null(strstr(err.msg, "in place of"));
    assert_int_equal(
        image_decode_jpeg(pixels, p->height, p->width, (uint8_t *)bytes, p->stored, &err), -1);
    free(bytes);
    shard_set_close(s);
    shards_end(&t);
}

/* What a decoder with other bits would give: the stored CRC is of pixels that differ, and both causes are named. */
static void other_decoded_pixels_are_told(void **state)
{
    struct shards t;
    struct shard_writer *w;
    struct shard_set *s;
    struct err err = {0};
    uint8_t drawn[40000], pixels[40000];

    (void)state;
    shards_describe(&t, 3);
    t.options.storage = STORAGE_JPEG;
    assert_int_equal(shard_writer_open(&w, t.folder, &t.plan, &err), 0);
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t item = shard_writer_order(w, i);
        struct shard_pixels p = {.height = shards_height(item),
                                 .width = shards_width(item),
                                 .original_height = 1,
                                 .original_width = 1,
                                 .format = "jpeg"};
        uint8_t *packed;

        shards_drawn(item, drawn);
        packed = shards_pack(STORAGE_JPEG, drawn, p.height, p.width, &p.size);
        p.crc32c = crc32c(0, drawn, shards_size(item)) ^ (item == 1);
        p.bytes = packed;
        assert_int_equal(shard_writer_add(w, &p, &err), 0);
        free(packed);
    }
    assert_int_equal(shard_writer_finish(w, &err), 0);
    assert_int_equal(shard_set_open(&s, t.folder, &err), 0);
    assert_int_equal(shard_set_read(s, 0, pixels, true, &err), 0);
    assert_int_equal(shard_set_read(s, 1, pixels, false, &err),
                     0); /* unasked, it is not looked for */
    assert_int_equal(shard_set_read(s, 1, pixels, true, &err), -1);
    assert_int_equal(err.kind, ERR_FORMAT);
    assert_non_null(strstr(err.msg, "Either the file is damaged"));
    assert_non_null(strstr(err.msg, image_jpeg_version()));
    assert_non_null(strstr(err.msg, "test decoder 1.0"));
    shard_set_close(s);
    shards_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stored_jpeg_is_a_file),
        cmocka_unit_test(other_decoded_pixels_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
