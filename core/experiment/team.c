/* team.c - several processes that train or score one run. SPDX-License-Identifier: MIT */
#include "experiment/team.h"

#include <stdlib.h>

#include "group/launch.h"

struct team {
    struct group *group;
    struct run *run; /* that is failed if the group is; NULL */
    struct be_ranks ranks;
};

static void share(void *ctx, void *all, size_t bytes)
{
    group_share(ctx, all, bytes);
}

static void *memory(void *ctx, size_t bytes)
{
    return group_machine_memory(ctx, bytes);
}

static void populate(void *ctx, void *data, size_t bytes)
{
    group_machine_populate(ctx, data, bytes);
}

/* After team_leave() nobody counts who gave memory back: it ends with the processes. */
static void give_back(void *ctx, void *data, size_t bytes)
{
    if (ctx)
        group_machine_give_back(ctx, data, bytes);
}

static void meet(void *ctx)
{
    group_machine_meet(ctx);
}

static bool across(void *ctx, const struct group_parts *parts, int n, bool all)
{
    return group_across(ctx, parts, n, all);
}

static void across_end(void *ctx, double waited_s)
{
    group_across_end(ctx, waited_s);
}

static void lose(void *ctx, const char *why, bool said)
{
    struct team *t = ctx;
    struct err err = {0};

    if (!said)
        launch_say(why);
    if (!t->run)
        return;
    err_set(&err, ERR_IO, "%s", why);
    run_fail(t->run, &err);
}

int team_join(struct team **out, const char *tool, const struct group_place *place, struct err *err)
{
    struct team *t;

    *out = NULL;
    if (place->ranks == 1)
        return 0;
    t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, ERR_NOMEM, "%d processes", place->ranks);
    if (launch_join(&t->group, tool, place, lose, t, err) < 0) {
        free(t);
        return -1;
    }
    t->ranks = (struct be_ranks){.rank = group_rank(t->group),
                                 .ranks = group_size(t->group),
                                 .local = group_local(t->group),
                                 .by_launcher = !launch_by_ranks(),
                                 .share = share,
                                 .ctx = t->group,
                                 .sharers = group_sharers(t->group),
                                 .machine_ranks = group_machine_size(t->group),
                                 .machine_rank = group_machine_rank(t->group),
                                 .memory = memory,
                                 .populate = populate,
                                 .give_back = give_back,
                                 .meet = meet,
                                 .across = across,
                                 .across_end = across_end};
    *out = t;
    return 0;
}

struct group *team_group(const struct team *t)
{
    return t ? t->group : NULL;
}

const struct be_ranks *team_ranks(const struct team *t)
{
    return t ? &t->ranks : NULL;
}

void team_watch(struct team *t, struct run *run)
{
    if (t)
        t->run = run;
}

bool team_leads(const struct team *t)
{
    return !t || t->ranks.rank == 0;
}

void team_fail(struct team *t, const struct err *err)
{
    const int rank = t->ranks.rank;

    if (err->kind == ERR_STOPPED || err->kind == ERR_NUMERIC) { /* rank 0's checkpoint is written */
        group_meet(t->group);
        team_leave(t);
        return;
    }
    launch_let_rank_0_speak(rank);
    if (rank > 0) {
        struct err named = *err;

        (void)err_wrap(&named, "%s", group_name(t->group, rank));
        launch_say(named.msg);
        group_tell(t->group, named.msg);
    } else {
        launch_say(err->msg);
    }
    group_end(t->group, err_status(err));
}

void team_leave(struct team *t)
{
    if (!t)
        return;
    group_leave(t->group);
    t->group = t->ranks.ctx = NULL;
}
