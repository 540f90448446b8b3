/* notes.c - see notes.h. SPDX-License-Identifier: MIT */
#include "notes.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

int notes_begin(struct notes *n, const struct prep *p, bool skips, struct err *err)
{
    *n = (struct notes){.p = p, .skips = skips, .remarks = &p->dataset->remarks};
    n->kept = calloc((size_t)p->dataset->n_classes, sizeof *n->kept);
    n->sides = calloc(p->dataset->n, sizeof *n->sides);
    n->ids = calloc(p->dataset->n, sizeof *n->ids);
    return n->kept && n->sides && n->ids ? 0 : err_set(err, ERR_NOMEM, "out of memory");
}

void notes_free(struct notes *n)
{
    free(n->kept);
    free(n->sides);
    free(n->ids);
    free(n->packed);
    free(n->places);
}

static void tell_bad(struct notes *n, uint32_t item, const struct note *note)
{
    if (n->skips)
        log_warn("left out: %s", note->text);
    else
        log_error("%s", note->text);
    n->bad++;
    n->ids[item].left_out = true;
    remarks_add(n->remarks, REMARK_UNDECODABLE, "%s", note->text);
}

void notes_tell(struct notes *n, uint32_t item, const struct note *note)
{
    const struct dataset_options *o = &n->p->options;
    const char *path = n->p->dataset->items[item].path;

    if (note->failed) {
        tell_bad(n, item, note);
        return;
    }
    if (note->text[0])
        remarks_add(n->remarks, REMARK_DECODER_WARNINGS, "%s: %s", path, note->text);
    if (note->cut)
        remarks_add(n->remarks, REMARK_CUT, "%s", path);
    if (note->more)
        remarks_add(n->remarks, REMARK_FIRST_FRAME, "%s", path);
    if (note->alpha)
        remarks_add(n->remarks, REMARK_ALPHA, "%s", path);
    if (note->orientation != 1)
        remarks_add(n->remarks,
                    o->exif == EXIF_APPLY ? REMARK_ORIENTATION_APPLIED : REMARK_ORIENTATION_IGNORED,
                    "%s (%d)", path, note->orientation);
    if (note->side < o->size)
        remarks_add(n->remarks, REMARK_ENLARGED, "%s (%d px)", path, note->side);
    n->sides[item] = note->side;
    n->ids[item] = note->id;
    n->kept[n->p->dataset->items[item].label]++;
}

/* --- of one of several processes, which are of one version ----------------------------------------- */

static int add_place(struct notes *n, uint32_t place, struct err *err)
{
    uint32_t *grown = realloc(n->places, (n->n_places + 1) * sizeof *grown);

    if (!grown)
        return err_set(err, ERR_NOMEM, "out of memory");
    n->places = grown;
    grown[n->n_places++] = place;
    return 0;
}

int notes_keep(struct notes *n, uint32_t place, const struct note *note, struct err *err)
{
    const size_t text = strlen(note->text) + 1, size = sizeof *note + text;

    if (n->room - n->size < size) {
        const size_t room = 2 * n->room + 4096 + size;
        char *grown = realloc(n->packed, room);

        if (!grown)
            return err_set(err, ERR_NOMEM, "out of memory");
        n->packed = grown;
        n->room = room;
    }
    memcpy(n->packed + n->size, note, sizeof *note);
    memcpy(n->packed + n->size + sizeof *note, note->text, text);
    n->size += size;
    return note->failed ? add_place(n, place, err) : 0;
}

int notes_next(struct note *out, const char **at, const char *end, struct err *err)
{
    const size_t left = (size_t)(end - *at);

    if (left <= sizeof *out || !memchr(*at + sizeof *out, 0, left - sizeof *out))
        return err_set(err, ERR_FORMAT, "another process told of fewer pictures than it has");
    memcpy(out, *at, sizeof *out);
    out->text = *at + sizeof *out;
    *at = out->text + strlen(out->text) + 1;
    return 0;
}
