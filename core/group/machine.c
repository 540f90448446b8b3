/* machine.c - memory that processes of one machine share, and where they meet.
 *
 * A file of MOST bytes, of which none is there before it is written. It begins with the meeting place and two rooms for
 * what is shared; pieces of memory follow, each behind a page that counts who gave it back.
 * SPDX-License-Identifier: MIT */
#include "group/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/size.h"
#include "base/thread.h"

#define MOST ((off_t)1 << 44)
#ifndef MADV_POPULATE_WRITE /* Linux 5.14; older headers */
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE /* Linux 6.1 */
#define MADV_COLLAPSE 25
#endif

enum {
    PAGE = 4096,
    HUGE = 2 << 20,
    ROOM = 64 << 10, /* bytes of a process in a room: the sums of most batch norms */
    /* Some tens of microseconds, which processes of one step mostly wait for each other. */
    SPINS = 2000,
    LOOK_NS = 200000000 /* between looks at what may end the wait */
};

struct meeting {
    unsigned char mark[16];
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_uint round; /* also the futex */
    _Alignas(64) atomic_int sleepers;
};

struct machine {
    int rank, ranks, file, spins;
    struct meeting *meeting;
    char *rooms; /* (2, ranks, ROOM) */
    unsigned shares;
    off_t next; /* where the next piece of memory begins */
};

static size_t front_bytes(int ranks)
{
    return align_up(PAGE + 2 * (size_t)ranks * ROOM, HUGE);
}

static int begin(struct machine **out, int file, int rank, int ranks, struct err *err)
{
    const size_t bytes = front_bytes(ranks);
    struct machine *m = calloc(1, sizeof *m);
    void *front = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

    if (!m || front == MAP_FAILED) {
        free(m);
        if (front != MAP_FAILED)
            munmap(front, bytes);
        return err_set(err, ERR_NOMEM, "memory of %d processes", ranks);
    }
    *m = (struct machine){.rank = rank,
                          .ranks = ranks,
                          .file = file,
                          .spins = ranks <= cpu_count() ? SPINS : 0,
                          .meeting = front,
                          .rooms = (char *)front + PAGE,
                          .next = (off_t)bytes};
    *out = m;
    return 0;
}

int machine_make(struct machine **out, struct machine_key *key, int ranks, struct err *err)
{
    struct rlimit limit;
    int file;

    *out = NULL;
    *key = (struct machine_key){.pid = getpid()};
    if (getrlimit(RLIMIT_FSIZE, &limit) < 0 ||
        limit.rlim_cur < (rlim_t)MOST) /* a signal, not an error */
        return err_set(err, ERR_UNSUPPORTED, "the size of files is limited");
    if (getrandom(key->mark, sizeof key->mark, 0) != sizeof key->mark)
        return err_errno(err, "random numbers");
    file = memfd_create("presize", MFD_CLOEXEC);
    if (file < 0)
        return err_errno(err, "memory of several processes");
    if (ftruncate(file, MOST) < 0) {
        err_errno(err, "memory of several processes");
        close(file);
        return -1;
    }
    if (begin(out, file, 0, ranks, err) < 0) {
        close(file);
        return -1;
    }
    memcpy((*out)->meeting->mark, key->mark, sizeof key->mark);
    key->file = file;
    key->is_made = 1;
    return 0;
}

int machine_open(struct machine **out, const struct machine_key *key, int rank, int ranks,
                 struct err *err)
{
    char path[64];
    int file;

    *out = NULL;
    if (!key->is_made)
        return err_set(err, ERR_UNSUPPORTED, "the first process has no memory to share");
    snprintf(path, sizeof path, "/proc/%lld/fd/%d", (long long)key->pid, (int)key->file);
    file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return err_errno(err, "%s", path);
    if (lseek(file, 0, SEEK_END) != MOST) {
        close(file);
        return err_set(err, ERR_UNSUPPORTED, "%s is another machine's", path);
    }
    if (begin(out, file, rank, ranks, err) < 0) {
        close(file);
        return -1;
    }
    if (memcmp((*out)->meeting->mark, key->mark, sizeof key->mark) == 0)
        return 0;
    machine_close(*out);
    *out = NULL;
    return err_set(err, ERR_UNSUPPORTED, "%s is another machine's", path);
}

void machine_close(struct machine *m)
{
    if (!m)
        return;
    munmap(m->meeting, front_bytes(m->ranks));
    close(m->file);
    free(m);
}

/* ---- meeting --------------------------------------------------------------------------------- */

static long futex(atomic_uint *at, int what, unsigned value, const struct timespec *limit)
{
    return syscall(SYS_futex, at, what, value, limit, NULL, 0);
}

/* Until ROUND is over. */
static bool sleep_through(struct meeting *h, unsigned round, const struct machine_limit *limit)
{
    struct clock_wait wait = clock_wait_begin();
    bool over = false, late = false;

    atomic_fetch_add(&h->sleepers, 1);
    while (!over && !late) {
        (void)futex(&h->round, FUTEX_WAIT, round, &(struct timespec){0, LOOK_NS});
        over = atomic_load(&h->round) != round;
        late = clock_waited(&wait) > limit->seconds || (limit->ends && limit->ends(limit->ctx));
    }
    atomic_fetch_sub(&h->sleepers, 1);
    return over;
}

bool machine_meet(struct machine *m, const struct machine_limit *limit)
{
    struct meeting *h = m->meeting;
    const unsigned round = atomic_load(&h->round);

    if (atomic_fetch_add(&h->arrived, 1) + 1 == m->ranks) {
        atomic_store(&h->arrived, 0);
        atomic_fetch_add(&h->round, 1);
        if (atomic_load(&h->sleepers) > 0)
            (void)futex(&h->round, FUTEX_WAKE, INT_MAX, NULL);
        return true;
    }
    for (int i = 0; i < m->spins; i++) {
        if (atomic_load_explicit(&h->round, memory_order_acquire) != round)
            return true;
        thread_pause();
    }
    return sleep_through(h, round, limit);
}

/* The two rooms take turns: who writes one again has met all others since they read it. */
bool machine_share(struct machine *m, void *all, size_t bytes, const struct machine_limit *limit)
{
    for (size_t at = 0, n; at < bytes; at += n) {
        char *room = m->rooms + (m->shares++ % 2) * (size_t)m->ranks * ROOM;

        n = bytes - at < ROOM ? bytes - at : ROOM;
        memcpy(room + (size_t)m->rank * ROOM, (char *)all + (size_t)m->rank * bytes + at, n);
        if (!machine_meet(m, limit))
            return false;
        for (int r = 0; r < m->ranks; r++)
            if (r != m->rank)
                memcpy((char *)all + (size_t)r * bytes + at, room + (size_t)r * ROOM, n);
    }
    return true;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Of the file and of addresses, in whole huge pages. */
static size_t piece_bytes(size_t bytes)
{
    return align_up(bytes + PAGE, HUGE);
}

/* The file's next piece of BYTES, at an address that a huge page may have; NULL. */
static char *map_piece(const struct machine *m, size_t bytes)
{
    char *room = mmap(NULL, bytes + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *memory;
    size_t before;

    if (room == MAP_FAILED)
        return NULL;
    before = align_up((size_t)(uintptr_t)room, HUGE) - (size_t)(uintptr_t)room;
    memory = mmap(room + before, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, m->file,
                  m->next);
    if (memory == MAP_FAILED) {
        munmap(room, bytes + HUGE);
        return NULL;
    }
    if (before > 0)
        munmap(room, before);
    if (before < HUGE)
        munmap(memory + bytes, HUGE - before);
    return memory;
}

void *machine_memory(struct machine *m, size_t bytes)
{
    const size_t whole = piece_bytes(bytes);
    char *memory;

    if (bytes > (size_t)(MOST - m->next) - 2 * HUGE)
        return NULL;
    memory = map_piece(m, whole);
    if (!memory)
        return NULL;
    *(off_t *)(void *)(memory + 64) = m->next; /* alike in all processes */
    m->next += (off_t)whole;
    return memory + PAGE;
}

/* Systems rarely give shared memory huge pages by themselves, but make one where a page is there and they are asked to.
 * Where they do not, nothing is lost but time. */
void machine_populate(struct machine *m, void *memory, size_t bytes)
{
    char *first = (char *)memory - PAGE;
    const size_t step = (size_t)m->ranks * HUGE;

    for (size_t at = (size_t)m->rank * HUGE; bytes >= HUGE && at < piece_bytes(bytes); at += step)
        if (madvise(first + at, PAGE, MADV_POPULATE_WRITE) == 0)
            (void)madvise(first + at, HUGE, MADV_COLLAPSE);
}

void machine_give_back(struct machine *m, void *memory, size_t bytes)
{
    char *page = (char *)memory - PAGE;
    const off_t at = *(off_t *)(void *)(page + 64);
    const bool last = atomic_fetch_add((atomic_int *)(void *)page, 1) + 1 == m->ranks;

    munmap(page, piece_bytes(bytes));
    if (last)
        (void)fallocate(m->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
                        (off_t)piece_bytes(bytes));
}
