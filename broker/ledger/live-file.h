#pragma once

/* Writes the file of what lives (utsbroker/live.h). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "utsbroker/live.h"

struct live_file {
    const char *path;
    int fd;
    uint64_t size;
    uint64_t n_gone; /* bytes of commands that are gone */
    bool is_wrong;   /* a state could not be changed */
};

#define LIVE_FILE_NULL                                                                             \
    { .fd = -1 }

struct live_place {
    uint64_t offset;
    uint32_t length;
};

int live_file_begin(struct live_file *file, const char *path);
int live_file_commit(const struct live_file *file);
int live_file_add(struct live_file *file, const struct live_command *command,
                  struct live_place *placep);
void live_file_mark(struct live_file *file, const struct live_place *place, enum live_state state);
bool live_file_wants_rewrite(const struct live_file *file);
void live_file_deinit(struct live_file *file);

typedef void (*live_file_function)(void *context, const struct live_command *command);

int live_file_read(const char *path, live_file_function function, void *context);
