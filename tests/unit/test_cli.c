/* test_cli.c - the common options, statuses and messages, each case in a child process; the log and
 * the small modules clock, fold and isa.
 * wrap: clock_seconds
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fold.h"
#include "base/isa.h"
#include "base/log.h"
#include "cli/cli.h"
#include "group/group.h"

struct args {
    struct cli_common common;
    const char *name;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct args *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->common;
        return 0;
    case 'n':
        a->name = arg;
        return 0;
    case 'c':
    case ARGP_KEY_ARG:
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option options[] = {
    {"name", 'n', "NAME", 0, "a name", 0}, {"confusion", 'c', NULL, 0, "x", 0}, {0}};
static const struct argp_child children[] = {{&cli_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {options, parse, "[FILE...]", "A test.", children, NULL, NULL};

/* What the child does after parsing. */
static void tool(struct args *a, const char *deed)
{
    struct err err = {.kind = ERR_CHECKSUM, .msg = "a.tgz: not the bytes expected"};

    if (strcmp(deed, "print") == 0)
        printf("data %s results %s verbose %d name %s\n", a->common.data, a->common.results,
               a->common.verbose, a->name ? a->name : "-");
    if (strcmp(deed, "log") == 0) {
        log_debug("d");
        log_info("i %d", 1);
        log_warn("w");
        progress_begin("bar", 10); /* no terminal: nothing */
        progress_set(5, "note");
        progress_end();
    }
    if (strcmp(deed, "several") == 0) {
        log_warn("alike");
        cli_speak();
        log_warn("of rank %d", a->common.place->rank);
    }
    if (strcmp(deed, "early") == 0)
        raise(SIGUSR1);
    if (strcmp(deed, "number") == 0)
        printf("%ld\n", cli_number("demo", "--name", a->name, 0, 9));
    if (strcmp(deed, "die") == 0)
        die(a->common.tool, &err);
    if (strcmp(deed, "full") == 0 && dup2(open("/dev/full", O_WRONLY), STDOUT_FILENO) >= 0)
        printf("lost");
    if (strcmp(deed, "odd") == 0) { /* a character comes in two pieces, an escape and a C1 in one */
        printf("a\t\xC3");
        fflush(stdout);
        printf("\xA4 \x1b[31m \xC2\x9B \xE2\x80\xAE \xE2\x80\x8F \xD8\x9C \x9B \x7f \xC3\x89 "
               "\xE2\x89\xA5 z\n");
        fflush(stdout);
        log_error("to http://me:s3cret@host/x run `prep pets`, \x1b[31m\n\xC3\x89");
    }
    cli_finish(a->common.tool);
    exit(0);
}

/* Runs the child; its stdout and stderr, in this order, into TEXT. */
static int run(char *text, size_t size, const char *deed, int argc, ...)
{
    char *argv[8] = {(char *)(uintptr_t) "demo"};
    int pipes[2], status, n = 1;
    size_t used = 0;
    ssize_t got;
    va_list words;
    pid_t child;

    va_start(words, argc);
    for (; n <= argc; n++)
        argv[n] = va_arg(words, char *);
    va_end(words);
    assert_int_equal(pipe(pipes), 0);
    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct args a = {.common = {.tool = strcmp(deed, "die") == 0 ? "fetch" : "demo"}};

        struct group_place place;

        a.common.place = strcmp(deed, "several") == 0 || strcmp(deed, "early") == 0 ? &place : NULL;
        a.common.early = "stopped before it began";
        dup2(pipes[1], STDOUT_FILENO);
        dup2(pipes[1], STDERR_FILENO);
        close(pipes[0]);
        cli_parse(&argp, n, argv, &a.common, &a);
        tool(&a, deed);
    }
    close(pipes[1]);
    while ((got = read(pipes[0], text + used, size - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    close(pipes[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void common_options(void **state)
{
    char text[4096];

    (void)state;
    unsetenv("PRESIZE_DATA");
    assert_int_equal(run(text, sizeof text, "print", 0), 0);
    assert_string_equal(text, "data data results results verbose 0 name -\n");
    assert_int_equal(run(text, sizeof text, "print", 5, "--data", "d", "--results=r", "-v", "-nx"),
                     0);
    assert_string_equal(text, "data d results r verbose 1 name x\n");
    assert_int_equal(setenv("PRESIZE_DATA", "env", 1), 0);
    assert_int_equal(run(text, sizeof text, "print", 1, "-q"), 0);
    assert_string_equal(text, "data env results results verbose -1 name -\n");
    unsetenv("PRESIZE_DATA");
    assert_int_equal(run(text, sizeof text, "print", 1, "--version"), 0);
    assert_string_equal(text, "demo (presize) " PRESIZE_VERSION "\n");
    assert_int_equal(run(text, sizeof text, "print", 1, "--help"), 0);
    assert_non_null(strstr(text, "--results=DIR"));
}

static void misuse_is_status_2(void **state)
{
    char text[4096];

    (void)state;
    assert_int_equal(run(text, sizeof text, "print", 1, "--nmae=3"), 2);
    assert_non_null(strstr(text, "did you mean --name?"));
    assert_int_equal(run(text, sizeof text, "print", 1, "--zzzzzz"), 2);
    assert_int_equal(run(text, sizeof text, "print", 1, "-n"), 2);
    assert_int_equal(run(text, sizeof text, "print", 1, "--conf"), 0); /* a beginning will do */
    assert_int_equal(run(text, sizeof text, "print", 2, "--", "--nmae"), 0);
}

static void failures_have_status_and_message(void **state)
{
    static const struct {
        enum err_kind kind;
        int status;
    } cases[] = {{ERR_IO, 1},     {ERR_NETWORK, 4}, {ERR_CHECKSUM, 5}, {ERR_FULL, 6},
                 {ERR_UNSAFE, 7}, {ERR_LOCKED, 8},  {ERR_NUMERIC, 1}};
    char text[4096];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {.kind = cases[i].kind};

        assert_int_equal(cli_status("fetch", &err), cases[i].status);
        assert_int_equal(cli_status("train", &err), 1);
    }
    assert_int_equal(run(text, sizeof text, "die", 0), 5);
    assert_string_equal(text, "fetch: error: a.tgz: not the bytes expected\n");
    assert_int_equal(run(text, sizeof text, "full", 0), 1);
    assert_non_null(strstr(text, "demo: error: cannot write the output: No space left"));
}

/* No control character reaches stdout or stderr, no password the log, and a hint can be pasted. */
static void what_is_printed_is_text(void **state)
{
    char text[4096];

    (void)state;
    assert_int_equal(run(text, sizeof text, "odd", 0), 0);
    for (const char *c = text; *c; c++)
        assert_true((unsigned char)*c >= 0x20 || *c == '\n' || *c == '\t');
    assert_non_null(strstr(
        text, "a\t\xC3\xA4 \xEF\xBF\xBD[31m \xEF\xBF\xBD \xEF\xBF\xBD "
              "\xEF\xBF\xBD \xEF\xBF\xBD \xEF\xBF\xBD \xEF\xBF\xBD \xC3\x89 \xE2\x89\xA5 z\n"));
    assert_non_null(strstr(text, "to http://me:***@host/x run `"));
    assert_non_null(strstr(text, "prep pets`, \\x1B[31m\\x0A\xC3\x89\n"));
    assert_null(strstr(text, "s3cret"));
}

static void a_number_has_bounds(void **state)
{
    static const char *const bad[] = {"", "x", "1x", "-1", "10", "99999999999999999999"};
    char text[4096];

    (void)state;
    assert_int_equal(run(text, sizeof text, "number", 2, "--name", "9"), 0);
    assert_string_equal(text, "9\n");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(run(text, sizeof text, "number", 2, "--name", bad[i]), 2);
        assert_non_null(strstr(text, ": expected a whole number from 0 to 9\n"));
    }
}

/* A tool of one process refuses to be one of several; of a tool of several, rank 0 alone says what all find alike. */
static void one_of_several_processes(void **state)
{
    char text[4096];

    (void)state;
    setenv("PMI_SIZE", "2", 1);
    setenv("PMI_RANK", "0", 1);
    assert_int_equal(run(text, sizeof text, "print", 0), 2);
    assert_non_null(strstr(text, "mpirun started 2 processes, and demo works in one"));
    assert_int_equal(run(text, sizeof text, "print", 1, "--version"), 0);
    assert_int_equal(run(text, sizeof text, "several", 0), 0);
    assert_string_equal(text, "demo: warn: alike\ndemo: warn: of rank 0\n");
    assert_int_equal(run(text, sizeof text, "early", 0), 1);
    assert_string_equal(text, "demo: error: stopped before it began\n");
    setenv("PMI_RANK", "1", 1);
    assert_int_equal(run(text, sizeof text, "print", 0), 2);
    assert_string_equal(text, "");
    assert_int_equal(run(text, sizeof text, "several", 0), 0);
    assert_string_equal(text, "demo: warn: of rank 1\n");
    assert_int_equal(run(text, sizeof text, "early", 0), 1);
    assert_string_equal(text, "");
    setenv("PMI_RANK", "2", 1);
    assert_int_equal(run(text, sizeof text, "print", 0), 1);
    assert_non_null(strstr(text, "PMI_RANK=2: expected a number from 0 to 1"));
    setenv("PMI_SIZE", "1", 1); /* the control: one process that a launcher started */
    setenv("PMI_RANK", "0", 1);
    assert_int_equal(run(text, sizeof text, "print", 0), 0);
    unsetenv("PMI_SIZE");
    unsetenv("PMI_RANK");
}

static void the_log_obeys_its_level(void **state)
{
    char text[4096];

    (void)state;
    assert_int_equal(run(text, sizeof text, "log", 0), 0);
    assert_string_equal(text, "demo: info: i 1\ndemo: warn: w\n");
    assert_int_equal(run(text, sizeof text, "log", 1, "-q"), 0);
    assert_string_equal(text, "demo: warn: w\n");
    assert_int_equal(run(text, sizeof text, "log", 1, "-v"), 0);
    assert_string_equal(text, "demo: debug: d\ndemo: info: i 1\ndemo: warn: w\n");
}

static void the_log_is_teed(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    (void)state;
    log_begin("demo", LOG_INFO);
    log_tee(file);
    log_info("to both");
    log_debug("to none");
    log_tee(NULL);
    log_info("to stderr only");
    fclose(file);
    assert_string_equal(text, "demo: info: to both\n");
    free(text);
}

static double later; /* seconds by which the clock is ahead */
double __real_clock_seconds(void);
double __wrap_clock_seconds(void);

double __wrap_clock_seconds(void)
{
    return __real_clock_seconds() + later;
}

/* Where stderr is no terminal; nothing in the first minute, and nothing when quiet (the controls). */
static void progress_is_a_line_a_minute(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);

    (void)state;
    if (isatty(STDERR_FILENO))
        skip();
    log_begin("demo", LOG_INFO);
    log_tee(file);
    progress_begin("Epoch 1/3", 90);
    later = 50;
    progress_set(10, NULL);
    progress_end();
    progress_begin("Epoch 2/3", 90); /* the minute counts on */
    later = 70;
    progress_set(30, "0.5");
    progress_set(31, "0.4");
    log_begin("demo", LOG_WARN);
    progress_end();
    progress_begin("Epoch 3/3", 90);
    later = 200;
    progress_set(60, NULL);
    progress_end();
    log_tee(NULL);
    later = 0;
    fclose(file);
    assert_string_equal(text, "demo: info: Epoch 2/3: 30 of 90, 00:20 gone, 00:40 left, 0.5\n");
    free(text);
}

static void lines_are_folded(void **state)
{
    static const char given[] = "label       one two three four five six seven eight nine\n"
                                "short\nunbroken";
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size), *folded;

    (void)state;
    setenv("COLUMNS", "40", 1);
    folded = fold_begin(out);
    assert_ptr_not_equal(folded, out);
    fputs(given, folded);
    fold_end(folded, out);
    fclose(out);
    assert_string_equal(text, "label       one two three four five six\n"
                              "            seven eight nine\nshort\nunbroken");
    free(text);
    out = open_memstream(&text, &size);
    unsetenv("COLUMNS");
    assert_ptr_equal(fold_begin(out), out); /* the control: no screen, no fold */
    fclose(out);
    free(text);
}

static void durations_and_names(void **state)
{
    char text[32];
    double before = clock_seconds();

    (void)state;
    clock_duration(59.9, text, sizeof text);
    assert_string_equal(text, "00:59");
    clock_duration(3599, text, sizeof text);
    assert_string_equal(text, "59:59");
    clock_duration(36061, text, sizeof text);
    assert_string_equal(text, "10:01:01");
    clock_duration(-1, text, sizeof text);
    assert_string_equal(text, "00:00");
    clock_utc(text, sizeof text);
    assert_int_equal(strlen(text), 20);
    assert_int_equal(text[19], 'Z');
    clock_utc_compact(text, sizeof text);
    assert_int_equal(strlen(text), 15);
    assert_true(clock_seconds() >= before);
}

static enum isa chosen(const char *wish)
{
    struct err err = {0};
    enum isa isa = ISA_BASE;

    if (isa_choose(&isa, wish, &err) < 0)
        fail_msg("%s", err.msg);
    return isa;
}

static void isa_can_be_lowered_never_raised(void **state)
{
    struct err err;
    enum isa best, isa;

    (void)state;
    unsetenv("PRESIZE_ISA");
    best = chosen(NULL);
    assert_int_equal(isa_best(), best > ISA_AVX512 ? ISA_AVX512 : best);
    assert_int_equal(chosen("auto"), best);
    assert_int_equal(chosen(""), best);
    for (int i = 0; i < (int)best; i++) {
        setenv("PRESIZE_ISA", isa_name((enum isa)i), 1);
        assert_int_equal(isa_best(), i);
        assert_int_equal(chosen(NULL), i);
        assert_int_equal(chosen(isa_name(best)), best); /* what is asked for goes first */
        setenv("PRESIZE_ISA", "auto", 1);
        assert_int_equal(chosen(isa_choices[i + 1]), i);
    }
    for (int i = (int)best + 1; isa_choices[i + 1]; i++) {
        assert_int_equal(isa_choose(&isa, isa_choices[i + 1], &err), -1);
        assert_int_equal(err.kind, ERR_UNSUPPORTED);
        assert_non_null(strstr(err.msg, "this processor does not have it; it has"));
    }
    unsetenv("PRESIZE_ISA");
}

static void an_unknown_isa_is_an_error(void **state)
{
    struct err err;
    char text[4096];
    enum isa isa, best;

    (void)state;
    unsetenv("PRESIZE_ISA");
    best = isa_best();
    assert_int_equal(isa_choose(&isa, "avx", &err), -1);
    assert_int_equal(err.kind, ERR_INPUT);
    assert_string_equal(err.msg, "exec.isa=avx: there is no such instruction set; expected auto, "
                                 "base, avx2, avx512, avx512bf16");
    setenv("PRESIZE_ISA", "avx9", 1);
    assert_int_equal(isa_choose(&isa, NULL, &err), -1);
    assert_non_null(strstr(err.msg, "PRESIZE_ISA=avx9: there is no such"));
    assert_int_equal(isa_best(), best); /* who calls this has heard of it from cli_parse() */
    assert_int_equal(run(text, sizeof text, "print", 0), 2);
    assert_non_null(strstr(text, "demo: error: PRESIZE_ISA=avx9: there is no such"));
    assert_int_equal(run(text, sizeof text, "print", 1, "--version"), 0);
    unsetenv("PRESIZE_ISA");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(common_options),
        cmocka_unit_test(misuse_is_status_2),
        cmocka_unit_test(failures_have_status_and_message),
        cmocka_unit_test(what_is_printed_is_text),
        cmocka_unit_test(a_number_has_bounds),
        cmocka_unit_test(one_of_several_processes),
        cmocka_unit_test(the_log_obeys_its_level),
        cmocka_unit_test(the_log_is_teed),
        cmocka_unit_test(progress_is_a_line_a_minute),
        cmocka_unit_test(lines_are_folded),
        cmocka_unit_test(durations_and_names),
        cmocka_unit_test(isa_can_be_lowered_never_raised),
        cmocka_unit_test(an_unknown_isa_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
