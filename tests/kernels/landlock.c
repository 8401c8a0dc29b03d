/*
 * landlock COMMAND...: executes COMMAND in a Landlock domain that forbids nothing that matters
 * here: it shows in no file of /proc. Exits with 77 if the kernel has no Landlock. `prepare` builds
 * it, because the setpriv of Debian 12 cannot do this.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char *argv[]) {
    const struct landlock_ruleset_attr attributes = {.handled_access_fs =
                                                         LANDLOCK_ACCESS_FS_MAKE_BLOCK};
    long fd =
        syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes.handled_access_fs), 0);

    if (argc < 2)
        return 2;
    if (fd < 0 && (errno == ENOSYS || errno == EOPNOTSUPP))
        return 77;
    if (fd < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        syscall(SYS_landlock_restrict_self, fd, 0) < 0 || close((int)fd) < 0) {
        perror("landlock");
        return 1;
    }
    (void)execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
