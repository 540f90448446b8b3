/* facts.c - collects a run's facts; what cannot be found out is null, never a reason to fail.
 * SPDX-License-Identifier: MIT */
#include "learn/facts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/json.h"
#include "base/sandbox.h"
#include "base/version.h"
#include "run/run_facts.h"

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

/* What the device's libraries chose, a string each; null where they have no choice. */
static json_t *plans(const struct session *s)
{
    char *text = s->device.kind->plans ? s->device.kind->plans(s->device.be) : NULL, *rest = NULL;
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

/* SPLIT and CLEAN: room. ERR_IO, ERR_NOMEM. */
static int hash_parents(struct run_hashes *h, const struct session *s, char split[SHA256_HEX],
                        char clean[SHA256_HEX], struct err *err)
{
    const char *table = split_clean_file(&s->e->data);

    if (split_sha256(split, s->split, s->shards, err) < 0 ||
        (table[0] && sha256_file(table, clean, NULL, err) < 0))
        return -1;
    h->manifest = shard_set_manifest_sha256(s->shards);
    h->index = shard_set_index_sha256(s->shards);
    h->split = split;
    h->weights_file = text_or_null(s->source_sha256);
    h->config = s->config_sha256;
    h->tables = text_or_null(s->tables_sha256);
    h->clean = table[0] ? clean : NULL;
    return 0;
}

/* What ran, in words: the experiment's own title may be inherited from another one. */
static void what_ran(char *out, size_t size, const struct session *s)
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
    snprintf(out, size, "%s, %s px%s, %u pictures of %s", arch_name(s->e->model.arch), sizes, valid,
             s->split->n_train, s->e->data.set);
}

/* What the session says of itself. */
static void session_facts(struct run_facts *f, const struct session *s)
{
    static const char *const precisions[] = {
        [PRECISION_FP32] = "fp32", [PRECISION_BF16] = "bf16", [PRECISION_FP16] = "fp16"};

    f->experiment = s->e->name;
    f->title = s->e->title;
    f->machine.device = s->device.info.device;
    f->machine.threads = s->device.info.threads;
    f->machine.isa = s->device.info.isa;
    f->libraries = (struct run_libraries){presize_version, s->device.info.library, JANSSON_VERSION};
    f->set = s->e->data.set;
    f->shards = s->shards_folder;
    f->seed = s->e->seed;
    f->precision = (struct run_precision){precisions[s->e->train.precision], dtype_name(s->dtype),
                                          s->precision_note};
    f->backend = s->device.kind->name;
    f->microbatch = s->list->microbatch;
    f->classes = s->network->classes;
    f->pictures = (struct run_pictures){s->split->n_train, s->split->n_valid, s->split->n_test,
                                        s->split->n_left_out};
    f->backend_note = text_or_null(s->device.info.note);
    f->steps = text_or_null(s->device.info.steps);
}

/* Null is nothing. Taken over. */
static json_t *or_null(json_t *json)
{
    if (!json_is_null(json))
        return json;
    json_decref(json);
    return NULL;
}

int facts_collect(json_t **out, const struct session *s, int argc, char *const *argv, json_t *git,
                  const char *initial, struct err *err)
{
    char binary[SHA256_HEX] = "", split_hash[SHA256_HEX], clean[SHA256_HEX], split[PATH_LEN];
    char ran[512], host[256] = "";
    struct utsname name = {0};
    struct run_facts f;
    json_t *lists[] = {arguments(argc, argv), or_null(plans(s)), or_null(facts_ranks(s)),
                       remarks(s), or_null(split_cleaning_json(s->split, &s->e->data))};
    int rc = -1;

    fields_clear(run_fields, &f);
    session_facts(&f, s);
    split_text(split, sizeof split, &s->e->data);
    what_ran(ran, sizeof ran, s);
    uname(&name);
    gethostname(host, sizeof host - 1);
    f.machine.host = host;
    f.machine.system = name.sysname;
    f.machine.release = name.release;
    f.machine.machine = name.machine;
    f.machine.sandbox = sandbox_name();
    if (sha256_file("/proc/self/exe", binary, NULL, NULL) == 0)
        f.sha256.binary = binary;
    f.sha256.initial_weights = initial;
    f.git = json_is_null(git) ? NULL : git;
    f.split = split;
    f.argv = lists[0];
    f.plans = lists[1];
    f.ranks = lists[2];
    f.remarks = lists[3];
    f.cleaning = lists[4];
    f.arithmetic = ARITHMETIC;
    f.ran = ran;
    if (hash_parents(&f.sha256, s, split_hash, clean, err) == 0)
        rc = run_facts_json(out, &f, err);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        json_decref(lists[i]);
    return rc;
}
