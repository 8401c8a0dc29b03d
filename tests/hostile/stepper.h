#pragma once

/*
 * Steps a process of the broker from one system call to the next, as root, and leaves it there,
 * stopped and untraced. So each moment between two calls lasts as long as a test needs. The
 * programs are the shipped ones, without any hook for tests.
 */

#include <stdbool.h>
#include <sys/types.h>

enum stepper_state {
    STEPPER_STOPPED,  /* right after a system call */
    STEPPER_WAITS,    /* it sleeps in a system call, and goes on when that ends */
    STEPPER_CLONED,   /* it has made stepper->clone, which stands still until stepper_take() */
    STEPPER_EXECUTED, /* it has become a program that it executed */
    STEPPER_ENDED,    /* it is gone; if it is this process's child, it is reaped */
};

struct stepper {
    pid_t pid;
    bool is_attached, is_running;
    int status; /* of its last stop: wait(2)'s */
    unsigned n_steps;
    pid_t clone;
};

bool stepper_attach(struct stepper *stepper, pid_t pid);
bool stepper_take(struct stepper *stepper, pid_t clone);
enum stepper_state stepper_next(struct stepper *stepper);
bool stepper_park(struct stepper *stepper);
bool stepper_unpark(struct stepper *stepper);
void stepper_detach(struct stepper *stepper);
void stepper_kill(struct stepper *stepper);
