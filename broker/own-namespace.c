#include "broker/own-namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "utsbroker/base.h"

/*
 * Opens the namespace of @kind that this process is in. By a pidfd where the kernel does that
 * (ioctl_nsfs(2), Linux 6.11): in a process that has just been made /proc takes five times as long.
 * Returns 0 with *@fdp, the caller's, close-on-exec; a negative errno.
 */
int own_namespace_open(enum own_namespace kind, int *fdp) {
    static const struct {
        unsigned request; /* PIDFD_GET_NET_NAMESPACE and its like, <linux/pidfd.h> */
        const char *path;
    } kinds[] = {[OWN_NAMESPACE_NET] = {4, "/proc/self/ns/net"},
                 [OWN_NAMESPACE_UTS] = {10, "/proc/self/ns/uts"}};
    CLEANUP_FD int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int fd = pidfd < 0 ? -1 : ioctl(pidfd, _IO(0xFF, kinds[kind].request), 0);

    if (fd < 0)
        fd = open(kinds[kind].path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *fdp = fd;
    return 0;
}
