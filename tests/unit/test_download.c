/* test_download.c - a small server on 127.0.0.1 that breaks, lies and redirects.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "download.h"

enum { BODY = 200000 };

static struct {
    int socket, port;
    pthread_t thread;
    const char *const *answers; /* what each request in turn gets; the last one repeats */
    atomic_int requests;
    atomic_int from; /* first byte that the last request asked for; -1: it asked for all */
    char body[BODY];
} server;
static char work[PATH_LEN], path[PATH_LEN], part[PATH_LEN], lines[PATH_LEN],
    body_sha256[SHA256_HEX];

static void send_text(int to, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = send(to, text, size, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        text += n;
        size -= (size_t)n;
    }
}

static void answer(int to, const char *what)
{
    char head[400];
    size_t n = BODY;
    int status = (int)strtol(what, NULL, 10);
    bool cut = strcmp(what, "cut") == 0, chunked = strcmp(what, "endless") == 0;

    status = status > 0 ? status : 200;
    snprintf(head, sizeof head, "HTTP/1.1 %d Answer\r\nConnection: close\r\n", status);
    send_text(to, head, strlen(head));
    if (strstr(what, "retry"))
        send_text(to, "Retry-After: 1\r\n", 16);
    if (strcmp(what, "302") == 0)
        snprintf(head, sizeof head, "Location: http://127.0.0.1:%d/there\r\n", server.port);
    else if (strcmp(what, "302 file") == 0)
        snprintf(head, sizeof head, "Location: file:///etc/passwd\r\n");
    else if (chunked)
        head[0] = '\0';
    else
        snprintf(head, sizeof head, "Content-Length: %d\r\n", BODY);
    send_text(to, head, strlen(head));
    send_text(to, "\r\n", 2);
    if (status != 200)
        return;
    if (cut)
        n = BODY / 2;
    if (strcmp(what, "empty cut") == 0)
        n = 0;
    send_text(to, server.body, n);
}

/* An answer of a server that knows parts of files: "v1 cut" has the ETag "v1" and breaks half way, "v1 range" sends
 * what was asked for where If-Range is "v1", else all; "deaf" sends all, whatever was asked for; "date" has
 * Last-Modified instead; "shifted" begins a byte too late, "spoilt" sends other bytes, "nothing N" answers 416 of a
 * file of N bytes, "slow" sends a byte and waits. */
static void answer_part(int to, const char *what, const char *request)
{
    const char *range = strstr(request, "Range: bytes="), *same = strstr(request, "If-Range: ");
    const bool date = strstr(what, "date") != NULL, nothing = strstr(what, "nothing") != NULL;
    const long asked = range ? strtol(range + 13, NULL, 10) : 0;
    char head[400], tag[80];
    size_t from = 0, n;

    atomic_store(&server.from, range ? (int)asked : -1);
    snprintf(tag, sizeof tag, date ? "Sat, 0%.1s Nov 2025 10:00:00 GMT" : "\"v%.1s\"", what + 1);
    if (range && !strstr(what, "deaf") && (!same || strncmp(same + 10, tag, strlen(tag)) == 0))
        from = (size_t)asked + (strstr(what, "shifted") != NULL);
    n = strstr(what, "cut") ? BODY / 2 : BODY - from;
    if (nothing)
        snprintf(head, sizeof head,
                 "HTTP/1.1 416 No\r\nConnection: close\r\nContent-Range: bytes */%s\r\n"
                 "Content-Length: 0\r\n\r\n",
                 strstr(what, "nothing") + 8);
    else
        snprintf(head, sizeof head,
                 "HTTP/1.1 %s\r\nConnection: close\r\n%s: %s\r\nContent-Length: %zu\r\n"
                 "Content-Range: bytes %zu-%d/%d\r\n\r\n",
                 from > 0 ? "206 Part" : "200 All", date ? "Last-Modified" : "ETag", tag,
                 BODY - from, from, BODY - 1, BODY);
    send_text(to, head, strlen(head));
    if (strstr(what, "slow")) {
        send_text(to, server.body, 1);
        usleep(2500000);
    } else if (!nothing) {
        send_text(to, strstr(what, "spoilt") ? server.body : server.body + from, n);
    }
}

static void *serve(void *ctx)
{
    (void)ctx;
    for (;;) {
        char request[2000];
        int to = accept(server.socket, NULL, NULL), i;
        ssize_t n;

        if (to < 0)
            return NULL;
        n = recv(to, request, sizeof request - 1, 0);
        if (n > 0) {
            for (i = 0; i < atomic_load(&server.requests) && server.answers[i + 1]; i++)
                ;
            atomic_fetch_add(&server.requests, 1);
            request[n] = '\0';
            if (server.answers[i][0] == 'v')
                answer_part(to, server.answers[i], request);
            else
                answer(to, server.answers[i]);
        }
        shutdown(to, SHUT_WR);
        while (recv(to, request, sizeof request, 0) > 0)
            ;
        close(to);
    }
}

static int begin(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;

    (void)state;
    log_begin("test", LOG_ERROR);
    unsetenv("http_proxy");
    unsetenv("HTTP_PROXY");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    for (int i = 0; i < BODY; i++)
        server.body[i] = (char)(i * 7 + i / 251);
    sha256_of(server.body, BODY, body_sha256);
    snprintf(work, sizeof work, "/tmp/test_download.XXXXXX");
    if (!mkdtemp(work))
        return -1;
    snprintf(path, sizeof path, "%.100s/file", work);
    snprintf(part, sizeof part, "%.100s/file.part", work);
    snprintf(lines, sizeof lines, "%.100s/file.part.jsonl", work);
    server.socket = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(server.socket, (struct sockaddr *)&at, sizeof at) < 0 ||
        listen(server.socket, 8) < 0 ||
        getsockname(server.socket, (struct sockaddr *)&at, &size) < 0)
        return -1;
    server.port = ntohs(at.sin_port);
    return pthread_create(&server.thread, NULL, serve, NULL);
}

static int end(void **state)
{
    struct err err = {0};

    (void)state;
    shutdown(server.socket, SHUT_RDWR);
    close(server.socket);
    pthread_join(server.thread, NULL);
    return path_remove_tree(work, &err);
}

struct outcome {
    int rc, requests;
    double seconds;
    struct err err;
};

/* Downloads with these answers of the server. */
static struct outcome try_part(const char *const *answers, struct download d)
{
    struct outcome o = {0};
    char url[100], hex[SHA256_HEX] = "";

    snprintf(url, sizeof url, "http://127.0.0.1:%d/file", server.port);
    server.answers = answers;
    atomic_store(&server.requests, 0);
    d.url = d.url ? d.url : url;
    d.path = path;
    d.max_bytes = d.max_bytes ? d.max_bytes : 1 << 20;
    d.rules.attempts = d.rules.attempts ? d.rules.attempts : 3;
    d.rules.wait_s = 0.01;
    o.seconds = clock_seconds();
    o.rc = download(&d, hex, &o.err);
    o.seconds = clock_seconds() - o.seconds;
    o.requests = atomic_load(&server.requests);
    if (o.rc == 0)
        assert_string_equal(hex, body_sha256);
    assert_true(path_exists(part) == path_exists(lines));
    return o;
}

/* The same; no .part may be left, whatever comes. */
static struct outcome try(const char *const *answers, struct download d)
{
    struct outcome o = try_part(answers, d);

    assert_false(path_exists(part));
    return o;
}

/* Nothing at PATH beforehand, nothing after a failure, the whole file after a success. */
static void expect(const char *const *answers, struct download d, enum err_kind kind,
                   const char *says, int requests)
{
    struct outcome o;
    char hex[SHA256_HEX];

    remove(path);
    o = try(answers, d);
    assert_int_equal(o.requests, requests);
    if (kind == ERR_NONE) {
        if (o.rc < 0)
            fail_msg("%s", o.err.msg);
        assert_int_equal(sha256_file(path, hex, NULL, &o.err), 0);
        assert_string_equal(hex, body_sha256);
        return;
    }
    assert_int_equal(o.rc, -1);
    assert_int_equal(o.err.kind, kind);
    if (!strstr(o.err.msg, says))
        fail_msg("\"%s\" lacks \"%s\"", o.err.msg, says);
    assert_false(path_exists(path));
}

#define ANSWERS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void what_comes_whole_is_kept(void **state)
{
    (void)state;
    expect(ANSWERS("200"), (struct download){0}, ERR_NONE, "", 1);
    expect(ANSWERS("200"), (struct download){.size = BODY, .sha256 = body_sha256}, ERR_NONE, "", 1);
    expect(ANSWERS("endless"), (struct download){.sha256 = body_sha256}, ERR_NONE, "", 1);
    expect(ANSWERS("302", "200"), (struct download){0}, ERR_NONE, "", 2);
}

static void what_may_pass_is_tried_again(void **state)
{
    (void)state;
    expect(ANSWERS("cut", "200"), (struct download){0}, ERR_NONE, "", 2);
    expect(ANSWERS("empty cut", "cut", "200"), (struct download){0}, ERR_NONE, "", 3);
    expect(ANSWERS("503", "500", "200"), (struct download){0}, ERR_NONE, "", 3);
    expect(ANSWERS("cut"), (struct download){0}, ERR_NETWORK, "tried 3 times", 3);
    expect(ANSWERS("503"), (struct download){.rules.attempts = 2}, ERR_NETWORK, "503", 2);
}

static void the_server_names_the_wait(void **state)
{
    struct outcome o;

    (void)state;
    o = try(ANSWERS("429 retry", "200"), (struct download){0});
    assert_int_equal(o.rc, 0);
    assert_true(o.seconds >= 0.9); /* asked for 1 s; the back-off alone is 0.01 s */
}

static void what_will_not_pass_is_told_at_once(void **state)
{
    (void)state;
    expect(ANSWERS("404"), (struct download){0}, ERR_NETWORK, "404", 1);
    expect(ANSWERS("302"), (struct download){0}, ERR_NETWORK, "redirect", 6);
    expect(ANSWERS("302 file"), (struct download){0}, ERR_NETWORK, "", 1);
    expect(ANSWERS("200"), (struct download){.url = "file:///etc/passwd"}, ERR_NETWORK, "", 0);
    expect(ANSWERS("200"), (struct download){.url = "http://127.0.0.1:1/x", .rules.attempts = 1},
           ERR_NETWORK, "127.0.0.1", 0);
}

static void wrong_bytes_are_not_kept(void **state)
{
    char other[SHA256_HEX];

    (void)state;
    sha256_of("other", 5, other);
    expect(ANSWERS("200"), (struct download){.sha256 = other}, ERR_CHECKSUM, body_sha256, 1);
    expect(ANSWERS("200"), (struct download){.size = BODY + 1}, ERR_CHECKSUM, "expected 200001", 1);
    expect(ANSWERS("endless"), (struct download){.size = BODY - 1}, ERR_CHECKSUM, "200000", 1);
    expect(ANSWERS("endless"), (struct download){.max_bytes = BODY / 2}, ERR_NETWORK, "more than",
           1);
}

static void an_earlier_file_survives(void **state)
{
    struct err err = {0};
    char *text;
    size_t size;

    (void)state;
    assert_int_equal(path_write(path, "before", 6, &err), 0);
    assert_int_equal(try(ANSWERS("404"), (struct download){0}).rc, -1);
    assert_int_equal(path_read(&text, &size, path, 100, &err), 0);
    assert_string_equal(text, "before");
    free(text);
}

/* --- resuming where a broken download ended --- */

static const struct download once = {.rules.attempts = 1};

/* A first call that breaks half way. */
static void break_off(const char *answer)
{
    struct outcome o;

    remove(path);
    remove(part);
    remove(lines);
    o = try_part(ANSWERS(answer), once);
    assert_int_equal(o.rc, -1);
    assert_int_equal(o.err.kind, ERR_NETWORK);
    assert_non_null(strstr(o.err.msg, "0.1 MB are kept in"));
    assert_true(path_exists(part));
}

/* A second one, whose last request must ask for FROM. */
static void go_on(const char *const *answers, struct download d, int requests, int from)
{
    struct outcome o = try(answers, d);
    char hex[SHA256_HEX];

    if (o.rc < 0)
        fail_msg("%s", o.err.msg);
    assert_int_equal(o.requests, requests);
    assert_int_equal(atomic_load(&server.from), from);
    assert_int_equal(sha256_file(path, hex, NULL, &o.err), 0);
    assert_string_equal(hex, body_sha256);
}

static void a_broken_download_is_gone_on_with(void **state)
{
    (void)state;
    remove(path);
    go_on(ANSWERS("v1 cut", "v1 range"), (struct download){0}, 2, BODY / 2); /* in one call */
    break_off("v1 cut");
    go_on(ANSWERS("v1 range"), once, 1, BODY / 2);
    break_off("v1 date cut");
    go_on(ANSWERS("v1 date range"), once, 1, BODY / 2);
    break_off("v1 cut");
    go_on(ANSWERS("v1 nothing 200000", "v1 range"), once, 2, -1); /* 416: not whole, all again */
}

static void another_file_on_the_server_starts_again(void **state)
{
    (void)state;
    break_off("v1 cut");
    go_on(ANSWERS("v2 range"), once, 1, BODY / 2); /* asked for the rest, got all: If-Range */
    break_off("v1 date cut");
    go_on(ANSWERS("v2 date range"), once, 1, BODY / 2);
    break_off("v1 cut");
    go_on(ANSWERS("v1 deaf"), once, 1, BODY / 2); /* a server without parts */
    break_off("v1 cut");
    go_on(ANSWERS("v1 shifted", "v1 range"), once, 2, -1);
}

static void without_a_version_only_a_hash_goes_on(void **state)
{
    struct outcome o;

    (void)state;
    remove(path);
    o = try_part(ANSWERS("cut"), once); /* no ETag, no date, no hash: nothing to keep */
    assert_int_equal(o.rc, -1);
    assert_false(path_exists(part));
    o = try_part(ANSWERS("cut"), (struct download){.sha256 = body_sha256, .rules.attempts = 1});
    assert_int_equal(o.rc, -1);
    assert_true(path_exists(part));
    go_on(ANSWERS("v1 range"), (struct download){.sha256 = body_sha256, .rules.attempts = 1}, 1,
          BODY / 2);
}

static void wrong_bytes_behind_a_part_are_discarded(void **state)
{
    struct outcome o;

    (void)state;
    break_off("v1 cut");
    o = try(ANSWERS("v1 range spoilt"), (struct download){.sha256 = body_sha256});
    assert_int_equal(o.rc, -1);
    assert_int_equal(o.requests, 1);
    assert_int_equal(o.err.kind, ERR_CHECKSUM);
    assert_non_null(strstr(o.err.msg, "were there from before and are discarded"));
    assert_false(path_exists(path));
}

/* Bytes of PART from AT on are changed or cut off: nothing of them may reach the file. */
static void a_damaged_part_is_not_believed(void **state)
{
    struct err err = {0};
    FILE *file;

    (void)state;
    break_off("v1 cut");
    file = fopen(part, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 5000, SEEK_SET), 0);
    assert_int_equal(fputc('x', file), 'x');
    fclose(file);
    go_on(ANSWERS("v1 range"), once, 1, -1);
    break_off("v1 cut");
    assert_int_equal(truncate(part, 5000), 0);
    go_on(ANSWERS("v1 range"), once, 1, -1);
    break_off("v1 cut");
    assert_int_equal(path_write(lines, "{", 1, &err), 0);
    go_on(ANSWERS("v1 range"), once, 1, -1);
}

static void a_part_that_is_whole_needs_no_server(void **state)
{
    char head[1000], url[100];
    struct err err = {0};

    (void)state;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/file", server.port);
    for (int known = 0; known < 2; known++) { /* its size: known or not */
        remove(path);
        snprintf(head, sizeof head,
                 "{\"address\": \"%s\", \"etag\": \"\\\"v1\\\"\", \"last_modified\": "
                 "\"\", \"size\": %d}\n{\"bytes\": %d, \"sha256\": \"%s\"}\n",
                 url, known ? BODY : 0, BODY, body_sha256);
        assert_int_equal(path_write(part, server.body, BODY, &err), 0);
        assert_int_equal(path_write(lines, head, strlen(head), &err), 0);
        atomic_store(&server.from, -1);
        go_on(ANSWERS("v1 nothing 200000"), once, known ? 0 : 1, known ? -1 : BODY);
    }
}

static void a_slow_server_is_given_up(void **state)
{
    struct outcome o;

    (void)state;
    remove(path);
    o = try_part(ANSWERS("v1 slow"), (struct download){.rules = {.attempts = 2, .max_s = 1}});
    assert_int_equal(o.rc, -1);
    assert_non_null(strstr(o.err.msg, "took longer than the 1 s of --max-time"));
    assert_int_equal(o.requests, 1);
    o = try_part(ANSWERS("v1 slow"), (struct download){.rules = {.attempts = 1, 1000, 1}});
    assert_int_equal(o.rc, -1);
    assert_non_null(strstr(o.err.msg, "too slow"));
    remove(part);
    remove(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_whole_is_kept),
        cmocka_unit_test(what_may_pass_is_tried_again),
        cmocka_unit_test(the_server_names_the_wait),
        cmocka_unit_test(what_will_not_pass_is_told_at_once),
        cmocka_unit_test(wrong_bytes_are_not_kept),
        cmocka_unit_test(an_earlier_file_survives),
        cmocka_unit_test(a_broken_download_is_gone_on_with),
        cmocka_unit_test(another_file_on_the_server_starts_again),
        cmocka_unit_test(without_a_version_only_a_hash_goes_on),
        cmocka_unit_test(wrong_bytes_behind_a_part_are_discarded),
        cmocka_unit_test(a_damaged_part_is_not_believed),
        cmocka_unit_test(a_part_that_is_whole_needs_no_server),
        cmocka_unit_test(a_slow_server_is_given_up),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
