#include "broker/service/reaper.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "utsbroker/base.h"

enum {
    ROUNDS_MAX = 64,    /* commands that stop all the time must not keep the service busy */
    NEWS_MS = 10,       /* news of children are collected for so long, */
    COMMANDS_A_MS = 10, /* and for longer if more of them live: waitid(2) looks at each */
};

static void child_move(struct child *child, struct list *list) {
    list_remove(&child->link);
    list_append(list, &child->link, child);
}

static void pidfd_close(struct child *child) {
    loop_remove_source(child->reaper->loop, &child->pidfd);
    base_close_fd(&child->pidfd.fd);
}

/*
 * Takes the child's status if it has ended. If a tracer holds it, its pidfd would tell of its end
 * without pause: then it is looked at after each SIGCHLD.
 */
static void child_look(struct child *child) {
    pid_t pid = waitpid(child->pid, &child->wait_status, WNOHANG);
    CLEANUP_FD int pidfd = -1; /* closed when its launcher knows */

    child->has_ended = pid == child->pid || (pid < 0 && errno == ECHILD);
    if (child->has_ended) {
        loop_remove_source(child->reaper->loop, &child->pidfd);
        pidfd = base_steal_fd(&child->pidfd.fd);
        list_remove(&child->link);
        child->reaper = NULL;
        if (child->function != NULL)
            child->function(child->argument, 0);
    } else if (child->link.list == &child->reaper->watched) {
        pidfd_close(child);
        child_move(child, &child->reaper->looked_at);
    }
}

static void child_handle_pidfd(void *argument, uint32_t events) {
    (void)events;
    child_look(argument);
}

/*
 * Makes the child @pid of this process known, which nobody has reaped. @function, with @argument,
 * hears of its stops, and of its end after the next SIGCHLD; NULL: nobody hears of it. Returns 0;
 * -ECHILD if there is no such child, and @child stays empty.
 */
int reaper_add(struct reaper *reaper, struct child *child, pid_t pid, child_function function,
               void *argument) {
    siginfo_t info;

    *child = (struct child){.pidfd.fd = -1};
    if (pid <= 0 || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return -ECHILD;
    *child = (struct child){
        .pid = pid, .function = function, .argument = argument, .reaper = reaper, .pidfd.fd = -1};
    list_append(&reaper->looked_at, &child->link, child);
    return 0;
}

/*
 * From now on @function, with @argument, hears when @child stops and ends, the end at once; a
 * moment later if there is no descriptor or memory for that.
 */
void reaper_watch(struct child *child, child_function function, void *argument) {
    child->function = function;
    child->argument = argument;
    if (child->reaper == NULL) /* it has ended */
        return;
    child->pidfd = (struct loop_source){.fd = (int)syscall(SYS_pidfd_open, child->pid, 0),
                                        .function = child_handle_pidfd,
                                        .argument = child};
    if (child->pidfd.fd < 0 || loop_add_source(child->reaper->loop, &child->pidfd, EPOLLIN) < 0) {
        base_close_fd(&child->pidfd.fd);
        reaper_take_news(child->reaper); /* its SIGCHLD may have been heard already */
        return;
    }
    child_move(child, &child->reaper->watched);
}

/* Makes @child unknown: nobody hears of it any more, and it is reaped when it ends. */
void reaper_forget(struct child *child) {
    if (child->reaper != NULL) {
        pidfd_close(child);
        list_remove(&child->link);
        child->reaper->may_have_unknown = true;
    }
    *child = (struct child){.pidfd.fd = -1};
}

/*
 * Kills @child, if there is one, and waits until it has ended; it is unknown afterwards. Not for a
 * child that may hold a stranger's descriptor, whose close(2) can take for ever.
 */
void reaper_kill(struct child *child) {
    if (child->reaper != NULL && kill(child->pid, SIGKILL) == 0)
        (void)waitpid(child->pid, NULL, 0);
    reaper_forget(child);
}

/* Sends a signal to @child, if it is there and has not ended. */
void reaper_signal(const struct child *child, int signal_number) {
    if (child->reaper != NULL)
        (void)kill(child->pid, signal_number);
}

/* True if there is a child, and its end is not known yet. */
bool reaper_is_alive(const struct child *child) {
    return child->reaper != NULL;
}

/* True if @child, which was watched, has ended and a tracer holds it. */
bool reaper_is_held(const struct child *child) {
    return child->reaper != NULL && child->link.list == &child->reaper->looked_at;
}

static struct child *child_find(const struct reaper *reaper, pid_t pid) {
    const struct list *lists[] = {&reaper->watched, &reaper->looked_at};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(lists); i++)
        for (struct list_link *link = lists[i]->first; link != NULL; link = link->next)
            if (((struct child *)link->owner)->pid == pid)
                return link->owner;
    return NULL;
}

/*
 * Reports the children that have stopped; a pidfd does not tell. A child can make its parent its
 * tracer (PTRACE_TRACEME, ptrace(2)): the service traces nobody.
 */
static void reaper_report_stops(struct reaper *reaper) {
    siginfo_t info = {.si_pid = 0};

    for (int i = 0; i < ROUNDS_MAX; i++) {
        struct child *child;

        if (waitid(P_ALL, 0, &info, WSTOPPED | WNOHANG) < 0 || info.si_pid == 0)
            return;
        child = child_find(reaper, info.si_pid);
        if (info.si_code != CLD_STOPPED)
            (void)ptrace(PTRACE_DETACH, info.si_pid, NULL, (void *)(intptr_t)info.si_status);
        else if (child != NULL && child->function != NULL)
            child->function(child->argument, info.si_status);
        info.si_pid = 0;
    }
    reaper_take_news(reaper);
}

/* Looks at each child. If a function removes other children than its own, begins again with the
 * rest. */
static void reaper_look_at_children(struct reaper *reaper) {
    struct list_link *link = reaper->looked_at.first;

    for (size_t left = reaper->looked_at.n; left > 0 && link != NULL; left--) {
        struct list_link *next = link->next;
        size_t n = reaper->looked_at.n;

        child_look(link->owner);
        if (reaper->looked_at.n + 1 < n) {
            next = reaper->looked_at.first;
            left = reaper->looked_at.n + 1;
        }
        link = next;
    }
}

static void reaper_handle_news(void *argument) {
    struct reaper *reaper = argument;

    reaper->may_have_unknown = true;
    reaper_report_stops(reaper);
    reaper_look_at_children(reaper);
}

void reaper_init(struct reaper *reaper, struct loop *loop) {
    *reaper =
        (struct reaper){.loop = loop, .look = {.function = reaper_handle_news, .argument = reaper}};
}

/*
 * To be called on SIGCHLD: some child has changed. To find out which takes longer the more children
 * live, so all changes of a short time are handled at once.
 */
void reaper_take_news(struct reaper *reaper) {
    int64_t pause = NEWS_MS + (int64_t)reaper->watched.n / COMMANDS_A_MS;

    if (reaper->look.due == 0)
        loop_set_timer(reaper->loop, &reaper->look, loop_now() + pause);
}

/* True if reaper_reap_unknown() may have something to do, and may be called. */
bool reaper_has_unknown(const struct reaper *reaper) {
    return reaper->may_have_unknown && reaper->n_gates_unknown == 0;
}

/* Reaps unknown children that have ended. To be called when no source of the loop is ready. */
void reaper_reap_unknown(struct reaper *reaper) {
    siginfo_t info = {.si_pid = 0};

    for (int i = 0; i < ROUNDS_MAX; i++) {
        info.si_pid = 0;
        reaper->may_have_unknown =
            waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
        if (!reaper->may_have_unknown)
            return;
        /* A known one is reaped when it is looked at. Until then waitid(2) shows no other. */
        if (child_find(reaper, info.si_pid) != NULL) {
            reaper->may_have_unknown = false;
            reaper_take_news(reaper);
            return;
        }
        (void)waitpid(info.si_pid, NULL, WNOHANG);
    }
}

/* True if this process has any child, known or not. */
bool reaper_has_children(struct reaper *reaper) {
    siginfo_t info = {.si_pid = 0};

    reaper_reap_unknown(reaper);
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* Waits until the unknown child @pid has stopped itself. Returns @pid; 0 if it has ended instead.
 */
pid_t reaper_wait_for_stop(pid_t pid) {
    int status;

    return waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) ? pid : 0;
}
