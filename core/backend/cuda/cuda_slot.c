/* cuda_slot.c - a step's values and pictures on their way to the device.
 *
 * A ring of slots, each pinned memory and as much on the device. The host fills a slot once its last
 * upload is over; the copy stream uploads once the last run that read it is over; the compute stream
 * waits for the upload. So the host may be steps ahead of the device.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "backend/cuda/cuda.h"
#include "base/size.h"

enum { PIXEL_ALIGN = 16, HEADROOM = 4 /* a slot that grows takes a quarter more */ };

int slots_open(struct be *b, struct err *err)
{
    for (int i = 0; i < SLOTS; i++)
        if (cuda_check(cudaEventCreateWithFlags(&b->slots[i].uploaded, cudaEventDisableTiming),
                       "an event", err) < 0 ||
            cuda_check(cudaEventCreateWithFlags(&b->slots[i].consumed, cudaEventDisableTiming),
                       "an event", err) < 0)
            return -1;
    return 0;
}

static void free_memory(struct slot *s)
{
    cudaFreeHost(s->host);
    cudaFree(s->device);
    s->host = s->device = NULL;
    s->bytes = 0;
}

void slots_close(struct be *b)
{
    if (b->copy)
        cudaStreamSynchronize(b->copy);
    for (int i = 0; i < SLOTS; i++) {
        free_memory(&b->slots[i]);
        if (b->slots[i].uploaded)
            cudaEventDestroy(b->slots[i].uploaded);
        if (b->slots[i].consumed)
            cudaEventDestroy(b->slots[i].consumed);
    }
}

static int grow(struct be *b, struct slot *s, size_t bytes, struct err *err)
{
    if (bytes <= s->bytes)
        return 0;
    bytes += bytes / HEADROOM;
    if (cuda_check(cudaStreamSynchronize(b->copy), "pictures", err) < 0 ||
        cuda_check(cudaStreamSynchronize(b->compute), "pictures", err) < 0)
        return -1;
    free_memory(s);
    if (cuda_check(cudaHostAlloc((void **)&s->host, bytes, cudaHostAllocDefault), "pictures", err) <
            0 ||
        cuda_check(cudaMalloc((void **)&s->device, bytes), "pictures", err) < 0)
        return err_append(err, "; %zu MB were asked for", bytes >> 20);
    s->bytes = bytes;
    return 0;
}

/* Pictures that the device may be told of: those of a whole batch. */
static int entries(const struct be_program *p)
{
    return p->list->batch * ranks_count(p->be);
}

/* Where the pictures' parameters and their pixels lie in a slot for P. */
static size_t parameters_at(void)
{
    return align_up(sizeof(struct cuda_step), PIXEL_ALIGN);
}

static size_t pixels_at(const struct be_program *p)
{
    return align_up(parameters_at() + (size_t)entries(p) * sizeof(struct cuda_picture),
                    PIXEL_ALIGN);
}

/* ---- pixels ---------------------------------------------------------------------------------- */

struct fill {
    const struct picture *pictures;
    const struct sent *sent;
    char *host;
};

static void fill_one(void *ctx, int i, int worker)
{
    const struct fill *f = ctx;
    const struct picture *p = &f->pictures[i];

    (void)worker;
    if (f->sent[i].at != SIZE_MAX)
        memcpy(f->host + f->sent[i].at, p->pixels, (size_t)p->height * (size_t)p->width * 3);
}

/* Sends the pixels of N pictures through the next slot, by the copy stream and beside what is computed. */
static int send_pixels(struct be_program *p, const struct picture *pictures, int n, struct err *err)
{
    struct be *b = p->be;
    struct slot *s = &b->slots[b->next_slot];
    const size_t first = pixels_at(p);
    struct fill f = {.pictures = pictures, .sent = p->sent};
    size_t end = first;

    b->sent_for = NULL;
    for (int i = 0; i < n; i++) {
        p->sent[i] = (struct sent){SIZE_MAX, pictures[i].set, pictures[i].rank};
        BUG_IF(!pictures[i].pixels && !b->ranks);
        if (!pictures[i].pixels) /* no partner of this device's */
            continue;
        p->sent[i].at = end;
        end += align_up((size_t)pictures[i].height * (size_t)pictures[i].width * 3, PIXEL_ALIGN);
    }
    if (cuda_check(cudaEventSynchronize(s->uploaded), "pictures", err) < 0 ||
        grow(b, s, end, err) < 0)
        return -1;
    f.host = s->host;
    pool_run(b->pool, n, fill_one, &f);
    if (cuda_check(cudaStreamWaitEvent(b->copy, s->consumed, 0), "pictures", err) < 0 ||
        (end > first && cuda_check(cudaMemcpyAsync(s->device + first, s->host + first, end - first,
                                                   cudaMemcpyHostToDevice, b->copy),
                                   "pictures", err) < 0) ||
        cuda_check(cudaEventRecord(s->uploaded, b->copy), "pictures", err) < 0)
        return -1;
    b->sent_for = p;
    p->n_sent = n;
    return 0;
}

/* Whether the next slot has the step's pixels. A set's rank stands for its pixels, whoever asked. */
static bool is_sent(const struct be_program *p, const struct step *step)
{
    if (p->be->sent_for != p || p->n_sent != step_batch(step))
        return false;
    for (int i = 0; i < p->n_sent; i++)
        if (p->sent[i].set == 0 || p->sent[i].set != step->pictures[i].set ||
            p->sent[i].rank != step->pictures[i].rank)
            return false;
    return true;
}

/* ---- values ---------------------------------------------------------------------------------- */

static struct cuda_step step_values(const struct step *s, int batch)
{
    struct cuda_step d = {.seed = s->seed,
                          .epoch = s->epoch,
                          .adam_step = s->adam_step,
                          .n_pictures = s->pictures ? s->n_pictures : 0,
                          .part = s->parts > 0 ? s->part : 0,
                          .parts = s->parts > 0 ? s->parts : 1,
                          .mean_over = step_pictures(s, batch),
                          .mom = s->mom,
                          .sqr_mom = s->sqr_mom,
                          .eps = s->eps,
                          .wd = s->wd,
                          .ema_decay = s->ema_decay};

    memcpy(d.lr, s->lr, sizeof d.lr);
    return d;
}

/* What the device is told of the picture at place N of the whole batch; partners are counted from the list's
 * first. */
static struct cuda_picture picture_values(const struct step *s, int n)
{
    struct cuda_picture d = {
        .mix = {.partner = n - s->first}, .target = step_target(s, n), .position = (uint32_t)n};

    if (!s->pictures || n >= step_batch(s))
        return d;
    d.height = s->pictures[n].height;
    d.width = s->pictures[n].width;
    d.map = s->pictures[n].map;
    d.position = s->pictures[n].position;
    if (s->mixes) {
        d.mix = s->mixes[n];
        d.mix.partner -= s->first;
    }
    return d;
}

/* TRAVEL: the pixels are in the slot; else they lie where the device keeps them, or none are read. */
static void fill_values(struct be_program *p, const struct step *step, char *host, bool travel,
                        bool kept)
{
    struct cuda_picture *values = (struct cuda_picture *)(void *)(host + parameters_at());
    const struct cuda_step step_data = step_values(step, p->list->batch);

    memcpy(host, &step_data, sizeof step_data);
    for (int i = 0; i < entries(p); i++) {
        values[i] = picture_values(step, i);
        if (i < step_batch(step) && kept)
            values[i].pixels = p->be->kept.at[step->pictures[i].rank];
        else if (i < step_batch(step) && travel && p->sent[i].at != SIZE_MAX)
            values[i].pixels = p->sent[i].at - pixels_at(p);
    }
}

static bool has_augment(const struct op_list *l)
{
    for (int i = 0; i < l->n_ops; i++)
        if (l->ops[i].kind == OP_AUGMENT)
            return true;
    return false;
}

int slot_send(struct be_program *p, const struct step *step, struct slot **out, struct err *err)
{
    const bool pixels = step->pictures && has_augment(p->list) &&
                        (!step->only || step->only >> OP_AUGMENT & 1),
               kept = pixels && kept_has(p->be, step), travel = pixels && !kept;
    struct be *b = p->be;
    struct slot *s = &b->slots[b->next_slot];

    if (!(travel && is_sent(p, step)) &&
        send_pixels(p, step->pictures, travel ? step_batch(step) : 0, err) < 0)
        return -1;
    b->sent_for = NULL;
    b->next_slot = (b->next_slot + 1) % SLOTS;
    fill_values(p, step, s->host, travel, kept);
    if (cuda_check(
            cudaMemcpyAsync(s->device, s->host, pixels_at(p), cudaMemcpyHostToDevice, b->copy),
            "pictures", err) < 0 ||
        cuda_check(cudaEventRecord(s->uploaded, b->copy), "pictures", err) < 0 ||
        cuda_check(cudaStreamWaitEvent(b->compute, s->uploaded, 0), "pictures", err) < 0)
        return -1;
    p->device_step = (const struct cuda_step *)(void *)s->device;
    p->pictures = (const struct cuda_picture *)(void *)(s->device + parameters_at()) + step->first;
    p->pixels = kept ? (const uint8_t *)b->kept.pixels : (const uint8_t *)s->device + pixels_at(p);
    *out = s;
    return 0;
}

int slot_done(struct be_program *p, struct slot *s, struct err *err)
{
    return cuda_check(cudaEventRecord(s->consumed, p->be->compute), "pictures", err);
}

int slot_ahead(struct be_program *p, const struct step *step, struct err *err)
{
    const struct step next = {.pictures = step->next, .n_pictures = step->n_next};

    if (!next.pictures || step->only || next.n_pictures > entries(p) || !has_augment(p->list) ||
        kept_has(p->be, &next))
        return 0;
    return send_pixels(p, next.pictures, next.n_pictures, err);
}
