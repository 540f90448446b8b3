/* augment.cu - presized pictures to the network's input: elem_sample.h's, one output pixel a thread.
 * SPDX-License-Identifier: MIT */
#include "backend/cuda/device.h"
#include "backend/elem_sample.h"

enum { TILE_W = 32, TILE_H = 8 };

/* Output pixel (J, I) of the picture at place N, mixed where the step says so. */
DEVICE void sample(float rgb[3], const uint8_t *pixels, const struct cuda_picture *pictures, int n,
                   int j, int i)
{
    const struct mix *m = &pictures[n].mix;
    int at = n;

    for (int which = 0; which < (m->partner == n ? 1 : 2); which++, at = m->partner) {
        const struct cuda_picture *p = &pictures[at];
        float now[3];

        elem_sample(now, pixels + p->pixels, p->height, p->width, &p->map, j, i);
        for (int k = 0; k < 3; k++)
            rgb[k] = which ? elem_mix(rgb[k], now[k], m, j, i) : now[k];
    }
}

template <typename T, int C>
static __global__ void augment(T *__restrict__ x, int size, const uint8_t *__restrict__ pixels,
                               const struct cuda_picture *__restrict__ pictures,
                               const struct cuda_step *step)
{
    int j = (int)(blockIdx.x * TILE_W + threadIdx.x), i = (int)(blockIdx.y * TILE_H + threadIdx.y);
    int n = (int)blockIdx.z;
    float rgb[3] = {0.0f, 0.0f, 0.0f};
    T *out;

    if (j >= size || i >= size)
        return;
    if (n < step->n_pictures)
        sample(rgb, pixels, pictures, n, j, i);
    out = x + (((size_t)n * (size_t)size + (size_t)i) * (size_t)size + (size_t)j) * C;
    if (C == 4) {
        vec<T, 4> v;

        for (int k = 0; k < 4; k++)
            store(&v.v[k], k < 3 ? rgb[k] : 0.0f);
        store<4>(out, v);
    } else {
        for (int k = 0; k < 3; k++)
            store(&out[k], rgb[k]);
    }
}

int cuda_augment(void *stream, void *x, enum dtype type, int n, int size, int channels,
                 const uint8_t *pixels, const struct cuda_picture *pictures,
                 const struct cuda_step *step)
{
    dim3 block(TILE_W, TILE_H);
    dim3 grid((unsigned)(size + TILE_W - 1) / TILE_W, (unsigned)(size + TILE_H - 1) / TILE_H,
              (unsigned)n);

    if (n < 1 || n > 65535 || size < 1 || (channels != 3 && channels != 4))
        return INVALID;
    return with_type(type, false, 1, [&](auto t, auto) {
        typedef decltype(t) T;

        if (channels == 4 && aligned(x))
            LAUNCH((augment<T, 4>), grid, block, stream, (T *)x, size, pixels, pictures, step);
        else if (channels == 3)
            LAUNCH((augment<T, 3>), grid, block, stream, (T *)x, size, pixels, pictures, step);
        else
            return (int)INVALID;
        return LAUNCHED();
    });
}
