/* selftest.c - the frame of train --selftest: devices, verdicts, the two files.
 * SPDX-License-Identifier: MIT */
#include "selftest/selftest_private.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/path.h"
#include "base/rng.h"
#include "base/text.h"
#include "base/version.h"
#include "data/augment.h"

static const char *const verdicts[] = {"passed", "FAILED", "left out"};

static void say(const struct selftest *t, const char *text)
{
    fputs(text, t->out);
    fflush(t->out);
    fputs(text, t->page);
}

void selftest_check(struct selftest *t, enum verdict verdict, const char *name, json_t *facts,
                    const char *format, ...)
{
    char detail[600], line[800];
    json_t *check = json_pack("{s:s, s:s}", "check", name, "result", verdicts[verdict]);
    va_list args;

    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    snprintf(line, sizeof line, "%-8s  %-34s %s\n", verdicts[verdict], name, detail);
    say(t, line);
    if (check && facts)
        json_object_set(check, "facts", facts);
    if (check)
        json_object_set_new(check, "detail", json_string(detail));
    json_decref(facts);
    json_array_append_new(t->checks, check);
    t->passed += verdict == PASSED;
    t->failed += verdict == FAILED;
    t->left_out += verdict == LEFT_OUT;
}

void selftest_error(struct selftest *t, const char *name, struct err *err)
{
    selftest_check(t, err->kind == ERR_UNSUPPORTED ? LEFT_OUT : FAILED, name, NULL, "%s", err->msg);
    *err = (struct err){0};
}

struct device *selftest_partner(struct selftest *t, enum dtype type)
{
    const bool cpu_can = type == DTYPE_F32 || (type == DTYPE_BF16 && t->cpu.info.has_bf16);

    return cpu_can && t->under.kind != t->cpu.kind ? &t->cpu : &t->ref;
}

bool selftest_has(const struct selftest *t, enum dtype type)
{
    return type == DTYPE_F32 || (type == DTYPE_BF16 && t->under.info.has_bf16) ||
           (type == DTYPE_F16 && t->under.info.has_fp16);
}

void selftest_pictures(struct picture *pictures, uint8_t *pixels, int n, int mode, int side,
                       int size, int classes)
{
    struct augment_options o, more;
    struct rng r = rng_begin(1, RNG_TEST, 0, 0);

    keys_default(&(struct key_table){augment_keys, 0}, 1, KEYS_NEWEST, &o);
    o.mode = mode;
    more = o; /* every second picture has what is off by default, too */
    more.saturation = 0.5;
    more.hue = 0.1;
    more.erase = 0.5;
    more.pad = mode == AUGMENT_PRESIZE ? PAD_ZEROS : PAD_REFLECTION;
    for (int i = 0; i < 3 * side * side; i++)
        pixels[i] = (uint8_t)rng_u32(&r);
    for (int i = 0; i < n; i++) {
        pictures[i] = (struct picture){.pixels = pixels,
                                       .height = side,
                                       .width = side,
                                       .label = i % classes,
                                       .position = (uint32_t)i};
        augment_training(&pictures[i].map, i % 2 ? &more : &o, side, side, size, 1, 0, (uint32_t)i,
                         0);
    }
}

/* --- devices --------------------------------------------------------------------------------- */

static int open_device(struct device *d, struct exec_options o, int kind, struct err *err)
{
    o.backend = kind;
    return device_open(d, &o, err);
}

int selftest_open(struct device *d, const struct selftest *t, struct err *err)
{
    return open_device(d, t->exec, t->exec.backend, err);
}

static int read_words(struct exec_options *o, const struct selftest_options *s, struct err *err)
{
    const struct key_table table = {exec_keys, 0};
    json_t *tree = json_object();
    int rc = 0;

    if (!tree)
        return err_set(err, ERR_NOMEM, "selftest");
    keys_default(&table, 1, KEYS_NEWEST, o);
    for (int i = 0; i < s->n_words && rc == 0; i++)
        rc = keys_override(tree, s->words[i], err) < 0 ? err_usage(err) : 0;
    if (rc == 0)
        rc = keys_apply(&table, 1, KEYS_NEWEST, o, tree, NULL, err);
    json_decref(tree);
    return rc;
}

static int open_devices(struct selftest *t, const struct selftest_options *s, struct err *err)
{
    struct exec_options o;

    if (read_words(&t->exec, s, err) < 0)
        return -1;
    o = t->exec;
    if (selftest_open(&t->under, t, err) < 0 || open_device(&t->cpu, o, BACKEND_CPU, err) < 0 ||
        open_device(&t->ref, o, BACKEND_REF, err) < 0)
        return -1;
    if (t->under.kind == t->cpu.kind || t->under.kind == t->ref.kind)
        return 0;
    o.cuda_graph = CUDA_GRAPH_OFF;
    return open_device(&t->eager, o, o.backend, err);
}

/* --- the two files --------------------------------------------------------------------------- */

static int write_files(const struct selftest *t, const char *results, const char *page, size_t size,
                       struct err *err)
{
    char path[PATH_LEN];
    const struct be_info *i = &t->under.info;
    json_t *all =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:i, s:O}", "presize",
                  presize_version, "backend", t->under.kind->name, "device", i->device, "isa",
                  i->isa, "library", i->library, "threads", i->threads, "note", i->note, "passed",
                  t->passed, "failed", t->failed, "left_out", t->left_out, "checks", t->checks);
    int rc = -1;

    if (!all)
        return err_set(err, ERR_NOMEM, "selftest");
    if (path_make_dirs(results, err) == 0 &&
        path_format(path, err, "%s/selftest-%s.json", results, t->under.kind->name) == 0 &&
        json_write(path, all, err) == 0 &&
        path_format(path, err, "%s/selftest-%s.txt", results, t->under.kind->name) == 0)
        rc = path_write(path, page, size, err);
    json_decref(all);
    return rc;
}

static void say_head(const struct selftest *t)
{
    const struct be_info *i = &t->under.info;
    char line[900];

    snprintf(line, sizeof line, "presize %s, self-test of %s: %s, %s, %s, %d thread%s\n\n",
             presize_version, t->under.kind->name, i->device, i->isa, i->library, i->threads,
             PLURAL(i->threads));
    say(t, line);
}

int selftest_run(FILE *out, const struct selftest_options *o, struct err *err)
{
    struct selftest t = {.quick = o->quick, .out = out, .checks = json_array()};
    char *page = NULL, line[PATH_LEN + 200];
    size_t size = 0;
    int rc = -1;

    t.page = open_memstream(&page, &size);
    if (!t.page || !t.checks) {
        err_set(err, ERR_NOMEM, "selftest");
        goto out;
    }
    if (open_devices(&t, o, err) < 0)
        goto out;
    say_head(&t);
    selftest_ops(&t);
    selftest_augment(&t);
    selftest_repeats(&t);
    selftest_graphs(&t);
    selftest_overflow(&t);
    selftest_curve(&t);
    selftest_rates(&t);
    snprintf(line, sizeof line, "\n%d passed, %d failed, %d left out\n", t.passed, t.failed,
             t.left_out);
    say(&t, line);
    fflush(t.page);
    if (write_files(&t, o->results, page, size, err) < 0)
        goto out;
    fprintf(out, "%s/selftest-%s.json\n%s/selftest-%s.txt\n", o->results, t.under.kind->name,
            o->results, t.under.kind->name);
    rc = t.failed == 0 ? 0
                       : err_set(err, ERR_NUMERIC, "selftest: %d checks failed on %s", t.failed,
                                 t.under.kind->name);
out:
    if (t.page)
        fclose(t.page);
    free(page);
    json_decref(t.checks);
    device_close(&t.under);
    device_close(&t.eager);
    device_close(&t.cpu);
    device_close(&t.ref);
    return rc;
}
