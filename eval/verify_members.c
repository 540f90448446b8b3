/* verify_members.c - members of a run's records that a newer presize wrote and this one does not know.
 *
 * Their bytes are checked with the files that hold them; what they mean is not. SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/json.h"
#include "data/cleaning_record.h"
#include "data/index_record.h"
#include "experiment/checkpoint.h"
#include "experiment/checkpoint_record.h"
#include "run/epoch.h"
#include "run/score.h"
#include "verify_private.h"

/* A row, where JSON, which may be NULL, has members that ROWS do not have. */
static void check(struct chain *c, const struct field *rows, const json_t *json, const char *file)
{
    const char *writer = c->l->run.facts.libraries.presize; /* of the run; a score may be newer */
    const bool other = writer && strcmp(writer, PRESIZE_VERSION) != 0;
    char names[1024];

    if (fields_unknown(names, sizeof names, rows, json) > 0)
        chain_say(c, "members", RESULT_UNCHECKED,
                  "%s: presize " PRESIZE_VERSION " does not know %s (%s%s wrote it)", file, names,
                  other ? "presize " : "a newer presize", other ? writer : "");
}

static void check_lines(struct chain *c)
{
    struct field_lines lines;
    struct err ignored; /* verify_record() says why */

    if (epochs_read(&lines, c->l->run.folder, &ignored) == 0)
        check(c, epoch_fields, lines.json, "metrics.jsonl");
    fields_free_lines(&lines);
    if (timings_read(&lines, c->l->run.folder, &ignored) == 0)
        check(c, timing_fields, lines.json, "timing.jsonl");
    fields_free_lines(&lines);
}

static void check_checkpoints(struct chain *c)
{
    static const char *const which[] = {"last", "best"};

    for (size_t i = 0; i < sizeof which / sizeof *which; i++) {
        char file[64];
        json_t *state;

        if (checkpoint_state(&state, c->l->run.folder, which[i], NULL) < 0)
            continue; /* verify_weights() says why */
        snprintf(file, sizeof file, "checkpoints/%s.json", which[i]);
        check(c, checkpoint_fields, state, file);
        json_decref(state);
    }
}

static void check_scores(struct chain *c)
{
    json_t *scores, *score, *faults = json_array(); /* of which verify_rows() speaks */
    size_t i;
    const int rc = score_list(&scores, faults, c->l->run.folder, NULL);

    json_decref(faults);
    if (rc < 0)
        return; /* verify_rows() said why */
    json_array_foreach(scores, i, score)
    {
        const char *folder;
        char file[PATH_LEN];

        if (json_get_string(score, "folder", &folder, NULL) < 0 ||
            path_format(file, NULL, "%s/score.json", folder + strlen(c->l->run.folder) + 1) < 0)
            continue;                     /* verify_rows() said so */
        json_object_del(score, "folder"); /* score_list() added it */
        check(c, score_fields, score, file);
    }
    json_decref(scores);
}

static void check_index(struct chain *c)
{
    char path[PATH_LEN];
    json_t *index;

    if (!c->shards[0] || path_format(path, NULL, "%s/index.json", c->shards) < 0 ||
        json_read(&index, path, NULL) < 0)
        return; /* verify_data() says why */
    check(c, index_fields, index, path);
    json_decref(index);
}

void verify_members(struct chain *c)
{
    check(c, run_fields, c->l->run.run, "run.json");
    check(c, cleaning_fields, c->l->run.facts.cleaning, "run.json, cleaning");
    check(c, metrics_fields, c->l->run.metrics, "metrics.json");
    check_lines(c);
    check_checkpoints(c);
    check_scores(c);
    check_index(c);
}
