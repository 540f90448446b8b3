/* prep.c - the tool: pictures in, presized shards out. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/sandbox.h"
#include "base/thread.h"
#include "base/version.h"
#include "cli/cli.h"
#include "data/dataset.h"
#include "draw/canvas.h"
#include "group/group.h"
#include "group/launch.h"
#include "image/decode.h"
#include "prep.h"
#include "together.h"

struct args {
    struct cli_common common;
    struct prep prep;
    int action;       /* WRITE, or the OPT_ of something else */
    const char *file; /* of --show, folder of --init */
    int ranks;        /* --ranks; 0: not given */
    bool workers;     /* --workers was given */
    char **overrides; /* KEY=VALUE words, into argv */
    int n_overrides;
};

enum {
    WRITE = 0, /* an action without an option */
    OPT_CHECK = 0x100,
    OPT_REPAIR,
    OPT_VOCAB,
    OPT_PLAN,
    OPT_SUMMARY,
    OPT_SHOW,
    OPT_INIT,
    OPT_KEYS,
    OPT_JSON,
    OPT_QUALITY,
    OPT_CROISSANT,
    OPT_RANKS
};

static const struct argp_option options[] = {
    {"workers", 'j', "N", 0, "threads that decode (default: one per processor)", 0},
    {"ranks", OPT_RANKS, "N", 0, "make the shards in N processes, by mpirun: the same bytes", 0},
    {"force", 'f', NULL, 0, "rebuild the shards even when they are up to date", 0},
    {"json", OPT_JSON, NULL, 0, "print what was made and remarked as JSON, not the folder", 0},
    {"check", OPT_CHECK, NULL, 0, "check the shards: every hash, every picture", 1},
    {"repair", OPT_REPAIR, NULL, 0,
     "rebuild damaged and missing shards, bit-identical; sound ones stay", 1},
    {"plan", OPT_PLAN, NULL, 0, "estimate time, memory and disk from a sample", 1},
    {"summary", OPT_SUMMARY, NULL, 0, "every step on one picture, with its shapes", 1},
    {"vocab", OPT_VOCAB, NULL, 0, "the classes with their numbers and counts", 1},
    {"quality", OPT_QUALITY, NULL, 0,
     "pictures that are dark, light, blurred, nearly constant, tiny or of an odd aspect", 1},
    {"croissant", OPT_CROISSANT, NULL, 0, "print a description of the fetched set as Croissant 1.1",
     1},
    {"show", OPT_SHOW, "FILE.png", 0, "a contact sheet of presized pictures with their labels", 1},
    {"init", OPT_INIT, "DIR", 0,
     "propose a description for a folder of pictures; with NAME it is saved as "
     "prep/datasets/NAME.yaml",
     1},
    {"keys", OPT_KEYS, NULL, 0, "print every key of a description, with its default", 1},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct args *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->common;
        return 0;
    case 'j':
        a->prep.workers = (int)cli_number("prep", "--workers", arg, 1, 256);
        a->workers = true;
        return 0;
    case OPT_RANKS:
        a->ranks = (int)cli_number("prep", "--ranks", arg, 1, GROUP_MAX);
        return 0;
    case 'f':
        a->prep.force = true;
        return 0;
    case OPT_JSON:
        a->prep.json = true;
        return 0;
    case OPT_CHECK:
    case OPT_REPAIR:
    case OPT_PLAN:
    case OPT_SUMMARY:
    case OPT_VOCAB:
    case OPT_QUALITY:
    case OPT_CROISSANT:
    case OPT_SHOW:
    case OPT_INIT:
    case OPT_KEYS:
        if (a->action != WRITE)
            die_usage("prep", "one of --check --repair --plan --summary --vocab --quality "
                              "--croissant --show --init --keys at a time");
        a->action = key;
        a->file = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (strchr(arg, '=')) {
            a->overrides[a->n_overrides++] = arg;
            return 0;
        }
        if (a->prep.name)
            die_usage("prep", "two data sets: %s and %s", a->prep.name, arg);
        a->prep.name = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&cli_argp, 0, "Common", 9}, {0}};
static const struct argp argp = {
    options,
    parse,
    "NAME [KEY=VALUE...]\n--init DIR [NAME]\n--keys",
    "Decode and presize the pictures of a data set (prep/datasets/NAME.yaml) into shards.\v"
    "The last line on stdout is the folder of shards. Keys: presize.size=224, "
    "decode.on_error=skip, shard.storage=zstd, ...; --keys lists all.\n"
    "Status 0 done, 1 failed, 2 misused.",
    children,
    NULL,
    NULL};

static void print_keys(void)
{
    const struct key_table table = {dataset_keys, 0};

    puts("# Descriptions of data sets\n\n"
         "One file per set, `prep/datasets/NAME.yaml`; any key can also be given as KEY=VALUE.\n");
    keys_document(stdout, &table, 1);
}

/* What only looks at the listing says what is odd about it, too. */
static int remark(const struct prep *p, int rc)
{
    if (p->dataset)
        remarks_print(&p->dataset->remarks);
    return rc;
}

/* The one folder that the action writes to, where it writes at all. */
static int give_up_rights(const struct args *a, struct err *err)
{
    char folder[PATH_LEN] = SHARE_DATASETS;
    const struct sandbox_place place = {folder,
                                        a->action == OPT_REPAIR ? SANDBOX_MOVE : SANDBOX_WRITE};
    const bool saves = a->action == OPT_INIT && a->prep.name;
    const bool writes = a->action == WRITE || a->action == OPT_REPAIR || a->action == OPT_SHOW;

    if (writes && path_folder(folder, a->action == OPT_SHOW ? a->file : a->prep.folder, err) < 0)
        return -1;
    if (saves && path_make_dirs(SHARE_DATASETS, err) < 0)
        return -1;
    if (a->action == OPT_SHOW)
        canvas_find_font();
    sandbox_enter(&place, writes || saves ? 1 : 0);
    return 0;
}

static int open_set(struct args *a, struct err *err)
{
    if (a->action != OPT_INIT &&
        prep_open(&a->prep, a->common.data, a->overrides, a->n_overrides, err) < 0)
        return -1;
    return give_up_rights(a, err);
}

static int act(struct args *a, struct err *err)
{
    struct prep *p = &a->prep;

    if (a->action == OPT_KEYS) {
        print_keys();
        return 0;
    }
    if (a->common.data_given)
        p->data = a->common.data;
    if (together_agree(p, open_set(a, err), err) < 0)
        return -1;
    if (a->action == OPT_INIT)
        return prep_propose(a->file, a->prep.name, a->common.data, err);
    switch (a->action) {
    case OPT_CHECK:
        return prep_check(p, err);
    case OPT_REPAIR:
        if (prep_repair(p, err) < 0)
            return -1;
        puts(p->folder);
        return 0;
    case OPT_VOCAB:
        return remark(p, prep_vocab(p, err));
    case OPT_QUALITY:
        return prep_quality(p, err);
    case OPT_CROISSANT:
        return remark(p, prep_croissant(p, err));
    case OPT_PLAN:
        return remark(p, prep_plan(p, err));
    case OPT_SUMMARY:
        return remark(p, prep_summary(p, err));
    case OPT_SHOW:
        return remark(p, prep_show(p, a->file, err));
    default:
        if (prep_write(p, err) < 0)
            return -1;
        if (p->rank > 0)
            return 0;
        if (p->json)
            return prep_print_json(p, err);
        puts(p->folder);
        return 0;
    }
}

static void say_sets(void)
{
    fputs("prep: which data set? prep NAME [KEY=VALUE ...]\n\n", stderr);
    path_describe_share(stderr, SHARE_DATASETS);
    log_usage("\nPictures of your own: `prep --init FOLDER NAME', then `prep NAME'.\n"
              "Try `prep --help' for the options, `prep --keys' for every key.\n");
}

/* An experiment that this set can be trained with from what is there. */
static void say_next(const struct args *a)
{
    const char *data = a->common.data, *exp = "resnet18_scratch";
    char weights[PATH_LEN], key[sizeof a->prep.set + 16];

    if (strcmp(a->prep.set, "demo") == 0)
        exp = "demo";
    else if (path_format(weights, NULL, "%s/weights/resnet34.safetensors", data) == 0 &&
             path_is_file(weights))
        exp = "resnet34_baseline";
    snprintf(key, sizeof key, "data.set=%s", a->prep.set);
    cli_next(&a->common, "train",
             (const char *const[]){"--exp", exp, strcmp(exp, "demo") == 0 ? NULL : key, NULL});
}

/* What is wrong with the command line; PLACE may be one of several processes. */
static void refuse_misuse(const struct args *a, const struct group_place *place)
{
    if (!a->prep.name && a->action != OPT_INIT && a->action != OPT_KEYS) {
        say_sets();
        exit(2);
    }
    if (a->prep.json && a->action != WRITE && a->action != OPT_QUALITY)
        die_usage("prep",
                  "--json goes with making shards and with --quality, not with this action");
    if (a->action != WRITE && (a->ranks > 1 || place->ranks > 1))
        die_usage("prep", "several processes (--ranks, mpirun, srun) make shards: for anything "
                          "else, start one");
    if (a->ranks > 1 && place->ranks > 1 && !launch_by_ranks())
        die_usage("prep",
                  "--ranks starts processes of its own: leave it out under mpirun and srun");
}

static void lose(void *ctx, const char *why, bool said)
{
    (void)ctx;
    if (!said)
        launch_say(why);
}

/* The processes that --ranks starts, or mpirun or srun has; this one may be the one that waits for them. */
static int gather(struct args *a, char **argv, const struct group_place *place, struct err *err)
{
    struct prep *p = &a->prep;
    int status;

    if (a->ranks > 1 && place->ranks == 1) {
        if (launch_ranks(a->ranks, argv,
                         "shards that were there before are as they were; run the command again",
                         &status, err) < 0)
            return -1;
        exit(status);
    }
    p->rank = place->rank;
    if (launch_join(&p->group, "prep", place, lose, NULL, err) < 0)
        return -1;
    if (p->group && !a->workers) /* its share of the processors that it has in common with others */
        p->workers =
            p->workers > group_sharers(p->group) ? p->workers / group_sharers(p->group) : 1;
    return 0;
}

/* What all know alike rank 0 says; another status of the others would have mpirun end rank 0. */
noreturn static void end_badly(struct prep *p, const struct err *err)
{
    group_leave(p->group);
    if (p->rank > 0)
        exit(0);
    die("prep", err);
}

int main(int argc, char **argv)
{
    static const struct key_table keys = {dataset_keys, 0};
    static const struct version_layer libraries[] = {
        {image_libraries}, {data_libraries}, {draw_libraries}, {NULL}};
    struct group_place place;
    struct args a = {.common = {.tool = "prep",
                                .libraries = libraries,
                                .keys = &keys,
                                .n_keys = 1,
                                .place = &place,
                                .early = "stopped by a signal; nothing was kept"},
                     .prep.workers = cpu_count()};
    struct err err = {0};
    int rc;

    a.overrides = calloc((size_t)argc + 1, sizeof *a.overrides);
    if (!a.overrides) {
        err_set(&err, ERR_NOMEM, "out of memory");
        die("prep", &err);
    }
    cli_parse(&argp, argc, argv, &a.common, &a);
    refuse_misuse(&a, &place);
    cli_speak();
    if (gather(&a, argv, &place, &err) < 0)
        die("prep", &err);
    rc = act(&a, &err);
    if (rc == 0 && a.action == WRITE)
        say_next(&a);
    if (rc == 0 && a.action == OPT_INIT && a.prep.name)
        cli_next(&a.common, "prep", (const char *const[]){a.prep.name, NULL});
    prep_close(&a.prep);
    free(a.overrides);
    if (rc < 0)
        end_badly(&a.prep, &err);
    group_leave(a.prep.group);
    cli_finish("prep");
    return 0;
}
