/* drawn_weights.c - files of weights that compress: each tensor's bytes exclusive-or those that the run's
 * seed draws for it. The same again gives the file back.
 *
 *   drawn_weights RUN FILE...     the safetensors FILEs change in place
 *
 * A kept run (make_run.sh) was trained so that nearly all of its weights are still the drawn ones, and
 * what is left of 45 MB is some 60 kB. SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "experiment/checkpoint.h"
#include "experiment/infer.h"
#include "nn/weights.h"
#include "tensorfile/safetensors.h"

enum { SIZE = 32 }; /* px; any will do */

static void must(int rc, const struct err *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "drawn_weights: %s\n", err->msg);
    exit(1);
}

/* The network of the run in FOLDER in an open device, its weights as the seed draws them. */
static void draw(struct device *d, struct network **n, const char *folder)
{
    struct experiment *e;
    struct infer *infer;
    struct err err;
    json_t *state, *vocab;

    must(experiment_reopen(&e, folder, NULL, 0, &err), &err);
    must(checkpoint_state(&state, folder, "last", &err), &err);
    must(json_get_array(state, "vocab", &vocab, &err), &err);
    must(network_new(n, &e->model, (int)json_array_size(vocab), &err), &err);
    must(device_open(d, &(struct exec_options){.backend = BACKEND_CPU}, &err), &err);
    must(infer_new(&infer, d, *n, SIZE, 8, 8, DTYPE_F32, &err), &err);
    must(weights_init(d, *n, (uint64_t)e->seed, false, &err), &err);
    infer_free(infer);
    json_decref(state);
    experiment_free(e);
}

static void change(const struct device *device, const struct network *n, const char *path)
{
    struct safetensors *s;
    struct err err;
    struct stat st;
    uint8_t *bytes;
    int fd;

    must(safetensors_open(&s, path, &err), &err);
    fd = open(path, O_RDWR | O_CLOEXEC);
    BUG_IF(fd < 0 || fstat(fd, &st) < 0);
    bytes = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    BUG_IF(bytes == MAP_FAILED);
    for (int i = 0; i < n->n_params; i++) {
        const struct param *p = &n->params[i];
        const struct st_tensor *t = safetensors_find(s, p->name);
        float *drawn = malloc(p->n * sizeof *drawn);

        BUG_IF(!drawn || !t || t->bytes != p->n * sizeof *drawn);
        must(device->kind->get(device->be, p->name, drawn, &err), &err);
        for (size_t k = 0; k < t->bytes; k++)
            bytes[t->offset + k] ^= ((const uint8_t *)drawn)[k];
        free(drawn);
    }
    BUG_IF(munmap(bytes, (size_t)st.st_size) < 0);
    close(fd);
    safetensors_close(s);
}

int main(int argc, char **argv)
{
    struct device d;
    struct network *n;

    if (argc < 3) {
        fputs("usage: drawn_weights RUN FILE...\n", stderr);
        return 2;
    }
    draw(&d, &n, argv[1]);
    for (int i = 2; i < argc; i++)
        change(&d, n, argv[i]);
    network_free(n);
    device_close(&d);
    return 0;
}
