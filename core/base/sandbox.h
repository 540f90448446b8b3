/* sandbox.h - the process gives up what it does not need: running programs, writing elsewhere.
 *
 * By Linux' Landlock, without a library, as far as the kernel has it; where it has none, nothing changes and nothing
 * fails. What is given up is given up by the calling thread and by the threads and processes that it starts later, for
 * good; a second call only narrows. Reading stays free (libraries open fonts, certificates, /proc and devices late),
 * but for threads that called sandbox_seal_thread(). What is open already stays usable.
 * SPDX-License-Identifier: MIT */
#ifndef PRESIZE_BASE_SANDBOX_H
#define PRESIZE_BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sandbox_kind {
    SANDBOX_WRITE, /* everything below the folder: files and folders are made, written, renamed, removed */
    SANDBOX_MOVE,    /* the same, and files move from one folder below it to another */
    SANDBOX_FOLDERS, /* folders are made, renamed and removed; no file is touched */
    SANDBOX_DEVICE,  /* the file is written and controlled */
};

struct sandbox_place {
    const char *path; /* where it is missing, the nearest folder above it that is there */
    enum sandbox_kind kind;
};

void sandbox_off(void); /* --no-sandbox: sandbox_enter() and sandbox_seal_thread() do nothing */

/* From here on no program can be executed, and nothing written outside the N places and the devices that a backend
 * needs (/dev/null, /dev/shm, NVIDIA's). Never fails; what hinders it is a line of -v. One thread at a time. */
void sandbox_enter(const struct sandbox_place *places, size_t n);

/* The folder PATH, where it is there, is written to as well, whatever sandbox_enter() is called with from then on. */
void sandbox_always(const char *path);

/* The calling thread can open nothing at all, neither to read nor to write, and execute nothing. Any thread. */
void sandbox_seal_thread(void);

/* What holds since sandbox_enter(), for the record: "landlock 7" (the version of the kernel's interface), "none" (the
 * kernel has no Landlock, or sandbox_enter() was not called), "off" (--no-sandbox). */
const char *sandbox_name(void);

/* --- for tests --- */

/* Landlock's access rights as version ABI of its interface knows them: what is handled, so that all of it that is not
 * granted is denied, by sandbox_enter() and by sandbox_seal_thread(), and what a place of this kind is granted. */
uint64_t sandbox_handled(int abi);
uint64_t sandbox_sealed(int abi);
uint64_t sandbox_granted(int abi, enum sandbox_kind kind);

#endif
