/* sandbox.c - Landlock's three system calls (landlock(7); the kernel's userspace-api/landlock.rst).
 *
 * The interface grows: a kernel refuses a right that it does not know, so each right is asked for from the version on
 * that has it. Version 1 lets nobody in a ruleset move a file to another folder, whatever is granted.
 * SPDX-License-Identifier: MIT */
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"

/* As in linux/landlock.h, which older systems lack or have without the later rights. */
enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_DIR = 1 << 4,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_DIR = 1 << 7,
    FS_MAKE_REG = 1 << 8,
    FS_ALL_1 = (1 << 13) - 1, /* version 1 */
    FS_REFER = 1 << 13,       /* version 2 */
    FS_TRUNCATE = 1 << 14,    /* version 3 */
    FS_IOCTL_DEV = 1 << 15,   /* version 5 */
    RULE_PATH_BENEATH = 1,
    CREATE_VERSION = 1
};

#ifdef SYS_landlock_create_ruleset
enum {
    CALL_CREATE = SYS_landlock_create_ruleset,
    CALL_ADD = SYS_landlock_add_rule,
    CALL_RESTRICT = SYS_landlock_restrict_self
};
#else /* the same on every architecture */
enum { CALL_CREATE = 444, CALL_ADD, CALL_RESTRICT };
#endif

struct ruleset {
    uint64_t handled;
};
struct __attribute__((packed)) path_rule {
    uint64_t allowed;
    int32_t parent;
};

static bool off;
static char name[32] = "none";

void sandbox_off(void)
{
    off = true;
    snprintf(name, sizeof name, "off");
}

const char *sandbox_name(void)
{
    return name;
}

static uint64_t known(int abi)
{
    uint64_t rights = abi >= 1 ? FS_ALL_1 : 0;

    rights |= abi >= 2 ? FS_REFER : 0;
    rights |= abi >= 3 ? FS_TRUNCATE : 0;
    rights |= abi >= 5 ? FS_IOCTL_DEV : 0;
    return rights;
}

uint64_t sandbox_sealed(int abi)
{
    return known(abi);
}

uint64_t sandbox_handled(int abi)
{
    return known(abi) & ~(uint64_t)(FS_READ_FILE | FS_READ_DIR);
}

uint64_t sandbox_granted(int abi, enum sandbox_kind kind)
{
    static const uint64_t rights[] = {
        [SANDBOX_WRITE] = FS_WRITE_FILE | FS_TRUNCATE | FS_REMOVE_DIR | FS_REMOVE_FILE |
                          FS_MAKE_DIR | FS_MAKE_REG,
        [SANDBOX_MOVE] = FS_WRITE_FILE | FS_TRUNCATE | FS_REMOVE_DIR | FS_REMOVE_FILE |
                         FS_MAKE_DIR | FS_MAKE_REG | FS_REFER,
        [SANDBOX_FOLDERS] = FS_REMOVE_DIR | FS_MAKE_DIR,
        [SANDBOX_DEVICE] = FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV,
    };

    return rights[kind] & known(abi);
}

/* The version of the kernel's interface; -1 with errno where there is none. */
static int kernel_abi(void)
{
    return (int)syscall(CALL_CREATE, NULL, (size_t)0, CREATE_VERSION);
}

static int new_ruleset(uint64_t handled)
{
    const struct ruleset r = {handled};

    return (int)syscall(CALL_CREATE, &r, sizeof r, 0);
}

/* PATH, or the nearest folder above it that is there. */
static int open_nearest(const char *path)
{
    char at[PATH_LEN];
    int fd;

    if (path_format(at, NULL, "%s", path) < 0)
        return -1;
    while ((fd = open(at, O_PATH | O_CLOEXEC)) < 0 && errno == ENOENT) {
        char *slash = strrchr(at, '/');

        if (strcmp(at, ".") == 0 || strcmp(at, "/") == 0)
            break;
        if (slash)
            slash[slash == at] = 0;
        else
            memcpy(at, ".", 2);
    }
    return fd;
}

static int add_place(int rules, int abi, const struct sandbox_place *p)
{
    struct path_rule rule = {.allowed = sandbox_granted(abi, p->kind)};
    int rc;

    rule.parent = open_nearest(p->path);
    if (rule.parent < 0)
        return -1;
    rc = (int)syscall(CALL_ADD, rules, RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent);
    return rc;
}

static void add_if_there(int rules, int abi, const char *path, enum sandbox_kind kind)
{
    if (path_exists(path))
        (void)add_place(rules, abi, &(struct sandbox_place){path, kind});
}

/* What backends write: the null device; the memory through which several processes talk; where there are NVIDIA's
 * devices (/dev/dxg under Windows), these and the driver's cache of compiled kernels. */
static void add_devices(int rules, int abi)
{
    const char *cache = getenv("CUDA_CACHE_PATH"), *home = getenv("HOME");
    char path[PATH_LEN];
    glob_t found = {0};

    add_if_there(rules, abi, "/dev/null", SANDBOX_DEVICE);
    add_if_there(rules, abi, "/dev/shm", SANDBOX_WRITE);
    if (glob("/dev/nvidia*", 0, NULL, &found) != 0 && !path_exists("/dev/dxg")) {
        globfree(&found);
        return;
    }
    for (size_t i = 0; i < found.gl_pathc; i++)
        add_if_there(rules, abi, found.gl_pathv[i],
                     path_is_dir(found.gl_pathv[i]) ? SANDBOX_WRITE : SANDBOX_DEVICE);
    globfree(&found);
    add_if_there(rules, abi, "/dev/dxg", SANDBOX_DEVICE);
    if (cache && *cache)
        add_if_there(rules, abi, cache, SANDBOX_MOVE);
    else if (home && path_format(path, NULL, "%s/.nv", home) == 0)
        add_if_there(rules, abi, path, SANDBOX_MOVE);
}

static char always[PATH_LEN];

void sandbox_always(const char *path)
{
    if (path_format(always, NULL, "%s", path) < 0)
        always[0] = 0;
}

static int enter(int abi, const struct sandbox_place *places, size_t n)
{
    const int rules = new_ruleset(sandbox_handled(abi));
    int rc = rules < 0 ? -1 : 0, why;

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add_place(rules, abi, &places[i]);
    if (rc == 0) {
        add_devices(rules, abi);
        if (always[0])
            add_if_there(rules, abi, always, SANDBOX_WRITE);
        rc = (int)syscall(CALL_RESTRICT, rules, 0);
    }
    why = errno;
    if (rules >= 0)
        close(rules);
    errno = why;
    return rc;
}

void sandbox_enter(const struct sandbox_place *places, size_t n)
{
    bool moves = false;
    int abi;

    if (off)
        return;
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* without which Landlock is not for everyone */
    for (size_t i = 0; i < n; i++)
        moves = moves || places[i].kind == SANDBOX_MOVE;
    abi = kernel_abi();
    if (abi < 1)
        log_debug("sandbox: none, this kernel has no Landlock (%s)", strerror(errno));
    else if (abi == 1 && moves)
        log_debug("sandbox: none, this kernel's Landlock (version 1) forbids to move files");
    else if (enter(abi, places, n) < 0)
        log_debug("sandbox: none, Landlock %d failed (%s)", abi, strerror(errno));
    else {
        snprintf(name, sizeof name, "landlock %d", abi);
        log_debug("sandbox: Landlock %d; no program can be run, and nothing is written but %s%s",
                  abi, n > 0 ? "below " : "on devices", n > 0 ? places[0].path : "");
    }
}

void sandbox_seal_thread(void)
{
    int abi, rules;

    if (off)
        return;
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    abi = kernel_abi();
    rules = abi < 1 ? -1 : new_ruleset(sandbox_sealed(abi));
    if (rules < 0)
        return; /* sandbox_enter() said so */
    if (syscall(CALL_RESTRICT, rules, 0) < 0)
        log_debug("sandbox: a thread is not sealed (%s)", strerror(errno));
    close(rules);
}
