#include "launcher/proof.h"

#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static struct sigaction before; /* what the caller, and so the command, does on SIGCHLD */

/*
 * Attaches to @witness, if this process may, and kills it: the service hears of its end, and looks
 * who has attached. If the caller ignores SIGCHLD the kernel would forget it at once.
 */
void proof_give(pid_t witness) {
    const struct sigaction action = {.sa_handler = SIG_DFL};

    (void)sigaction(SIGCHLD, &action, &before);
    (void)ptrace(PTRACE_SEIZE, witness, NULL, NULL);
    (void)kill(witness, SIGKILL);
}

/*
 * Waits for @witness, at which the service has looked: else it stays until this process ends. Who
 * did not attach has nothing to wait for. Another request may follow, so SIGCHLD is as before.
 */
void proof_end(pid_t witness) {
    (void)waitpid(witness, NULL, __WALL);
    (void)sigaction(SIGCHLD, &before, NULL);
}
