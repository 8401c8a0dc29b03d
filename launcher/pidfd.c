#include "launcher/pidfd.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Of <linux/pidfd.h>; older headers lack them. */
enum { SIGNAL_PROCESS_GROUP = 1 << 2 };             /* Linux 6.9 */
static const uint64_t info_exit = UINT64_C(1) << 3; /* Linux 6.15 */

struct info { /* struct pidfd_info, of its first size */
    uint64_t mask;
    uint64_t cgroupid;
    uint32_t ids[11];
    int32_t exit_code;
};
_Static_assert(sizeof(struct info) == 64, "PIDFD_INFO_SIZE_VER0");
#define GET_INFO _IOWR(0xFF, 11, struct info)

/* Sends the signal to the process alone. Returns 0 or a negative errno: -ESRCH if it has ended. */
int pidfd_signal(int pidfd, int signal_number) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, 0) < 0 ? -errno : 0;
}

/*
 * Sends the signal to the process group that the process leads. Before Linux 6.9 only to the
 * process: kill(2) takes the group's number, which another group may have by then. Returns as
 * pidfd_signal().
 */
int pidfd_signal_group(int pidfd, int signal_number) {
    if (syscall(SYS_pidfd_send_signal, pidfd, signal_number, NULL, SIGNAL_PROCESS_GROUP) == 0)
        return 0;
    return errno == EINVAL ? pidfd_signal(pidfd, signal_number) : -errno;
}

/*
 * Asks the kernel how the process ended (PIDFD_GET_INFO). The kernel knows it after the process is
 * reaped; waits two seconds for that. Returns 0 with wait(2)'s status in *@statusp, or a negative
 * errno: -ENOTTY or -EINVAL before Linux 6.15, -ETIME if the process is not reaped in time.
 */
int pidfd_wait_status(int pidfd, int *statusp) {
    const struct timespec pause = {.tv_nsec = 10000000};

    for (int i = 0; i < 200; i++) {
        struct info info = {.mask = info_exit};

        if (ioctl(pidfd, GET_INFO, &info) < 0) {
            if (errno != ESRCH)
                return -errno;
            info.mask = 0; /* the kernel wrote nothing: the mask is still the question */
        }
        if ((info.mask & info_exit) != 0) {
            *statusp = info.exit_code;
            return 0;
        }
        (void)nanosleep(&pause, NULL);
    }
    return -ETIME;
}
