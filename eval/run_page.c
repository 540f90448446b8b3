/* run_page.c - see run_page.h. SPDX-License-Identifier: MIT */
#include "run_page.h"

#include <stdio.h>

#include "draw/report.h"
#include "experiment/experiment.h"
#include "experiment/momentum.h"
#include "look.h"
#include "verify.h"

int run_page_write(const struct request *r, struct err *err)
{
    struct report_sources from = {.served = r->served};
    struct shard_set *shards = NULL;
    struct err no_shards = {0}, why;
    json_t *verify = NULL, *momentum = NULL;
    struct experiment *e = NULL;
    int rc, failed, unchecked;
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
        rc = report_write(l.run.folder, &from, err);
    if (rc == 0 && !r->served)
        printf("%s/report.html\n", l.run.folder);
    json_decref(verify);
    json_decref(momentum);
    experiment_free(e);
    shard_set_close(shards);
    look_close(&l);
    return rc;
}
