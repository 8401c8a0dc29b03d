#include "broker/service/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker/privilege.h"
#include "utsbroker/base.h"

/* So that audit knows whose commands these are (pam_loginuid(8)); who logs in has it set already.
 */
static void loginuid_set(void) {
    CLEANUP_FD int fd = open("/proc/self/loginuid", O_RDWR | O_CLOEXEC);
    char text[16];
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

    if (n <= 0)
        return;
    text[n] = '\0';
    if (strcmp(text, "4294967295") != 0)
        return;
    n = snprintf(text, sizeof(text), "%u", (unsigned)getuid());
    /* Not every kernel has it, and not every container may: then audit knows no more than before.
     */
    if (pwrite(fd, text, (size_t)n, 0) != n) /* at the beginning only: no partial writes */
        (void)fputs("utsbroker: the login uid could not be set\n", stderr);
}

/*
 * Makes 0 and 1 /dev/null, and takes as many descriptors as there may be: each command costs two,
 * and gets its caller's own limit. Returns 0 or a negative errno: -ENOSYS before Linux 5.9.
 */
int setup_descriptors(void) {
    struct rlimit limit;
    CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    /* Linux 5.9; closes nothing, as there is none so high. */
    return syscall(SYS_close_range, ~0U, ~0U, 0) < 0 ? -errno : 0;
}

/*
 * Closes all descriptors of this process, a child of the service, but 0, 1, 2 and @fd, which is
 * above 2. Returns 0 or a negative errno.
 */
int setup_close_all_but(int fd) {
    if ((fd > 3 && syscall(SYS_close_range, 3, (unsigned)fd - 1, 0) < 0) ||
        syscall(SYS_close_range, (unsigned)fd + 1, ~0U, 0) < 0)
        return -errno;
    return 0;
}

/*
 * From here on the service holds CAP_SYS_ADMIN, not effective, and can gain nothing else; nobody
 * can attach to it. Ends the process if that cannot be had.
 */
void setup_privilege(void) {
    int r;

    /* Before the process is made not dumpable: afterwards its files in /proc are root's. */
    loginuid_set();
    r = privilege_keep_sys_admin();
    if (r == PRIVILEGE_E_MISSING) {
        (void)fputs(
            "utsbroker: the service needs CAP_SYS_ADMIN, as an ambient capability: start it "
            "by utsbroker@UID.socket of systemd, or see utsbroker(8)\n",
            stderr);
        exit(1);
    }
    if (r == 0)
        r = privilege_forbid_attach();
    if (r == 0)
        r = privilege_forbid_new();
    /* What a command leaves behind becomes a child of ours, so that it is known to live. */
    if (r == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        r = -errno;
    if (r < 0) {
        (void)fprintf(stderr, "utsbroker: keeping CAP_SYS_ADMIN only: %s\n", strerror(-r));
        exit(1);
    }
}
