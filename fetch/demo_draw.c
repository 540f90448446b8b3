/* demo_draw.c - background, clutter, one body with a texture or a shape, light, grain.
 *
 * Lengths are in halves of the picture's short side, the origin is its centre. Everything random is
 * drawn by Philox from (kind, number). sin and cos may differ in the last bit between machines and
 * are therefore rounded.
 * SPDX-License-Identifier: MIT */
#include "demo_draw.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/rng.h"

enum pattern { BULLSEYE, STRIPES, CHECKS, SPOTS, RINGS, STAR, TRIANGLE };
enum { CLUTTER_MAX = 5, CELLS = 16, NOISE = 12 };

static const double degree = 0.017453292519943295;

struct colour {
    double c[3];
};
struct ellipse {
    double x, y, cos, sin, rx, ry;
    struct colour colour;
};

struct scene {
    int kind, width, height;
    double half; /* pixels of half the short side */
    struct colour coat[2], ground[2];
    double ground_cos, ground_sin;
    double noise[NOISE][NOISE]; /* of the ground, 0 to 1 */
    struct ellipse clutter[CLUTTER_MAX], body;
    int n_clutter;
    double cos, sin, period; /* of the texture */
    double phase_x, phase_y;
    double cells[CELLS][CELLS][3]; /* of spots and rings: shift x, y, radius */
    double hole;                   /* a ring's inner radius by its outer */
    double shape[10][2];           /* corners of a star or a triangle */
    int corners;
    double light_x, light_y, light, gamma, grain;
};

static double round_off(double x)
{
    return floor(x * 1048576.0 + 0.5) / 1048576.0;
}

static double luma(const struct colour *c)
{
    return 0.299 * c->c[0] + 0.587 * c->c[1] + 0.114 * c->c[2];
}

/* A random colour of about the wanted brightness in [0, 1]. */
static struct colour colour_of(struct rng *r, double bright)
{
    struct colour c;
    double own;

    for (int i = 0; i < 3; i++)
        c.c[i] = rng_uniform(r, 0, 1);
    own = luma(&c);
    for (int i = 0; i < 3; i++) {
        double v = bright + 0.8 * (c.c[i] - own);

        c.c[i] = v < 0.02 ? 0.02 : v > 0.98 ? 0.98 : v;
    }
    return c;
}

/* Uniform over [0.08, 0.92] without what is nearer than APART to FROM. */
static double bright_apart(struct rng *r, double from, double apart)
{
    double low = from - apart - 0.08, high = 0.92 - from - apart, x;

    low = low < 0 ? 0 : low;
    high = high < 0 ? 0 : high;
    x = rng_uniform(r, 0, low + high);
    return x < low ? 0.08 + x : from + apart + (x - low);
}

static void turn(double *c, double *s, double degrees)
{
    *c = round_off(cos(degrees * degree));
    *s = round_off(sin(degrees * degree));
}

static struct ellipse ellipse_of(struct rng *r, double rx, double ry, double x, double y)
{
    struct ellipse e = {.x = x, .y = y, .rx = rx, .ry = ry};

    turn(&e.cos, &e.sin, rng_uniform(r, 0, 180));
    return e;
}

/* --- what a kind looks like --- */

static const struct {
    enum pattern pattern;
    double degrees, jitter; /* the texture's direction and how far it strays from it */
} looks[DEMO_KINDS] = {
    [0] = {TRIANGLE, 0, 180}, [1] = {STRIPES, 0, 7},  [2] = {BULLSEYE, 0, 180},
    [3] = {CHECKS, 0, 20},    [4] = {STRIPES, 90, 7}, [5] = {RINGS, 0, 180},
    [6] = {SPOTS, 0, 180},    [7] = {STAR, 0, 180},
};

static void plan_shape(struct scene *s, struct rng *r)
{
    bool star = looks[s->kind].pattern == STAR;
    double radius = rng_uniform(r, 0.55, 0.85), inner = rng_uniform(r, 0.36, 0.46);

    s->corners = star ? 10 : 3;
    for (int i = 0; i < s->corners; i++) {
        double c, q, wobble = rng_uniform(r, 0.93, 1.07);

        turn(&c, &q, 360.0 * i / s->corners);
        wobble *= radius * (star && i % 2 ? inner : 1);
        s->shape[i][0] = wobble * c;
        s->shape[i][1] = wobble * q;
    }
}

static void plan_texture(struct scene *s, struct rng *r)
{
    enum pattern p = looks[s->kind].pattern;
    double jitter = looks[s->kind].jitter;

    turn(&s->cos, &s->sin, looks[s->kind].degrees + rng_uniform(r, -jitter, jitter));
    s->period = p == CHECKS ? rng_uniform(r, 0.42, 0.7) : rng_uniform(r, 0.26, 0.44);
    if (p == SPOTS || p == RINGS)
        s->period = rng_uniform(r, 0.40, 0.56);
    s->phase_x = rng_uniform(r, 0, 8);
    s->phase_y = rng_uniform(r, 0, 8);
    s->hole = rng_uniform(r, 0.42, 0.62);
    for (int i = 0; i < CELLS * CELLS; i++) {
        double *cell = s->cells[i / CELLS][i % CELLS];

        cell[0] = rng_uniform(r, -0.1, 0.1);
        cell[1] = rng_uniform(r, -0.1, 0.1);
        cell[2] = rng_uniform(r, 0.30, 0.39);
    }
}

static void plan_colours(struct scene *s, struct rng *r)
{
    double coat = rng_uniform(r, 0.1, 0.9), ground;

    s->coat[0] = colour_of(r, coat);
    s->coat[1] = colour_of(r, bright_apart(r, coat, 0.34));
    ground = s->corners ? bright_apart(r, coat, 0.3) : rng_uniform(r, 0.1, 0.9);
    for (int i = 0; i < 2; i++)
        s->ground[i] = colour_of(r, ground + rng_uniform(r, -0.1, 0.1));
    for (int i = 0; i < s->n_clutter; i++)
        s->clutter[i].colour =
            colour_of(r, s->corners ? bright_apart(r, coat, 0.22) : rng_uniform(r, 0.1, 0.9));
}

/* Here each draw is a statement of its own, as C leaves open which argument of a call is computed first. */
static void plan_places(struct scene *s, struct rng *r)
{
    double x, y, far_x, far_y, rx, ry;

    s->width = 200 + (int)rng_below(r, 201);
    s->height = 200 + (int)rng_below(r, 201);
    s->half = 0.5 * (s->width < s->height ? s->width : s->height);
    far_x = s->width / (2 * s->half);
    far_y = s->height / (2 * s->half);
    s->n_clutter = 2 + (int)rng_below(r, CLUTTER_MAX - 1);
    for (int i = 0; i < s->n_clutter; i++) {
        y = rng_uniform(r, -far_y, far_y);
        x = rng_uniform(r, -far_x, far_x);
        ry = rng_uniform(r, 0.1, 0.4);
        rx = rng_uniform(r, 0.15, 0.7);
        s->clutter[i] = ellipse_of(r, rx, ry, x, y);
    }
    /* near the middle; along the long side it may wander a little more */
    y = rng_uniform(r, -0.2, 0.2) * (2 * far_y - 1);
    x = rng_uniform(r, -0.2, 0.2) * (2 * far_x - 1);
    ry = rng_uniform(r, 0.6, 0.85);
    rx = rng_uniform(r, 0.7, 1.0);
    s->body = ellipse_of(r, rx, ry, x, y);
}

static void plan(struct scene *s, int kind, int number)
{
    struct rng rng = rng_begin(0, RNG_DEMO, (uint32_t)kind, (uint32_t)number), *r = &rng;

    *s = (struct scene){.kind = kind};
    plan_places(s, r);
    if (looks[kind].pattern == STAR || looks[kind].pattern == TRIANGLE)
        plan_shape(s, r);
    plan_texture(s, r);
    plan_colours(s, r);
    turn(&s->ground_cos, &s->ground_sin, rng_uniform(r, 0, 360));
    for (int i = 0; i < NOISE * NOISE; i++)
        s->noise[i / NOISE][i % NOISE] = rng_uniform(r, 0, 1);
    turn(&s->light_x, &s->light_y, rng_uniform(r, 0, 360));
    s->light = rng_uniform(r, 0, 0.3);
    s->gamma = rng_uniform(r, 0.75, 1.35);
    s->grain = rng_uniform(r, 2, 16);
}

/* --- one point --- */

static struct colour mix(const struct colour *a, const struct colour *b, double t)
{
    struct colour c;

    for (int i = 0; i < 3; i++)
        c.c[i] = a->c[i] + t * (b->c[i] - a->c[i]);
    return c;
}

/* Squared distance from the middle, 1 on the edge; *X and *Y become the ellipse's own. */
static double ellipse_at(const struct ellipse *e, double *x, double *y)
{
    double u = *x - e->x, v = *y - e->y;

    *x = e->cos * u + e->sin * v;
    *y = e->cos * v - e->sin * u;
    u = *x / e->rx;
    v = *y / e->ry;
    return u * u + v * v;
}

static struct colour ground_at(const struct scene *s, double x, double y)
{
    double t = 0.5 + 0.3 * (x * s->ground_cos + y * s->ground_sin);
    double u = (x + 2) * 2.6, v = (y + 2) * 2.6;
    int i = (int)u, j = (int)v;
    const double *a = s->noise[j % NOISE], *b = s->noise[(j + 1) % NOISE];
    struct colour c;

    u -= i;
    v -= j;
    t += 0.7 * ((1 - v) * ((1 - u) * a[i % NOISE] + u * a[(i + 1) % NOISE]) +
                v * ((1 - u) * b[i % NOISE] + u * b[(i + 1) % NOISE]) - 0.5);
    c = mix(&s->ground[0], &s->ground[1], t < 0 ? 0 : t > 1 ? 1 : t);
    for (int k = 0; k < s->n_clutter; k++) {
        double p = x, q = y, d = ellipse_at(&s->clutter[k], &p, &q);

        if (d < 1) /* soft, so that its edge is not a shape's */
            c = mix(&c, &s->clutter[k].colour, d < 0.7 ? 1 : (1 - d) / 0.3);
    }
    return c;
}

static bool in_shape(const struct scene *s, double x, double y)
{
    bool inside = false;

    for (int i = 0, j = s->corners - 1; i < s->corners; j = i++) {
        const double *a = s->shape[i], *b = s->shape[j];

        if ((a[1] > y) != (b[1] > y) && x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0])
            inside = !inside;
    }
    return inside;
}

/* 0 or 1: which of the coat's colours is at (x, y), relative to the body's middle. */
static int texture_at(const struct scene *s, double x, double y)
{
    double u = (s->cos * x + s->sin * y) / s->period + s->phase_x;
    double v = (s->cos * y - s->sin * x) / s->period + s->phase_y;
    enum pattern p = looks[s->kind].pattern;
    double fu = floor(u), fv = floor(v), d;
    const double *cell;

    switch (p) {
    case STRIPES:
        return v - fv < 0.5;
    case CHECKS:
        return (((int)fu + (int)fv) & 1) != 0 ? 1 : 0;
    case BULLSEYE:
        d = sqrt(x * x + y * y) / s->period + s->phase_x;
        return d - floor(d) < 0.5;
    default:
        break;
    }
    if (((int)fv & 1) != 0) { /* every other row shifted by half a cell */
        u += 0.5;
        fu = floor(u);
    }
    cell = s->cells[(int)fv & (CELLS - 1)][(int)fu & (CELLS - 1)];
    u -= fu + 0.5 + cell[0];
    v -= fv + 0.5 + cell[1];
    d = (u * u + v * v) / (cell[2] * cell[2]);
    return d < 1 && (p == SPOTS || d > s->hole * s->hole);
}

/* Which colour of the coat at (x, y), or -1 outside the body. */
static int coat_at(const struct scene *s, double x, double y)
{
    double u = x, v = y;

    if (s->corners > 0) {
        u -= s->body.x;
        v -= s->body.y;
        return in_shape(s, s->cos * u + s->sin * v, s->cos * v - s->sin * u) ? 0 : -1;
    }
    return ellipse_at(&s->body, &u, &v) < 1 ? texture_at(s, x - s->body.x, y - s->body.y) : -1;
}

/* --- the picture --- */

static struct colour pixel_at(const struct scene *s, int column, int row)
{
    static const double part[2] = {0.25, 0.75}; /* 2 x 2 samples smooth the edges */
    double x = (column + 0.5 - 0.5 * s->width) / s->half;
    double y = (row + 0.5 - 0.5 * s->height) / s->half;
    struct colour sum = {{0, 0, 0}}, ground = ground_at(s, x, y);
    double light = 1 + s->light * (s->light_x * x + s->light_y * y);

    for (int i = 0; i < 4; i++) {
        int coat = coat_at(s, (column + part[i & 1] - 0.5 * s->width) / s->half,
                           (row + part[i >> 1] - 0.5 * s->height) / s->half);
        const struct colour *c = coat < 0 ? &ground : &s->coat[coat];

        for (int k = 0; k < 3; k++)
            sum.c[k] += 0.25 * light * c->c[k];
    }
    return sum;
}

int demo_draw(struct demo_picture *out, int kind, int number, struct err *err)
{
    struct rng grain = rng_begin(1, RNG_DEMO, (uint32_t)kind, (uint32_t)number);
    double curve[1025];
    struct scene s;
    uint8_t *p;

    BUG_IF(kind < 0 || kind >= DEMO_KINDS);
    plan(&s, kind, number);
    out->width = s.width;
    out->height = s.height;
    out->rgb = p = malloc((size_t)s.width * (size_t)s.height * 3);
    if (!p)
        return err_set(err, ERR_NOMEM, "no memory for a picture of %d x %d", s.width, s.height);
    for (int i = 0; i <= 1024; i++)
        curve[i] = round_off(255 * pow(i / 1024.0, s.gamma));
    for (int row = 0; row < s.height; row++)
        for (int column = 0; column < s.width; column++) {
            struct colour c = pixel_at(&s, column, row);
            uint32_t word = rng_u32(&grain);

            for (int k = 0; k < 3; k++, word >>= 8) {
                double v = c.c[k] < 0 ? 0 : c.c[k] > 1 ? 1 : c.c[k];

                v = curve[(int)(v * 1024)] + s.grain * ((word & 255) / 255.0 - 0.5);
                *p++ = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
            }
        }
    return 0;
}

const struct demo_kind demo_kinds[DEMO_KINDS] = {
    {"arrow_pointer", DEMO_DOG},     {"brindle_hound", DEMO_DOG},  {"Classic_Tabby", DEMO_CAT},
    {"harlequin_mastiff", DEMO_DOG}, {"Mackerel_Tabby", DEMO_CAT}, {"Rosetted_Ocicat", DEMO_CAT},
    {"Spotted_Mau", DEMO_CAT},       {"star_spaniel", DEMO_DOG},
};
