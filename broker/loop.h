#pragma once

/*
 * An event loop. It owns epoll(7) and the timers, and knows no type of its users: a source is a
 * descriptor with a function and its argument, a timer is a time with the same. Both are parts of
 * whatever they belong to.
 */

#include <stdbool.h>
#include <stdint.h>

#include "broker/list.h"

typedef void (*loop_source_function)(void *argument, uint32_t events);
typedef void (*loop_timer_function)(void *argument);

struct loop_source {
    int fd;
    loop_source_function function;
    void *argument;
    bool is_added;
};

/* Milliseconds of CLOCK_MONOTONIC; 0: the timer is not set. */
struct loop_timer {
    int64_t due;
    loop_timer_function function; /* NULL: the loop goes round once, and no more is done */
    void *argument;
    struct list_link link;
};

struct loop {
    int epoll;
    struct list timers;
};

#define LOOP_NULL                                                                                  \
    { .epoll = -1 }

enum {
    LOOP_E_IDLE = 1, /* no source is ready */
};

int64_t loop_now(void);
int loop_init(struct loop *loop);
void loop_deinit(struct loop *loop);

int loop_add_source(struct loop *loop, struct loop_source *source, uint32_t events);
int loop_change_source(struct loop *loop, struct loop_source *source, uint32_t events);
void loop_remove_source(struct loop *loop, struct loop_source *source);

void loop_set_timer(struct loop *loop, struct loop_timer *timer, int64_t due);
void loop_cancel_timer(struct loop_timer *timer);

int loop_run_once(struct loop *loop, bool may_wait);
