/* predict_picture.c - the class of one picture, by a checkpoint's file.
 *
 *   predict_picture results/RUN/checkpoints/last.safetensors PICTURE.jpg
 *
 * Prints the most probable class and its probability, which are those of `eval RUN --predict PICTURE.jpg`.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "base/path.h"
#include "data/augment.h"
#include "experiment/infer.h"
#include "image/decode.h"
#include "image/resize.h"

enum { FILE_MAX = 64 << 20 }; /* bytes */

/* PIXELS and size of P, presized as the network's training pictures were. Owned by the caller. */
static uint8_t *load(struct picture *p, const struct trained *t, const char *path, struct err *err)
{
    struct resizer resizer = {0};
    struct image image = {0};
    struct presize plan;
    uint8_t *pixels = NULL;
    char *bytes;
    size_t size;

    if (path_read(&bytes, &size, path, FILE_MAX, err) < 0)
        return NULL;
    if (image_decode(&image, (const uint8_t *)bytes, size, t->exif, err) == 0) {
        plan = presize_plan(image.height, image.width, t->presize, t->max_aspect);
        pixels = malloc((size_t)plan.height * (size_t)plan.width * 3);
        if (!pixels)
            err_set(err, ERR_NOMEM, "%s", path);
        else if (resize_bilinear(&resizer, pixels, plan.height, plan.width, image.pixels,
                                 image.height, image.width, plan.box, err) < 0) {
            free(pixels);
            pixels = NULL;
        }
        *p = (struct picture){
            .pixels = pixels, .height = plan.height, .width = plan.width, .label = -1};
    }
    free(bytes);
    resizer_free(&resizer);
    image_free(&image);
    return pixels;
}

static int predict(const struct trained *t, const char *path, struct err *err)
{
    float *prob = calloc((size_t)t->classes, sizeof *prob);
    struct picture p;
    uint8_t *pixels = prob ? load(&p, t, path, err) : NULL;
    int best = 0, rc = -1;

    if (pixels) {
        augment_validation(&p.map, &t->experiment->augment, p.height, p.width, t->size);
        rc = infer_run(t->infer, &p, 1, prob, NULL, err);
    }
    for (int c = 1; rc == 0 && c < t->classes; c++)
        best = prob[c] > prob[best] ? c : best;
    if (rc == 0)
        printf("%s %.4f\n", t->vocab[best], (double)prob[best]);
    free(pixels);
    free(prob);
    return rc;
}

int main(int argc, char **argv)
{
    struct trained *t = NULL;
    struct err err;
    int rc;

    if (argc != 3) {
        fputs("usage: predict_picture FILE.safetensors PICTURE\n", stderr);
        return 2;
    }
    rc = trained_open_file(&t, argv[1], NULL, 0, &err);
    if (rc == 0)
        rc = predict(t, argv[2], &err);
    if (rc < 0)
        fprintf(stderr, "predict_picture: %s\n", err.msg);
    trained_close(t);
    return rc < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
