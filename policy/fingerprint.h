#pragma once

/* What the policy's folders and files looked like, so that it is read again only if they changed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct fingerprint_entry {
    char *path;
    int flags; /* for fstatat(2): of a file its own, of a folder what a link leads to */
    bool exists;
    struct stat status;
};

struct fingerprint {
    struct fingerprint_entry *entries;
    size_t n_entries;
    bool is_certain; /* false: it may have changed already without a trace */
};

#define FINGERPRINT_NULL                                                                           \
    { .entries = NULL }

int fingerprint_take(struct fingerprint *fingerprint, const char *const *folders, size_t n_folders);
bool fingerprint_is_current(const struct fingerprint *fingerprint);
void fingerprint_deinit(struct fingerprint *fingerprint);
