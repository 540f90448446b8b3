/* facts.c - collects a run's facts; what cannot be found out is null, never a reason to fail.
 * SPDX-License-Identifier: MIT */
#include "facts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cli.h"
#include "base/json.h"
#include "base/sandbox.h"

/* First line of a command's output without its newline; false when it failed or said nothing. */
static bool first_line(const char *command, char *out, size_t size)
{
    FILE *pipe = popen(command, "re");
    bool got;

    if (!pipe)
        return false;
    got = fgets(out, (int)size, pipe) != NULL;
    while (got && fgetc(pipe) != EOF) /* let it finish writing */
        ;
    if (pclose(pipe) != 0 || !got)
        return false;
    out[strcspn(out, "\n")] = 0;
    return out[0] != 0;
}

json_t *facts_git(void)
{
    char commit[128], change[4096];

    if (!first_line("git rev-parse HEAD 2>/dev/null", commit, sizeof commit))
        return json_null();
    return json_pack("{s:s, s:b}", "commit", commit, "dirty",
                     first_line("git status --porcelain 2>/dev/null", change, sizeof change));
}

static json_t *arguments(int argc, char *const *argv)
{
    json_t *list = json_array();

    for (int i = 0; list && i < argc; i++)
        json_array_append_new(list, json_stringn_nocheck(argv[i], strlen(argv[i])));
    return list;
}

static json_t *machine(const struct session *s)
{
    struct utsname name = {0};
    char host[256] = "";

    uname(&name);
    gethostname(host, sizeof host - 1);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s}", "host", host, "system",
                     name.sysname, "release", name.release, "machine", name.machine, "device",
                     s->info.device, "threads", s->info.threads, "isa", s->info.isa, "sandbox",
                     sandbox_name());
}

static json_t *libraries(const struct session *s)
{
    return json_pack("{s:s, s:s, s:s}", "presize", presize_version, "backend", s->info.library,
                     "jansson", JANSSON_VERSION);
}

/* What the device's libraries chose, a string each; null where they have no choice. */
static json_t *plans(const struct session *s)
{
    char *text = s->backend->plans ? s->backend->plans(s->be) : NULL, *rest = NULL;
    json_t *list = text ? json_array() : json_null();

    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest))
        json_array_append_new(list, json_string(line));
    free(text);
    return list;
}

json_t *facts_ranks(const struct session *s)
{
    struct group *g = session_group(s);
    json_t *list = g ? json_array() : json_null();

    for (int i = 0; g && i < group_size(g); i++)
        json_array_append_new(list, json_string(group_name(g, i)));
    return list;
}

/* What prep remarked about the pictures, and what the split gives cause to. */
static json_t *remarks(const struct session *s)
{
    const json_t *prep = shard_set_remarks(s->shards);
    json_t *all = prep ? json_deep_copy(prep) : json_array();
    json_t *own = remarks_json(&s->split->remarks);

    if (!all || !own || json_array_extend(all, own) < 0) {
        json_decref(all);
        all = NULL;
    }
    json_decref(own);
    return all;
}

static const char *text_or_null(const char *text)
{
    return text[0] ? text : NULL;
}

static json_t *parents(const struct session *s, const char *binary, const char *initial)
{
    const char *table = split_clean_file(&s->e->data);
    char split[SHA256_HEX], clean[SHA256_HEX];

    if (split_sha256(split, s->split, s->shards, NULL) < 0 ||
        (table[0] && sha256_file(table, clean, NULL, NULL) < 0))
        return NULL;
    return json_pack("{s:s?, s:s, s:s, s:s, s:s, s:s?, s:s, s:s?, s:s*}", "binary",
                     text_or_null(binary), "manifest", shard_set_manifest_sha256(s->shards),
                     "index", shard_set_index_sha256(s->shards), "split", split, "initial_weights",
                     initial, "weights_file", text_or_null(s->source_sha256), "config",
                     s->config_sha256, "tables", text_or_null(s->tables_sha256), "clean",
                     table[0] ? clean : NULL);
}

/* What ran, in words: the experiment's own title may be inherited from another one. */
static json_t *what_ran(const struct session *s)
{
    const struct run_phase *last = &s->phases[s->n_phases - 1];
    int least = s->phases[0].size, most = least;
    char sizes[32], valid[40] = "";

    for (int i = 1; i < s->n_phases; i++) {
        least = s->phases[i].size < least ? s->phases[i].size : least;
        most = s->phases[i].size > most ? s->phases[i].size : most;
    }
    snprintf(sizes, sizeof sizes, least == most ? "%d" : "%d to %d", least, most);
    if (last->valid_size != last->size)
        snprintf(valid, sizeof valid, " (validated at %d px)", last->valid_size);
    return json_sprintf("%s, %s px%s, %u pictures of %s", arch_name(s->e->model.arch), sizes, valid,
                        s->split->n_train, s->e->data.set);
}

int facts_collect(json_t **out, const struct session *s, int argc, char *const *argv, json_t *git,
                  const char *initial, struct err *err)
{
    static const char *const precisions[] = {
        [PRECISION_FP32] = "fp32", [PRECISION_BF16] = "bf16", [PRECISION_FP16] = "fp16"};
    char binary[SHA256_HEX] = "", split[PATH_LEN];

    split_text(split, sizeof split, &s->e->data);
    if (sha256_file("/proc/self/exe", binary, NULL, NULL) < 0)
        binary[0] = 0;
    *out = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:O?, s:o, s:s, s:s, s:s, s:I, s:{s:s, s:s, s:s?}, "
        "s:s, s:i, s:i, "
        "s:{s:i, s:i, s:i, s:i}, s:s?, s:s?, s:o, s:o, s:o, s:i, s:o, s:o}",
        "experiment", s->e->name, "title", s->e->title, "argv", arguments(argc, argv), "machine",
        machine(s), "libraries", libraries(s), "git", git, "sha256", parents(s, binary, initial),
        "set", s->e->data.set, "shards", s->shards_folder, "split", split, "seed",
        (json_int_t)s->e->seed, "precision", "asked", precisions[s->e->train.precision], "ran",
        dtype_name(s->dtype), "note", s->precision_note, "backend", s->backend->name, "microbatch",
        s->list->microbatch, "classes", (int)s->network->classes, "pictures", "train",
        (int)s->split->n_train, "valid", (int)s->split->n_valid, "test", (int)s->split->n_test,
        "left_out", (int)s->split->n_left_out, "backend_note", text_or_null(s->info.note), "steps",
        text_or_null(s->info.steps), "plans", plans(s), "ranks", facts_ranks(s), "remarks",
        remarks(s), "arithmetic", ARITHMETIC, "ran", what_ran(s), "cleaning",
        split_cleaning_json(s->split, &s->e->data));
    if (!*out)
        return err_set(err, ERR_NOMEM, "run.json");
    return 0;
}
