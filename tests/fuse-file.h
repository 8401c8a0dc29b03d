#pragma once

/*
 * A file whose file system does not answer everything: FUSE, spoken by hand, with a regular file as
 * its root. A process that waits for such an answer cannot even be killed.
 */

#include <stdbool.h>
#include <sys/types.h>

struct fuse_file {
    char path[64]; /* of the file; all users can open it */
    pid_t server;
};

/* What is not answered. */
enum fuse_silence {
    FUSE_NO_FLUSH, /* each close(2) of the file hangs */
    FUSE_NO_WRITE, /* the last close(2) of the file hangs if a page of it is dirty */
};

bool fuse_file_open(struct fuse_file *file, enum fuse_silence silence);
void fuse_file_abort(struct fuse_file *file);
