/* pattern.c - PCRE2 with our errors. SPDX-License-Identifier: MIT */
#include "data/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct pattern {
    const char *key;
    pcre2_code *code;
    pcre2_match_data *match;
};

int pattern_new(struct pattern **out, const char *key, const char *text, bool needs_group,
                struct err *err)
{
    struct pattern *p = calloc(1, sizeof *p);
    uint32_t groups = 0;
    PCRE2_SIZE at = 0;
    int code = 0;

    *out = NULL;
    if (!p)
        return err_set(err, ERR_NOMEM, "%s: out of memory", key);
    p->key = key;
    p->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                            PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &code, &at, NULL);
    if (!p->code) {
        PCRE2_UCHAR why[256];

        pcre2_get_error_message(code, why, sizeof why);
        err_set(err, ERR_INPUT,
                "%s: the pattern %s does not compile: %s at position %zu, after %.*s", key, text,
                (const char *)why, (size_t)at, (int)at, text);
        goto fail;
    }
    pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    if (needs_group && groups < 1) {
        err_set(err, ERR_INPUT,
                "%s: the pattern %s has no group: put the part that is the label in "
                "parentheses, as in (.+)_\\d+.jpg$",
                key, text);
        goto fail;
    }
    p->match = pcre2_match_data_create_from_pattern(p->code, NULL);
    if (!p->match) {
        err_set(err, ERR_NOMEM, "%s: out of memory", key);
        goto fail;
    }
    *out = p;
    return 0;
fail:
    pattern_free(p);
    return -1;
}

void pattern_free(struct pattern *p)
{
    if (!p)
        return;
    pcre2_match_data_free(p->match);
    pcre2_code_free(p->code);
    free(p);
}

int pattern_search(struct pattern *p, const char *subject, const char **group, size_t *length,
                   struct err *err)
{
    int rc = pcre2_match(p->code, (PCRE2_SPTR)subject, strlen(subject), 0, 0, p->match, NULL);
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(p->match);

    if (group) {
        bool set = rc > 1 && at[2] != PCRE2_UNSET && at[3] >= at[2];

        *group = set ? subject + at[2] : subject;
        *length = set ? at[3] - at[2] : 0;
    }
    if (rc > 0)
        return 1;
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    return err_set(err, ERR_INPUT, "%s: the pattern fails on %s (PCRE2 error %d): make it simpler",
                   p->key, subject, rc);
}
