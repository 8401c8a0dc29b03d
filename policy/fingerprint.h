#pragma once

/* How the policy's folders and files look, so that the policy is read again only after a change. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct fingerprint_entry {
    char *path;
    int flags; /* for fstatat(2): a file that is a link counts itself, of a folder its target */
    bool exists;
    struct stat status;
};

struct fingerprint {
    struct fingerprint_entry *entries;
    size_t n_entries;
    bool is_certain; /* false: a change may have gone unnoticed already */
};

#define FINGERPRINT_NULL                                                                           \
    { .entries = NULL }

int fingerprint_take(struct fingerprint *fingerprint, const char *const *folders, size_t n_folders);
bool fingerprint_is_current(const struct fingerprint *fingerprint);
void fingerprint_deinit(struct fingerprint *fingerprint);
