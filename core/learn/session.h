/* session.h - everything an experiment needs before its first step: pictures, device, network.
 *
 * Nothing is created on disk. SPDX-License-Identifier: MIT */
#ifndef PRESIZE_LEARN_SESSION_H
#define PRESIZE_LEARN_SESSION_H

#include "data/shard.h"
#include "data/split.h"
#include "experiment/experiment.h"
#include "experiment/infer.h"
#include "group/group.h"

enum { PHASES_MAX = 2 * KEY_LIST_MAX };

struct session {
    struct experiment *e; /* owned */
    char shards_folder[PATH_LEN];
    struct shard_set *shards;
    struct split *split;
    double max_aspect; /* the shards' presize.max_aspect */
    bool exif;         /* their decode.exif is apply */
    struct device device;
    bool kept;                  /* the device keeps the pictures, as of the last stream */
    enum dtype dtype;           /* what train.precision became */
    const char *precision_note; /* why it is another; NULL */
    struct network *network;
    char config_sha256[SHA256_HEX];
    char source_sha256[SHA256_HEX]; /* file the initial weights came from; "" */
    /* of the SHA-256 of each table that keys name, joined; "": none */
    char tables_sha256[SHA256_HEX];
    struct run_phase phases[PHASES_MAX];
    int n_phases;

    int phase;            /* whose programs are prepared; -1: none */
    struct op_list *list; /* its training list */
    struct be_program *program;
    struct infer *infer;
    int loss_tensor;
    float *losses;  /* one batch's */
    float *weights; /* of one batch in the loss */

    double *class_weights; /* of every class in the loss; NULL: all 1 */
    double *sample_sums;   /* to draw training pictures by; NULL: each once an epoch */
};

/* Takes E over, also on failure. Refuses what cannot be trained: no shards, a batch larger than the
 * training set, one that its processes or a microbatch do not divide, pictures larger than the shards',
 * missing weights. DATA is the data folder, RESULTS where run:NAME is looked for. */
int session_open(struct session **out, struct experiment *e, const char *data, const char *results,
                 struct err *err) MUST_USE;
void session_close(struct session *s); /* NULL is fine */

/* Prepares the programs of phase PHASE (kept when it has them already). Persistent tensors stay. */
int session_phase(struct session *s, int phase, struct err *err) MUST_USE;
void session_release(struct session *s); /* what a phase prepared, if any */
/* Initial weights as model.weights says; a phase must be prepared. */
int session_weights(struct session *s, const char *data, const char *results,
                    struct err *err) MUST_USE;

/* Several processes that train as one; of one alone: NULL, 1, 0. */
struct group *session_group(const struct session *s);
int session_ranks(const struct session *s);
int session_rank(const struct session *s);
/* Processes, of those, that share this machine's memory. */
int session_machine_ranks(const struct session *s);
/* Of how many processes the order of sums is; 1 where any number gives the bits of one. */
int session_orders(const struct session *s);
/* Pictures; 0: the network's own choice. */
int session_microbatch(const struct session *s, int phase);
/* What each of RANKS processes, each on a machine of its own, sends in a training step of the prepared PHASE. False
 * where they cannot share its batch alike or nobody knows. */
bool session_traffic(const struct session *s, int phase, int ranks, struct be_traffic *t);
/* Whether the processes can share the batch of PHASE, whose size KEY gave. ERR_INPUT says how many could. */
int session_check_shares(const struct session *s, int phase, const char *key,
                         struct err *err) MUST_USE;

uint32_t session_steps(const struct session *s, int phase); /* training steps of an epoch */
/* The pictures of a step in words: "64", or "4 x 16" where batches are accumulated. */
const char *session_step_text(const struct session *s, int phase, char out[32]);

/* Training stream of EPOCH (counted over the run) from step FIRST on, and what it is opened with. Its phase must
 * be prepared; pictures that the device can keep are sent to it first. */
struct stream;
struct stream_options;
/* One training step on the stream's next train.accumulate batches; *LOSS_NAT is their mean loss before the
 * update. STEP has the hyper-parameters; its pictures are those of the last batch, the stream's until its next. What
 * the stream or the backend gives as errors. */
int session_step(struct session *s, struct stream *stream, struct step *step, double *loss_nat,
                 struct err *err) MUST_USE;
/* One run of the training list on the pictures in STEP, of which this process takes its share; *LOSS_NAT is the
 * mean loss of all. */
int session_run(struct session *s, struct step *step, double *loss_nat, struct err *err) MUST_USE;
/* After a step whose loss is no number: where the first such number stands, as ": ..." in words. */
void session_culprit(struct session *s, char *out, size_t size);
void session_stream_options(struct stream_options *o, const struct session *s, int phase,
                            uint32_t epoch);
int session_stream(struct stream **out, struct session *s, int phase, uint32_t epoch,
                   uint32_t first, struct err *err) MUST_USE;

#endif
