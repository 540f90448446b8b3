/* bench_job.c - the chapter's job in small, end to end: resnet34, fine_tune(2) from nothing, 224 px, batch 64.
 *
 *   bench_job [PRECISION [SET]]      e.g. bench_job bf16 pets-mini; $PRESIZE_DATA has the set, default data
 *
 * Prints pictures trained and validated per second of the whole run, how its time divides into steps, waiting
 * for the loader, validation and the rest (checkpoints, plots), and how long the learning-rate range test takes.
 * SPDX-License-Identifier: MIT */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/path.h"
#include "base/sandbox.h"
#include "learn/begin.h"
#include "range_test.h"

static const char *data;

static bool is_prepared(const char *set)
{
    char path[PATH_LEN];

    return path_format(path, NULL, "%s/%s/shards-460/index.json", data, set) == 0 &&
           path_is_file(path);
}

/* Seconds of a whole run, or range test; its folder. */
static double run(char folder[PATH_LEN], const char *results, const char *precision,
                  const char *set, bool lr_find)
{
    char words[3][300];
    char *list[] = {words[0], words[1], words[2]}, *argv[] = {"bench_job"};
    struct request r = {.experiment = "resnet34_baseline",
                        .name = lr_find ? "lr_find" : "job",
                        .data = data,
                        .results = results,
                        .words = list,
                        .n_words = 3,
                        .instead = lr_find ? range_run : NULL,
                        .suffix = "",
                        .table = stdout,
                        .argc = 1,
                        .argv = argv};
    struct err err = {0};
    double begin = clock_seconds();

    snprintf(words[0], sizeof words[0], "data.set=%.200s", set);
    snprintf(words[1], sizeof words[1], "train.precision=%.20s", precision);
    snprintf(words[2], sizeof words[2], "model.weights=none");
    if (begin_run(&r, folder, &err) < 0) {
        fprintf(stderr, "bench_job: %s\n", err.msg);
        exit(1);
    }
    return clock_seconds() - begin;
}

/* Adds up timing.jsonl of FOLDER: seconds of training, of waiting in it, of validation. */
static void add_up(const char *folder, double *train, double *wait, double *valid)
{
    char path[PATH_LEN], line[1024];
    FILE *file;

    if (path_format(path, NULL, "%s/timing.jsonl", folder) < 0 || !(file = fopen(path, "re")))
        exit(1);
    while (fgets(line, sizeof line, file)) {
        json_t *epoch = json_loads(line, 0, NULL);

        *train += json_number_value(json_object_get(epoch, "train_seconds"));
        *wait += json_number_value(json_object_get(epoch, "wait_ms")) / 1e3;
        *valid += json_number_value(json_object_get(epoch, "valid_seconds"));
        json_decref(epoch);
    }
    fclose(file);
}

static double picture_count(const char *folder, const char *which)
{
    char path[PATH_LEN];
    json_t *run;
    double n;

    if (path_format(path, NULL, "%s/run.json", folder) < 0 ||
        !(run = json_load_file(path, 0, NULL)))
        exit(1);
    n = json_number_value(json_object_get(json_object_get(run, "pictures"), which));
    json_decref(run);
    return n;
}

int main(int argc, char **argv)
{
    const char *precision = argc > 1 ? argv[1] : "bf16", *set = argc > 2 ? argv[2] : "pets-mini";
    char scratch[] = "/tmp/presize-bench-XXXXXX", folder[PATH_LEN];
    double whole, train = 0, wait = 0, valid = 0, pictures, range;
    struct err err;

    sandbox_off(); /* it holds for a process, and there are two runs in this one */
    data = getenv("PRESIZE_DATA") ? getenv("PRESIZE_DATA") : "data";
    if (!is_prepared(set)) {
        printf("bench_job: skipped, %s/%s has no shards (fetch and prep %s)\n", data, set, set);
        return 0;
    }
    if (!mkdtemp(scratch))
        return 1;
    whole = run(folder, scratch, precision, set, false);
    add_up(folder, &train, &wait, &valid);
    pictures = 3 * (picture_count(folder, "train") + picture_count(folder, "valid"));
    printf("fine_tune(2), resnet34, 224 px, batch 64, %s: %.1f s, %.1f images/s end to end\n",
           precision, whole, pictures / whole);
    printf("steps %.1f %%, waiting for the loader %.2f %%, validation %.1f %%, the rest %.1f %%\n",
           100 * (train - wait) / whole, 100 * wait / whole, 100 * valid / whole,
           100 * (whole - train - valid) / whole);
    range = run(folder, scratch, precision, set, true);
    printf("lr_find, up to 100 steps of 64: %.1f s\n", range);
    return path_remove_tree(scratch, &err) < 0;
}
