/* fetch.c - the tool: options, the list of sources, exit status.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/imagenet.h"
#include "arch/pretrained.h"
#include "archives.h"
#include "base/fold.h"
#include "base/log.h"
#include "base/path.h"
#include "base/sandbox.h"
#include "base/text.h"
#include "base/version.h"
#include "cli/cli.h"
#include "data/manifest.h"
#include "data/source.h"
#include "demo_archive.h"
#include "download.h"
#include "obtain.h"
#include "obtain_weights.h"
#include "recheck.h"
#include "repair.h"
#include "tensorfile/tensorfile.h"

enum {
    OPT_LIST = 0x100,
    OPT_FROM,
    OPT_SHA256,
    OPT_VERIFY,
    OPT_REPAIR,
    OPT_MIRROR,
    OPT_ATTEMPTS,
    OPT_NAMES,
    OPT_KEY,
    OPT_MAX_TIME,
    OPT_SPEED_LIMIT,
    OPT_SPEED_TIME
};

static const char tool[] = "fetch", weights_folder[] = "weights/";

static const struct argp_option options[] = {
    {"list", OPT_LIST, NULL, 0, "list sets and weights: size, licence, hash, what is there", 0},
    {"from", OPT_FROM, "FILE", 0,
     "take this archive or .pth (a file, or an http(s) address) instead of the published one. "
     "Repeat --from for a set of several archives. A set may have any NAME",
     0},
    {"sha256", OPT_SHA256, "HEX", 0, "the hash that the archive of the --from before it must have",
     0},
    {"verify", OPT_VERIFY, NULL, 0,
     "hash every file again and name each that is changed, missing or extra", 0},
    {"repair", OPT_REPAIR, NULL, 0,
     "unpack again what --verify finds changed or missing, from the kept archive (downloaded again "
     "only where it is damaged or gone)",
     0},
    {"mirror", OPT_MIRROR, "ADDRESS", 0,
     "download from ADDRESS/FILE; size and hash must be the published ones", 0},
    {"weights-key", OPT_KEY, "NAME", 0,
     "which network of the --from file, where it holds several: encoder_k, state_dict_ema, ... (as "
     "model.weights_key of train)",
     0},
    {"names", OPT_NAMES, "CHARSET", 0,
     "names in the archives that are not UTF-8 are in this encoding: CP437, SHIFT_JIS, ...", 0},
    {"attempts", OPT_ATTEMPTS, "N", 0, "try a download N times (default: 5)", 0},
    {"speed-limit", OPT_SPEED_LIMIT, "BYTES", 0,
     "a connection slower than BYTES per second for --speed-time is broken off and tried again "
     "(default: 1000)",
     0},
    {"speed-time", OPT_SPEED_TIME, "SECONDS", 0, "see --speed-limit (default: 60; 0: never)", 0},
    {"max-time", OPT_MAX_TIME, "SECONDS", 0,
     "give up a download after so long, with all its attempts (default: 0, no limit)", 0},
    {0},
};

static const char doc[] =
    "Get a picture data set or pretrained weights: download, check, unpack, write a manifest.\v"
    "Examples:\n"
    "  fetch demo                        a small set drawn here, no download\n"
    "  fetch pets                        Oxford-IIIT Pet, 811 MB\n"
    "  fetch pets --from images.tar.gz --from annotations.tar.gz\n"
    "                                    the same from files that are here already\n"
    "  fetch flowers --from flowers.zip  any archive, under a name of your own\n"
    "  fetch pets --verify               are all files still as they were unpacked?\n"
    "  fetch pets --repair               unpack again those that are not\n"
    "  fetch weights/resnet34            torchvision's, for  model.weights=imagenet\n"
    "  fetch weights/resnet50-v2         those for  model.weights=imagenet-v2\n"
    "  fetch weights/resnet34 --from resnet34-b627a593.pth\n"
    "                                    the same from a file that is here already\n"
    "  fetch --list                      what there is\n"
    "\n"
    "The pictures go to DATA/NAME/tree, with DATA/NAME/manifest.jsonl beside it (path, size and "
    "SHA-256 of every file), which is written last. The last line on stdout is the tree's path. "
    "A set that is complete is left alone.\n"
    "\n"
    "Weights go to DATA/weights/NAME.safetensors; the last line on stdout is then this path. No "
    "code in a .pth is run. The hash in its name is checked (any other file's SHA-256 is "
    "recorded), and so is the architecture.\n"
    "\n"
    "A download that was broken off (connection, Ctrl-C, kill) stays as DATA/archives/FILE.part, "
    "and "
    "the same command resumes it if the server still has the same file. $SSL_CERT_FILE "
    "names certificates to trust instead of the system's.\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 misused, 4 network, 5 checksum (also differences found by "
    "--verify or left by --repair), 6 disk full, 7 unsafe archive, 8 locked by another process.";

struct args {
    struct cli_common common;
    const char *name, *mirror;
    bool list, verify, repair;
    struct transport_rules rules;
    struct obtain_from from[MANIFEST_ARCHIVES_MAX];
    const char *charset, *weights_key;
    size_t n_from;
};

static void add_sha256(struct args *a, const char *hex)
{
    if (a->n_from == 0)
        die_usage(tool, "--sha256 belongs behind the --from whose archive it describes");
    if (strlen(hex) != 64 || strspn(hex, "0123456789abcdef") != 64)
        die_usage(tool, "--sha256 takes 64 hexadecimal digits, lower-case, not \"%s\"", hex);
    a->from[a->n_from - 1].sha256 = hex;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct args *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->common;
        return 0;
    case ARGP_KEY_ARG:
        if (a->name)
            die_usage(tool, "one data set at a time: %s or %s", a->name, arg);
        a->name = arg;
        return 0;
    case OPT_LIST:
        a->list = true;
        return 0;
    case OPT_FROM:
        if (a->n_from == MANIFEST_ARCHIVES_MAX)
            die_usage(tool, "at most %d archives", MANIFEST_ARCHIVES_MAX);
        a->from[a->n_from++].what = arg;
        return 0;
    case OPT_SHA256:
        add_sha256(a, arg);
        return 0;
    case OPT_VERIFY:
        a->verify = true;
        return 0;
    case OPT_REPAIR:
        a->repair = true;
        return 0;
    case OPT_MIRROR:
        a->mirror = arg;
        return 0;
    case OPT_KEY:
        a->weights_key = arg;
        return 0;
    case OPT_NAMES:
        a->charset = arg;
        return 0;
    case OPT_ATTEMPTS:
        a->rules.attempts = (int)cli_number(tool, "--attempts", arg, 1, 100);
        return 0;
    case OPT_SPEED_LIMIT:
        a->rules.slow_bytes = cli_number(tool, "--speed-limit", arg, 1, 1000000000);
        return 0;
    case OPT_SPEED_TIME:
        a->rules.slow_s = cli_number(tool, "--speed-time", arg, 0, 86400);
        return 0;
    case OPT_MAX_TIME:
        a->rules.max_s = cli_number(tool, "--max-time", arg, 0, 31536000);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&cli_argp, 0, "Common options:", 0}, {0}};
static const struct argp cli = {
    .options = options,
    .parser = parse,
    .args_doc = "NAME [--from FILE...]\nweights/NAME [--from FILE]\nNAME --verify\nNAME --repair "
                "[--from FILE...]\n--list",
    .doc = doc,
    .children = children,
};

/* --- the list --- */

#define ROW "%-20s %-5s %9s  %-12s %s\n"

static const char *state_of(const char *data, const char *name)
{
    char path[PATH_LEN];

    if (path_format(path, NULL, "%s/%s/manifest.jsonl", data, name) < 0)
        return "";
    return path_is_file(path) ? "here" : "-";
}

static void print_archive(FILE *out, const struct source_archive *k)
{
    if (!k->url)
        return;
    fprintf(out, "    %s  %" PRIu64 " bytes\n", k->url, k->size);
    fprintf(out, "    %s %s\n", k->sha256 ? "SHA-256" : "MD5 of the first MiB",
            k->sha256 ? k->sha256 : k->md5_first_mib);
}

static void print_weights(FILE *out, const char *data)
{
    for (size_t i = 0; i < n_pretrained; i++) {
        const struct pretrained *w = &pretrained[i];
        char path[PATH_LEN], name[64], hash[SHA256_HEX], size[32];
        bool here = obtain_weights_path(path, data, w, NULL) == 0 && path_is_file(path);

        snprintf(name, sizeof name, "%s%s", weights_folder, w->name);
        snprintf(size, sizeof size, "%.1f MB",
                 4 * (double)resnet_parameters((int)w->arch, IMAGENET_CLASSES) / 1e6);
        fprintf(out, ROW, name, here ? "here" : "-", size, "BSD-3-Clause", w->title);
        sha256_stated(hash, w->file);
        fprintf(out, "    %s%s\n    SHA-256 begins with %s\n", pretrained_base, w->file, hash);
    }
}

static void print_sources(FILE *out, const char *data)
{
    fprintf(out, ROW, "NAME", "STATE", "SIZE", "LICENCE", "WHAT");
    for (size_t i = 0; i < n_sources; i++) {
        const struct source *s = &sources[i];
        char size[32] = "-";
        uint64_t bytes = 0;

        for (size_t k = 0; k < source_archives(s); k++)
            bytes += s->archives[k].size;
        if (bytes > 0)
            snprintf(size, sizeof size, "%.1f MB", (double)bytes / 1e6);
        fprintf(out, ROW, s->name, state_of(data, s->name), size, s->licence, s->title);
        for (size_t k = 0; k < source_archives(s); k++)
            print_archive(out, &s->archives[k]);
    }
}

/* Sets that were made from archives under names of their own. */
static void print_own(FILE *out, const char *data)
{
    struct dirent **entries;
    int n = scandir(data, &entries, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name;
        char size[32], path[PATH_LEN];
        struct manifest m = {0};
        struct err err;

        if (obtain_name_is_valid(name) && !source_find(name) &&
            path_format(path, &err, "%s/%s/manifest.jsonl", data, name) == 0 &&
            path_is_file(path)) {
            if (manifest_read(&m, path, &err) == 0) {
                snprintf(size, sizeof size, "%.1f MB", (double)manifest_bytes(&m) / 1e6);
                fprintf(out, ROW, name, "here", size, "-", "a set of your own, from");
                for (size_t k = 0; k < m.n_archives; k++)
                    fprintf(out, "    %s\n    SHA-256 %s\n", m.archives[k].file,
                            m.archives[k].sha256);
            } else {
                fprintf(out, ROW, name, "?", "-", "-", err.msg);
            }
            manifest_free(&m);
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

/* --- what the names mean --- */

/* The weights that weights/NAME means. */
static const struct pretrained *find_weights(const struct args *a)
{
    const char *name = a->name + strlen(weights_folder), *near = pretrained_near(name);
    const struct pretrained *found = pretrained_find(name);

    if (!found && arch_find(name) >= 0)
        die_usage(tool,
                  "torchvision publishes no weights for %s. A file of your own needs no fetch: "
                  "model.weights=FILE",
                  name);
    if (!found && near)
        die_usage(tool, "there are no weights %s; did you mean `fetch %s%s`?", name, weights_folder,
                  near);
    if (!found)
        die_usage(
            tool,
            "there are no weights \"%s\": `fetch --list` shows them. A file of your own needs "
            "no fetch: model.weights=FILE",
            name);
    if (a->n_from > 1)
        die_usage(tool, "weights are one file: one --from");
    if (a->mirror && a->n_from > 0)
        die_usage(tool, "--mirror goes with what is downloaded, and not with --from");
    return found;
}

static void refuse_name(const struct args *a)
{
    const char *near;
    FILE *out;

    if (!a->name) {
        fputs("Which data set? Type one of these names, for a start:  fetch demo\n\n", stderr);
        out = fold_begin(stderr);
        print_sources(out, a->common.data);
        fold_end(out, stderr);
        die_usage(tool, "no data set named");
    }
    if (strcmp(a->name, "weights") == 0)
        die_usage(tool, "which weights? As in `fetch weights/resnet34`; `fetch --list` shows them");
    if (!obtain_name_is_valid(a->name))
        die_usage(tool,
                  "\"%s\" is no name for a data set: letters, digits, \".\", \"_\" and "
                  "\"-\", and neither \"archives\" nor \"weights\"",
                  a->name);
    if (source_find(a->name) || a->n_from > 0 || a->verify || a->repair ||
        strcmp(state_of(a->common.data, a->name), "here") == 0)
        return;
    near = source_near(a->name);
    if (near)
        die_usage(tool, "there is no source %s; did you mean `fetch %s`?", a->name, near);
    die_usage(tool,
              "there is no source %s (`fetch --list` shows them); to make a set of that name "
              "from an archive: `fetch %s --from FILE`",
              a->name, a->name);
}

static void check_options(const struct args *a)
{
    const bool weights = a->name && strncmp(a->name, weights_folder, strlen(weights_folder)) == 0;

    if (a->verify && a->repair)
        die_usage(tool, "give --verify or --repair, not both");
    if (a->weights_key && (!weights || a->n_from == 0))
        die_usage(tool, "--weights-key goes with  weights/NAME --from FILE");
    if (a->verify && (a->n_from > 0 || a->mirror))
        die_usage(tool,
                  "--verify looks at what is there; it goes with neither --from nor --mirror");
    if (a->mirror && !archives_is_address(a->mirror))
        die_usage(tool, "--mirror takes an http or https address, not \"%s\"", a->mirror);
}

static void check_way(const struct args *a, const struct source *s)
{
    bool published = s && s->archives[0].url;

    if (a->mirror && (!published || a->n_from > 0))
        die_usage(tool, "--mirror goes with a source that is downloaded, and not with --from");
    if (s && s->made && a->n_from > 0)
        die_usage(tool, "%s is made on the spot; for an archive of your own take another name",
                  a->name);
    if (s && s->how && a->n_from == 0 && strcmp(state_of(a->common.data, a->name), "here") != 0)
        die_usage(tool, "%s", s->how);
}

/* --- the way out --- */

/* Only the data folder is written from here on, and where its folders are links, what these name; a set's folder is
 * moved out of the archive's own top folder. */
static void give_up_rights(const struct args *a)
{
    const char *data = a->common.data;
    char archives[PATH_LEN], set[PATH_LEN];
    const struct sandbox_place places[] = {
        {data, SANDBOX_MOVE}, {archives, SANDBOX_MOVE}, {set, SANDBOX_MOVE}};
    struct err err = {0};

    if (path_format(archives, &err, "%s/archives", data) < 0 ||
        path_format(set, &err, "%s/%.*s", data, (int)strcspn(a->name, "/"), a->name) < 0 ||
        (!a->verify && path_make_dirs(data, &err) < 0))
        die(tool, &err);
    sandbox_enter(places, a->verify ? 0 : sizeof places / sizeof *places);
}

static void verify(const struct args *a, const struct pretrained *weights)
{
    const char *data = a->common.data;
    struct err err = {0};
    size_t n;

    if ((weights ? recheck_weights(data, weights, stdout, &n, &err)
                 : recheck(data, a->name, stdout, &n, &err)) < 0)
        die(tool, &err);
    if (n > 0) {
        cli_finish(tool);
        err_set(&err, ERR_CHECKSUM,
                "%s: %zu difference%s from %s, named above; "
                "to repair it: `fetch %s --repair`",
                a->name, n, PLURAL(n), weights ? "what was written" : "its manifest", a->name);
        die(tool, &err);
    }
}

static void repair_set(const struct obtain *o)
{
    struct err err = {0};
    struct repair_left left;

    if (repair(o, stdout, &left, &err) < 0) {
        fflush(stdout); /* what was repaired before that */
        die(tool, &err);
    }
    if (left.extra + left.archives > 0) {
        cli_finish(tool);
        err_set(&err, ERR_CHECKSUM, "%s: %zu named above cannot be repaired", o->name,
                left.extra + left.archives);
        if (left.extra > 0)
            err_append(&err, ": what is extra was not made by fetch; remove it");
        if (left.archives > 0)
            err_append(&err,
                       "%s of the archive no address is known; remove it, or give it by --from",
                       left.extra > 0 ? ";" : ":");
        die(tool, &err);
    }
}

static void fetch_set(const struct args *a)
{
    struct obtain o = {.data = a->common.data,
                       .name = a->name,
                       .from = a->from,
                       .n_from = a->n_from,
                       .mirror = a->mirror,
                       .rules = a->rules,
                       .charset = a->charset,
                       .limits = unpack_limits_default};
    char description[PATH_LEN], tree[PATH_LEN];
    struct err err = {0};

    refuse_name(a);
    o.source = source_find(a->name);
    check_way(a, o.source);
    give_up_rights(a);
    if (a->verify)
        verify(a, NULL);
    else if (a->repair)
        repair_set(&o);
    else if (obtain(&o, &err) < 0)
        die(tool, &err);
    if (path_format(tree, &err, "%s/%s/tree", a->common.data, a->name) < 0)
        die(tool, &err);
    puts(tree);
    if (a->verify)
        return;
    if (path_find_share(description, SHARE_DATASETS, a->name, &err) == 0)
        cli_next(&a->common, "prep", (const char *const[]){a->name, NULL});
    else
        cli_next(&a->common, "prep", (const char *const[]){"--init", tree, a->name, NULL});
}

static void fetch_weights(const struct args *a)
{
    struct obtain_weights o = {.data = a->common.data,
                               .what = find_weights(a),
                               .from = a->n_from > 0 ? a->from : NULL,
                               .key = a->weights_key,
                               .mirror = a->mirror,
                               .rules = a->rules,
                               .repair = a->repair};
    char path[PATH_LEN];
    struct err err = {0};

    give_up_rights(a);
    if (a->verify)
        verify(a, o.what);
    else if (obtain_weights(&o, &err) < 0)
        die(tool, &err);
    if (obtain_weights_path(path, o.data, o.what, &err) < 0)
        die(tool, &err);
    puts(path);
    if (!a->verify)
        log_next("keys of an experiment that begins with these weights: model.arch=%s "
                 "model.weights=%s",
                 arch_name(o.what->arch), strchr(o.what->name, '-') ? "imagenet-v2" : "imagenet");
}

int main(int argc, char **argv)
{
    static const struct version_layer libraries[] = {
        {tensorfile_libraries}, {download_libraries}, {demo_archive_libraries}, {NULL}};
    struct args a = {.common = {.tool = tool, .libraries = libraries},
                     .rules = transport_rules_default};

    cli_parse(&cli, argc, argv, &a.common, &a);
    if (a.list) {
        FILE *out = fold_begin(stdout);

        print_sources(out, a.common.data);
        print_own(out, a.common.data);
        print_weights(out, a.common.data);
        fold_end(out, stdout);
        cli_finish(tool);
        return 0;
    }
    check_options(&a);
    if (a.name && strncmp(a.name, weights_folder, strlen(weights_folder)) == 0)
        fetch_weights(&a);
    else
        fetch_set(&a);
    cli_finish(tool);
    return 0;
}
