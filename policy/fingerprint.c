#include "policy/fingerprint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/loader.h"
#include "utsbroker/base.h"

/*
 * A file's times are those of the kernel's last tick (4 ms, or 10), so a file can change twice
 * within one and look the same. What changed less than this before it was looked at is looked at
 * again.
 */
static const time_t settled_seconds = 2;

static bool is_settled(const struct stat *status, time_t now) {
    return status->st_mtim.tv_sec + settled_seconds < now &&
           status->st_ctim.tv_sec + settled_seconds < now;
}

static bool is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Adds @path, which is taken over. What cannot be examined is like what is not there. */
static int stamp_add(struct fingerprint *fingerprint, char *path, int flags, time_t now) {
    struct fingerprint_entry *entries =
        reallocarray(fingerprint->entries, fingerprint->n_entries + 1, sizeof(*entries));
    struct fingerprint_entry *entry;

    if (entries == NULL) {
        free(path);
        return -ENOMEM;
    }
    fingerprint->entries = entries;
    entry = &entries[fingerprint->n_entries++];
    *entry = (struct fingerprint_entry){.path = path, .flags = flags};
    entry->exists = fstatat(AT_FDCWD, path, &entry->status, flags) == 0;
    if (entry->exists && !is_settled(&entry->status, now))
        fingerprint->is_certain = false;
    return 0;
}

static int stamp_add_files(struct fingerprint *fingerprint, const char *folder, time_t now) {
    DIR *open_folder = opendir(folder);
    int r = 0;

    if (open_folder == NULL)
        return errno == ENOENT ? 0 : -errno;
    while (r == 0) {
        const struct dirent *item;
        char *path;

        errno = 0; /* readdir(3) */
        item = readdir(open_folder);
        r = item == NULL ? -errno : 0;
        if (item == NULL)
            break;
        if (!loader_is_policy_file(item->d_name))
            continue;
        r = asprintf(&path, "%s/%s", folder, item->d_name) < 0
                ? -ENOMEM
                : stamp_add(fingerprint, path, AT_SYMLINK_NOFOLLOW, now);
    }
    (void)closedir(open_folder);
    return r;
}

/*
 * Notes what @folders and their policy files look like now; to be called before the policy is
 * loaded, so that what changes meanwhile makes the fingerprint old. The folders by their paths:
 * another one that is put in the place of a parent is noticed.
 *
 * Returns 0 or a negative errno, with a fingerprint that is never current. fingerprint_deinit()
 * frees it.
 */
int fingerprint_take(struct fingerprint *fingerprint, const char *const *folders,
                     size_t n_folders) {
    struct fingerprint taken = {.is_certain = true};
    time_t now = time(NULL);
    int r = 0;

    fingerprint_deinit(fingerprint);
    for (size_t i = 0; i < n_folders && r == 0; i++) {
        char *path = strdup(folders[i]);

        r = path == NULL ? -ENOMEM : stamp_add(&taken, path, 0, now);
        if (r == 0)
            r = stamp_add_files(&taken, folders[i], now);
    }
    if (r < 0)
        fingerprint_deinit(&taken);
    else
        *fingerprint = taken;
    return r;
}

/* True if every folder and file still looks as it did. */
bool fingerprint_is_current(const struct fingerprint *fingerprint) {
    for (size_t i = 0; i < fingerprint->n_entries; i++) {
        const struct fingerprint_entry *entry = &fingerprint->entries[i];
        struct stat status;
        bool exists = fstatat(AT_FDCWD, entry->path, &status, entry->flags) == 0;

        if (exists != entry->exists || (exists && !is_same(&status, &entry->status)))
            return false;
    }
    return fingerprint->is_certain;
}

/* Frees what @fingerprint holds; it is not current afterwards. */
void fingerprint_deinit(struct fingerprint *fingerprint) {
    for (size_t i = 0; i < fingerprint->n_entries; i++)
        free(fingerprint->entries[i].path);
    free(fingerprint->entries);
    *fingerprint = (struct fingerprint)FINGERPRINT_NULL;
}
