/* backend.c - which backends there are, and the keys exec.*.
 * SPDX-License-Identifier: MIT */
#include "backend/backend.h"

#include <string.h>

static const char *const backend_names[] = {"auto", "cpu", "ref", "cuda", NULL};
static const char *const winograd_names[] = {"auto", "off", NULL};
static const char *const layout_names[] = {"auto", "blocked", "nhwc", NULL};

// clang-format off
const struct key exec_keys[] = {
    KEY_CHOICE(struct exec_options, backend, "exec.backend", "auto", backend_names,
               "device that computes; auto takes the best there is and records it"),
    KEY_INT(struct exec_options, threads, "exec.threads", "0", 0, 4096, "threads",
            "0: one per processor; never changes a result"),
    KEY_INT(struct exec_options, microbatch, "exec.microbatch", "0", 0, 4096, "pictures",
            "pictures per call, a divisor of the batch; 0: the largest that is at most 8"),
    KEY_CHOICE(struct exec_options, winograd, "exec.winograd", "auto", winograd_names,
               "Winograd's form of fp32 3x3 convolutions where it is faster"),
    KEY_CHOICE(struct exec_options, layout, "exec.layout", "auto", layout_names,
               "how activations lie in memory, for tests and measurements"),
    KEY_INT(struct exec_options, prefetch, "exec.prefetch", "4", 1, 64, "batches",
            "batches read ahead of the step"),
    KEY_BOOL(struct exec_options, deterministic, "exec.deterministic", "true",
             "same bits from run to run; always so on cpu and ref"),
    KEY_STR(struct exec_options, max_isa, "exec.max_isa", "",
            "oneDNN's name of the best instruction set to use, empty for all there is"),
    KEY_END,
};
// clang-format on

const struct backend *backend_find(const char *name)
{
    static const struct backend *const all[] = {&cpu_backend, &ref_backend};

    if (strcmp(name, "auto") == 0)
        return &cpu_backend;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}
