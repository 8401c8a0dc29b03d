#pragma once

/* What the policy's folders and files looked like, so that it is read again only if they changed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct stamp_entry {
    char *path;
    int flags; /* for fstatat(2): of a file its own, of a folder what a link leads to */
    bool exists;
    struct stat status;
};

struct stamp {
    struct stamp_entry *entries;
    size_t n_entries;
    bool is_certain; /* false: it may have changed already without a trace */
};

#define STAMP_NULL                                                                                 \
    { .entries = NULL }

int stamp_take(struct stamp *stamp, const char *const *folders, size_t n_folders);
bool stamp_is_current(const struct stamp *stamp);
void stamp_deinit(struct stamp *stamp);
