/* test_ops_augment.c - the augmentation kernels give elem_sample()'s bits.
 *
 * Over random maps (inside, turned, warped, far outside, degenerate), every number of samples,
 * sizes that no vector width divides, every variant that this processor has, and real pictures
 * where they are at hand.
 * SPDX-License-Identifier: MIT */
#include "backend/cpu/sampler.h"
#include "base/isa.h"
#include "../pictures.h"
#include "ops.h"

struct variant {
    const char *name;
    const struct sampler_kernels *kernels;
};

/* The variants of this processor; their number. */
static int variants(struct variant v[3])
{
    int n = 0;

    v[n++] = (struct variant){"base", &sampler_kernels_base};
#if defined(__x86_64__)
    if (isa_best() >= ISA_AVX2)
        v[n++] = (struct variant){"avx2", &sampler_kernels_avx2};
    if (isa_best() >= ISA_AVX512)
        v[n++] = (struct variant){"avx512", &sampler_kernels_avx512};
#endif
    return n;
}

static struct two_steps random_steps(struct rng *r, int height, int width, int size)
{
    int side = height < width ? height : width;
    int crop = 1 + (int)rng_below(r, (uint32_t)side);
    int area = rng_below(r, 2) ? crop : 1 + crop / 2;

    return (struct two_steps){
        .side = side,
        .left = (int32_t)rng_below(r, (uint32_t)(width - side + 1)),
        .top = (int32_t)rng_below(r, (uint32_t)(height - side + 1)),
        .crop_side = crop,
        .crop_left = (int32_t)rng_below(r, (uint32_t)(side - crop + 1)),
        .crop_top = (int32_t)rng_below(r, (uint32_t)(side - crop + 1)),
        .area = area,
        .step = size > 1 ? (float)(area - 1) / (float)(size - 1) : 0.0f,
    };
}

/* A map of one of several kinds: about the picture's middle, turned, stretched and warped. */
static struct sample_map random_map(struct rng *r, int height, int width, int size)
{
    int kind = (int)rng_below(r, 8);
    double angle = rng_uniform(r, -0.2, 0.2), flip = rng_below(r, 2) ? 1.0 : -1.0;
    double side = rng_uniform(r, 0.3, 1.1) * (height < width ? height : width);
    double scale = side / size, half = (size - 1) / 2.0;
    double wx = kind == 1 ? rng_uniform(r, -0.4, 0.4) / size : 0.0;
    double wy = kind == 1 ? rng_uniform(r, -0.4, 0.4) / size : 0.0;
    double cx = (width - 1) / 2.0, cy = (height - 1) / 2.0;
    double a = flip * scale * cos(angle), b = -scale * sin(angle);
    double c = flip * scale * sin(angle), d = scale * cos(angle);
    double w8 = 1.0 - (wx + wy) * half;
    double m[9];
    struct sample_map map = {.k = 1 + (int)rng_below(r, 3),
                             .lighting = (int)rng_below(r, 2),
                             .brightness = (float)rng_uniform(r, -0.4, 0.4),
                             .contrast = (float)rng_uniform(r, 0.8, 1.25)};

    if (kind == 2) { /* far outside */
        cx += rng_uniform(r, -5.0, 5.0) * width;
        cy += rng_uniform(r, -1e6, 1e6);
    }
    m[0] = a + cx * wx;
    m[1] = b + cx * wy;
    m[2] = cx * w8 - half * (a + b);
    m[3] = c + cy * wx;
    m[4] = d + cy * wy;
    m[5] = cy * w8 - half * (c + d);
    m[6] = wx;
    m[7] = wy;
    m[8] = w8;
    if (kind == 3) { /* whole pixels, to and beyond the last one */
        memset(m, 0, sizeof m);
        m[0] = m[4] = m[8] = 1.0;
    }
    if (kind == 4) /* a denominator that passes through 0 */
        m[8] = -m[6] * half;
    for (int i = 0; i < 9; i++)
        map.m[i] = (float)m[i];
    if (kind == 5) { /* in two steps */
        map.k = 1;
        map.two = random_steps(r, height, width, size);
    }
    return map;
}

/* All variants against the scalar formula on one picture. */
static void check_picture(const struct picture *p, int size, float *want, float *got)
{
    struct variant v[3];
    int n = variants(v);
    size_t plane = (size_t)size * (size_t)size;

    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            float rgb[3];

            elem_sample(rgb, p->pixels, p->height, p->width, &p->map, j, i);
            for (size_t c = 0; c < 3; c++)
                want[c * plane + (size_t)i * (size_t)size + (size_t)j] = rgb[c];
        }
    for (int k = 0; k < n; k++) {
        uint16_t *half = (uint16_t *)(void *)got;

        got[3 * plane] = 12345.0f;
        v[k].kernels->f32(got, p, size);
        if (memcmp(got, want, 3 * plane * sizeof *got) != 0 || got[3 * plane] != 12345.0f)
            fail_msg("%s: %dx%d to %d, k %d: other bits than elem_sample()", v[k].name, p->height,
                     p->width, size, p->map.k);
        half[3 * plane] = 12345;
        v[k].kernels->bf16(half, p, size);
        for (size_t i = 0; i < 3 * plane; i++)
            assert_int_equal(half[i], bf16_from_f32(want[i]));
        assert_int_equal(half[3 * plane], 12345);
    }
}

static void random_maps(void **state)
{
    static const int sizes[] = {1, 2, 15, 16, 17, 33, 64, 255, 257};
    static const int shapes[][2] = {{1, 1}, {1, 9},   {9, 1},   {2, 2},
                                    {3, 5}, {46, 61}, {61, 46}, {91, 60}};
    struct rng r = rng_begin(11, RNG_TEST, 0, 0);
    float *want = malloc(sizeof *want * 3 * 257 * 257),
          *got = malloc(sizeof *got * (3 * 257 * 257 + 1));

    (void)state;
    assert_non_null(want);
    assert_non_null(got);
    for (int round = 0; round < 160; round++) {
        const int *shape = shapes[rng_below(&r, 8)];
        int size = sizes[rng_below(&r, 9)];
        size_t bytes = (size_t)shape[0] * (size_t)shape[1] * 3;
        uint8_t *pixels =
            malloc(bytes); /* exactly that many, so that a sanitiser sees a tap beyond */
        struct picture p = {.pixels = pixels, .height = shape[0], .width = shape[1]};

        assert_non_null(pixels);
        for (size_t i = 0; i < bytes; i++)
            pixels[i] = (uint8_t)rng_u32(&r);
        p.map = random_map(&r, p.height, p.width, size);
        check_picture(&p, size, want, got);
        free(pixels);
    }
    free(want);
    free(got);
}

enum { PLAIN, MIXED_UP, CUT, MIXINGS };

/* Every picture but the last, which is its own partner, gets another one. */
static void set_mixes(struct ops_setup *s, int mixing)
{
    for (int n = 0; n < 5; n++) {
        s->mixes[n] =
            (struct mix){.partner = n == 4 ? 4 : (n + 2) % 4, .share = 0.2f + 0.1f * (float)n};
        if (mixing == CUT)
            s->mixes[n] = (struct mix){s->mixes[n].partner, 0.3f, 2 * n, 3, 2 * n + 9, 23};
    }
    s->step.mixes = mixing == PLAIN ? NULL : s->mixes;
}

/* X (fp32) is what the formula says of the two pictures. */
static void check_mixed(const struct ops_setup *s, const float *x)
{
    for (int n = 0; n < 5; n++)
        for (int i = 0; i < 23; i++)
            for (int j = 0; j < 23; j++) {
                const struct mix *m = &s->mixes[n];
                const struct picture *own = &s->pictures[n], *other = &s->pictures[m->partner];
                bool inside = j >= m->left && j < m->right && i >= m->top && i < m->bottom;
                float a[3], b[3];

                elem_sample(a, own->pixels, 46, 61, &own->map, j, i);
                elem_sample(b, other->pixels, 46, 61, &other->map, j, i);
                for (int c = 0; c < 3; c++) {
                    double got = (double)x[(n * 3 + c) * 23 * 23 + i * 23 + j],
                           share = (double)m->share;
                    double want = m->right == 0 ? (1 - share) * (double)a[c] + share * (double)b[c]
                                  : inside      ? (double)b[c]
                                                : (double)a[c];

                    assert_true(fabs(got - want) <= 1e-6);
                }
            }
}

static void the_op_is_the_kernel(void **state)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
    struct rng r = rng_begin(12, RNG_TEST, 0, 0);
    uint8_t *pixels = malloc(46 * 61 * 3);

    (void)state;
    assert_non_null(pixels);
    for (int i = 0; i < 46 * 61 * 3; i++)
        pixels[i] = (uint8_t)rng_u32(&r);
    for (int round = 0; round < 3 * MIXINGS; round++) {
        struct ops_case c = {.kind = OP_AUGMENT,
                             .n = 6,
                             .micro = 3,
                             .c = 3,
                             .h = 23,
                             .w = 23,
                             .dtype = types[round % 3]};
        struct ops_setup s = ops_begin(&c, 1);
        struct ops_results ref, got;
        struct err err = {0};

        for (int n = 0; n < c.n; n++) {
            s.pictures[n].pixels = pixels;
            s.pictures[n].height = 46;
            s.pictures[n].width = 61;
            s.pictures[n].map = random_map(&r, 46, 61, 23);
        }
        s.step.n_pictures = 5; /* the sixth is padding: zeros */
        set_mixes(&s, round / 3);
        assert_int_equal(ops_run(&ref_backend, &(struct exec_options){0}, &s, &ref, &err), 0);
        if (s.step.mixes && c.dtype == DTYPE_F32)
            check_mixed(&s, ref.out[0]);
        for (int d = 0; d < N_DEVICES; d++) {
            const struct backend *k = ops_backend(d);

            if (!k)
                continue;
            if (ops_run(k, &ops_devices[d].options, &s, &got, &err) == 0)
                assert_true(ops_same_bits(&s, &ref, &got));
            else
                assert_int_equal(err.kind, ERR_UNSUPPORTED);
            ops_results_free(&got, &s);
        }
        ops_results_free(&ref, &s);
        ops_end(&s);
    }
    free(pixels);
}

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
        cmocka_unit_test(random_maps),
        cmocka_unit_test(the_op_is_the_kernel),
        cmocka_unit_test(real_pictures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
