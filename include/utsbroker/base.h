#pragma once

/*
 * The conventions of every file: how functions report errors, and how resources are freed.
 *
 * Errors. A function that can fail returns int:
 *    0            success;
 *    negative     a negated errno: the system failed; the caller forwards or reports it;
 *    positive     a result of the module itself, named MODULE_E_*; the caller must handle it.
 * Out-parameters end in "p" and are written only on success, unless the comment says otherwise.
 * errno is read right after the call that failed, and returned as -errno.
 *
 * Cleanup. A variable that owns something is declared with one of the attributes below, which frees
 * it on every return. base_steal_fd() moves the ownership of a descriptor. A variable that owns no
 * descriptor is -1.
 */

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* Without -D_FILE_OFFSET_BITS=64 a 32-bit machine cannot read a policy with a large inode number.
 */
_Static_assert(sizeof(off_t) == 8 && sizeof(ino_t) == 8, "files are not 64-bit");

#define CLEANUP_FD __attribute__((cleanup(base_close_fd)))
#define CLEANUP_FREE __attribute__((cleanup(base_free)))

#define BASE_ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Closes *fdp if it is open, and sets it to -1. Linux frees the number even if close(2) fails. */
static inline void base_close_fd(int *fdp) {
    if (*fdp >= 0)
        (void)close(*fdp);
    *fdp = -1;
}

/* Frees what the pointer at @pointerp points to. @pointerp is void *, for pointers of any type. */
static inline void base_free(void *pointerp) {
    void *pointer;

    memcpy(&pointer, pointerp, sizeof(pointer));
    free(pointer);
}

/* Returns the descriptor in *fdp, which becomes -1: the caller owns the descriptor now. */
static inline int base_steal_fd(int *fdp) {
    int fd = *fdp;

    *fdp = -1;
    return fd;
}
