/* test_sandbox.c - what was given up is gone: a decoder that opens, writes or executes on a thread of prep is stopped.
 * The planted decoder stands in for one that a picture has taken over. Wraps:
 * wrap: syscall image_decode
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/path.h"
#include "base/sandbox.h"
#include "image/decode.h"
#include "prep.h"

/* --- the system calls ------------------------------------------------------------------------------ */

enum { CREATE = 444, ADD, RESTRICT, FAKE_FD = 1000, RULES_MAX = 8 };

/* -1: the kernel's own; 0: one without Landlock; n: one with version n, which only notes what it is asked for. */
static int fake_abi = -1;
static struct {
    int created, restricted, n;
    uint64_t handled, granted[RULES_MAX];
} asked;

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

static long fake(long number, const void *a, uint64_t c)
{
    if (fake_abi == 0) {
        errno = ENOSYS;
        return -1;
    }
    if (number == CREATE && c == 1)
        return fake_abi;
    if (number == CREATE) {
        asked.created++;
        memcpy(&asked.handled, a, sizeof asked.handled);
        return FAKE_FD;
    }
    if (number == RESTRICT)
        asked.restricted++;
    return 0;
}

long __wrap_syscall(long number, ...)
{
    uint64_t p[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++)
        p[i] = va_arg(args, uint64_t);
    va_end(args);
    if (fake_abi < 0 || number < CREATE || number > RESTRICT)
        return __real_syscall(number, p[0], p[1], p[2], p[3], p[4], p[5]);
    if (number == ADD && fake_abi > 0 && asked.n < RULES_MAX)
        memcpy(&asked.granted[asked.n++], (const void *)(uintptr_t)p[2], sizeof(uint64_t));
    return fake(number, (const void *)(uintptr_t)p[0], p[2]);
}

/* The rights of Linux 5.13, 5.19, 6.2, 6.7, 6.10 and 6.12, as landlock(7) numbers them. */
static const struct {
    uint64_t handled, sealed, write, move, folders, device;
} rights[] = {
    {0, 0, 0, 0, 0, 0},
    {0x1ff3, 0x1fff, 0x1b2, 0x1b2, 0x90, 0x2},
    {0x3ff3, 0x3fff, 0x1b2, 0x21b2, 0x90, 0x2},
    {0x7ff3, 0x7fff, 0x41b2, 0x61b2, 0x90, 0x4002},
    {0x7ff3, 0x7fff, 0x41b2, 0x61b2, 0x90, 0x4002},
    {0xfff3, 0xffff, 0x41b2, 0x61b2, 0x90, 0xc002},
    {0xfff3, 0xffff, 0x41b2, 0x61b2, 0x90, 0xc002},
    {0xfff3, 0xffff, 0x41b2, 0x61b2, 0x90, 0xc002},
};
enum { ABIS = sizeof rights / sizeof *rights };

static void rights_by_version(void **state)
{
    (void)state;
    for (int abi = 0; abi < ABIS; abi++) {
        assert_int_equal(sandbox_handled(abi), rights[abi].handled);
        assert_int_equal(sandbox_sealed(abi), rights[abi].sealed);
        assert_int_equal(sandbox_granted(abi, SANDBOX_WRITE), rights[abi].write);
        assert_int_equal(sandbox_granted(abi, SANDBOX_MOVE), rights[abi].move);
        assert_int_equal(sandbox_granted(abi, SANDBOX_FOLDERS), rights[abi].folders);
        assert_int_equal(sandbox_granted(abi, SANDBOX_DEVICE), rights[abi].device);
    }
}

static void each_version_is_asked_for_what_it_knows(void **state)
{
    const struct sandbox_place plain = {"/tmp", SANDBOX_WRITE}, moves = {"/tmp", SANDBOX_MOVE};
    char name[32];

    (void)state;
    for (fake_abi = 1; fake_abi < ABIS; fake_abi++) {
        memset(&asked, 0, sizeof asked);
        sandbox_enter(&plain, 1);
        assert_int_equal(asked.handled, rights[fake_abi].handled);
        assert_true(asked.n >= 2); /* the place, then devices: at least /dev/null */
        assert_int_equal(asked.granted[0], rights[fake_abi].write);
        assert_int_equal(asked.granted[1], rights[fake_abi].device);
        assert_int_equal(asked.restricted, 1);
        snprintf(name, sizeof name, "landlock %d", fake_abi);
        assert_string_equal(sandbox_name(), name);

        memset(&asked, 0, sizeof asked);
        sandbox_enter(&moves, 1);
        assert_int_equal(asked.restricted, fake_abi > 1); /* version 1 lets nothing move */

        memset(&asked, 0, sizeof asked);
        sandbox_seal_thread();
        assert_int_equal(asked.handled, rights[fake_abi].sealed);
        assert_int_equal(asked.n, 0);
        assert_int_equal(asked.restricted, 1);
    }
    fake_abi = -1;
}

/* --- in a child, as nothing is given back ------------------------------------------------------------ */

static char folder[PATH_LEN];

static const char *in(const char *name) /* holds for the thread's next 15 calls */
{
    static _Thread_local char paths[16][PATH_LEN];
    static _Thread_local int turn;

    turn = (turn + 1) % 16;
    assert_int_equal(path_format(paths[turn], NULL, "%s/%s", folder, name), 0);
    return paths[turn];
}

static bool can_write(const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool can_read(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool can_execute(void)
{
    int status = -1;
    const pid_t pid = fork();

    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(errno == EACCES ? 1 : 2);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool has_landlock(void)
{
    return __real_syscall(CREATE, NULL, (size_t)0, 1) > 0;
}

/* Runs WHAT in a child and gives its exit status. */
static int in_child(int (*what)(void))
{
    int status;
    const pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(what());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void *later(void *done)
{
    *(bool *)done = can_write(in("out/thread"));
    return NULL;
}

/* A bit per deed that succeeds. */
static int deeds(void)
{
    bool wrote = true;
    pthread_t thread;
    int bits = 0;

    assert_int_equal(pthread_create(&thread, NULL, later, &wrote), 0);
    pthread_join(thread, NULL);
    bits |= wrote ? 1 : 0;
    bits |= can_write(in("out/new")) ? 2 : 0;
    bits |= can_execute() ? 4 : 0;
    bits |= unlink(in("out/there")) == 0 ? 8 : 0;
    bits |= rename(in("work/a"), in("out/a")) == 0 ? 16 : 0;
    bits |= can_read(in("out/kept")) ? 32 : 0; /* what stays allowed from here on */
    bits |= can_write(in("work/b")) && rename(in("work/b"), in("work/c")) == 0 &&
                    unlink(in("work/c")) == 0 && mkdir(in("work/d"), 0777) == 0 &&
                    rmdir(in("work/d")) == 0
                ? 64
                : 0;
    return bits;
}
enum { ALL_DEEDS = 127, ALLOWED_DEEDS = 32 | 64 };

static int deeds_inside(void)
{
    const struct sandbox_place place = {in("work"), SANDBOX_WRITE};

    sandbox_enter(&place, 1);
    return deeds();
}

static int deeds_without(void)
{
    const struct sandbox_place place = {in("work"), SANDBOX_WRITE};

    sandbox_off();
    sandbox_enter(&place, 1);
    sandbox_seal_thread();
    return strcmp(sandbox_name(), "off") == 0 ? deeds() : 255;
}

static int deeds_on_an_old_kernel(void)
{
    const struct sandbox_place place = {in("work"), SANDBOX_WRITE};

    fake_abi = 0;
    sandbox_enter(&place, 1);
    sandbox_seal_thread();
    fake_abi = -1;
    return strcmp(sandbox_name(), "none") == 0 ? deeds() : 255;
}

/* work/ moves within itself, other/ may be missing, in folders/ no file is touched. */
static int deeds_of_kinds(void)
{
    const struct sandbox_place places[] = {{in("work"), SANDBOX_MOVE},
                                           {in("other/made/later"), SANDBOX_WRITE},
                                           {in("folders"), SANDBOX_FOLDERS}};

    if (rmdir(in("other")) < 0 || mkdir(in("other"), 0777) < 0)
        return 255;
    sandbox_enter(places, 3);
    return (mkdir(in("work/x"), 0777) == 0 && rename(in("work/a"), in("work/x/a")) == 0 ? 1 : 0) |
           (mkdir(in("other/made"), 0777) == 0 && can_write(in("other/made/later")) ? 2 : 0) |
           (mkdir(in("folders/x"), 0777) == 0 && rename(in("folders/x"), in("folders/y")) == 0
                ? 4
                : 0) |
           (can_write(in("folders/there")) || can_write(in("folders/new")) ? 8 : 0);
}

static int begin(void **state)
{
    static const char *const made[] = {"work", "out", "other", "folders", "pictures/a"};
    static const char *const files[] = {"work/a", "out/there", "out/kept", "folders/there"};
    struct err err;

    (void)state;
    snprintf(folder, sizeof folder, "/tmp/presize-sandbox-XXXXXX");
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        assert_int_equal(path_make_dirs(in(made[i]), &err), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_int_equal(path_write(in(files[i]), "x", 1, &err), 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return path_remove_tree(folder, NULL);
}

static void without_it_everything_goes(void **state)
{
    (void)state;
    assert_int_equal(in_child(deeds_without), ALL_DEEDS);
}

static void an_old_kernel_is_no_failure(void **state)
{
    (void)state;
    assert_int_equal(in_child(deeds_on_an_old_kernel), ALL_DEEDS);
}

static void only_what_was_named_is_written(void **state)
{
    (void)state;
    if (!has_landlock())
        skip();
    assert_int_equal(in_child(deeds_inside), ALLOWED_DEEDS);
}

static void places_of_each_kind(void **state)
{
    (void)state;
    if (!has_landlock())
        skip();
    assert_int_equal(in_child(deeds_of_kinds), 1 | 2 | 4);
}

/* --- a decoder that a picture has taken over --------------------------------------------------------- */

static bool planted;
static int
    done_by_decoder; /* bits: opened, listed, wrote to the shards, wrote elsewhere, executed, called at all */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int __real_image_decode(struct image *img, const uint8_t *bytes, size_t size, bool apply_exif,
                        struct err *err);
int __wrap_image_decode(struct image *img, const uint8_t *bytes, size_t size, bool apply_exif,
                        struct err *err);

int __wrap_image_decode(struct image *img, const uint8_t *bytes, size_t size, bool apply_exif,
                        struct err *err)
{
    int bits = 32;

    if (planted) {
        bits |= can_read("/etc/passwd") ? 1 : 0;
        bits |= can_read("/") ? 2 : 0;
        bits |= can_write(in("data/set/shards-8.part/shard-00000.h5.x")) ? 4 : 0;
        bits |= can_write(in("out/there")) ? 8 : 0;
        bits |= can_execute() ? 16 : 0;
        pthread_mutex_lock(&lock);
        done_by_decoder |= bits;
        pthread_mutex_unlock(&lock);
    }
    return __real_image_decode(img, bytes, size, apply_exif, err);
}

static int prepare_set(void)
{
    struct prep p = {.name = in("set.yaml"), .workers = 2, .force = true};
    struct err err = {0};

    planted = true;
    if (prep_open(&p, in("data"), NULL, 0, &err) < 0 || prep_write(&p, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 255;
    }
    prep_close(&p);
    return path_is_file(in("data/set/shards-8/index.json")) ? done_by_decoder : 254;
}

static int prepare_unbound(void)
{
    sandbox_off();
    return prepare_set();
}

static void describe_set(void)
{
    static const char ppm[] = "P6 8 8 255\n";
    char bytes[sizeof ppm - 1 + 192], name[32], text[PATH_LEN + 128];
    struct err err;

    memcpy(bytes, ppm, sizeof ppm - 1);
    for (int i = 0; i < 9; i++) {
        memset(bytes + sizeof ppm - 1, 20 * i, 192);
        snprintf(name, sizeof name, "pictures/a/%d.ppm", i);
        assert_int_equal(path_write(in(name), bytes, sizeof bytes, &err), 0);
    }
    snprintf(text, sizeof text,
             "title: planted\nroot: %s/pictures\nlabel: {from: folder}\npresize: {size: 8}\n",
             folder);
    assert_int_equal(path_write(in("set.yaml"), text, strlen(text), &err), 0);
}

static void a_planted_decoder_is_stopped(void **state)
{
    (void)state;
    describe_set();
    assert_int_equal(in_child(prepare_unbound),
                     63); /* the control: it can, where nothing binds it */
    if (!has_landlock())
        skip();
    assert_int_equal(in_child(prepare_set), 32);
}

/* libheif loads plug-ins at its first use, and decodes in threads of its own. */
#if __has_include(<libheif/heif.h>)
#include <libheif/heif.h>

static struct heif_error append(struct heif_context *ctx, const void *data, size_t size, void *out)
{
    FILE *file = out;

    (void)ctx;
    fwrite(data, 1, size, file);
    return (struct heif_error){heif_error_Ok, heif_suberror_Unspecified, "ok"};
}

/* 64 x 64 grey pixels; 0: this libheif encodes no such format. */
static size_t encode(char **bytes, enum heif_compression_format format)
{
    struct heif_writer writer = {.writer_api_version = 1, .write = append};
    struct heif_context *ctx = heif_context_alloc();
    struct heif_encoder *encoder = NULL;
    struct heif_image *image = NULL;
    size_t size = 0;
    int stride;

    *bytes = NULL;
    if (heif_context_get_encoder_for_format(ctx, format, &encoder).code == heif_error_Ok) {
        FILE *file = open_memstream(bytes, &size);

        heif_image_create(64, 64, heif_colorspace_RGB, heif_chroma_interleaved_RGB, &image);
        heif_image_add_plane(image, heif_channel_interleaved, 64, 64, 24);
        memset(heif_image_get_plane(image, heif_channel_interleaved, &stride), 100, 64 * 64 * 3);
        heif_context_encode_image(ctx, image, encoder, NULL, NULL);
        heif_context_write(ctx, &writer, file);
        fclose(file);
        heif_image_release(image);
        heif_encoder_release(encoder);
    }
    heif_context_free(ctx);
    return size;
}

static enum heif_compression_format heif_format;
static char *heif_bytes;
static size_t heif_size;

static int decode_sealed(void)
{
    struct image img = {0};
    struct err err;

    image_begin();
    sandbox_seal_thread();
    if (can_read("/"))
        return 254;
    if (__real_image_decode(&img, (const uint8_t *)heif_bytes, heif_size, false, &err) == 0)
        return img.pixels[0] > 90 && img.pixels[0] < 110 ? 0 : 1;
    fprintf(stderr, "%s\n", err.msg);
    return 2;
}

/* In a child of its own: libheif must be fresh in the one that decodes. */
static int encode_to_file(void)
{
    struct err err;

    heif_size = encode(&heif_bytes, heif_format);
    return heif_size > 0 ? path_write(in("work/heif"), heif_bytes, heif_size, &err) < 0 : 77;
}

static void sealed_threads_decode_with_plug_ins(void **state)
{
    static const enum heif_compression_format formats[] = {heif_compression_HEVC,
                                                           heif_compression_AV1};
    int decoded = 0;
    struct err err;

    (void)state;
    if (!has_landlock())
        skip();
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        heif_format = formats[i];
        if (in_child(encode_to_file) != 0)
            continue;
        assert_int_equal(path_read(&heif_bytes, &heif_size, in("work/heif"), 1 << 20, &err), 0);
        assert_int_equal(in_child(decode_sealed), 0);
        free(heif_bytes);
        decoded++;
    }
    if (decoded == 0)
        skip(); /* nothing to encode with */
}
#else
static void sealed_threads_decode_with_plug_ins(void **state)
{
    (void)state;
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rights_by_version),
        cmocka_unit_test_setup_teardown(without_it_everything_goes, begin, end),
        cmocka_unit_test_setup_teardown(an_old_kernel_is_no_failure, begin, end),
        cmocka_unit_test_setup_teardown(only_what_was_named_is_written, begin, end),
        cmocka_unit_test_setup_teardown(places_of_each_kind, begin, end),
        cmocka_unit_test_setup_teardown(a_planted_decoder_is_stopped, begin, end),
        cmocka_unit_test_setup_teardown(sealed_threads_decode_with_plug_ins, begin, end),
        cmocka_unit_test(each_version_is_asked_for_what_it_knows), /* last: it sets the name */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
