#include "policy/loader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/stable-read.h"
#include "policy/parser.h"
#include "utsbroker/base.h"

/* One *.conf of one folder. */
struct entry {
    char *name;
    size_t folder;
    struct stat status; /* as it was when it was read */
    bool is_read;
};

struct folder {
    DIR *folder; /* NULL: it does not exist, or cannot be used */
    struct stat status;
    bool is_missing;
};

struct loader {
    struct policy *policy;
    const char *const *folders;
    size_t n_folders;
    struct folder *open_folders;
    struct entry *entries;
    size_t n_entries;
    size_t n_files; /* that count: loaded, refused, or masked on purpose */
    unsigned flags;
    bool has_failed;
    policy_report report;
    void *context;
};

static void loader_deinit(struct loader *loader) {
    for (size_t i = 0; i < loader->n_entries; i++)
        free(loader->entries[i].name);
    free(loader->entries);
    for (size_t i = 0; loader->open_folders != NULL && i < loader->n_folders; i++)
        if (loader->open_folders[i].folder != NULL)
            (void)closedir(loader->open_folders[i].folder);
    free(loader->open_folders);
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

/*
 * What is wrong with the owner or mode of something that must be root's alone, or NULL. It is asked
 * of an open descriptor, so nobody can put something else in its place afterwards.
 */
static const char *trust_find_error(const struct stat *status) {
    if (status->st_uid != 0)
        return "is not owned by root: run chown root";
    if ((status->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return "is writable by others than root: run chmod go-w";
    return NULL;
}

/* False, and reported, if @status is not root's alone, which the broker would not use. */
static bool loader_trusts(struct loader *loader, const char *file, const struct stat *status) {
    const char *wrong = trust_find_error(status);

    if (wrong != NULL && (loader->flags & LOADER_TRUSTS_ANYBODY) == 0) {
        loader_fail(loader, file, "%s", wrong);
        return false;
    }
    if (wrong != NULL)
        loader_warn(loader, "untrusted", file, "%s, or the broker refuses everybody", wrong);
    return true;
}

static int loader_add_entry(struct loader *loader, const char *name, size_t folder) {
    struct entry *entries = reallocarray(loader->entries, loader->n_entries + 1, sizeof(*entries));

    if (entries == NULL)
        return -ENOMEM;
    loader->entries = entries;
    entries[loader->n_entries] = (struct entry){.name = strdup(name), .folder = folder};
    if (entries[loader->n_entries].name == NULL)
        return -ENOMEM;
    loader->n_entries++;
    return 0;
}

/* True if a file of this name in one of the folders belongs to the policy. */
bool loader_is_policy_file(const char *name) {
    size_t length = strlen(name);

    return name[0] != '.' && length > strlen(".conf") &&
           strcmp(name + length - strlen(".conf"), ".conf") == 0;
}

static void loader_warn_ignored(const struct loader *loader, size_t folder, const char *name) {
    CLEANUP_FREE char *path = NULL;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return;
    if (asprintf(&path, "%s/%s", loader->folders[folder], name) < 0)
        path = NULL;
    loader_warn(loader, "ignored", path != NULL ? path : name,
                "is not read: a policy file's name ends in .conf and begins with no dot");
}

static int loader_list_folder(struct loader *loader, size_t folder) {
    const char *path = loader->folders[folder];

    for (;;) {
        const struct dirent *item;
        int r;

        errno = 0;
        item = readdir(loader->open_folders[folder].folder);
        if (item == NULL) {
            if (errno != 0)
                loader_fail(loader, path, "could not be read: %s", strerror(errno));
            return 0;
        }
        if (!loader_is_policy_file(item->d_name)) {
            loader_warn_ignored(loader, folder, item->d_name);
            continue;
        }
        r = loader_add_entry(loader, item->d_name, folder);
        if (r < 0)
            return r;
    }
}

/* The process lacks something, and the policy is not to blame. */
static bool is_shortage(int error) {
    return error == EMFILE || error == ENFILE || error == ENOMEM;
}

static void loader_fail_to_read(struct loader *loader, const char *path, int r) {
    loader_fail(loader, path, "could not be read: %s",
                r == -EAGAIN ? "it changed meanwhile; try again" : strerror(-r));
}

/* A folder that does not exist holds no rules; one that cannot be trusted or read is an error. */
static int loader_open_folder(struct loader *loader, size_t index) {
    const char *path = loader->folders[index];
    struct folder *folder = &loader->open_folders[index];
    CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    folder->is_missing = fd < 0 && errno == ENOENT;
    if (folder->is_missing)
        return 0;
    if (fd < 0 && is_shortage(errno))
        return -errno;
    if (fd < 0) {
        loader_fail(loader, path, "could not be opened: %s", strerror(errno));
        return 0;
    }
    r = stable_read_settle(fd, &folder->status);
    if (r < 0)
        loader_fail_to_read(loader, path, r);
    if (r < 0 || !loader_trusts(loader, path, &folder->status))
        return 0;
    folder->folder = fdopendir(fd);
    if (folder->folder == NULL)
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
 * The files are of one time: each is still as it was when it was read, in a folder that is as it
 * was before it was listed. Else a rule that was moved from one to another could be in neither; and
 * of a folder that changes while it is listed, a file may be missing (readdir(3)). Whoever can stop
 * this process chooses when it reads.
 */
static void loader_check_unchanged(struct loader *loader) {
    for (size_t i = 0; i < loader->n_entries && !loader->has_failed; i++) {
        const struct entry *entry = &loader->entries[i];
        CLEANUP_FREE char *path = NULL;
        int r = !entry->is_read
                    ? 0
                    : stable_read_check_unchanged(dirfd(loader->open_folders[entry->folder].folder),
                                                  entry->name, AT_SYMLINK_NOFOLLOW, &entry->status);

        if (r < 0 && asprintf(&path, "%s/%s", loader->folders[entry->folder], entry->name) < 0)
            path = NULL;
        if (r < 0)
            loader_fail_to_read(loader, path != NULL ? path : entry->name, r);
    }
    for (size_t i = 0; i < loader->n_folders && !loader->has_failed; i++) {
        int r = folder_check_unchanged(&loader->open_folders[i], loader->folders[i]);

        if (r < 0)
            loader_fail_to_read(loader, loader->folders[i], r);
    }
}

static int entry_compare(const void *a, const void *b) {
    const struct entry *left = a;
    const struct entry *right = b;
    int order = strcmp(left->name, right->name);

    return order != 0 ? order : (left->folder > right->folder) - (left->folder < right->folder);
}

static bool entry_is_masked(int folder_fd, const char *name) {
    char target[sizeof("/dev/null")];
    ssize_t length = readlinkat(folder_fd, name, target, sizeof(target));

    return length == (ssize_t)strlen("/dev/null") &&
           memcmp(target, "/dev/null", (size_t)length) == 0;
}

static const char *file_find_error(const struct stat *status) {
    if (!S_ISREG(status->st_mode))
        return "is not a regular file";
    if (status->st_size > LOADER_FILE_SIZE_MAX)
        return "is larger than 4 MiB";
    return NULL;
}

/* Reads and parses the open file; its name in @path is the policy's already. */
static int loader_parse_fd(struct loader *loader, int fd, struct entry *entry, const char *path) {
    struct stat *before = &entry->status;
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
    if (!loader_trusts(loader, path, before))
        return 0;
    text = malloc((size_t)before->st_size + 1);
    if (text == NULL)
        return -ENOMEM;
    r = stable_read_text(fd, before, text);
    if (r < 0) {
        loader_fail_to_read(loader, path, r);
        return 0;
    }
    entry->is_read = true;
    r = policy_parse(loader->policy, path, text, (size_t)before->st_size, loader->report,
                     loader->context);
    if (r == POLICY_E_INVALID)
        loader->has_failed = true;
    return r < 0 ? r : 0;
}

static int loader_load_entry(struct loader *loader, struct entry *entry) {
    int folder_fd = dirfd(loader->open_folders[entry->folder].folder);
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FD int fd = -1;
    const char *name;
    int r;

    loader->n_files++;
    if (entry_is_masked(folder_fd, entry->name))
        return 0;
    if (asprintf(&path, "%s/%s", loader->folders[entry->folder], entry->name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    r = policy_adopt_text(loader->policy, path);
    if (r < 0)
        return r;
    name = path;
    path = NULL;

    /* Nothing here blocks or follows: a FIFO does not hang us, a link leads nowhere. */
    fd = openat(folder_fd, entry->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && is_shortage(errno))
        return -errno;
    if (fd < 0) {
        loader_fail(loader, name, "could not be opened: %s",
                    errno == ELOOP ? "it is a link to something else than /dev/null"
                                   : strerror(errno));
        return 0;
    }
    return loader_parse_fd(loader, fd, entry, name);
}

static void loader_warn_masked(const struct loader *loader, const struct entry *masked,
                               const struct entry *by) {
    CLEANUP_FREE char *path = NULL;

    if (asprintf(&path, "%s/%s", loader->folders[masked->folder], masked->name) < 0)
        path = NULL;
    loader_warn(loader, "masked", path != NULL ? path : masked->name,
                "does not count: a file of the same name in %s takes its place",
                loader->folders[by->folder]);
}

static int loader_load_entries(struct loader *loader) {
    const struct entry *previous = NULL;

    if (loader->n_entries > 0)
        qsort(loader->entries, loader->n_entries, sizeof(*loader->entries), entry_compare);
    for (size_t i = 0; i < loader->n_entries; i++) {
        struct entry *entry = &loader->entries[i];
        int r;

        /* The same name in a later folder: the earlier folder's file masks it. */
        if (previous != NULL && strcmp(entry->name, previous->name) == 0) {
            loader_warn_masked(loader, entry, previous);
            continue;
        }
        previous = entry;
        r = loader_load_entry(loader, entry);
        if (r < 0)
            return r;
    }
    return 0;
}

/*
 * Loads every *.conf of @folders into @policy: one list sorted by file name, whatever the folder. A
 * file of an earlier folder masks the file of the same name in a later one, and a link to /dev/null
 * masks it with nothing (the UAPI group's configuration files specification). Files and folders
 * must be owned by root and writable by nobody else; files must be regular. @flags is 0, or what
 * somebody wants who only looks at a policy: LOADER_WARNS, LOADER_TRUSTS_ANYBODY.
 *
 * Returns 0; POLICY_E_INVALID if an error was reported, or if there is no file at all (that is
 * reported too): the policy must not be used then; -ENOMEM, -EMFILE, -ENFILE. In every case
 * policy_deinit() frees.
 */
int policy_load(struct policy *policy, const char *const *folders, size_t n_folders, unsigned flags,
                policy_report report, void *context) {
    CLEANUP_LOADER struct loader loader = {.policy = policy,
                                           .folders = folders,
                                           .n_folders = n_folders,
                                           .flags = flags,
                                           .report = report,
                                           .context = context};
    int r;

    loader.open_folders = calloc(n_folders + 1, sizeof(*loader.open_folders));
    if (loader.open_folders == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n_folders; i++) {
        r = loader_open_folder(&loader, i);
        if (r < 0)
            return r;
    }
    r = loader_load_entries(&loader);
    if (r < 0)
        return r;
    loader_check_unchanged(&loader);
    if (loader.n_files == 0 && !loader.has_failed)
        loader_fail(&loader, n_folders > 0 ? folders[0] : "policy", "holds no *.conf file");
    return loader.has_failed ? POLICY_E_INVALID : 0;
}
