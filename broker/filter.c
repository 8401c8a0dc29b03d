#include "broker/filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Puts this process under the @n steps of @table for ever, and checks that the kernel has them. Any
 * system call that they do not allow ends the process by SIGSYS (seccomp(2),
 * SECCOMP_RET_KILL_PROCESS). no_new_privs must be set. Returns 0 or a negative errno, after which
 * the process must end.
 */
int filter_load(const struct sock_filter *table, size_t n) {
    struct sock_fprog program = {.len = (unsigned short)n,
                                 .filter = (struct sock_filter *)(uintptr_t)table};

    /* Safe: it only takes rights away, and cannot be undone. The kernel copies the table. */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        return -errno;
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER ? 0 : -EPERM;
}
