#pragma once

/*
 * What C libraries lack that are older than the kernels on which they run, such as glibc 2.31 of
 * Debian 11. Include it after the headers of the system.
 */

#include <limits.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd __NR_pidfd_getfd /* Linux 5.6 */
#endif
#ifndef SYS_close_range
#define SYS_close_range __NR_close_range /* Linux 5.9 */
#endif

/* The idtype_t P_PIDFD of waitid(2). It is an enumerator, for which no #ifdef can ask. */
#define COMPAT_P_PIDFD ((idtype_t)3)

/*
 * Closes the descriptors from @first to @last; INT_MAX is the last of all. Before Linux 5.9 one by
 * one, up to the limit.
 */
static inline void compat_close_range(int first, int last) {
    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
        return;
    if (last == INT_MAX)
        last = (int)sysconf(_SC_OPEN_MAX) - 1;
    for (int fd = first; fd <= last; fd++)
        (void)close(fd);
}
