/*
 * Loads the session's seccomp filter (step 6). Runs in the session, without any capability; nothing
 * permits a call again that the filter forbids.
 */

#include "broker/session/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "utsbroker/base.h"

/* Made by filter-table.c, with libseccomp, when the broker is built. */
#include "filter-table.inc"

_Static_assert(BASE_ARRAY_SIZE(filter_table) > 1, "the filter table is empty");

/*
 * Puts this process under the allow-list of filter-table.c for ever, and checks that the kernel has
 * it. Any other system call ends the process by SIGSYS (seccomp(2), SECCOMP_RET_KILL_PROCESS).
 * no_new_privs must be set. Returns 0 or a negative errno, after which the process must end.
 */
int filter_load(void) {
    struct sock_fprog program = {.len = BASE_ARRAY_SIZE(filter_table),
                                 .filter = (struct sock_filter *)(uintptr_t)filter_table};

    /* Safe: it only takes rights away, and cannot be undone. The kernel copies the table. */
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        return -errno;
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER ? 0 : -EPERM;
}
