#include "tests/hostile/stepper.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "tests/integration/harness.h"

static const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE |
                            PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;

/* How often it must be seen asleep before it counts as waiting. */
enum { ASLEEP_MIN = 5, SOON = 100 };

/* Waits until it stops or ends; false if it only sleeps. */
static bool hear(struct stepper *stepper, enum stepper_state *statep) {
    unsigned n_asleep = 0;
    pid_t r;

    for (unsigned i = 0;; i++) {
        r = waitpid(stepper->pid, &stepper->status, __WALL | WNOHANG);
        if (r != 0)
            break;
        n_asleep = harness_process_state(stepper->pid) == 'S' ? n_asleep + 1 : 0;
        if (i >= SOON && n_asleep >= ASLEEP_MIN)
            return false;
        if (i < SOON)
            (void)sched_yield();
        else
            usleep(300);
    }
    stepper->is_running = false;
    if (r < 0 || !WIFSTOPPED(stepper->status)) {
        stepper->is_attached = false;
        *statep = STEPPER_ENDED;
    } else {
        *statep = STEPPER_STOPPED;
    }
    return true;
}

/* Waits for the stop of a process that was just seized or cloned; the stop always comes. */
static bool has_stopped(struct stepper *stepper) {
    if (waitpid(stepper->pid, &stepper->status, __WALL) == stepper->pid &&
        WIFSTOPPED(stepper->status))
        return true;
    stepper->is_attached = false;
    return false;
}

/* Seizes and stops @pid. Returns false, with errno, on failure. */
bool stepper_attach(struct stepper *stepper, pid_t pid) {
    *stepper = (struct stepper){.pid = pid};
    if (ptrace(PTRACE_SEIZE, pid, NULL, options) < 0)
        return false;
    stepper->is_attached = true;
    (void)ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
    return has_stopped(stepper);
}

/*
 * Takes the new child of a stepped process at its first instruction. Returns false if it has ended.
 */
bool stepper_take(struct stepper *stepper, pid_t clone) {
    *stepper = (struct stepper){.pid = clone, .is_attached = true};
    return has_stopped(stepper);
}

/* Passes on a signal to the process, but not the signals of the stepping. */
static int signal_of(int status) {
    int number = WSTOPSIG(status), event = status >> 16;

    return event != 0 || (number & 0x7f) == SIGTRAP || number == SIGSTOP || number == SIGCONT
               ? 0
               : number;
}

static bool is_after_a_call(const struct stepper *stepper) {
    struct __ptrace_syscall_info info = {.op = PTRACE_SYSCALL_INFO_NONE};

    return WSTOPSIG(stepper->status) == (SIGTRAP | 0x80) &&
           ptrace(PTRACE_GET_SYSCALL_INFO, stepper->pid, sizeof(info), &info) > 0 &&
           info.op == PTRACE_SYSCALL_INFO_EXIT;
}

static bool has_cloned(struct stepper *stepper) {
    int event = stepper->status >> 16;
    unsigned long pid = 0;

    if ((event != PTRACE_EVENT_CLONE && event != PTRACE_EVENT_FORK &&
         event != PTRACE_EVENT_VFORK) ||
        ptrace(PTRACE_GETEVENTMSG, stepper->pid, NULL, &pid) < 0)
        return false;
    stepper->clone = (pid_t)pid;
    return true;
}

/* Continues the process until its next event. */
enum stepper_state stepper_next(struct stepper *stepper) {
    enum stepper_state state;

    for (;;) {
        if (!stepper->is_running &&
            ptrace(PTRACE_SYSCALL, stepper->pid, NULL, (long)signal_of(stepper->status)) < 0 &&
            errno != ESRCH)
            return STEPPER_ENDED;
        stepper->is_running = true;
        if (!hear(stepper, &state))
            return STEPPER_WAITS;
        if (state == STEPPER_ENDED)
            return state;
        if (stepper->status >> 16 == PTRACE_EVENT_EXEC)
            return STEPPER_EXECUTED;
        if (has_cloned(stepper))
            return STEPPER_CLONED;
        if (is_after_a_call(stepper)) {
            stepper->n_steps++;
            return STEPPER_STOPPED;
        }
    }
}

/*
 * Detaches from it and leaves it stopped, so that it can be attacked. Returns false if it did not
 * stop.
 */
bool stepper_park(struct stepper *stepper) {
    (void)kill(stepper->pid, SIGSTOP);
    stepper_detach(stepper);
    for (unsigned i = 0; i < SOON && harness_process_state(stepper->pid) != 'T'; i++)
        (void)sched_yield();
    return harness_wait_for_state(stepper->pid, "T");
}

/* Seizes it again. Returns false if it has ended. */
bool stepper_unpark(struct stepper *stepper) {
    const struct stepper before = *stepper;
    bool is_there = stepper_attach(stepper, before.pid);

    stepper->n_steps = before.n_steps;
    (void)kill(stepper->pid, SIGCONT);
    return is_there;
}

/* Detaches from it and continues it. */
void stepper_detach(struct stepper *stepper) {
    if (stepper->is_attached && stepper->is_running) {
        (void)ptrace(PTRACE_INTERRUPT, stepper->pid, NULL, NULL);
        if (has_stopped(stepper))
            stepper->is_running = false;
    }
    if (stepper->is_attached)
        (void)ptrace(PTRACE_DETACH, stepper->pid, NULL, (long)signal_of(stepper->status));
    stepper->is_attached = false;
}

/* Kills it and waits for its end; until the tracer does that, its own parent cannot. */
void stepper_kill(struct stepper *stepper) {
    (void)kill(stepper->pid, SIGKILL);
    while (has_stopped(stepper))
        ;
}
