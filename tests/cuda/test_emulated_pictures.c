/* test_emulated_pictures.c - the CUDA augmentation kernel gives the cpu backend's bits: every picture of
 * the mini set, presized, with the draws of several epochs of both modes, MixUp and CutMix.
 *
 * Under a sanitizer the first few pictures alone. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../pictures.h"
#include "backend/cuda/emulate.h"
#include "base/rng.h"
#include "data/augment.h"
#include "emulated.h"
#include "image/resize.h"

#ifdef __SANITIZE_ADDRESS__
enum { PICTURES_F32 = 8, PICTURES_BF16 = 8 };
#else
enum { PICTURES_F32 = 100000, PICTURES_BF16 = 64 };
#endif
enum {
    BATCH = 8,
    PRESIZED = 160,
    SIZE = 96,
    EPOCHS = 3,
    SEED = 7,
    VALUES = BATCH * 3 * SIZE * SIZE
};

struct pictures_device { /* one backend with the program that only augments */
    const struct backend *backend;
    struct be *be;
    struct be_program *program;
    float *x;
};

static struct pictures_device pictures_open(const struct backend *backend, enum dtype type)
{
    const struct exec_options options = {.threads = 1};
    struct pictures_device d = {.backend = backend, .x = malloc(VALUES * sizeof(float))};
    struct op_list *l = op_list_new(BATCH, BATCH);
    struct op o = {.kind = OP_AUGMENT};
    struct err err = {0};

    assert_non_null(d.x);
    o.out[0] = op_list_tensor(l, "x", TENSOR_ACT, type, BATCH, 3, SIZE, SIZE);
    op_list_add(l, o);
    if (backend->open(&d.be, &options, &err) < 0 || backend->prepare(&d.program, d.be, l, &err) < 0)
        fail_msg("%s", err.msg);
    op_list_free(l);
    return d;
}

static void pictures_close(struct pictures_device *d)
{
    d->backend->release(d->program);
    d->backend->close(d->be);
    free(d->x);
}

static void pictures_run(const struct pictures_device *d, const struct step *step)
{
    struct err err = {0};

    if (d->backend->run(d->program, step, &err) < 0 ||
        d->backend->read(d->program, 1, d->x, &err) < 0)
        fail_msg("%s", err.msg);
}

/* The next of the archive, presized into P's own memory; false after the last. */
static bool take(struct archive *a, struct image *img, struct resizer *r, struct picture *p)
{
    struct presize plan;
    uint8_t *pixels;
    struct err err;

    if (!next_picture(a, img))
        return false;
    plan = presize_plan(img->height, img->width, PRESIZED, 3);
    pixels = malloc((size_t)plan.height * (size_t)plan.width * 3);
    assert_non_null(pixels);
    assert_int_equal(resize_bilinear(r, pixels, plan.height, plan.width, img->pixels, img->height,
                                     img->width, plan.box, &err),
                     0);
    *p = (struct picture){.pixels = pixels, .height = plan.height, .width = plan.width};
    return true;
}

/* EPOCH's draw for all N pictures, the batch's first at FIRST; the last epoch is validation. */
static void draw(struct picture *pictures, int n, int mode, uint32_t epoch, uint32_t first)
{
    struct augment_options o;

    keys_default(&(struct key_table){augment_keys, 0}, 1, KEYS_NEWEST, &o);
    o.mode = mode;
    for (int i = 0; i < n; i++) {
        struct picture *p = &pictures[i];

        p->position = first + (uint32_t)i;
        if (epoch == EPOCHS - 1)
            augment_validation(&p->map, &o, p->height, p->width, SIZE);
        else
            augment_training(&p->map, &o, p->height, p->width, SIZE, SEED, epoch, p->position,
                             first);
    }
}

/* MixUp in the first epoch, CutMix in the second; every picture with its neighbour. */
static void draw_mixes(struct mix mixes[BATCH], uint32_t epoch, uint32_t first)
{
    for (int i = 0; i < BATCH; i++) {
        struct rng r = rng_begin(SEED, RNG_MIXUP, epoch, first + (uint32_t)i);
        int left = (int)rng_below(&r, SIZE / 2), top = (int)rng_below(&r, SIZE / 2);

        mixes[i] = (struct mix){.partner = (i + 1) % BATCH, .share = (float)rng_uniform(&r, 0, 1)};
        if (epoch == 1) {
            mixes[i].left = left;
            mixes[i].top = top;
            mixes[i].right = left + 1 + (int)rng_below(&r, SIZE / 2);
            mixes[i].bottom = top + 1 + (int)rng_below(&r, SIZE / 2);
        }
    }
}

static void check_batch(const struct pictures_device devices[2], struct picture *pictures, int n,
                        uint32_t first)
{
    struct mix mixes[BATCH];

    for (int mode = AUGMENT_PRESIZE; mode <= AUGMENT_FASTAI; mode++)
        for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
            const bool mixed = n == BATCH && epoch < EPOCHS - 1 && first / BATCH % 4 == 0;
            struct step step = {.pictures = pictures,
                                .n_pictures = n,
                                .mixes = mixed ? mixes : NULL,
                                .seed = SEED,
                                .epoch = epoch};

            draw(pictures, n, mode, epoch, first);
            draw_mixes(mixes, epoch, first);
            pictures_run(&devices[0], &step);
            pictures_run(&devices[1], &step);
            if (memcmp(devices[0].x, devices[1].x, VALUES * sizeof(float)) != 0)
                fail_msg("pictures from %u on, mode %d, epoch %u: other bits than the cpu's", first,
                         mode, epoch);
        }
}

/* The control: one source pixel of another brightness is noticed. */
static void check_control(const struct pictures_device devices[2], struct picture *pictures, int n)
{
    const struct step step = {.pictures = pictures, .n_pictures = n};
    uint8_t *pixel = (uint8_t *)(uintptr_t)pictures[0].pixels + PRESIZED * PRESIZED * 3 / 2;

    draw(pictures, n, AUGMENT_PRESIZE, 0, 0);
    pictures_run(&devices[0], &step);
    *pixel = (uint8_t)(*pixel ^ 128);
    pictures_run(&devices[1], &step);
    *pixel = (uint8_t)(*pixel ^ 128);
    assert_memory_not_equal(devices[0].x, devices[1].x, VALUES * sizeof(float));
}

/* At most LIMIT pictures through both devices; how many. */
static int check_all(const struct pictures_device devices[2], int limit)
{
    struct archive *a = open_pictures();
    struct image img = {0};
    struct resizer resizer = {0};
    struct picture pictures[BATCH] = {{0}};
    int done = 0, n = 0;
    bool more = true;

    while (more && done < limit) {
        for (n = 0; n < BATCH && (more = take(a, &img, &resizer, &pictures[n]));)
            n++;
        if (n > 0)
            check_batch(devices, pictures, n, (uint32_t)done);
        if (n > 0 && done == 0)
            check_control(devices, pictures, n);
        for (int i = 0; i < n; i++)
            free((void *)(uintptr_t)pictures[i].pixels);
        done += n;
    }
    resizer_free(&resizer);
    image_free(&img);
    if (a)
        archive_read_free(a);
    return done;
}

static void the_cpus_bits(void **state)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16};
    static const int limits[] = {PICTURES_F32, PICTURES_BF16};

    for (int i = 0; i < 2; i++) {
        struct pictures_device devices[2] = {pictures_open(&cpu_backend, types[i]),
                                             pictures_open(&emulated_backend, types[i])};
        int done = check_all(devices, limits[i]);

        if (done > 0)
            print_message("%d pictures, %d epochs in two modes, %s\n", done, EPOCHS,
                          dtype_name(types[i]));
        *(int *)*state += done;
        pictures_close(&devices[0]);
        pictures_close(&devices[1]);
    }
}

int main(void)
{
    static int done;
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(the_cpus_bits, &done)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    if (!failed && done == 0) {
        print_message("skipped: no real pictures at hand\n");
        return 77;
    }
    return failed;
}
