#pragma once

/* The policy's folders: which of their files count, and in which order. */

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct folder {
    DIR *stream; /* NULL: the folder is missing or must not be used */
    struct stat status;
    bool is_missing;
};

/* A text that counts as if it were a file in a folder before the first one. For utspolicy. */
struct folder_given {
    const char *name; /* of the file: by it it is sorted, and replaces others */
    const char *path; /* for rules and messages */
    const char *text;
    size_t size;
};

/* One *.conf of one folder. */
struct folder_file {
    char *name;
    size_t folder;                    /* index */
    const struct folder_given *given; /* NULL: the file is in @folder */
    struct stat status;               /* as it was when it was read */
    bool is_read;
};

struct folders {
    const char *const *paths; /* the first folder has precedence */
    struct folder *list;
    size_t n;
    struct folder_file *files;
    size_t n_files;
};

#define FOLDERS_NULL                                                                               \
    { .paths = NULL }

bool folders_is_policy_file(const char *name);
int folders_read_name(DIR *stream, const char **namep);

int folders_init(struct folders *folders, const char *const *paths, size_t n);
void folders_deinit(struct folders *folders);
int folders_add_file(struct folders *folders, size_t folder, const char *name);
int folders_add_given(struct folders *folders, const struct folder_given *given);
void folders_sort_files(struct folders *folders);
const struct folder_file *folders_find_mask(const struct folders *folders, size_t file);
int folders_get_fd(const struct folders *folders, const struct folder_file *file);
bool folders_is_null_link(const struct folders *folders, const struct folder_file *file);
void folders_read_link(const struct folders *folders, const struct folder_file *file, char *target,
                       size_t size);
char *folders_make_path(const struct folders *folders, size_t folder, const char *name);

#define CLEANUP_FOLDERS __attribute__((cleanup(folders_deinit)))
