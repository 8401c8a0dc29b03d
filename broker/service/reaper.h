#pragma once

/*
 * The service's children. Only the reaper takes their wait statuses (wait(2)), so as long as it
 * knows a child, that child's pid belongs to no other process:
 *
 *    known, watched     a session or a command of a client; its pidfd tells of its end
 *    known, looked at   ready session, gate and zygote, which have no pidfd; and a child that has
 *                       ended and that a tracer holds (ptrace(2)): after each SIGCHLD
 *    unknown            what commands leave behind, which the kernel gives to the service
 *                       (PR_SET_CHILD_SUBREAPER), and what was forgotten: reaped when nothing else
 *                       is to be done, and not while the gate of a session is not known yet
 */

#include <stdbool.h>
#include <sys/types.h>

#include "broker/list.h"
#include "broker/loop.h"

/* A child has ended (@stop_signal is 0; its wait_status is valid), or was stopped by a signal. */
typedef void (*child_function)(void *argument, int stop_signal);

/* Part of whatever it belongs to. */
struct child {
    pid_t pid; /* 0: there is none */
    bool has_ended;
    int wait_status;
    child_function function; /* NULL: nobody wants to hear of it */
    void *argument;
    struct reaper *reaper; /* NULL: not known to it */
    struct list_link link;
    struct loop_source pidfd;
};

struct reaper {
    struct loop *loop;
    struct list watched, looked_at;
    struct loop_timer look;
    unsigned n_gates_unknown; /* sessions whose gate is not known yet, and must not be reaped */
    bool may_have_unknown;
};

void reaper_init(struct reaper *reaper, struct loop *loop);
int reaper_add(struct reaper *reaper, struct child *child, pid_t pid, child_function function,
               void *argument);
void reaper_watch(struct child *child, child_function function, void *argument);
void reaper_forget(struct child *child);
void reaper_kill(struct child *child);
void reaper_signal(const struct child *child, int signal_number);
bool reaper_is_alive(const struct child *child);
bool reaper_is_held(const struct child *child);

void reaper_take_news(struct reaper *reaper);
bool reaper_has_unknown(const struct reaper *reaper);
void reaper_reap_unknown(struct reaper *reaper);
bool reaper_has_children(struct reaper *reaper);
pid_t reaper_wait_for_stop(pid_t pid);
