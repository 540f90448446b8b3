/* infer.c - inference in batches of a fixed size, the last one padded.
 * SPDX-License-Identifier: MIT */
#include "experiment/infer.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/thread.h"
#include "data/stream.h"

enum { MICROBATCH_AUTO = 8, BATCH_MAX = 64 };

struct infer {
    const struct backend *be; /* borrowed */
    struct be_program *program;
    int batch, size, classes;
    int mode; /* enum augment_mode */
    int prob_tensor, loss_tensor;
    float *prob, *loss; /* of one whole batch */
};

int infer_batch(const struct exec_options *o)
{
    int micro = o->microbatch ? (int)o->microbatch : MICROBATCH_AUTO;
    int threads = o->threads ? (int)o->threads : cpu_count();
    int pieces = BATCH_MAX / micro;

    if (threads < pieces) /* enough for every thread, no more padding than needed */
        pieces = threads;
    return micro * (pieces ? pieces : 1);
}

int infer_new(struct infer **out, const struct backend *be, struct be *b, const struct network *n,
              int size, int batch, int microbatch, enum dtype dtype, struct err *err)
{
    struct network_shape shape = {
        .batch = batch, .microbatch = microbatch, .size = size, .dtype = dtype, .augment = true};
    struct infer *i = calloc(1, sizeof *i);
    struct op_list *list = NULL;

    *out = NULL;
    if (!i)
        return err_set(err, ERR_NOMEM, "inference: %zu bytes", sizeof *i);
    i->be = be;
    i->batch = batch;
    i->size = size;
    i->classes = n->classes;
    i->prob = calloc((size_t)batch * (size_t)n->classes, sizeof *i->prob);
    i->loss = calloc((size_t)batch, sizeof *i->loss);
    if (!i->prob || !i->loss) {
        err_set(err, ERR_NOMEM, "inference: %d pictures", batch);
        goto fail;
    }
    if (network_infer_list(&list, n, &shape, err) < 0)
        goto fail;
    i->prob_tensor = op_list_find(list, "prob");
    i->loss_tensor = op_list_find(list, "loss");
    BUG_IF(i->prob_tensor < 0 || i->loss_tensor < 0);
    if (be->prepare(&i->program, b, list, err) < 0)
        goto fail;
    op_list_free(list);
    *out = i;
    return 0;
fail:
    op_list_free(list);
    infer_free(i);
    return err_wrap(err, "inference");
}

void infer_free(struct infer *i)
{
    if (!i)
        return;
    i->be->release(i->program);
    free(i->prob);
    free(i->loss);
    free(i);
}

void infer_mode(struct infer *i, int augment_mode)
{
    i->mode = augment_mode;
}

void infer_memory(const struct infer *i, struct be_memory *m)
{
    i->be->memory(i->program, m);
}

int infer_run(struct infer *i, const struct picture *pictures, int n, float *prob, float *loss,
              struct err *err)
{
    size_t classes = (size_t)i->classes;

    for (int first = 0; first < n; first += i->batch) {
        int count = n - first < i->batch ? n - first : i->batch;
        struct step step = {.pictures = pictures + first, .n_pictures = count};

        if (i->be->run(i->program, &step, err) < 0)
            return err_wrap(err, "inference");
        if (i->be->read(i->program, i->prob_tensor, i->prob, err) < 0)
            return err_wrap(err, "inference");
        memcpy(prob + (size_t)first * classes, i->prob, (size_t)count * classes * sizeof *prob);
        if (!loss)
            continue;
        if (i->be->read(i->program, i->loss_tensor, i->loss, err) < 0)
            return err_wrap(err, "inference");
        for (int k = 0; k < count; k++)
            loss[first + k] = pictures[first + k].label < 0 ? 0 : i->loss[k];
    }
    return 0;
}

int infer_ranks(struct infer *i, const struct shard_set *s, const uint32_t *ranks, uint32_t n,
                bool verify, float *prob, float *loss, struct err *err)
{
    const struct augment_options augment = {.mode = i->mode};
    struct stream_options options = {.ranks = ranks,
                                     .n = n,
                                     .batch = i->batch,
                                     .size = i->size,
                                     .augment = &augment,
                                     .prefetch = 2,
                                     .verify = verify};
    struct stream *stream;
    const struct picture *pictures;
    const uint32_t *unused;
    size_t done = 0;
    int count, more;

    if (n == 0)
        return 0;
    if (stream_open(&stream, s, &options, err) < 0)
        return -1;
    while ((more = stream_next(stream, &pictures, &unused, &count, err)) == 1) {
        if (infer_run(i, pictures, count, prob + done * (size_t)i->classes,
                      loss ? loss + done : NULL, err) < 0) {
            more = -1;
            break;
        }
        done += (size_t)count;
        progress_set(done, NULL);
    }
    stream_close(stream);
    if (more < 0)
        return -1;
    BUG_IF(done != n);
    return 0;
}

void infer_score(struct score *s, uint32_t n, int classes, const float *prob, const float *loss,
                 const int32_t *labels, int32_t *predicted)
{
    double sum = 0;

    *s = (struct score){0};
    for (uint32_t i = 0; i < n; i++) {
        const float *p = prob + (size_t)i * (size_t)classes;
        int best = 0;

        for (int c = 1; c < classes; c++)
            if (p[c] > p[best])
                best = c;
        if (predicted)
            predicted[i] = best;
        s->errors += best != labels[i];
        sum += (double)loss[i];
    }
    if (n == 0)
        return;
    s->loss = sum / n;
    s->error_rate = (double)s->errors / n;
    s->accuracy = (double)(n - s->errors) / n;
}
