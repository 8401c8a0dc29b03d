/*
 * The ten-line program that it all began with, as fast as it can be: a command (here of one's
 * choice, not only /bin/bash) in a new UTS namespace under the name "In Namespace". Needs root,
 * checks nothing, asks nobody. What utsrun takes is measured against it.
 */

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char stack[65536];

static int child(void *argv) {
    (void)!sethostname("In Namespace", 12);
    return execv(((char **)argv)[1], (char **)argv + 1);
}

int main(int argc, char **argv) {
    int status;
    pid_t pid = clone(child, stack + sizeof(stack), CLONE_NEWUTS | SIGCHLD, argv);

    (void)argc;
    waitpid(pid, &status, 0);
    return status >> 8;
}
