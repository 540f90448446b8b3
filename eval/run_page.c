/* run_page.c - see run_page.h. SPDX-License-Identifier: MIT */
#include "run_page.h"

#include <stdio.h>

#include "base/log.h"
#include "draw/report.h"
#include "draw/thumb.h"
#include "experiment/cams.h"
#include "experiment/experiment.h"
#include "experiment/momentum.h"
#include "look.h"
#include "verify.h"

/* Class activation maps, where the weights are there. A served page asks for each when it is looked at. */
static int add_maps(struct report_sources *from, struct cams_source *maps, const struct look *l,
                    const struct request *r, struct err *err)
{
    struct err why = {0};

    maps->shards = from->shards;
    if (!l->p || !from->shards || r->served)
        return 0;
    if (cams_open(&maps->cams, l->run.folder, NULL, NULL, 0, &why) < 0) {
        if (why.kind == ERR_NOMEM)
            return err_set(err, why.kind, "%s", why.msg);
        log_warn("the page is without class activation maps: %s", why.msg);
        return 0;
    }
    from->cam = cams_for_report;
    from->cam_of = maps;
    return 0;
}

int run_page_write(const struct request *r, struct err *err)
{
    struct report_sources from = {.served = r->served};
    struct shard_set *shards = NULL;
    struct err no_shards = {0}, why;
    json_t *verify = NULL, *momentum = NULL;
    struct experiment *e = NULL;
    int rc, failed, unchecked;
    struct cams_source maps = {0};
    struct look l;

    if (look_open(&l, r, r->run, err) < 0)
        return -1;
    from.shards = shards = look_open_shards(&l, r, &no_shards);
    from.no_shards = no_shards.msg;
    rc = r->served && !r->verify ? 0 : verify_rows(&verify, &failed, &unchecked, &l, r, err);
    from.verify = verify;
    if (experiment_reopen(&e, l.run.folder, NULL, 0, &why) == 0)
        from.momentum = momentum = experiment_momentum(e);
    if (rc == 0)
        rc = add_maps(&from, &maps, &l, r, err);
    if (rc == 0)
        rc = report_write(l.run.folder, &from, err);
    if (rc == 0 && !r->served)
        printf("%s/report.html\n", l.run.folder);
    json_decref(verify);
    json_decref(momentum);
    experiment_free(e);
    cams_close(maps.cams);
    shard_set_close(shards);
    look_close(&l);
    return rc;
}
