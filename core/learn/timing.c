/* timing.c - what an epoch took. SPDX-License-Identifier: MIT */
#include "learn/timing.h"

#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/log.h"
#include "run/epoch.h"

static double processor_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

void timing_begin(struct epoch_times *t, const struct session *s)
{
    t->processor_seconds = -processor_seconds();
    if (session_group(s))
        t->traffic = group_traffic(session_group(s));
}

void timing_end(struct epoch_times *t, const struct session *s)
{
    const struct group_traffic before = t->traffic;

    t->processor_seconds += processor_seconds();
    if (!session_group(s))
        return;
    t->traffic = group_traffic(session_group(s));
    t->traffic.exchanges -= before.exchanges;
    t->traffic.bytes -= before.bytes;
    t->traffic.meetings -= before.meetings;
    t->traffic.seconds -= before.seconds;
    t->traffic.waited_s -= before.waited_s;
}

/* Of all processes. */
static int sum_up(double *seconds, const struct session *s, struct err *err)
{
    const int ranks = session_ranks(s);
    double *all;

    if (!session_group(s))
        return 0;
    all = calloc((size_t)ranks, sizeof *all);
    if (!all)
        return err_set(err, ERR_NOMEM, "timing");
    all[session_rank(s)] = *seconds;
    group_share(session_group(s), all, sizeof *all);
    *seconds = 0;
    for (int i = 0; i < ranks; i++)
        *seconds += all[i];
    free(all);
    return 0;
}

static void say_traffic(const struct state *st, const struct epoch_times *t)
{
    const double steps = t->steps > 0 ? t->steps : 1;

    if (st->at.phase_epoch == 0)
        log_info(
            "a step took %.1f exchanges, in which each process sent %.2f MB; they took %.1f ms, of "
            "which the training waited %.1f ms; and %.1f meetings of the processes of a machine",
            (double)t->traffic.exchanges / steps, (double)t->traffic.bytes / steps / 1e6,
            1e3 * t->traffic.seconds / steps, 1e3 * t->traffic.waited_s / steps,
            (double)t->traffic.meetings / steps);
}

double timing_rate(const struct session *s, const struct state *st, const struct epoch_times *t)
{
    return (double)t->steps * (double)s->e->train.accumulate * s->phases[st->at.phase].batch /
           t->train_seconds;
}

int timing_write(struct run *run, const struct session *s, const struct state *st,
                 const struct epoch_times *t, struct err *err)
{
    const struct run_phase *p = &s->phases[st->at.phase];
    double processors = t->processor_seconds;
    struct epoch_timing of;
    struct rusage usage;
    json_t *line;
    int rc;

    if (sum_up(&processors, s, err) < 0)
        return -1;
    getrusage(RUSAGE_SELF, &usage);
    of = (struct epoch_timing){.epoch = st->at.epoch,
                               .phase = p->name,
                               .seconds = t->seconds,
                               .train_seconds = t->train_seconds,
                               .valid_seconds = t->seconds - t->train_seconds,
                               .images_per_s = timing_rate(s, st, t),
                               .wait_ms = 1e3 * t->wait_seconds,
                               .peak_bytes = (int64_t)usage.ru_maxrss * 1024,
                               .processor_seconds = processors,
                               .exchanges = FIELD_NO_INT,
                               .sent_bytes = FIELD_NO_INT,
                               .meetings = FIELD_NO_INT,
                               .exchange_ms = NAN,
                               .exchange_wait_ms = NAN};
    if (session_group(s)) {
        of.exchanges = (int64_t)t->traffic.exchanges;
        of.sent_bytes = (int64_t)t->traffic.bytes;
        of.meetings = (int64_t)t->traffic.meetings;
        of.exchange_ms = 1e3 * t->traffic.seconds;
        of.exchange_wait_ms = 1e3 * t->traffic.waited_s;
        say_traffic(st, t);
    }
    line = fields_json(timing_fields, &of);
    if (!line)
        return err_set(err, ERR_NOMEM, "timing");
    rc = run_timing(run, line, err);
    json_decref(line);
    return rc;
}
