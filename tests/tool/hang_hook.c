/* hang_hook.c - preloaded into a process by test_ranks_ended.sh: after $HOOK_READS calls of pread() each one hangs, as
 * where a file system does. SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_long reads;

__attribute__((visibility("default"))) ssize_t pread64(int fd, void *to, size_t size, off_t at)
{
    static ssize_t (*real)(int fd, void *to, size_t size, off_t at);
    const char *most = getenv("HOOK_READS");

    *(void **)&real = dlsym(RTLD_NEXT, "pread64");
    while (most && atomic_fetch_add(&reads, 1) >= strtol(most, NULL, 10))
        pause();
    return real(fd, to, size, at);
}

__attribute__((visibility("default"))) ssize_t pread(int fd, void *to, size_t size, off_t at)
{
    return pread64(fd, to, size, at);
}
