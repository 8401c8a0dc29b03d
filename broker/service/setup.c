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
#include "utsbroker/compat.h"

/* Sets the login uid, so that audit attributes commands to their user (pam_loginuid(8)). Not if it
 * is set already. */
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
    /* Some kernels lack it, and some containers may not set it. Then audit does without. */
    if (pwrite(fd, text, (size_t)n, 0) != n) /* the kernel takes it at offset 0 and whole */
        (void)fputs("utsbroker: the login uid could not be set\n", stderr);
}

/*
 * Makes 0 and 1 /dev/null, and raises the limit of descriptors to the hard limit: the service has
 * two for each command. Commands get their caller's limit. Returns 0 or a negative errno: -ENOSYS
 * before Linux 5.9.
 */
int setup_descriptors(void) {
    struct rlimit limit;
    CLEANUP_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    /* Asks whether close_range(2) is there (Linux 5.9). No descriptor is so high: closes nothing.
     */
    return syscall(SYS_close_range, ~0U, ~0U, 0) < 0 ? -errno : 0;
}

/*
 * Closes all descriptors of this process, a child of the service, but 0, 1, 2 and the @n_fds @fds,
 * which are above 2 and in ascending order. Returns 0 or a negative errno.
 */
int setup_close_all_but(const int *fds, size_t n_fds) {
    unsigned next = 3;

    for (size_t i = 0; i < n_fds; i++) {
        unsigned fd = (unsigned)fds[i];

        if (fd > next && syscall(SYS_close_range, next, fd - 1, 0) < 0)
            return -errno;
        next = fd + 1;
    }
    return syscall(SYS_close_range, next, ~0U, 0) < 0 ? -errno : 0;
}

/*
 * Reduces this process to CAP_SYS_ADMIN, permitted but not effective, for ever, and forbids others
 * to attach to it. Returns 0; if any of this fails, a negative errno, after a message: the process
 * must end, or have no privilege from then on.
 */
int setup_privilege(void) {
    int r;

    /* First: when the process is not dumpable, its files in /proc belong to root. */
    loginuid_set();
    r = privilege_keep_sys_admin();
    if (r == PRIVILEGE_E_MISSING) {
        (void)fputs(
            "utsbroker: the service needs CAP_SYS_ADMIN, as an ambient capability: start it "
            "by utsbroker@UID.socket of systemd, or see utsbroker(8)\n",
            stderr);
        return -EPERM;
    }
    if (r == 0)
        r = privilege_forbid_attach();
    if (r == 0)
        r = privilege_forbid_new();
    /* What commands leave behind becomes a child of the service, which then knows that it lives. */
    if (r == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        r = -errno;
    if (r < 0)
        (void)fprintf(stderr, "utsbroker: keeping CAP_SYS_ADMIN only: %s\n", strerror(-r));
    return r;
}
