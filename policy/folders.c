#include "policy/folders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The rules are those of the UAPI group's configuration files specification: all folders are one
 * list, sorted by file name; a file replaces the file of the same name in a later folder; a link to
 * /dev/null replaces it with nothing.
 */

/* True if a file of this name in one of the folders belongs to the policy. */
bool folders_is_policy_file(const char *name) {
    size_t length = strlen(name);

    return name[0] != '.' && length > strlen(".conf") &&
           strcmp(name + length - strlen(".conf"), ".conf") == 0;
}

/*
 * Reads the next name of the open folder @stream, of whatever file. Returns 0 with *@namep NULL
 * after the last one, or a negative errno. The name is valid until the next call.
 */
int folders_read_name(DIR *stream, const char **namep) {
    const struct dirent *item;

    errno = 0; /* readdir(3) */
    item = readdir(stream);
    if (item == NULL && errno != 0)
        return -errno;
    *namep = item != NULL ? item->d_name : NULL;
    return 0;
}

/* Prepares a list of the @n folders at @paths, which the caller opens. Returns 0 or -ENOMEM. */
int folders_init(struct folders *folders, const char *const *paths, size_t n) {
    *folders = (struct folders){.paths = paths, .list = calloc(n + 1, sizeof(*folders->list))};
    if (folders->list == NULL)
        return -ENOMEM;
    folders->n = n;
    return 0;
}

/* Closes the folders and frees what @folders holds. */
void folders_deinit(struct folders *folders) {
    for (size_t i = 0; i < folders->n_files; i++)
        free(folders->files[i].name);
    free(folders->files);
    for (size_t i = 0; i < folders->n; i++)
        if (folders->list[i].stream != NULL)
            (void)closedir(folders->list[i].stream);
    free(folders->list);
    *folders = (struct folders)FOLDERS_NULL;
}

/* Adds the file @name of the folder with this index. Returns 0 or -ENOMEM. */
int folders_add_file(struct folders *folders, size_t folder, const char *name) {
    struct folder_file *files =
        reallocarray(folders->files, folders->n_files + 1, sizeof(*folders->files));

    if (files == NULL)
        return -ENOMEM;
    folders->files = files;
    files[folders->n_files] = (struct folder_file){.name = strdup(name), .folder = folder};
    if (files[folders->n_files].name == NULL)
        return -ENOMEM;
    folders->n_files++;
    return 0;
}

/* Adds a text as a file. @given must live longer. Returns 0 or -ENOMEM. */
int folders_add_given(struct folders *folders, const struct folder_given *given) {
    int r = folders_add_file(folders, 0, given->name);

    if (r == 0)
        folders->files[folders->n_files - 1].given = given;
    return r;
}

static int file_compare(const void *a, const void *b) {
    const struct folder_file *left = a;
    const struct folder_file *right = b;
    int order = strcmp(left->name, right->name);

    if (order == 0)
        order = (left->given == NULL) - (right->given == NULL);
    return order != 0 ? order : (left->folder > right->folder) - (left->folder < right->folder);
}

/* Sorts the files by name, whatever their folder; of one name the earlier folder's comes first. */
void folders_sort_files(struct folders *folders) {
    if (folders->n_files > 0)
        qsort(folders->files, folders->n_files, sizeof(*folders->files), file_compare);
}

/*
 * Returns the file that replaces the file with this index of the sorted list, as it has the same
 * name and an earlier folder; NULL if there is none: then the file counts.
 */
const struct folder_file *folders_find_mask(const struct folders *folders, size_t file) {
    size_t first = file;

    while (first > 0 && strcmp(folders->files[first - 1].name, folders->files[file].name) == 0)
        first--;
    return first < file ? &folders->files[first] : NULL;
}

/* Returns the descriptor of the folder that @file is in. The caller must not close it. */
int folders_get_fd(const struct folders *folders, const struct folder_file *file) {
    return dirfd(folders->list[file->folder].stream);
}

/* True if @file is a link to /dev/null: it counts, and has no rules. */
bool folders_is_null_link(const struct folders *folders, const struct folder_file *file) {
    char target[sizeof("/dev/null")];
    ssize_t length = readlinkat(folders_get_fd(folders, file), file->name, target, sizeof(target));

    return length == (ssize_t)strlen("/dev/null") &&
           memcmp(target, "/dev/null", (size_t)length) == 0;
}

/* Writes what the link @file leads to, for a message: as much of it as has room. */
void folders_read_link(const struct folders *folders, const struct folder_file *file, char *target,
                       size_t size) {
    ssize_t length = readlinkat(folders_get_fd(folders, file), file->name, target, size - 1);

    target[length > 0 ? length : 0] = '\0';
}

/* Returns "FOLDER/NAME", which the caller frees, or NULL without memory. */
char *folders_make_path(const struct folders *folders, size_t folder, const char *name) {
    char *path;

    return asprintf(&path, "%s/%s", folders->paths[folder], name) < 0 ? NULL : path;
}
