/* sandbox_hook.c - preloaded into a tool by test_planted.sh: whenever the tool puts a file in its place (rename), code
 * that is not its own writes to $HOOK_FILE and executes /bin/true, and notes in $HOOK_LOG what came of it.
 * SPDX-License-Identifier: MIT */
#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int out = -1;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("HOOK_LOG");

    out = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
}

__attribute__((visibility("default"))) int rename(const char *from, const char *to)
{
    static int (*real)(const char *from, const char *to);
    char *const argv[] = {"true", NULL};
    const char *path = getenv("HOOK_FILE");
    int fd = -1, status = -1;
    pid_t pid;

    if (path)
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, NULL) == 0)
        waitpid(pid, &status, 0);
    dprintf(out, "write %d execute %d\n", fd >= 0, status == 0);
    if (fd >= 0)
        close(fd);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "rename");
    return real(from, to);
}
