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

/* Where the parts of a slot lie. */
struct parts {
    size_t pictures, pixels, bytes;
    bool kept; /* the pictures lie where the device keeps them */
};

static size_t pixel_bytes(const struct picture *p)
{
    return align_up((size_t)p->height * (size_t)p->width * 3, PIXEL_ALIGN);
}

/* Also p->staged: where in the slot each picture that has to travel lies. PIXELS: the list reads them. */
static struct parts parts_of(struct be_program *p, const struct step *step, bool pixels)
{
    struct parts at = {.pictures = align_up(sizeof(struct cuda_step), PIXEL_ALIGN),
                       .kept = pixels && kept_has(p->be, step)};

    at.pixels =
        align_up(at.pictures + (size_t)p->list->batch * sizeof(struct cuda_picture), PIXEL_ALIGN);
    at.bytes = at.pixels;
    for (int i = 0; i < p->list->batch; i++) {
        const bool there = pixels && step->pictures && i < step->n_pictures;
        const size_t bytes = there ? pixel_bytes(&step->pictures[i]) : 0;

        p->staged[i] = SIZE_MAX;
        if (!there || at.kept)
            continue;
        BUG_IF(!step->pictures[i].pixels);
        p->staged[i] = at.bytes;
        at.bytes += bytes;
    }
    return at;
}

static struct cuda_step step_values(const struct step *s)
{
    struct cuda_step d = {.seed = s->seed,
                          .epoch = s->epoch,
                          .adam_step = s->adam_step,
                          .n_pictures = s->pictures ? s->n_pictures : 0,
                          .part = s->parts > 0 ? s->part : 0,
                          .parts = s->parts > 0 ? s->parts : 1,
                          .mom = s->mom,
                          .sqr_mom = s->sqr_mom,
                          .eps = s->eps,
                          .wd = s->wd,
                          .ema_decay = s->ema_decay};

    memcpy(d.lr, s->lr, sizeof d.lr);
    return d;
}

/* What the device is told of the picture at place N. */
static struct cuda_picture picture_values(const struct step *s, int n)
{
    struct cuda_picture d = {
        .mix = {.partner = n}, .target = step_target(s, n), .position = (uint32_t)n};

    if (!s->pictures || n >= s->n_pictures)
        return d;
    d.height = s->pictures[n].height;
    d.width = s->pictures[n].width;
    d.map = s->pictures[n].map;
    d.position = s->pictures[n].position;
    if (s->mixes)
        d.mix = s->mixes[n];
    return d;
}

struct fill {
    const struct be_program *p;
    const struct step *step;
    char *host;
};

static void fill_one(void *ctx, int i, int worker)
{
    const struct fill *f = ctx;
    const struct picture *p = &f->step->pictures[i];

    (void)worker;
    if (f->p->staged[i] != SIZE_MAX)
        memcpy(f->host + f->p->staged[i], p->pixels, (size_t)p->height * (size_t)p->width * 3);
}

static void fill(struct be_program *p, const struct step *step, struct slot *s,
                 const struct parts *at)
{
    struct cuda_picture *values = (struct cuda_picture *)(void *)(s->host + at->pictures);
    struct fill f = {.p = p, .step = step, .host = s->host};
    const struct cuda_step step_data = step_values(step);

    memcpy(s->host, &step_data, sizeof step_data);
    for (int i = 0; i < p->list->batch; i++) {
        values[i] = picture_values(step, i);
        if (at->kept && i < step->n_pictures)
            values[i].pixels = p->be->kept.at[step->pictures[i].rank];
        else if (p->staged[i] != SIZE_MAX)
            values[i].pixels = p->staged[i] - at->pixels;
    }
    if (at->bytes > at->pixels)
        pool_run(p->be->pool, step->n_pictures, fill_one, &f);
}

/* By the copy stream, beside the step before. */
static int send_beside(struct be *b, struct slot *s, const struct parts *at, struct err *err)
{
    if (cuda_check(cudaStreamWaitEvent(b->copy, s->consumed, 0), "pictures", err) < 0 ||
        cuda_check(cudaMemcpyAsync(s->device, s->host, at->bytes, cudaMemcpyHostToDevice, b->copy),
                   "pictures", err) < 0 ||
        cuda_check(cudaEventRecord(s->uploaded, b->copy), "pictures", err) < 0)
        return -1;
    return cuda_check(cudaStreamWaitEvent(b->compute, s->uploaded, 0), "pictures", err);
}

/* By the compute stream: the values alone. */
static int send_in_front(struct be *b, struct slot *s, const struct parts *at, struct err *err)
{
    if (cuda_check(
            cudaMemcpyAsync(s->device, s->host, at->bytes, cudaMemcpyHostToDevice, b->compute),
            "pictures", err) < 0)
        return -1;
    return cuda_check(cudaEventRecord(s->uploaded, b->compute), "pictures", err);
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
    const bool pixels = has_augment(p->list) && (!step->only || step->only >> OP_AUGMENT & 1);
    const struct parts at = parts_of(p, step, pixels);
    struct be *b = p->be;
    struct slot *s = &b->slots[b->next_slot];

    b->next_slot = (b->next_slot + 1) % SLOTS;
    if (cuda_check(cudaEventSynchronize(s->uploaded), "pictures", err) < 0 ||
        grow(b, s, at.bytes, err) < 0)
        return -1;
    fill(p, step, s, &at);
    if ((at.kept ? send_in_front(b, s, &at, err) : send_beside(b, s, &at, err)) < 0)
        return -1;
    p->device_step = (const struct cuda_step *)(void *)s->device;
    p->pictures = (const struct cuda_picture *)(void *)(s->device + at.pictures);
    p->pixels = at.kept ? (const uint8_t *)b->kept.pixels : (const uint8_t *)s->device + at.pixels;
    *out = s;
    return 0;
}

int slot_done(struct be_program *p, struct slot *s, struct err *err)
{
    return cuda_check(cudaEventRecord(s->consumed, p->be->compute), "pictures", err);
}
