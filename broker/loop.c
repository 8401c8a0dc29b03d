#include "broker/loop.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "utsbroker/base.h"

/* Milliseconds of CLOCK_MONOTONIC. clock_gettime(2) cannot fail for it. */
int64_t loop_now(void) {
    struct timespec now = {.tv_sec = 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Returns 0 or a negative errno. loop_deinit() gives back what @loop holds. */
int loop_init(struct loop *loop) {
    *loop = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC)};
    return loop->epoll < 0 ? -errno : 0;
}

/* Closes @loop's descriptor. Sources and timers stay their owners'. */
void loop_deinit(struct loop *loop) {
    base_close_fd(&loop->epoll);
}

/*
 * Calls @source's function whenever its descriptor has one of @events, or a hangup or an error
 * (epoll(7), level-triggered). @source must stay where it is until loop_remove_source(). Returns 0
 * or a negative errno.
 */
int loop_add_source(struct loop *loop, struct loop_source *source, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = source};

    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, source->fd, &event) < 0)
        return -errno;
    source->is_added = true;
    return 0;
}

/* Waits for other events of @source, which was added. Returns 0 or a negative errno. */
int loop_change_source(struct loop *loop, struct loop_source *source, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = source};

    return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, source->fd, &event) < 0 ? -errno : 0;
}

/*
 * Forgets @source, if it was added. To be called before its descriptor is closed: close(2) removes
 * a descriptor from epoll(7) only if no other process has a copy of it.
 */
void loop_remove_source(struct loop *loop, struct loop_source *source) {
    /* Twice if need be: a source that stays would be called after its owner is gone. */
    if (source->is_added && epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL) < 0)
        (void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
    source->is_added = false;
}

/* Calls @timer's function once, at @due or as soon as possible after it. Replaces an earlier time.
 */
void loop_set_timer(struct loop *loop, struct loop_timer *timer, int64_t due) {
    if (timer->due == 0)
        list_append(&loop->timers, &timer->link, timer);
    timer->due = due;
}

/* Does nothing if @timer is not set. */
void loop_cancel_timer(struct loop_timer *timer) {
    list_remove(&timer->link);
    timer->due = 0;
}

static struct loop_timer *timers_find_first(const struct loop *loop) {
    struct loop_timer *first = NULL;

    for (struct list_link *link = loop->timers.first; link != NULL; link = link->next) {
        struct loop_timer *timer = link->owner;

        if (first == NULL || timer->due < first->due)
            first = timer;
    }
    return first;
}

/*
 * Calls what is due. Returns how many milliseconds may be waited for a source: until the next timer
 * is due, -1 if none is set; 0 if one was called, as there may be other work then.
 */
static int timers_run(struct loop *loop) {
    struct loop_timer *first;
    int64_t now = loop_now(), left;
    bool has_run = false;

    while ((first = timers_find_first(loop)) != NULL && first->due <= now) {
        loop_cancel_timer(first);
        if (first->function != NULL)
            first->function(first->argument);
        has_run = true;
    }
    left = has_run ? 0 : first != NULL ? first->due - now : -1;
    return left < INT_MAX ? (int)left : INT_MAX;
}

/*
 * Runs the timers that are due, then the function of one source that is ready. Only of one, so that
 * each function knows what the one before has done, and may free any source. With @may_wait it
 * waits for a source or a timer.
 *
 * Returns 0; LOOP_E_IDLE if no source was ready; a negative errno.
 */
int loop_run_once(struct loop *loop, bool may_wait) {
    int timeout_ms = timers_run(loop);
    struct epoll_event event;
    struct loop_source *source;
    int n = epoll_wait(loop->epoll, &event, 1, may_wait ? timeout_ms : 0);

    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    if (n == 0)
        return LOOP_E_IDLE;
    source = event.data.ptr;
    source->function(source->argument, event.events);
    return 0;
}
