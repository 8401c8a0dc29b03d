#pragma once

/* Which folder is the root directory of a process, and by which mount. */

#include <stdbool.h>
#include <stdint.h>

struct root_directory {
    uint32_t device[2]; /* major and minor */
    uint64_t inode;
    uint64_t mount;
    bool has_mount; /* Linux 5.8 */
};

int root_directory_read(struct root_directory *root, int folder, const char *path);
bool root_directory_is_same(const struct root_directory *a, const struct root_directory *b);
