/* backend.c - which backends there are, and the keys exec.*.
 * SPDX-License-Identifier: MIT */
#include "backend/backend.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/onednn.h"
#include "base/isa.h"
#include "base/path.h"
#include "base/plugin.h"
#include "base/version.h"
#include "group/group.h"

static const char *const backend_names[] = {"auto", "cpu", "ref", "cuda", NULL};
static const char *const winograd_names[] = {"auto", "off", NULL};
static const char *const conv_names[] = {"own", "onednn", NULL};
static const char *const resident_names[] = {"auto", "off", NULL};
static const char *const cuda_graph_names[] = {"auto", "off", NULL};
static const char *const layout_names[] = {"auto", "blocked", "nhwc", NULL};

// clang-format off
const struct key exec_keys[] = {
    KEY_CHOICE(struct exec_options, backend, "exec.backend", "auto", backend_names,
               "device that computes; auto takes the best available device and records it"),
    KEY_INT(struct exec_options, device, "exec.device", "0", 0, 1023, "",
            "number of the GPU, from 0"),
    KEY_INT(struct exec_options, threads, "exec.threads", "0", 0, 4096, "threads",
            "0: one per processor, shared by the processes of a machine", .flags = KEY_NO_RESULT),
    KEY_INT(struct exec_options, microbatch, "exec.microbatch", "0", 0, 4096, "pictures",
            "pictures per call, a divisor of the batch; 0: the largest that is at most 8"),
    KEY_CHOICE(struct exec_options, conv, "exec.conv", "own", conv_names,
               "what computes the cpu's convolutions: presize itself, or oneDNN",
               .since = 2, .implied = "onednn"),
    KEY_CHOICE(struct exec_options, isa, "exec.isa", "auto", isa_choices,
               "best instruction set that the cpu may use; auto: the best that the processor has", .since = 2),
    KEY_INT(struct exec_options, prefetch, "exec.prefetch", "4", 1, 64, "batches",
            "batches read ahead of the step", .flags = KEY_NO_RESULT),
    KEY_INT(struct exec_options, readers, "exec.readers", "0", 0, 64, "threads",
            "threads that read and decode pictures in training; 0: one for "
            "raw pixels, 16 for another machine's shards, else its share of processors",
            .since = 2, .flags = KEY_NO_RESULT),
    KEY_CHOICE(struct exec_options, resident, "exec.resident", "auto", resident_names,
               "keep the presized set in the GPU's memory where it fits"),
    KEY_CHOICE(struct exec_options, cuda_graph, "exec.cuda_graph", "auto", cuda_graph_names,
               "run the steps of a GPU as CUDA graphs", .flags = KEY_NO_RESULT),
    KEY_BOOL(struct exec_options, tf32, "exec.tf32", "false",
             "fp32 convolutions of a GPU on tensor cores, inputs rounded to 10 bits"),
    KEY_BOOL(struct exec_options, deterministic, "exec.deterministic", "true",
             "true: bit-identical from run to run, as cpu and ref always are; false: a GPU "
             "takes the fastest convolutions"),

    KEY_CHOICE(struct exec_options, winograd, "exec.winograd", "auto", winograd_names, "",
               .retired = 2, .instead = "leave it out; exec.conv says what computes convolutions"),
    KEY_CHOICE(struct exec_options, layout, "exec.layout", "auto", layout_names, "",
               .retired = 2, .instead = "leave it out; exec.isa decides how activations lie in memory"),
    KEY_STR(struct exec_options, max_isa, "exec.max_isa", "", "",
            .retired = 2, .instead = "set exec.isa (auto, base, avx2, avx512 or avx512bf16)"),
    KEY_END,
};
// clang-format on

bool backend_has_onednn(void)
{
#ifdef PRESIZE_ONEDNN
    return true;
#else
    return false;
#endif
}

void backend_libraries(FILE *file)
{
#ifdef PRESIZE_ONEDNN
    char isa[64], library[64];

    dnn_describe(NULL, isa, sizeof isa, library, sizeof library);
    version_library(file, "onednn", strchr(library, ' ') + 1);
#else
    (void)file;
#endif
}

static int cuda_plugin(const struct backend **out, struct err *err)
{
    static const struct plugin_place place = {
        .name = "CUDA",
        .file = "libpresize_cuda.so",
        .variable = "PRESIZE_PLUGIN",
        .remedy = "`make cuda` builds it where nvcc is, and the package presize-cuda has it",
    };
    const void *table;

    if (plugin_open(&table, &place, err) < 0)
        return -1;
    *out = table;
    return 0;
}

const struct backend *backend_find(const char *name)
{
    static const struct backend *const all[] = {&cpu_backend, &ref_backend};
    const struct backend *found;

    if (strcmp(name, "auto") == 0)
        return &cpu_backend;
    if (strcmp(name, "cuda") == 0)
        return cuda_plugin(&found, NULL) < 0 ? NULL : found;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

void backend_wake_driver(void)
{
    void *driver = path_exists("/dev/nvidia-uvm") || path_exists("/dev/dxg")
                       ? NULL
                       : dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    int (*init)(unsigned flags);

    if (!driver)
        return;
    *(void **)&init = dlsym(driver, "cuInit");
    if (init)
        (void)init(0); /* what it finds is told when the backend is opened */
}

/* Opens the plug-in's device. AUTO: only where a driver is, as loading CUDA's libraries takes long. */
static int open_cuda(struct device *out, const struct exec_options *o, struct err *err)
{
    void *driver = NULL;

    if (o->backend == BACKEND_AUTO && !getenv("PRESIZE_PLUGIN")) {
        driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
        if (!driver)
            return err_set(err, ERR_UNSUPPORTED, "no NVIDIA driver on this machine");
        dlclose(driver);
    }
    return cuda_plugin(&out->kind, err) < 0 ? -1 : out->kind->open(&out->be, o, err);
}

/* Whether this process by itself can open a GPU: opening one together waits for all. */
static bool has_gpu(const struct exec_options *o, struct err *why)
{
    struct be_ranks alone = *o->ranks;
    struct exec_options own = *o;
    struct device d = {0};
    bool has;

    alone.ranks = 1;
    own.ranks = &alone;
    has = open_cuda(&d, &own, why) == 0;
    device_close(&d);
    return has;
}

/* Several processes ask for one backend. With auto, *CUDA: each of them has a GPU of its own. */
static int agree(bool *cuda, const struct exec_options *o, struct err *why, struct err *err)
{
    const struct be_ranks *r = o->ranks;
    struct {
        int backend;
        bool has_gpu;
    } all[GROUP_MAX] = {0}, *mine = &all[r->rank];

    mine->backend = o->backend;
    mine->has_gpu = o->backend == BACKEND_AUTO && has_gpu(o, why);
    r->share(r->ctx, all, sizeof *all);
    *cuda = true;
    for (int i = 0; i < r->ranks; i++) {
        if (all[i].backend != all[0].backend)
            return err_set(err, ERR_INPUT, "rank %d has exec.backend=%s, and rank 0 has %s", i,
                           backend_names[all[i].backend], backend_names[all[0].backend]);
        *cuda &= all[i].has_gpu;
    }
    if (!*cuda && mine->has_gpu)
        err_set(why, ERR_UNSUPPORTED, "not each of %d processes has a GPU of its own", r->ranks);
    return 0;
}

int device_open(struct device *out, const struct exec_options *o, struct err *err)
{
    struct err why = {0};
    bool cuda = true;

    memset(out, 0, sizeof *out);
    if (o->ranks && agree(&cuda, o, &why, err) < 0)
        return -1;
    out->kind = o->backend == BACKEND_REF ? &ref_backend : &cpu_backend;
    if (o->backend == BACKEND_CUDA && open_cuda(out, o, err) < 0)
        return err_wrap(err, "exec.backend=cuda");
    if (o->backend == BACKEND_AUTO && (!cuda || open_cuda(out, o, &why) < 0))
        out->kind = &cpu_backend;
    if (!out->be && out->kind->open(&out->be, o, err) < 0)
        return -1;
    out->ranks = o->ranks;
    out->kind->info(out->be, &out->info);
    snprintf(out->info.note, sizeof out->info.note, "%.*s", (int)sizeof out->info.note - 1,
             why.msg);
    return 0;
}

void device_close(struct device *d)
{
    if (d->be)
        d->kind->close(d->be);
    d->be = NULL;
}
