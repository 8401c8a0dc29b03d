#include "policy/tool/given-files.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/loader.h"
#include "policy/tool/read-text.h"
#include "utsbroker/base.h"

static char *copy_name(const char *path, const struct tool_options *options) {
    const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
    char *name;

    if (options->as != NULL)
        return strdup(options->as);
    if (folders_is_policy_file(base))
        return strdup(base);
    /* It replaces no file. Its place is unknown: the first one, before names with such a byte. */
    return asprintf(&name, "\001%s", path) < 0 ? NULL : name;
}

static int read_file(struct given_files *given, const char *path,
                     const struct tool_options *options) {
    struct folder_given *file = &given->list[given->n];
    char *text = NULL, *name = copy_name(path, options);
    int r = read_text(path, LOADER_FILE_SIZE_MAX, &text, &file->size);

    *file = (struct folder_given){.name = name,
                                  .path = strcmp(path, "-") == 0 ? "<stdin>" : path,
                                  .text = text,
                                  .size = file->size};
    given->n++;
    if (r == 0 && name == NULL)
        r = -ENOMEM;
    if (r < 0)
        (void)fprintf(stderr, "utspolicy: %s: %s\n", file->path,
                      r == -EFBIG    ? "larger than 4 MiB"
                      : r == -EISDIR ? "a folder; for a policy folder use --policy-dir DIR"
                                     : strerror(-r));
    for (size_t i = 0; r == 0 && i + 1 < given->n; i++)
        if (strcmp(given->list[i].name, name) == 0) {
            (void)fprintf(stderr, "utspolicy: %s and %s have the same name: check one at a time\n",
                          given->list[i].path, file->path);
            return -EEXIST;
        }
    return r;
}

/*
 * Reads the files of @options. Returns 0, or a negative errno after a message on standard error;
 * given_files_deinit() frees in both cases.
 */
int given_files_read(struct given_files *given, const struct tool_options *options) {
    int r = 0;

    *given = (struct given_files){.list = calloc(options->n_files + 1, sizeof(*given->list))};
    if (given->list == NULL) {
        (void)fputs("utspolicy: out of memory\n", stderr);
        return -ENOMEM;
    }
    for (size_t i = 0; i < options->n_files && r == 0; i++)
        r = read_file(given, options->files[i], options);
    return r;
}

/* Returns the given file with this path, or NULL. */
const struct folder_given *given_files_find(const struct given_files *given, const char *path) {
    for (size_t i = 0; i < given->n; i++)
        if (strcmp(given->list[i].path, path) == 0)
            return &given->list[i];
    return NULL;
}

/* Frees what @given holds. */
void given_files_deinit(struct given_files *given) {
    for (size_t i = 0; i < given->n; i++) {
        free((void *)(uintptr_t)given->list[i].name);
        free((void *)(uintptr_t)given->list[i].text);
    }
    free(given->list);
    *given = (struct given_files){.list = NULL};
}
