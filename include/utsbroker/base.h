#pragma once

/*
 * What every file of this project agrees on: how errors travel, and how things are given back.
 *
 * Errors. A function that can fail returns int:
 *    0            it did what its name says;
 *    negative     a negated errno: the system failed; the caller forwards or reports it;
 *    positive     a verdict of the module itself, named MODULE_E_*; the caller must handle it.
 * Out-parameters end in "p" and are written only on success, unless the comment says otherwise.
 * Nobody reads errno after another call; it is captured where it arises, as -errno.
 *
 * Cleanup. What a function owns is declared with one of the attributes below and given back on
 * every way out; ownership moves by base_steal_fd(). A file descriptor that is owned by nobody is
 * -1.
 */

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLEANUP_FD __attribute__((cleanup(base_close_fd)))
#define CLEANUP_FREE __attribute__((cleanup(base_free)))

#define BASE_ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Closes *fdp if it is open. Linux frees the descriptor whatever close(2) returns. */
static inline void base_close_fd(int *fdp) {
    if (*fdp >= 0)
        (void)close(*fdp);
    *fdp = -1;
}

/* Frees what the pointer at @pointerp points to; void *, as it serves pointers of every type. */
static inline void base_free(void *pointerp) {
    void *pointer;

    memcpy(&pointer, pointerp, sizeof(pointer));
    free(pointer);
}

/* Takes the descriptor out of *fdp: the caller owns it now. */
static inline int base_steal_fd(int *fdp) {
    int fd = *fdp;

    *fdp = -1;
    return fd;
}
