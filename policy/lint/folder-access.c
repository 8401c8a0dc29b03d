#include "policy/lint/folder-access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "utsbroker/base.h"

struct checker {
    const char *const *paths;
    size_t n_done; /* of @paths */
    bool has_failed;
    policy_report report;
    void *context;
};

/* True if @folder, of @length bytes, is above a path that was checked already. */
static bool is_done(const struct checker *checker, const char *folder, size_t length) {
    for (size_t i = 0; i < checker->n_done; i++)
        if (strncmp(checker->paths[i], folder, length) == 0 && checker->paths[i][length] == '/')
            return true;
    return false;
}

static void check_folder(struct checker *checker, const char *folder) {
    struct policy_error error = {.file = folder};
    struct stat status;

    if (stat(folder, &status) < 0 || !S_ISDIR(status.st_mode) || (status.st_mode & S_IXOTH) != 0)
        return;
    (void)snprintf(error.message, sizeof(error.message),
                   "only root%s can enter it: run chmod o+x; the broker refuses all others",
                   (status.st_mode & S_IXGRP) != 0 ? " and its group" : "");
    checker->report(checker->context, &error);
    checker->has_failed = true;
}

static bool is_link(const char *path) {
    struct stat status;

    return lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

/* Checks each folder above @path, which this changes for a moment. Returns whether one is a link.
 */
static bool check_parents(struct checker *checker, char *path) {
    bool has_link = is_link(path);

    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        has_link |= is_link(path);
        if (!is_done(checker, path, strlen(path)))
            check_folder(checker, path);
        *slash = '/';
    }
    return has_link;
}

/*
 * Reports, as an error, each folder above one of @paths that some users cannot enter: as @paths
 * name them and, where that leads over a link, also as they really are. What does not exist is no
 * error. Returns 0, POLICY_E_INVALID if an error was reported, or -ENOMEM.
 */
int folder_access_check(const char *const *paths, size_t n_paths, policy_report report,
                        void *context) {
    struct checker checker = {.paths = paths, .report = report, .context = context};

    for (size_t i = 0; i < n_paths; i++, checker.n_done++) {
        CLEANUP_FREE char *path = strdup(paths[i]);
        CLEANUP_FREE char *real = NULL;

        if (path == NULL)
            return -ENOMEM;
        if (path[0] == '\0' || !check_parents(&checker, path))
            continue;
        real = realpath(path, NULL);
        if (real != NULL)
            (void)check_parents(&checker, real);
    }
    return checker.has_failed ? POLICY_E_INVALID : 0;
}
