/*
 * By statx(2) with the kernel's own headers, without <sys/stat.h>: musl's lacks what is asked for
 * here, or the function, and the two do not go together.
 */

#include "broker/service/root-directory.h"

#include <errno.h>
#include <linux/fcntl.h>
#include <linux/stat.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Reads which folder @path is, relative to the open @folder; of a link, where it leads. Returns 0
 * or a negative errno.
 */
int root_directory_read(struct root_directory *root, int folder, const char *path) {
    struct statx status;

    memset(&status, 0, sizeof(status));
    if (syscall(SYS_statx, folder, path, AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, &status) < 0)
        return -errno;
    *root = (struct root_directory){.device = {status.stx_dev_major, status.stx_dev_minor},
                                    .inode = status.stx_ino,
                                    .mount = status.stx_mnt_id,
                                    .has_mount = (status.stx_mask & STATX_MNT_ID) != 0};
    return 0;
}

/* Compares the mount as well: the same folder, mounted elsewhere, may show other files below. */
bool root_directory_is_same(const struct root_directory *a, const struct root_directory *b) {
    return a->device[0] == b->device[0] && a->device[1] == b->device[1] && a->inode == b->inode &&
           (!a->has_mount || !b->has_mount || a->mount == b->mount);
}
