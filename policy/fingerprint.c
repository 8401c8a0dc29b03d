#include "policy/fingerprint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/folders.h"
#include "policy/stable-read.h"
#include "utsbroker/base.h"

/*
 * The kernel sets a file's times to its last tick (every 4 or 10 ms), so a file can change twice
 * within one tick and look the same. A fingerprint is never current if a file in it was younger
 * than this when the fingerprint was taken.
 */
static const time_t settled_seconds = 2;

static bool is_settled(const struct stat *status, time_t now) {
    return status->st_mtim.tv_sec + settled_seconds < now &&
           status->st_ctim.tv_sec + settled_seconds < now;
}

/* Adds @path and takes it over. A file that fstatat(2) cannot examine counts as missing. */
static int fingerprint_add_path(struct fingerprint *fingerprint, char *path, int flags,
                                time_t now) {
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

static int fingerprint_add_files(struct fingerprint *fingerprint, const char *folder, time_t now) {
    DIR *stream = opendir(folder);
    int r = 0;

    if (stream == NULL)
        return errno == ENOENT ? 0 : -errno;
    while (r == 0) {
        const char *name;
        char *path;

        r = folders_read_name(stream, &name);
        if (r < 0 || name == NULL)
            break;
        if (!folders_is_policy_file(name))
            continue;
        r = asprintf(&path, "%s/%s", folder, name) < 0
                ? -ENOMEM
                : fingerprint_add_path(fingerprint, path, AT_SYMLINK_NOFOLLOW, now);
    }
    (void)closedir(stream);
    return r;
}

/*
 * Records how @folders and their policy files look now. Call it before the policy is loaded, so
 * that a change during loading makes the fingerprint outdated. Folders are examined by their paths,
 * so a parent folder that is replaced is noticed.
 *
 * Returns 0; a negative errno, and then @fingerprint is never current. fingerprint_deinit() frees
 * it.
 */
int fingerprint_take(struct fingerprint *fingerprint, const char *const *folders,
                     size_t n_folders) {
    struct fingerprint taken = {.is_certain = true};
    time_t now = time(NULL);
    int r = 0;

    fingerprint_deinit(fingerprint);
    for (size_t i = 0; i < n_folders && r == 0; i++) {
        char *path = strdup(folders[i]);

        r = path == NULL ? -ENOMEM : fingerprint_add_path(&taken, path, 0, now);
        if (r == 0)
            r = fingerprint_add_files(&taken, folders[i], now);
    }
    if (r < 0)
        fingerprint_deinit(&taken);
    else
        *fingerprint = taken;
    return r;
}

/* True if every folder and file still looks as it was recorded. */
bool fingerprint_is_current(const struct fingerprint *fingerprint) {
    for (size_t i = 0; i < fingerprint->n_entries; i++) {
        const struct fingerprint_entry *entry = &fingerprint->entries[i];
        struct stat status;
        bool exists = fstatat(AT_FDCWD, entry->path, &status, entry->flags) == 0;

        if (exists != entry->exists || (exists && !stable_read_is_same(&status, &entry->status)))
            return false;
    }
    return fingerprint->is_certain;
}

/* Frees what @fingerprint holds; afterwards it is not current. */
void fingerprint_deinit(struct fingerprint *fingerprint) {
    for (size_t i = 0; i < fingerprint->n_entries; i++)
        free(fingerprint->entries[i].path);
    free(fingerprint->entries);
    *fingerprint = (struct fingerprint)FINGERPRINT_NULL;
}
