/* cpu_head.c - the small ops of the head and the augmented input, on the cpu.
 *
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/sampler.h"
#include "backend/elem_sample.h"
#include "base/isa.h"
#include "base/rng.h"

extern const struct kernels kernels_base;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2, kernels_avx512, kernels_avx512bf16;
#endif

const struct kernels *kernels_of(enum isa isa)
{
    switch (isa) {
#if defined(__x86_64__)
    case ISA_AVX512BF16:
        return &kernels_avx512bf16;
    case ISA_AVX512:
        return &kernels_avx512;
    case ISA_AVX2:
        return &kernels_avx2;
#endif
    default:
        return &kernels_base;
    }
}

/* Elements of one picture of tensor T. */
static size_t picture_elements(const struct be_program *p, int tensor)
{
    return tensor_elements(op_tensor(p, tensor)) / (size_t)p->list->batch;
}

/* The picture at place I of the job's, NULL for padding. */
static const struct picture *job_picture(const struct job *j, int i)
{
    const struct step *step = j->p->step;
    const int number = j->first + i;

    return step->pictures && number < step->n_pictures ? &step->pictures[step->first + number]
                                                       : NULL;
}

/* ---- augment
 * ----------------------------------------------------------------------------------------- */

static void sample(const struct be *b, void *out, const struct picture *picture, int size,
                   enum dtype t)
{
    if (t == DTYPE_BF16)
        sampler_kernels(b->isa)->bf16(out, picture, size);
    else
        sampler_kernels(b->isa)->f32(out, picture, size);
}

/* Three planes of N pixels to N pixels of three channels. */
static void interleave(void *out, const void *planes, size_t n, enum dtype t)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 3; c++)
            if (t == DTYPE_BF16)
                ((uint16_t *)out)[3 * i + c] = ((const uint16_t *)planes)[c * n + i];
            else
                ((float *)out)[3 * i + c] = ((const float *)planes)[c * n + i];
}

/* Three planes of the picture blended with its PARTNER; SCRATCH holds both in fp32. */
static void sample_mixed(const struct be *b, void *out, const struct picture *own,
                         const struct picture *partner, const struct mix *m, int size, enum dtype t,
                         float *scratch)
{
    const size_t plane = (size_t)size * (size_t)size;
    float *other = scratch + 3 * plane;

    sample(b, scratch, own, size, DTYPE_F32);
    sample(b, other, partner, size, DTYPE_F32);
    for (size_t c = 0; c < 3; c++)
        for (size_t p = 0; p < plane; p++) {
            const size_t at = c * plane + p;
            const float x = elem_mix(scratch[at], other[at], m, (int)(p % (size_t)size),
                                     (int)(p / (size_t)size));

            if (t == DTYPE_BF16)
                ((uint16_t *)out)[at] = bf16_from_f32(x);
            else
                ((float *)out)[at] = x;
        }
}

static void augment_run(const struct job *j)
{
    const int x = j->op->op->out[0];
    const struct tensor *t = op_tensor(j->p, x);
    const struct step *step = j->p->step;
    const size_t slice = j->p->slice[x];
    char *out = job_data(j, x), *scratch = worker_scratch(j->p, j->worker);

    for (int i = 0; i < j->op->pictures; i++, out += slice) {
        const int n = step->first + j->first + i;
        const struct picture *picture = job_picture(j, i);
        const struct mix *m = step->mixes && picture ? &step->mixes[n] : NULL;
        char *planes = j->p->be->blocked ? out : scratch;

        if (!picture) {
            memset(out, 0, slice);
            continue;
        }
        if (m && m->partner != n) /* planes may be the first of the two: written behind reading */
            sample_mixed(j->p->be, planes, picture, &step->pictures[m->partner], m, t->dims[2],
                         t->dtype, (float *)(void *)scratch);
        else
            sample(j->p->be, planes, picture, t->dims[2], t->dtype);
        if (!j->p->be->blocked)
            interleave(out, planes, slice / 3 / dtype_size(t->dtype), t->dtype);
    }
}

int cpu_augment(struct be_program *p, struct cpu_op *o, struct err *err)
{
    (void)p;
    (void)err;
    o->run = augment_run;
    return 0;
}

/* ---- relu, dropout
 * ------------------------------------------------------------------------------------ */

static void relu_run(const struct job *j)
{
    const size_t n = (size_t)j->op->pictures * picture_elements(j->p, j->op->op->in[0]);
    const float *x = job_data(j, j->op->op->in[0]);
    float *y = job_data(j, j->op->op->out[0]);

    for (size_t i = 0; i < n; i++)
        y[i] = x[i] < 0 ? 0 : x[i];
}

int cpu_relu(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->run = relu_run;
    return f32_only(p, o, err);
}

static void relu_bwd_run(const struct job *j)
{
    const size_t n = (size_t)j->op->pictures * picture_elements(j->p, j->op->op->in[0]);
    const float *dy = job_data(j, j->op->op->in[0]), *y = job_data(j, j->op->op->in[1]);
    float *dx = job_data(j, j->op->op->out[0]);

    for (size_t i = 0; i < n; i++)
        dx[i] = y[i] > 0 ? dy[i] : 0;
}

int cpu_relu_bwd(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->run = relu_bwd_run;
    return f32_only(p, o, err);
}

/* Forward and backward alike: what is kept is scaled, by the same draws. */
static void dropout_run(const struct job *j)
{
    const struct op *op = j->op->op;
    const struct step *step = j->p->step;
    const size_t n = picture_elements(j->p, op->in[0]);
    const uint32_t threshold = dropout_threshold(op->rate);
    const float scale = dropout_scale(op->rate);
    const float *x = job_data(j, op->in[0]);
    float *y = job_data(j, op->out[0]);

    for (int i = 0; i < j->op->pictures; i++, x += n, y += n) {
        const struct picture *picture = job_picture(j, i);
        const uint32_t position = picture ? picture->position : (uint32_t)(j->first + i);
        uint32_t words[4] = {0};

        for (size_t e = 0; e < n; e++) {
            if (e % 4 == 0)
                philox_words(words, step->seed, RNG_DROPOUT, step->epoch, position,
                             (uint32_t)op->layer << 24 | (uint32_t)(e / 4));
            y[e] = dropout_elem(x[e], words[e % 4], threshold, scale);
        }
    }
}

int cpu_dropout(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->run = dropout_run;
    return f32_only(p, o, err);
}

int cpu_dropout_bwd(struct be_program *p, struct cpu_op *o, struct err *err)
{
    return cpu_dropout(p, o, err);
}

/* ---- loss
 * --------------------------------------------------------------------------------------------- */

static void softmax_loss_run(const struct job *j)
{
    const struct op *op = j->op->op;
    const int k = op_tensor(j->p, op->in[0])->dims[1];
    const float *logits = job_data(j, op->in[0]);
    float *prob = job_data(j, op->out[0]), *loss = job_data(j, op->out[1]),
          *dlogits = job_data(j, op->out[2]);
    const struct loss_k c = {op->smoothing, op->focal,
                             1.0F / (float)step_pictures(j->p->step, j->p->list->batch)};

    for (int i = 0; i < j->op->pictures; i++) {
        const struct loss_target t = step_target(j->p->step, j->p->step->first + j->first + i);

        loss[i] = elem_softmax_loss(prob + i * k, dlogits ? dlogits + i * k : NULL, logits + i * k,
                                    k, c, &t);
    }
}

int cpu_softmax_loss(struct be_program *p, struct cpu_op *o, struct err *err)
{
    o->run = softmax_loss_run;
    return f32_only(p, o, err);
}
