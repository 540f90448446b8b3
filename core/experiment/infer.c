/* infer.c - inference in batches of a fixed size, the last one padded.
 * SPDX-License-Identifier: MIT */
#include "experiment/infer.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "backend/elem.h"
#include "base/log.h"
#include "data/stream.h"

enum { MICROBATCH_AUTO = 8, BATCH_MAX = 64 };

struct infer {
    const struct device *device; /* borrowed */
    struct be_program *program;
    int batch, size, classes;
    struct augment_options plain; /* mode, resize and pad alone */
    int prob_tensor, loss_tensor;
    float *prob, *loss; /* of one whole batch */
};

void infer_exec(struct exec_options *o)
{
    if (o->conv != CONV_ONEDNN || backend_has_onednn())
        return;
    log_warn("the run's convolutions were oneDNN's, which this build lacks: presize's own compute "
             "here, near "
             "them but not with their bits");
    o->conv = CONV_OWN;
}

int infer_batch(const struct exec_options *o, const struct be_info *info)
{
    int micro = o->microbatch ? (int)o->microbatch : MICROBATCH_AUTO;
    int threads = info->threads;
    int pieces = BATCH_MAX / micro;

    if (info->batch)
        pieces = info->batch / micro;
    else if (threads < pieces) /* enough for every thread, no more padding than needed */
        pieces = threads;
    return micro * (pieces ? pieces : 1);
}

int infer_new(struct infer **out, const struct device *device, const struct network *n, int size,
              int batch, int microbatch, enum dtype dtype, struct err *err)
{
    struct network_shape shape = {
        .batch = batch, .microbatch = microbatch, .size = size, .dtype = dtype, .augment = true};
    struct infer *i = calloc(1, sizeof *i);
    struct op_list *list = NULL;

    *out = NULL;
    if (!i)
        return err_set(err, ERR_NOMEM, "inference: %zu bytes", sizeof *i);
    i->device = device;
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
    BUG_IF(!i->prob_tensor || !i->loss_tensor);
    if (device->kind->prepare(&i->program, device->be, list, err) < 0)
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
    i->device->kind->release(i->program);
    free(i->prob);
    free(i->loss);
    free(i);
}

void infer_augment(struct infer *i, const struct augment_options *o)
{
    i->plain = (struct augment_options){.mode = o->mode, .resize = o->resize, .pad = o->pad};
}

void infer_memory(const struct infer *i, struct be_memory *m)
{
    i->device->kind->memory(i->program, m);
}

/* infer_run(); NEXT: pictures that it will be called with after this, NULL where nobody knows. */
static int run_some(struct infer *i, const struct picture *pictures, int n,
                    const struct picture *next, int n_next, float *prob, float *loss,
                    struct err *err)
{
    size_t classes = (size_t)i->classes;

    for (int first = 0; first < n; first += i->batch) {
        int count = n - first < i->batch ? n - first : i->batch;
        struct step step = {
            .pictures = pictures + first, .n_pictures = count, .next = next, .n_next = n_next};

        if (i->device->kind->run(i->program, &step, err) < 0)
            return err_wrap(err, "inference");
        if (i->device->kind->read(i->program, i->prob_tensor, i->prob, err) < 0)
            return err_wrap(err, "inference");
        memcpy(prob + (size_t)first * classes, i->prob, (size_t)count * classes * sizeof *prob);
        if (!loss)
            continue;
        if (i->device->kind->read(i->program, i->loss_tensor, i->loss, err) < 0)
            return err_wrap(err, "inference");
        for (int k = 0; k < count; k++)
            loss[first + k] = pictures[first + k].label < 0 ? 0 : i->loss[k];
    }
    return 0;
}

int infer_run(struct infer *i, const struct picture *pictures, int n, float *prob, float *loss,
              struct err *err)
{
    return run_some(i, pictures, n, NULL, 0, prob, loss, err);
}

static uint32_t processes(const struct infer *i)
{
    return i->device->ranks ? (uint32_t)i->device->ranks->ranks : 1;
}

/* ROUND of T (T NULL: validation), of this process's share P. The progress bar counts the pictures of all processes,
 * from ROUND times n. */
static int run_round(struct infer *i, const struct infer_pictures *p, const struct tta *t,
                     int round, float *prob, float *loss, struct err *err)
{
    struct stream_options options = {.ranks = p->ranks,
                                     .n = p->n,
                                     .batch = i->batch,
                                     .size = i->size,
                                     .augment = t ? t->augment : &i->plain,
                                     .tta_round = t ? (uint32_t)round + 1 : 0,
                                     .seed = t ? t->seed : 0,
                                     .labels = p->labels,
                                     .prefetch = 2,
                                     .verify = p->verify,
                                     .kept = p->kept};
    struct stream *stream;
    const struct picture *pictures, *next;
    const uint32_t *unused;
    size_t done = 0;
    int count, n_next, more;

    if (stream_open(&stream, p->set, &options, err) < 0)
        return -1;
    while ((more = stream_next(stream, &pictures, &unused, &count, err)) == 1) {
        stream_peek(stream, &next, &n_next);
        if (run_some(i, pictures, count, next, n_next, prob + done * (size_t)i->classes,
                     loss ? loss + done : NULL, err) < 0) {
            more = -1;
            break;
        }
        done += (size_t)count;
        progress_set(((uint64_t)round * p->n + done) * processes(i), NULL);
    }
    stream_close(stream);
    if (more < 0)
        return -1;
    BUG_IF(done != p->n);
    return 0;
}

void tta_blend(float *prob, const float *sum, size_t n, const struct tta *t)
{
    for (size_t k = 0; k < n; k++) {
        float mean = sum[k] / (float)t->rounds;

        prob[k] = mean + (float)t->beta * (prob[k] - mean); /* torch.lerp */
    }
}

float tta_loss(float p)
{
    return -elem_logf(p > FLT_MIN ? p : FLT_MIN); /* a label's probability may round to 0 */
}

static int average_rounds(struct infer *i, const struct infer_pictures *p, const struct tta *t,
                          float *prob, float *loss, struct err *err)
{
    size_t classes = (size_t)i->classes, cells = p->n * classes;
    float *sum = calloc(cells + 1, sizeof *sum), *one = calloc(cells + 1, sizeof *one);
    int rc = sum && one ? 0 : err_set(err, ERR_NOMEM, "test-time augmentation");

    for (int round = 0; rc == 0 && round < t->rounds; round++) {
        rc = run_round(i, p, t, round, one, NULL, err);
        for (size_t k = 0; k < cells; k++)
            sum[k] += one[k];
    }
    if (rc == 0)
        tta_blend(prob, sum, cells, t);
    for (uint32_t k = 0; rc == 0 && loss && k < p->n; k++) {
        int32_t label = shard_set_picture(p->set, p->ranks[k])->label;

        loss[k] = tta_loss(prob[k * classes + (size_t)(p->labels ? p->labels[label] : label)]);
    }
    free(sum);
    free(one);
    return rc;
}

/* Without augmentation, or T's; LOSS may be NULL. */
static int infer_share(struct infer *i, const struct infer_pictures *p, const struct tta *t,
                       float *prob, float *loss, struct err *err)
{
    return t ? average_rounds(i, p, t, prob, loss, err) : run_round(i, p, NULL, 0, prob, loss, err);
}

struct rows {
    size_t first, n;
};

/* Of N rows that are shared by processes, EACH by one but the last: at most MOST of RANK's from its row AT on. */
static struct rows rows_of(size_t n, size_t each, size_t rank, size_t at, size_t most)
{
    const size_t first = rank * each + at, end = (rank + 1) * each < n ? (rank + 1) * each : n;
    const size_t left = first < end ? end - first : 0;

    return (struct rows){left > 0 ? first : 0, left < most ? left : most};
}

/* VALUES: N rows of WIDTH, of which this process has its own; it gets the others', some rows at a time. */
static int share_rows(const struct be_ranks *all, float *values, size_t n, size_t each,
                      size_t width, struct err *err)
{
    enum { ROWS = 64 };
    const size_t ranks = (size_t)all->ranks, most = each < ROWS ? each : ROWS;
    float *piece = calloc(ranks * most * width, sizeof *piece);

    if (!piece)
        return err_set(err, ERR_NOMEM, "predictions of %zu pictures", n);
    for (size_t at = 0; at < each; at += most) {
        const struct rows own = rows_of(n, each, (size_t)all->rank, at, most);

        memcpy(piece + (size_t)all->rank * most * width, values + own.first * width,
               own.n * width * sizeof *piece);
        all->share(all->ctx, piece, most * width * sizeof *piece);
        for (size_t r = 0; r < ranks; r++) {
            const struct rows of = rows_of(n, each, r, at, most);

            memcpy(values + of.first * width, piece + r * most * width,
                   of.n * width * sizeof *piece);
        }
    }
    free(piece);
    return 0;
}

/* Each process infers, as they make copies of weights together: one without a share infers the last picture for
 * nobody. */
static int infer_together(struct infer *i, const struct infer_pictures *p, const struct tta *t,
                          float *prob, float *loss, struct err *err)
{
    const struct be_ranks *all = i->device->ranks;
    const size_t n = p->n, classes = (size_t)i->classes,
                 each = (n + processes(i) - 1) / processes(i);
    const struct rows own = rows_of(n, each, (size_t)all->rank, 0, each);
    float *spare = calloc(classes + 1, sizeof *spare);
    struct infer_pictures share = *p;
    int rc;

    if (!spare)
        return err_set(err, ERR_NOMEM, "predictions of %zu pictures", n);
    share.ranks = p->ranks + (own.n > 0 ? own.first : n - 1);
    share.n = own.n > 0 ? (uint32_t)own.n : 1;
    if (own.n > 0)
        rc = infer_share(i, &share, t, prob + own.first * classes, loss ? loss + own.first : NULL,
                         err);
    else
        rc = infer_share(i, &share, t, spare, spare + classes, err);
    free(spare);
    if (rc == 0)
        rc = share_rows(all, prob, n, each, classes, err);
    if (rc == 0 && loss)
        rc = share_rows(all, loss, n, each, 1, err);
    return rc;
}

static int infer_all(struct infer *i, const struct infer_pictures *p, const struct tta *t,
                     float *prob, float *loss, struct err *err)
{
    if (p->n == 0)
        return 0;
    return processes(i) > 1 ? infer_together(i, p, t, prob, loss, err)
                            : infer_share(i, p, t, prob, loss, err);
}

int infer_pictures(struct infer *i, const struct infer_pictures *p, float *prob, float *loss,
                   struct err *err)
{
    return infer_all(i, p, NULL, prob, loss, err);
}

int infer_tta(struct infer *i, const struct infer_pictures *p, const struct tta *t, float *prob,
              float *loss, struct err *err)
{
    return infer_all(i, p, t, prob, loss, err);
}

int infer_ranks(struct infer *i, const struct shard_set *s, const uint32_t *ranks, uint32_t n,
                bool verify, float *prob, float *loss, struct err *err)
{
    const struct infer_pictures p = {.set = s, .ranks = ranks, .n = n, .verify = verify};

    return infer_pictures(i, &p, prob, loss, err);
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
