#pragma once

/* The files that check is given: they count as if they were installed. */

#include "policy/folders.h"
#include "policy/tool/options.h"

struct given_files {
    struct folder_given *list;
    size_t n;
};

int given_files_read(struct given_files *given, const struct tool_options *options);
const struct folder_given *given_files_find(const struct given_files *given, const char *path);
void given_files_deinit(struct given_files *given);

#define CLEANUP_GIVEN_FILES __attribute__((cleanup(given_files_deinit)))
