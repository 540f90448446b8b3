/* log.c - lines and one progress bar on stderr, under one lock.
 * SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

/* The one place with state of its own: a process has one stderr. */
static struct {
    pthread_mutex_t lock;
    const char *tool, *commands;
    atomic_int level;
    FILE *tee;
    bool colour;
    atomic_bool bar;   /* a progress bar is begun and will be drawn */
    atomic_bool lines; /* one is begun where there is no terminal: a line a minute tells of it */
    bool begun;        /* log_begin() was called */
    bool said;         /* such a line, or that there will be one, at the time DRAWN */
    char label[64], note[96];
    uint64_t done, total;
    double began, drawn;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .tool = "presize", .commands = "", .level = LOG_INFO};

static atomic_ullong steps; /* calls of progress_set() */

enum { LINE_SECONDS = 60 };

static const char *const names[] = {"error", "warn", "info", "debug"};
static const char *const colours[] = {"\033[31m", "\033[33m", "", "\033[2m"};

void log_begin(const char *tool, enum log_level level)
{
    const char *plain = getenv("NO_COLOR"); /* no-color.org */

    pthread_mutex_lock(&state.lock);
    state.tool = tool;
    state.colour = isatty(STDERR_FILENO) && !(plain && *plain);
    if (!state.begun) /* a line is one write: mpirun tears what comes in parts */
        setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
    state.begun = true;
    pthread_mutex_unlock(&state.lock);
    atomic_store(&state.level, (int)level);
}

void log_commands(const char *prefix)
{
    pthread_mutex_lock(&state.lock);
    state.commands = prefix;
    pthread_mutex_unlock(&state.lock);
}

void log_tee(FILE *file)
{
    pthread_mutex_lock(&state.lock);
    state.tee = file;
    pthread_mutex_unlock(&state.lock);
}

static void count_text(uint64_t n, uint64_t total, char *out, size_t size)
{
    if (total >= 100000000) /* bytes, or so many that the last digits only flicker */
        snprintf(out, size, "%.1fM", (double)n / 1e6);
    else
        snprintf(out, size, "%" PRIu64, n);
}

/* LABEL : |####----| 40.22% [37/92 00:08<00:12 NOTE], as fastprogress draws it. */
static void draw(double now)
{
    char done[24], total[24], spent[24], left[24] = "?", bar[41], line[400];
    double share = 0, seconds = now - state.began;
    struct winsize window = {0};
    size_t columns = 80, width;
    int n;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
        columns = window.ws_col;
    count_text(state.done, state.total, done, sizeof done);
    count_text(state.total, state.total, total, sizeof total);
    clock_duration(seconds, spent, sizeof spent);
    if (state.total > 0) {
        share = (double)state.done / (double)state.total;
        share = share < 1 ? share : 1;
    }
    if (share > 0)
        clock_duration(seconds / share - seconds, left, sizeof left);
    width = columns < 100 ? 20 : sizeof bar - 1;
    for (size_t i = 0; i < width; i++)
        bar[i] = (double)i < share * (double)width ? '#' : '-';
    bar[width] = '\0';
    n = snprintf(line, sizeof line, "%s : |%s| %.2f%% [%s/%s %s<%s%s%s]", state.label, bar,
                 100 * share, done, total, spent, left, state.note[0] ? " " : "", state.note);
    if (n > 0 && (size_t)n < sizeof line && (size_t)n >= columns)
        line[columns - 1] = '\0';
    fprintf(stderr, "\r%s\033[K", line);
    fflush(stderr);
    state.drawn = now;
}

/* Bytes of the command, from its backquote, up to the tool's name; 0: TEXT begins none. */
static size_t begins_command(const char *text)
{
    static const char *const tools[] = {"`fetch ", "`prep ", "`train ", "`eval "};

    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
        if (strncmp(text, tools[i], strlen(tools[i])) == 0)
            return 1;
    return 0;
}

/* "://user:secret@host": where the secret begins, behind the colon, and *END where it ends; 0: TEXT has none. */
static size_t password(const char *text, size_t *end)
{
    size_t authority, colon;

    if (strncmp(text, "://", 3) != 0)
        return 0;
    authority = 3 + strcspn(text + 3, "/?# \t\n\"'`<>");
    for (*end = authority; *end > 3 && text[*end] != '@'; --*end)
        ;
    colon = 3 + strcspn(text + 3, ":");
    return *end > 3 && colon < *end ? colon + 1 : 0;
}

/* The text as a reader is to have it; NULL: out of memory. */
static char *edited(const char *text)
{
    char *out = NULL;
    size_t size, end = 0;
    FILE *file = open_memstream(&out, &size);

    for (const char *c = text; file && *c;) {
        const size_t secret = password(c, &end), command = begins_command(c);

        if (secret > 0) {
            fwrite(c, 1, secret, file);
            fputs("***", file);
            c += end;
            continue;
        }
        fputc(*c++, file);
        if (command > 0)
            fputs(state.commands, file);
    }
    return file && fclose(file) == 0 ? out : NULL;
}

static void write_line(enum log_level level, const char *name, const char *text)
{
    bool bar = atomic_load(&state.bar);
    const char *on = state.colour ? colours[level] : "";

    if (bar)
        fputs("\r\033[K", stderr);
    fprintf(stderr, "%s: %s%s:%s ", state.tool, on, name, *on ? "\033[0m" : "");
    text_put(stderr, text);
    fputc('\n', stderr);
    if (bar)
        draw(clock_seconds());
    if (state.tee) {
        fprintf(state.tee, "%s: %s: ", state.tool, name);
        text_put(state.tee, text);
        fputc('\n', state.tee);
        fflush(state.tee);
    }
}

static void log_text(enum log_level level, const char *name, const char *format, va_list args)
{
    char *text = NULL, *shown;

    if ((int)level > atomic_load(&state.level))
        return;
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    pthread_mutex_lock(&state.lock);
    shown = text ? edited(text) : NULL;
    write_line(level, name, shown ? shown : format); /* never the text unedited */
    pthread_mutex_unlock(&state.lock);
    free(shown);
    free(text);
}

void log_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_text(LOG_ERROR, names[LOG_ERROR], format, args);
    va_end(args);
}

void log_warn(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_text(LOG_WARN, names[LOG_WARN], format, args);
    va_end(args);
}

void log_info(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_text(LOG_INFO, names[LOG_INFO], format, args);
    va_end(args);
}

void log_next(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_text(LOG_INFO, "next", format, args);
    va_end(args);
}

void log_usage(const char *format, ...)
{
    char *text = NULL, *shown = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) >= 0)
        shown = edited(text);
    va_end(args);
    fputs(shown ? shown : format, stderr);
    free(shown);
    free(text);
}

void log_debug(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    log_text(LOG_DEBUG, names[LOG_DEBUG], format, args);
    va_end(args);
}

/* A bar as a line: LABEL: 37 of 92, 00:08 gone, 00:12 left, NOTE. */
static void write_progress(double now)
{
    char done[24], total[24], spent[24], left[24] = "?", line[400];
    const double seconds = now - state.began;

    count_text(state.done, state.total, done, sizeof done);
    count_text(state.total, state.total, total, sizeof total);
    clock_duration(seconds, spent, sizeof spent);
    if (state.done > 0)
        clock_duration(seconds * ((double)state.total / (double)state.done - 1), left, sizeof left);
    snprintf(line, sizeof line, "%s: %s of %s, %s gone, %s left%s%s", state.label, done, total,
             spent, left, state.note[0] ? ", " : "", state.note);
    write_line(LOG_INFO, names[LOG_INFO], line);
    state.drawn = now;
}

void progress_begin(const char *label, uint64_t total)
{
    const bool terminal = isatty(STDERR_FILENO);

    if (atomic_load(&state.level) < LOG_INFO)
        return;
    pthread_mutex_lock(&state.lock);
    snprintf(state.label, sizeof state.label, "%s", label);
    state.note[0] = '\0';
    state.done = 0;
    state.total = total;
    state.began = clock_seconds();
    if (terminal) {
        atomic_store(&state.bar, true);
        draw(state.began);
    } else { /* a minute counts on from one bar to the next */
        atomic_store(&state.lines, true);
        state.drawn = state.said ? state.drawn : state.began;
        state.said = true;
    }
    pthread_mutex_unlock(&state.lock);
}

void progress_set(uint64_t done, const char *note)
{
    double now;

    const bool bar = atomic_load(&state.bar);

    atomic_fetch_add(&steps, 1);
    if (!bar && !atomic_load(&state.lines))
        return;
    pthread_mutex_lock(&state.lock);
    state.done = done < state.total ? done : state.total;
    snprintf(state.note, sizeof state.note, "%s", note ? note : "");
    now = clock_seconds();
    if (!bar && now - state.drawn >= LINE_SECONDS)
        write_progress(now);
    else if (!bar)
        ;
    else if (now - state.drawn >= 0.1 || done >= state.total)
        draw(now);
    pthread_mutex_unlock(&state.lock);
}

uint64_t progress_steps(void)
{
    return atomic_load(&steps);
}

void progress_end(void)
{
    atomic_store(&state.lines, false);
    if (!atomic_load(&state.bar))
        return;
    pthread_mutex_lock(&state.lock);
    atomic_store(&state.bar, false);
    fputs("\r\033[K", stderr);
    fflush(stderr);
    pthread_mutex_unlock(&state.lock);
}
