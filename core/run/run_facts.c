/* run_facts.c - see run_facts.h. SPDX-License-Identifier: MIT */
#include "run/run_facts.h"

#include "base/remark.h"

enum { PICTURES_MAX = INT32_MAX };
static const double most = 1e300; /* of what has no bound */

// clang-format off
static const struct field machine_fields[] = {
    FIELD_TEXT(struct run_machine, host, "host", "its name"),
    FIELD_TEXT(struct run_machine, system, "system", "`Linux`"),
    FIELD_TEXT(struct run_machine, release, "release", "of the kernel"),
    FIELD_TEXT(struct run_machine, machine, "machine", "`x86_64`, `aarch64`"),
    FIELD_TEXT(struct run_machine, device, "device", "the processor or GPU"),
    FIELD_INT(struct run_machine, threads, "threads", 0, 1 << 20, "", "that computed"),
    FIELD_TEXT(struct run_machine, isa, "isa", "the instruction set that the kernels were of"),
    FIELD_TEXT(struct run_machine, sandbox, "sandbox",
               "what the process gave up: `landlock 7`, the version of the kernel's interface; `none`; `off` with "
               "`--no-sandbox`; missing in older runs. It is a fact about the machine, so index.json, whose bytes "
               "depend on pictures and settings alone, does not have it"),
    FIELD_END,
};

static const struct field library_fields[] = {
    FIELD_TEXT(struct run_libraries, presize, "presize", "version"),
    FIELD_TEXT(struct run_libraries, backend, "backend",
               "what computed: `own convolutions`, or a library with its version"),
    FIELD_TEXT(struct run_libraries, jansson, "jansson", "version"),
    FIELD_END,
};

const struct field run_hash_fields[] = {
    FIELD_TEXT(struct run_hashes, binary, "binary", "SHA-256 of the program `train`", .flags = FIELD_NULL),
    FIELD_TEXT(struct run_hashes, manifest, "manifest", "of the set's manifest.jsonl, as index.json names it"),
    FIELD_TEXT(struct run_hashes, index, "index", "of the shards' index.json"),
    FIELD_TEXT(struct run_hashes, split, "split", "of the split (below)"),
    FIELD_TEXT(struct run_hashes, initial_weights, "initial_weights", "of the tensors before the first step"),
    FIELD_TEXT(struct run_hashes, weights_file, "weights_file", "of the file that `model.weights` named",
               .flags = FIELD_NULL),
    FIELD_TEXT(struct run_hashes, config, "config", "of the configuration (below)"),
    FIELD_TEXT(struct run_hashes, tables, "tables", "of the tables that keys name, as in a checkpoint",
               .flags = FIELD_NULL),
    FIELD_TEXT(struct run_hashes, clean, "clean", "of the table of `data.clean`, where there is one",
               .flags = FIELD_OPTIONAL),
    FIELD_END,
};

static const struct field precision_fields[] = {
    FIELD_TEXT(struct run_precision, asked, "asked", "`train.precision`"),
    FIELD_TEXT(struct run_precision, ran, "ran", "what was computed in"),
    FIELD_TEXT(struct run_precision, note, "note", "why they differ", .flags = FIELD_NULL),
    FIELD_END,
};

static const struct field picture_fields[] = {
    FIELD_INT(struct run_pictures, train, "train", 0, PICTURES_MAX, "", "pictures of the training part"),
    FIELD_INT(struct run_pictures, valid, "valid", 0, PICTURES_MAX, "", "of the validation part"),
    FIELD_INT(struct run_pictures, test, "test", 0, PICTURES_MAX, "", "of the test part"),
    FIELD_INT(struct run_pictures, left_out, "left_out", 0, PICTURES_MAX, "", "in none of them"),
    FIELD_END,
};

static const struct field resumed_fields[] = {
    FIELD_TEXT(struct run_resumed, at, "at", "UTC"),
    FIELD_INT(struct run_resumed, epoch, "epoch", 0, UINT32_MAX, "", "epochs that were done"),
    FIELD_LIST(struct run_resumed, argv, "argv", "the command line"),
    FIELD_END,
};

const struct field run_rate_fields[] = {
    FIELD_INT(struct run_rates, steps, "steps", 0, INT32_MAX, "", "that were run"),
    FIELD_REAL(struct run_rates, valley, "valley", 0, most, "", "the rate that this rule suggests"),
    FIELD_REAL(struct run_rates, slide, "slide", 0, most, "", "likewise"),
    FIELD_REAL(struct run_rates, minimum, "minimum", 0, most, "", "likewise"),
    FIELD_REAL(struct run_rates, steep, "steep", 0, most, "", "likewise"),
    FIELD_END,
};

/* The members behind `start` are those of run_facts_json(), up to `cleaning`. */
enum { HEAD = 3 };
const struct field run_fields[] = {
    FIELD_INT(struct run_facts, version, "version", 1, INT32_MAX, "",
              "2, of this folder's format; 1 has no `record_sha256`"),
    FIELD_TEXT(struct run_facts, status, "status", "`running`, `done`, `failed`, `stopped`"),
    FIELD_TEXT(struct run_facts, start, "start",
               "UTC, `2026-01-31T23:59:59.123456Z`; the latest run is the one with the newest start"),
    FIELD_TEXT(struct run_facts, experiment, "experiment", "name of the experiment's file"),
    FIELD_TEXT(struct run_facts, title, "title", "the question that the experiment asks"),
    FIELD_LIST(struct run_facts, argv, "argv", "the command line, texts"),
    FIELD_RECORD(struct run_facts, machine, "machine", machine_fields, "where it ran"),
    FIELD_RECORD(struct run_facts, libraries, "libraries", library_fields, "what it ran with"),
    FIELD_OBJECT(struct run_facts, git, "git", "`commit` and `dirty` of the working folder", .flags = FIELD_NULL),
    FIELD_RECORD(struct run_facts, sha256, "sha256", run_hash_fields, "what it was made from"),
    FIELD_TEXT(struct run_facts, set, "set", "data set"),
    FIELD_TEXT(struct run_facts, shards, "shards", "folder of its shards"),
    FIELD_TEXT(struct run_facts, split, "split",
               "how it was cut, as it stands beside every figure: `random split (42)`, `official split (42, "
               "stratified)`, `csv split NAME.csv`"),
    FIELD_INT(struct run_facts, seed, "seed", 0, 9007199254740992.0, "", "the key"),
    FIELD_RECORD(struct run_facts, precision, "precision", precision_fields, "of the numbers"),
    FIELD_TEXT(struct run_facts, backend, "backend", "`cpu`, `ref`, `cuda`"),
    FIELD_INT(struct run_facts, microbatch, "microbatch", 0, PICTURES_MAX, "", "pictures, of the first phase"),
    FIELD_INT(struct run_facts, classes, "classes", 0, PICTURES_MAX, "", "that the network tells apart"),
    FIELD_RECORD(struct run_facts, pictures, "pictures", picture_fields, "how many"),
    FIELD_TEXT(struct run_facts, backend_note, "backend_note", "why `exec.backend: auto` took the cpu",
               .flags = FIELD_NULL),
    FIELD_TEXT(struct run_facts, steps, "steps",
               "`cuda`: how the steps were put on the GPU, as of the last epoch: `CUDA graphs`, or `op by op` and "
               "why", .flags = FIELD_NULL),
    FIELD_LIST(struct run_facts, plans, "plans",
               "`cuda`: each convolution of the first phase with the engine that cuDNN's heuristics gave for it, "
               "or that was the fastest and its time", .flags = FIELD_NULL),
    FIELD_LIST(struct run_facts, ranks, "ranks",
               "who trained together: `rank 1 (HOST, pid N, device N, its name)`; null for one process",
               .flags = FIELD_NULL),
    FIELD_LIST(struct run_facts, remarks, "remarks", "what prep and the split remarked, as in index.json",
               .fields = remark_fields),
    FIELD_INT(struct run_facts, arithmetic, "arithmetic", 1, INT32_MAX, "",
              "version of what presize computes: another one gives other bits from the same configuration",
              .implied = "1"),
    FIELD_TEXT(struct run_facts, ran, "ran",
               "what ran: the network, the pictures' side, and the training pictures (\"resnet18, 64 px, 556 "
               "pictures of pets-mini\"); `title` may be inherited from another experiment. Missing in older runs"),
    FIELD_OBJECT(struct run_facts, cleaning, "cleaning",
                 "what [data.clean and data.plant](cleaning.md) did: `file`, `kept`, `dropped` and `relabelled` "
                 "(`train`, `valid`, `test`, in pictures); `planted`: `share`, `pictures`, `valid` (of them). "
                 "Null without either key, missing in older runs", .flags = FIELD_NULL),
    FIELD_RECORD(struct run_facts, resumed, "resumed", resumed_fields, "the last resumption", .flags = FIELD_OPTIONAL),
    FIELD_RECORD(struct run_facts, lr_find, "lr_find", run_rate_fields, "of `train --lr-find`",
                 .flags = FIELD_OPTIONAL),
    FIELD_OBJECT(struct run_facts, files, "files",
                 "of a run that is done: the SHA-256 of each file by its path below the folder, but for what "
                 "changes later (`run.json`, `log.txt`, `plots/`, `report.html`, `scores/`, `looks.jsonl`) and "
                 "hidden files", .flags = FIELD_OPTIONAL),
    FIELD_TEXT(struct run_facts, stop, "stop", "UTC", .flags = FIELD_OPTIONAL),
    FIELD_TEXT(struct run_facts, error, "error", "why it failed or stopped", .flags = FIELD_OPTIONAL),
    FIELD_TEXT(struct run_facts, record_sha256, "record_sha256",
               "SHA-256 of all other members in their order as one line of JSON (`\", \"` and `\": \"` between "
               "them): each member is as it was written", .flags = FIELD_OPTIONAL),
    FIELD_END,
};
// clang-format on

int run_facts_json(json_t **out, const struct run_facts *f, struct err *err)
{
    *out = fields_json(run_fields + HEAD, f);
    return *out ? 0
                : err_set(err, ERR_NOMEM, "run.json: out of memory, or a text that is not UTF-8");
}

const char *run_hash(const struct run_hashes *h, const char *name)
{
    return field_text(field_find(run_hash_fields, name), h);
}
