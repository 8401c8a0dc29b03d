/*
 * A group database for the tests, like that of a directory service: it knows the group
 * "labstudents", unless the variable TEST_NSS_AWAY is set. Some real modules have such variables
 * (_SSS_LOOPS, _NO_WINBINDD). It replaces the C library's own "compat" module.
 *
 * A lookup of "hanging" never returns. A lookup of "held" waits as long as there is a fifo
 * HELD_PATH to which nobody writes, and then finds no such group.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <nss.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum nss_status _nss_compat_getgrnam_r(const char *name, struct group *entry, char *buffer,
                                       size_t size, int *errnop);

enum nss_status _nss_compat_getgrnam_r(const char *name, struct group *entry, char *buffer,
                                       size_t size, int *errnop) {
    static char *no_members[] = {NULL};

    if (strcmp(name, "hanging") == 0)
        for (;;)
            (void)pause();
    if (strcmp(name, "held") == 0)
        (void)close(open(HELD_PATH, O_RDONLY | O_CLOEXEC));
    if (getenv("TEST_NSS_AWAY") != NULL || strcmp(name, "labstudents") != 0) {
        *errnop = ENOENT;
        return NSS_STATUS_NOTFOUND;
    }
    if (size < 64) {
        *errnop = ERANGE;
        return NSS_STATUS_TRYAGAIN;
    }
    strcpy(buffer, "labstudents");
    *entry = (struct group){.gr_name = buffer, .gr_gid = 54323, .gr_mem = no_members};
    return NSS_STATUS_SUCCESS;
}
