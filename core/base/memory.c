/* memory.c - /proc, control groups and limits, read again each time.
 * SPDX-License-Identifier: MIT */
#include "base/memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/path.h"

/* Address space that the heaps of threads reserve and hardly use: glibc's malloc takes 64 MiB and up to
 * 128 for a moment (HEAP_MAX_SIZE in malloc/arena.c). */
enum { THREAD_HEAPS = 192 << 20 };

static void at_most(uint64_t *least, uint64_t bytes)
{
    if (bytes < *least)
        *least = bytes;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* The number after NAME in a file of lines "NAME NUMBER..."; NAME "": of its first line. */
static bool read_number(uint64_t *out, const char *path, const char *name)
{
    FILE *file = fopen(path, "re");
    char line[256];
    bool found = false;

    while (file && !found && fgets(line, sizeof line, file))
        found = strncmp(line, name, strlen(name)) == 0 &&
                sscanf(line + strlen(name), " %" SCNu64, out) == 1;
    if (file)
        fclose(file);
    return found;
}

/* One control group's folder; its file cache can be given back, so it does not count. */
static void ask_group(uint64_t *least, const char *folder, const char *limit_file,
                      const char *usage_file, const char *cache_name)
{
    uint64_t limit, usage = 0, cache = 0;
    char path[PATH_LEN];

    if (path_format(path, NULL, "%s/%s", folder, limit_file) < 0 || !read_number(&limit, path, ""))
        return; /* "max": none */
    if (path_format(path, NULL, "%s/%s", folder, usage_file) == 0)
        read_number(&usage, path, "");
    if (path_format(path, NULL, "%s/memory.stat", folder) == 0)
        read_number(&cache, path, cache_name);
    at_most(least, minus(limit, minus(usage, cache)));
}

/* The group GROUP ("/a/b") below ROOT and all above it. */
static void ask_groups(uint64_t *least, const char *root, const char *group, bool second_version)
{
    char folder[PATH_LEN];
    size_t root_length = strlen(root);

    if (path_format(folder, NULL, "%s%s", root, group) < 0)
        return;
    for (;;) {
        char *slash = strrchr(folder, '/');

        if (second_version)
            ask_group(least, folder, "memory.max", "memory.current", "inactive_file");
        else
            ask_group(least, folder, "memory.limit_in_bytes", "memory.usage_in_bytes",
                      "total_inactive_file");
        if (strlen(folder) <= root_length || !slash)
            return;
        *slash = 0;
    }
}

/* Lines of /proc/self/cgroup: "0::/group" of version 2, "5:memory,...:/group" of version 1. */
static void ask_control_groups(uint64_t *least)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[PATH_LEN];

    while (file && fgets(line, sizeof line, file)) {
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;

        if (!group)
            continue;
        *group++ = 0;
        group[strcspn(group, "\n")] = 0;
        if (strcmp(controllers, ":") == 0)
            ask_groups(least, "/sys/fs/cgroup", group, true);
        else if (strstr(controllers, "memory"))
            ask_groups(least, "/sys/fs/cgroup/memory", group, false);
    }
    if (file)
        fclose(file);
}

static void ask_limits(uint64_t *least)
{
    uint64_t size = 0, data = 0, page = (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/statm", "re");
    struct rlimit limit;

    if (file) {
        if (fscanf(file, "%" SCNu64 " %*u %*u %*u %*u %" SCNu64, &size, &data) != 2)
            size = data = 0;
        fclose(file);
    }
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        at_most(least, minus(limit.rlim_cur, size * page + THREAD_HEAPS));
    if (getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        at_most(least, minus(limit.rlim_cur, data * page));
}

uint64_t memory_available(void)
{
    uint64_t least = UINT64_MAX, kib;

    if (read_number(&kib, "/proc/meminfo", "MemAvailable:"))
        at_most(&least, kib * 1024);
    ask_control_groups(&least);
    ask_limits(&least);
    return least;
}
