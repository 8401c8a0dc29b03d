/*
 * A command that reports the signals that it gets: it prints "ready PID", then a line "signal N"
 * for each signal, in the order of arrival. It ends with 0 at SIGRTMIN.
 */

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    sigset_t set;
    int number;

    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    printf("ready %d\n", (int)getpid());
    fflush(stdout);
    while (sigwait(&set, &number) == 0 && number != SIGRTMIN) {
        printf("signal %d\n", number);
        fflush(stdout);
    }
    return 0;
}
