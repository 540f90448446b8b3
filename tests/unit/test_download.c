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
    char body[BODY];
} server;
static char work[PATH_LEN], path[PATH_LEN], part[PATH_LEN], body_sha256[SHA256_HEX];

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

static void *serve(void *ctx)
{
    (void)ctx;
    for (;;) {
        char request[2000];
        int to = accept(server.socket, NULL, NULL), i;

        if (to < 0)
            return NULL;
        if (recv(to, request, sizeof request, 0) > 0) {
            for (i = 0; i < atomic_load(&server.requests) && server.answers[i + 1]; i++)
                ;
            atomic_fetch_add(&server.requests, 1);
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

/* Downloads with these answers of the server; no .part may be left, whatever comes. */
static struct outcome try(const char *const *answers, struct download d)
{
    struct outcome o = {0};
    char url[100], hex[SHA256_HEX] = "";

    snprintf(url, sizeof url, "http://127.0.0.1:%d/file", server.port);
    server.answers = answers;
    atomic_store(&server.requests, 0);
    d.url = d.url ? d.url : url;
    d.path = path;
    d.max_bytes = d.max_bytes ? d.max_bytes : 1 << 20;
    d.attempts = d.attempts ? d.attempts : 3;
    d.wait_s = 0.01;
    o.seconds = clock_seconds();
    o.rc = download(&d, hex, &o.err);
    o.seconds = clock_seconds() - o.seconds;
    o.requests = atomic_load(&server.requests);
    if (o.rc == 0)
        assert_string_equal(hex, body_sha256);
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
    expect(ANSWERS("503"), (struct download){.attempts = 2}, ERR_NETWORK, "503", 2);
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
    expect(ANSWERS("200"), (struct download){.url = "http://127.0.0.1:1/x", .attempts = 1},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_whole_is_kept),
        cmocka_unit_test(what_may_pass_is_tried_again),
        cmocka_unit_test(the_server_names_the_wait),
        cmocka_unit_test(what_will_not_pass_is_told_at_once),
        cmocka_unit_test(wrong_bytes_are_not_kept),
        cmocka_unit_test(an_earlier_file_survives),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
