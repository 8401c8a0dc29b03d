#include "launcher/proof.h"

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "launcher/pidfd.h"

static struct sigaction before; /* what the caller, and so the command, does on SIGCHLD */

/* Ends what PTRACE_SEIZE began; @pid goes on. */
static void detach(pid_t pid) {
    int status;

    if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0 && waitpid(pid, &status, __WALL) == pid &&
        WIFSTOPPED(status))
        (void)ptrace(PTRACE_DETACH, pid, NULL,
                     (uintptr_t)(status >> 16 == 0 ? WSTOPSIG(status) : 0));
}

/*
 * Attaches to @witness, if this process may, and kills it by its @pidfd: the service hears of its
 * end, and looks who has attached. If it has ended already (this process was stopped for a while)
 * its number may be another process's, which is let go. If the caller ignores SIGCHLD the kernel
 * would forget the witness at once.
 */
void proof_give(pid_t witness, int pidfd) {
    const struct sigaction action = {.sa_handler = SIG_DFL};
    struct pollfd ended = {.fd = pidfd, .events = POLLIN};
    bool is_attached;

    (void)sigaction(SIGCHLD, &action, &before);
    is_attached = ptrace(PTRACE_SEIZE, witness, NULL, NULL) == 0;
    if (is_attached && poll(&ended, 1, 0) != 0)
        detach(witness);
    (void)pidfd_signal(pidfd, SIGKILL);
}

/*
 * Waits for @witness, at which the service has looked: else it stays until this process ends. Who
 * did not attach has nothing to wait for. Another request may follow, so SIGCHLD is as before.
 */
void proof_end(pid_t witness) {
    (void)waitpid(witness, NULL, __WALL);
    (void)sigaction(SIGCHLD, &before, NULL);
}
