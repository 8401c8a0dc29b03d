#include "policy/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/folders.h"
#include "policy/parser.h"
#include "policy/stable-read.h"
#include "policy/trust.h"
#include "utsbroker/base.h"

struct loader {
    struct policy *policy;
    struct folders folders;
    size_t n_files; /* that count: loaded, rejected, or a link to /dev/null */
    unsigned flags;
    bool has_failed;
    policy_report report;
    void *context;
};

static void loader_deinit(struct loader *loader) {
    folders_deinit(&loader->folders);
}

#define CLEANUP_LOADER __attribute__((cleanup(loader_deinit)))

__attribute__((format(printf, 3, 4))) static void
loader_fail(struct loader *loader, const char *file, const char *format, ...) {
    struct policy_error error = {.file = file};
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(error.message, sizeof(error.message), format, arguments);
    va_end(arguments);
    loader->report(loader->context, &error);
    loader->has_failed = true;
}

__attribute__((format(printf, 4, 5))) static void loader_warn(const struct loader *loader,
                                                              const char *kind, const char *file,
                                                              const char *format, ...) {
    struct policy_error warning = {.severity = POLICY_WARNING, .kind = kind, .file = file};
    va_list arguments;

    if ((loader->flags & LOADER_WARNS) == 0)
        return;
    va_start(arguments, format);
    (void)vsnprintf(warning.message, sizeof(warning.message), format, arguments);
    va_end(arguments);
    loader->report(loader->context, &warning);
}

/* Returns false, and reports it, if the file or folder with @status must not be used. */
static bool loader_check_trust(struct loader *loader, const char *file, const struct stat *status) {
    const char *wrong = trust_find_error(status);
    const char *unreadable = trust_find_unreadable(status);
    bool trusts_anybody = (loader->flags & LOADER_TRUSTS_ANYBODY) != 0;

    if (wrong != NULL && !trusts_anybody) {
        loader_fail(loader, file, "%s", wrong);
        return false;
    }
    if (wrong != NULL)
        loader_warn(loader, "untrusted", file, "%s, or the broker refuses all requests", wrong);
    if ((loader->flags & LOADER_FOR_ALL_USERS) == 0 || unreadable == NULL)
        return true;
    if (trusts_anybody)
        loader_warn(loader, "unreadable", file, "%s, or the broker refuses all others", unreadable);
    else
        loader_fail(loader, file, "%s; the broker refuses all others", unreadable);
    return true;
}

static void loader_warn_ignored(const struct loader *loader, size_t folder, const char *name) {
    CLEANUP_FREE char *path = folders_make_path(&loader->folders, folder, name);

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return;
    loader_warn(loader, "ignored", path != NULL ? path : name,
                "is not read: the name of a policy file ends in .conf and does not begin with a "
                "dot");
}

static int loader_list_folder(struct loader *loader, size_t index) {
    struct folders *folders = &loader->folders;

    for (;;) {
        const char *name;
        int r = folders_read_name(folders->list[index].stream, &name);

        if (r < 0)
            loader_fail(loader, folders->paths[index], "could not be read: %s", strerror(-r));
        if (r < 0 || name == NULL)
            return 0;
        if (!folders_is_policy_file(name)) {
            loader_warn_ignored(loader, index, name);
            continue;
        }
        r = folders_add_file(folders, index, name);
        if (r < 0)
            return r;
    }
}

/* True for an error that says that this process lacks something: the policy is not to blame. */
static bool is_shortage(int error) {
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}

static void loader_fail_to_read(struct loader *loader, const char *path, int r) {
    loader_fail(loader, path, "could not be read: %s",
                r == -EAGAIN ? "it changed meanwhile; try again" : strerror(-r));
}

/* The broker reads the policy as the user who asks, who can do nothing about it. */
static void loader_fail_to_open(struct loader *loader, const char *path, int error) {
    loader_fail(loader, path, "could not be opened: %s%s", strerror(error),
                error == EACCES ? "; root must run chmod o+rX on it and the folders above it" : "");
}

static void loader_fail_at_link(struct loader *loader, const struct folder_file *file,
                                const char *path) {
    char target[80];

    folders_read_link(&loader->folders, file, target, sizeof(target));
    loader_fail(loader, path,
                "is a link to %s, which is not followed: put the file itself here (a link to "
                "/dev/null masks a file)",
                target);
}

/* A folder that does not exist has no rules. One that cannot be trusted or read is an error. */
static int loader_open_folder(struct loader *loader, size_t index) {
    const char *path = loader->folders.paths[index];
    struct folder *folder = &loader->folders.list[index];
    CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    folder->is_missing = fd < 0 && errno == ENOENT;
    if (folder->is_missing)
        return 0;
    if (fd < 0 && is_shortage(errno))
        return -errno;
    if (fd < 0) {
        loader_fail_to_open(loader, path, errno);
        return 0;
    }
    r = stable_read_settle(fd, &folder->status);
    if (r < 0)
        loader_fail_to_read(loader, path, r);
    if (r < 0 || !loader_check_trust(loader, path, &folder->status))
        return 0;
    folder->stream = fdopendir(fd);
    if (folder->stream == NULL)
        return -errno;
    fd = -1;
    return loader_list_folder(loader, index);
}

static int folder_check_unchanged(const struct folder *folder, const char *path) {
    if (folder->is_missing)
        return access(path, F_OK) < 0 && errno == ENOENT ? 0 : -EAGAIN;
    return stable_read_check_unchanged(AT_FDCWD, path, 0, &folder->status);
}

/*
 * Makes sure that all files together are the policy of one moment: each file is as it was when it
 * was read, each folder as it was before it was listed. Otherwise a rule that is moved from one
 * file to another could be in neither, and a folder that changes while it is listed can lack a file
 * (readdir(3)). A user who can stop this process chooses when it reads.
 */
static void loader_check_unchanged(struct loader *loader) {
    const struct folders *folders = &loader->folders;

    for (size_t i = 0; i < folders->n_files && !loader->has_failed; i++) {
        const struct folder_file *file = &folders->files[i];
        CLEANUP_FREE char *path = NULL;
        int r = !file->is_read
                    ? 0
                    : stable_read_check_unchanged(folders_get_fd(folders, file), file->name,
                                                  AT_SYMLINK_NOFOLLOW, &file->status);

        if (r == 0)
            continue;
        path = folders_make_path(folders, file->folder, file->name);
        loader_fail_to_read(loader, path != NULL ? path : file->name, r);
    }
    for (size_t i = 0; i < folders->n && !loader->has_failed; i++) {
        int r = folder_check_unchanged(&folders->list[i], folders->paths[i]);

        if (r < 0)
            loader_fail_to_read(loader, folders->paths[i], r);
    }
}

static const char *file_find_error(const struct stat *status) {
    if (!S_ISREG(status->st_mode))
        return "is not a regular file";
    if (status->st_size > LOADER_FILE_SIZE_MAX)
        return "is larger than 4 MiB";
    return NULL;
}

static int loader_parse_text(struct loader *loader, const char *path, const char *text,
                             size_t size) {
    int r = policy_parse(loader->policy, path, text, size, loader->report, loader->context);

    if (r == POLICY_E_INVALID)
        loader->has_failed = true;
    return r < 0 ? r : 0;
}

/* Reads and parses the open file @fd. The policy owns @path already. */
static int loader_parse_fd(struct loader *loader, int fd, struct folder_file *file,
                           const char *path) {
    struct stat *before = &file->status;
    CLEANUP_FREE char *text = NULL;
    const char *wrong;
    int r;

    r = stable_read_settle(fd, before);
    if (r < 0) {
        loader_fail_to_read(loader, path, r);
        return 0;
    }
    wrong = file_find_error(before);
    if (wrong != NULL) {
        loader_fail(loader, path, "%s", wrong);
        return 0;
    }
    if (!loader_check_trust(loader, path, before))
        return 0;
    text = malloc((size_t)before->st_size + 1);
    if (text == NULL)
        return -ENOMEM;
    r = stable_read_text(fd, before, text);
    if (r < 0) {
        loader_fail_to_read(loader, path, r);
        return 0;
    }
    file->is_read = true;
    return loader_parse_text(loader, path, text, (size_t)before->st_size);
}

static int loader_load_file(struct loader *loader, struct folder_file *file) {
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FD int fd = -1;
    const char *name;
    int r;

    loader->n_files++;
    if (file->given != NULL)
        return loader_parse_text(loader, file->given->path, file->given->text, file->given->size);
    if (folders_is_null_link(&loader->folders, file))
        return 0;
    path = folders_make_path(&loader->folders, file->folder, file->name);
    if (path == NULL)
        return -ENOMEM;
    r = policy_adopt_text(loader->policy, path);
    if (r < 0)
        return r;
    name = path;
    path = NULL;

    /* These flags keep a FIFO or a terminal from blocking us, and a link from leading elsewhere. */
    fd = openat(folders_get_fd(&loader->folders, file), file->name,
                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && is_shortage(errno))
        return -errno;
    if (fd < 0 && errno == ELOOP) {
        loader_fail_at_link(loader, file, name);
        return 0;
    }
    if (fd < 0) {
        loader_fail_to_open(loader, name, errno);
        return 0;
    }
    return loader_parse_fd(loader, fd, file, name);
}

/* A text is given to replace a file: that needs no warning. */
static void loader_warn_masked(const struct loader *loader, const struct folder_file *masked,
                               const struct folder_file *by) {
    CLEANUP_FREE char *path = NULL;

    if (by->given != NULL)
        return;
    path = folders_make_path(&loader->folders, masked->folder, masked->name);
    loader_warn(loader, "masked", path != NULL ? path : masked->name,
                "is not read: a file of the same name in %s replaces it",
                loader->folders.paths[by->folder]);
}

static int loader_load_files(struct loader *loader) {
    struct folders *folders = &loader->folders;
    int r = 0;

    folders_sort_files(folders);
    for (size_t i = 0; i < folders->n_files && r == 0; i++) {
        const struct folder_file *mask = folders_find_mask(folders, i);

        if (mask != NULL && mask->given == NULL && folders_is_null_link(folders, mask))
            continue; /* nobody makes such a link by accident */
        if (mask != NULL)
            loader_warn_masked(loader, &folders->files[i], mask);
        else
            r = loader_load_file(loader, &folders->files[i]);
    }
    return r;
}

/*
 * Loads the policy's files in @folders into @policy; folders.c says which files count and in which
 * order. Files and folders must be owned by root and writable by nobody else, and files must be
 * regular. The texts @given count as files; they must live longer than @policy. @flags is 0, or
 * LOADER_* of a caller that only shows the policy.
 *
 * Returns 0; POLICY_E_INVALID if an error was reported: the policy must not be used then. It is
 * also an error if there is no file at all. Returns -ENOMEM, -EMFILE or -ENFILE if the process
 * lacks something. In every case policy_deinit() frees.
 */
int policy_load_with(struct policy *policy, const char *const *folders, size_t n_folders,
                     const struct folder_given *given, size_t n_given, unsigned flags,
                     policy_report report, void *context) {
    CLEANUP_LOADER struct loader loader = {
        .policy = policy, .flags = flags, .report = report, .context = context};
    int r = folders_init(&loader.folders, folders, n_folders);

    for (size_t i = 0; i < n_folders && r == 0; i++)
        r = loader_open_folder(&loader, i);
    for (size_t i = 0; i < n_given && r == 0; i++)
        r = folders_add_given(&loader.folders, &given[i]);
    if (r == 0)
        r = loader_load_files(&loader);
    if (r < 0)
        return r;
    loader_check_unchanged(&loader);
    if (loader.n_files == 0 && !loader.has_failed)
        loader_fail(&loader, n_folders > 0 ? folders[0] : "policy", "holds no *.conf file");
    return loader.has_failed ? POLICY_E_INVALID : 0;
}
