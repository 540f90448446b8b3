/* replay.c - the lines of metrics.jsonl, each with the hash of its weights, computed once more.
 * SPDX-License-Identifier: MIT */
#include "replay.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "experiment/checkpoint.h"
#include "experiment/checkpoint_record.h"
#include "learn/loop.h"
#include "nn/weights.h"

static const size_t metrics_max = (size_t)1 << 28; /* bytes */

struct replay {
    const char *folder;
    struct run_entry run;
    json_t *lines;    /* the recorded epochs */
    struct err found; /* the first difference; kind ERR_NONE: none yet */
};

/* --- what was recorded ---------------------------------------------------------------------------- */

static int read_lines(json_t **out, const char *folder, struct err *err)
{
    char path[PATH_LEN], *text, *rest;
    size_t size;

    *out = NULL;
    if (path_format(path, err, "%s/metrics.jsonl", folder) < 0 ||
        path_read(&text, &size, path, metrics_max, err) < 0)
        return -1;
    *out = json_array();
    for (char *line = strtok_r(text, "\n", &rest); *out && line; line = strtok_r(NULL, "\n", &rest))
        json_array_append_new(*out,
                              json_loads(line, JSON_REJECT_DUPLICATES, NULL)); /* NULL: no JSON */
    free(text);
    if (!*out)
        return err_set(err, ERR_NOMEM, "%s", path);
    if (json_array_size(*out) == 0)
        return err_set(err, ERR_INPUT,
                       "%s: no epoch was recorded: there is nothing to compare a replay with",
                       path);
    return 0;
}

static int open_replay(struct replay *p, const struct request *r, char folder[PATH_LEN],
                       struct err *err)
{
    const struct run_facts *f = &p->run.facts;

    *p = (struct replay){.folder = folder};
    if (run_find(folder, r->results, r->replay, err) < 0 || run_open(&p->run, folder, err) < 0)
        return -1;
    if (f->lr_find.steps != FIELD_NO_INT)
        return err_set(err, ERR_INPUT, "%s is a range test (--lr-find), which trains nothing",
                       folder);
    if (f->arithmetic != ARITHMETIC)
        return err_set(err, ERR_INPUT,
                       "%s was computed with arithmetic %d and this presize computes with "
                       "arithmetic %d: other "
                       "bits are no fault; replay it with the presize that trained it (%s)",
                       folder, (int)f->arithmetic, ARITHMETIC,
                       f->libraries.presize ? f->libraries.presize : "?");
    if (f->ranks && (!f->backend || strcmp(f->backend, "cpu") != 0))
        return err_set(
            err, ERR_INPUT,
            "%s was trained on several GPUs; a replay is one process, whose sums are added in "
            "another order",
            folder);
    return read_lines(&p->lines, folder, err);
}

/* --- an epoch that was computed again ------------------------------------------------------------- */

static void differs(struct replay *p, const struct state *st, const json_t *recorded)
{
    const char *key;
    json_t *value;

    err_set(&p->found, ERR_CHECKSUM, "%s: epoch %u differs:", p->folder, st->at.epoch);
    json_object_foreach(st->last, key, value)
    {
        const json_t *was = json_object_get(recorded, key);
        char *now = json_equal(value, was) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        char *then = now && was ? json_dumps(was, JSON_ENCODE_ANY) : NULL;

        if (now)
            err_append(&p->found, " %s %.24s, recorded %.24s;", key, now, then ? then : "nothing");
        free(now);
        free(then);
    }
}

/* The tensors, where a checkpoint of the run is of this epoch: 1 when one was. */
static int compare_tensors(struct replay *p, struct session *s, const struct state *st,
                           struct err *err)
{
    static const char *const which[] = {"last", "best"};

    for (size_t i = 0; i < sizeof which / sizeof *which; i++) {
        char path[PATH_LEN], first[96];
        json_t *state;
        struct checkpoint_record record;
        int n, of;

        if (checkpoint_state(&state, p->folder, which[i], NULL) < 0)
            continue;
        checkpoint_record_read(&record, state);
        json_decref(state);
        if (record.epochs != (int64_t)st->at.epoch + 1)
            continue;
        if (path_format(path, err, "%s/checkpoints/%s.safetensors", p->folder, which[i]) < 0 ||
            weights_compare(path, &s->device, s->network, first, &n, &of, err) < 0)
            return -1;
        if (n > 0)
            err_append(&p->found, " %d of %d tensors differ after epoch %u, the first is %s", n, of,
                       st->at.epoch, first);
        else
            err_append(&p->found, " the tensors of %s.safetensors are equal", which[i]);
        return 1;
    }
    return 0;
}

static int hold_epoch(void *ctx, struct session *s, const struct state *st, struct err *err)
{
    struct replay *p = ctx;
    const json_t *recorded = json_array_get(p->lines, st->at.epoch);
    int compared;

    if (p->found.kind == ERR_NONE && !json_equal(st->last, recorded))
        differs(p, st, recorded);
    if (p->found.kind == ERR_NONE)
        return 0;
    compared = compare_tensors(p, s, st, err);
    if (compared < 0)
        return -1;
    /* Without a checkpoint of this epoch, a later one may tell a tensor. */
    return compared > 0 ? err_set(err, ERR_CHECKSUM, "%s", p->found.msg) : 0;
}

/* --- all of it ------------------------------------------------------------------------------------ */

static void print_equal(FILE *out, const struct replay *p, const struct state *st)
{
    const char *build = p->run.facts.sha256.binary;
    struct epoch_line last;
    char own[SHA256_HEX] = "";

    if (sha256_file("/proc/self/exe", own, NULL, NULL) < 0)
        own[0] = 0;
    fields_read(epoch_fields, 0, &last, st->last, NULL);
    fprintf(out, "equal: %u epoch%s of %s, every figure and the weights, %.12s%s\n", st->at.epoch,
            PLURAL(st->at.epoch), p->folder, last.weights_sha256,
            build && strcmp(build, own) != 0 ? ", though another build computed them" : "");
}

int replay_run(FILE *out, const struct request *r, struct err *err)
{
    char folder[PATH_LEN];
    struct session *s = NULL;
    struct verdict v = {0};
    struct replay p;
    struct state st;
    int rc;

    state_begin(&st);
    rc = open_replay(&p, r, folder, err);
    if (rc == 0)
        rc = begin_recorded(&s, &st, r, folder, err);
    if (rc == 0) {
        loop_catch_signals();
        st.each_epoch = hold_epoch;
        st.each_ctx = &p;
        st.table = r->table;
        rc = loop_run(s, NULL, &st, &v, (int64_t)json_array_size(p.lines), err);
        if (rc < 0 && err->kind == ERR_STOPPED && !loop_signal())
            rc = 0; /* all that was recorded */
        else if (rc < 0 && err->kind == ERR_STOPPED)
            err_set(err, ERR_STOPPED, "stopped by %s; equal so far", loop_signal());
    }
    if (rc == 0 && p.found.kind != ERR_NONE)
        rc = err_set(err, p.found.kind, "%s", p.found.msg);
    if (rc == 0 && st.at.epoch < json_array_size(p.lines))
        rc = err_set(err, ERR_CHECKSUM, "%s: %u epochs, the record has %zu", folder, st.at.epoch,
                     json_array_size(p.lines));
    if (rc == 0)
        print_equal(out, &p, &st);
    verdict_free(&v);
    state_free(&st);
    session_close(s);
    run_entry_free(&p.run);
    json_decref(p.lines);
    return rc;
}
