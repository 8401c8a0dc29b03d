#pragma once

/*
 * What C libraries lack that are older than the kernels on which they run, such as glibc 2.31 of
 * Debian 11. Include it after the headers of the system.
 */

#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd __NR_pidfd_getfd /* Linux 5.6 */
#endif
#ifndef SYS_close_range
#define SYS_close_range __NR_close_range /* Linux 5.9 */
#endif

/* The idtype_t P_PIDFD of waitid(2). It is an enumerator, for which no #ifdef can ask. */
#define COMPAT_P_PIDFD ((idtype_t)3)
