#include "launcher/proof.h"

#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

/*
 * Attaches to @witness, if this process may, and kills it: the service hears of its end, and looks
 * who has attached. If the caller ignores SIGCHLD the kernel would forget it at once.
 */
void proof_give(pid_t witness) {
    const struct sigaction action = {.sa_handler = SIG_DFL};

    (void)sigaction(SIGCHLD, &action, NULL);
    (void)ptrace(PTRACE_SEIZE, witness, NULL, NULL);
    (void)kill(witness, SIGKILL);
}

/* Lets go of @witness, at which the service has looked: else it stays until this process ends. */
void proof_end(pid_t witness) {
    (void)waitpid(witness, NULL, __WALL | WNOHANG);
}
