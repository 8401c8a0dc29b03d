#include "policy/trust.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Returns why a file or folder cannot be trusted, or NULL: only root may be able to change it.
 * @status must come from an open descriptor, so that nobody can replace the file afterwards.
 */
const char *trust_find_error(const struct stat *status) {
    if (status->st_uid != 0)
        return "is not owned by root: run chown root";
    if ((status->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return "is writable by others than root: run chmod go-w";
    return NULL;
}

/* Returns why some users cannot read the file or folder, or NULL. The broker reads it as they do.
 */
const char *trust_find_unreadable(const struct stat *status) {
    const mode_t group = S_ISDIR(status->st_mode) ? S_IRGRP | S_IXGRP : S_IRGRP;
    const mode_t others = S_ISDIR(status->st_mode) ? S_IROTH | S_IXOTH : S_IROTH;
    bool has_group = (status->st_mode & group) == group;

    if ((status->st_mode & others) == others)
        return NULL;
    if (S_ISDIR(status->st_mode))
        return has_group ? "only root and its group can list and enter it: run chmod o+rx"
                         : "only root can list and enter it: run chmod o+rx";
    return has_group ? "only root and its group can read it: run chmod o+r"
                     : "only root can read it: run chmod o+r";
}
