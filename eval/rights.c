/* rights.c - see rights.h. SPDX-License-Identifier: MIT */
#include "rights.h"

#include <stdlib.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/path.h"
#include "base/sandbox.h"
#include "draw/canvas.h"
#include "groups.h"
#include "run/run.h"
#include "verify.h"

struct places {
    struct sandbox_place *all;
    char (*folders)[PATH_LEN];
    size_t n;
};

/* L->folders[L->n] has been filled in. */
static void add_place(struct places *l)
{
    l->all[l->n] = (struct sandbox_place){l->folders[l->n], SANDBOX_WRITE};
    l->n++;
}

/* The folders of the runs and studies in question, where what is computed or drawn is kept; whoever opens those that
 * are not there says so. What is of several runs lies beside the first. */
static int find_places(struct places *l, const struct request *r, const struct writing *w,
                       struct err *err)
{
    const bool words = w->runs && r->n_words > 0; /* --issues without: the latest run */
    const int n = words ? r->n_words : w->run ? 1 : 0;

    for (int i = 0; i < n; i++) {
        const char *name = words ? r->words[i] : r->run;

        if (run_find(l->folders[l->n], r->results, name, NULL) == 0 ||
            (name && groups_find(l->folders[l->n], r, name)))
            add_place(l);
    }
    if (l->n > 0 && n > 1) {
        if (path_folder(l->folders[l->n], l->folders[0], err) < 0)
            return -1;
        add_place(l);
    }
    if (w->file) {
        if (path_folder(l->folders[l->n], w->file, err) < 0)
            return -1;
        if (access(l->folders[l->n], W_OK) < 0) /* told now, not after all that is computed first */
            return err_errno(err, "cannot write %s", w->file);
        add_place(l);
    }
    if (w->folder)
        l->all[l->n++] = (struct sandbox_place){w->folder, SANDBOX_WRITE};
    if (w->temporary)
        l->all[l->n++] = (struct sandbox_place){verify_temporary(), SANDBOX_WRITE};
    return 0;
}

int rights_give_up(const struct request *r, const struct writing *w, struct err *err)
{
    const size_t most = (size_t)r->n_words + 6;
    struct places l = {calloc(most, sizeof *l.all), calloc(most, sizeof *l.folders), 0};
    int rc =
        l.all && l.folders ? find_places(&l, r, w, err) : err_set(err, ERR_NOMEM, "%zu runs", most);

    if (rc == 0) {
        backend_wake_driver();
        if (l.n > 0)
            canvas_find_font();
        sandbox_enter(l.all, l.n);
    }
    free(l.all);
    free(l.folders);
    return rc;
}
