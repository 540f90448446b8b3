/* test_ops_pictures.c - the augmentation kernels give elem_sample()'s bits on real pictures, where they are at
 * hand. SPDX-License-Identifier: MIT */
#include "../pictures.h"
#include "sampled.h"

static void real_pictures(void **state)
{
    enum { SIZE = 224, PICTURES = 12 };
    struct rng r = rng_begin(13, RNG_TEST, 0, 0);
    struct archive *a = open_pictures();
    float *want = malloc(sizeof *want * 3 * SIZE * SIZE);
    float *got = malloc(sizeof *got * (3 * SIZE * SIZE + 1));
    struct image img = {0};
    int done = 0;

    (void)state;
    assert_non_null(want);
    assert_non_null(got);
    while (done < PICTURES && next_picture(a, &img)) {
        struct picture p = {.pixels = img.pixels, .height = img.height, .width = img.width};

        p.map = random_map(&r, p.height, p.width, SIZE);
        check_picture(&p, SIZE, want, got);
        done++;
    }
    image_free(&img);
    free(want);
    free(got);
    if (a)
        archive_read_free(a);
    if (!done)
        print_message("no real pictures at hand\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_pictures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
