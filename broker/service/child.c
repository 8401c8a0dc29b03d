#include "broker/service/child.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Fills @child, with a pidfd that is the caller's. Returns 0 or a negative errno. */
int child_init(struct child *child, pid_t pid) {
    *child = (struct child){.pid = pid, .pidfd = (int)syscall(SYS_pidfd_open, pid, 0)};
    return child->pidfd < 0 ? -errno : 0;
}

/* Reaps it if it has ended. A pid that is no child of ours counts as ended. */
void child_reap(struct child *child) {
    pid_t pid;

    if (child->pid == 0 || child->has_ended)
        return;
    pid = waitpid(child->pid, &child->wait_status, WNOHANG);
    child->has_ended = pid == child->pid || (pid < 0 && errno == ECHILD);
}

/* Sends it a signal if it has not ended. */
void child_signal(const struct child *child, int signal_number) {
    if (child->pid != 0 && !child->has_ended && child->pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, child->pidfd, signal_number, NULL, 0);
}
