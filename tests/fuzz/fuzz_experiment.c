/* fuzz_experiment.c - an experiment's YAML, then words KEY=VALUE, into keys and phases.
 *
 * The input is the file's text; after a 0 byte, the words, one per line. What was taken must come back
 * from what a run records, as the same experiment. SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/yaml.h"
#include "experiment/experiment.h"
#include "fuzz.h"

enum { WORDS_MAX = 8 };

static int split(char *text, char *words[WORDS_MAX])
{
    int n = 0;

    while (text && n < WORDS_MAX)
        words[n++] = strsep(&text, "\n");
    return n;
}

/* The text of resolved.yaml read again gives the same configuration. */
static void check_again(const struct experiment *e)
{
    char folder[PATH_LEN], before[SHA256_HEX], after[SHA256_HEX];
    struct experiment *again;
    struct err err = {0};

    CHECK(experiment_sha256(e, before, &err) == 0);
    snprintf(folder, sizeof folder, "%s", fuzz_file((const uint8_t *)"", 0, ""));
    *strrchr(folder, '/') = '\0';
    CHECK(experiment_write(e, folder, &err) == 0);
    if (experiment_reopen(&again, folder, NULL, 0, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    CHECK(experiment_sha256(again, after, &err) == 0 && strcmp(before, after) == 0);
    experiment_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, 0, size);
    const size_t n = end ? (size_t)(end - data) : size, rest = end ? size - n - 1 : 0;
    char *text = malloc(rest + 1), *words[WORDS_MAX];
    struct run_phase phases[2 * KEY_LIST_MAX];
    struct experiment *e;
    struct err err = {0};
    int n_words, n_phases;

    CHECK(text);
    if (rest)
        memcpy(text, data + n + 1, rest);
    text[rest] = '\0';
    n_words = rest ? split(text, words) : 0;
    if (experiment_read(&e, fuzz_file(data, n, ".yaml"), words, n_words, &err) < 0) {
        CHECK(!e);
        CHECK_REFUSED(err);
    } else {
        if (recipe_expand(phases, &n_phases, &e->train, &e->optim, &err) < 0)
            CHECK_REFUSED(err);
        else
            CHECK(n_phases > 0 && n_phases <= 2 * KEY_LIST_MAX);
        check_again(e);
        experiment_free(e);
    }
    free(text);
    return 0;
}

static const char words_seed[] =
    "# Is it read?\ntitle: a question\nseed: 7\ntrain: {batch: 8, size: 64}\n"
    "optim: {lr: 1e-3, moms: [0.9, 0.8, 0.9]}\0"
    "train.phases=[{kind: fine_tune, epochs: 2}]\ntrain.phases.0.base_lr=3e-3\n"
    "train.phases.1={epochs: 3, lr: [1e-6, 1e-4]}\ndata.set=\"a \\x62\"\nexec.threads=2";

static const char older_seed[] = "version: 1\nexec: {winograd: auto, layout: auto, max_isa: \"\"}\n"
                                 "train: {phases: [{epochs: 1}]}\0exec.conv=own\nexec.isa=avx2";

uint8_t *fuzz_seed(int i, size_t *size)
{
    static const char *const files[] = {"experiments/pets.yaml", "experiments/demo.yaml",
                                        "experiments/resnet34_discriminative.yaml",
                                        "experiments/resnet18_scratch.yaml"};
    uint8_t *bytes;

    if (i < 4)
        return fuzz_read(files[i], size);
    if (i > 5)
        return NULL;
    *size = i == 4 ? sizeof words_seed - 1 : sizeof older_seed - 1;
    bytes = malloc(*size);
    CHECK(bytes);
    memcpy(bytes, i == 4 ? words_seed : older_seed, *size);
    return bytes;
}
