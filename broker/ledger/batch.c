#include "broker/ledger/batch.h"

#include <sys/epoll.h>

enum {
    PAUSE_MS = 10,
    TURN_MAX = 16, /* a user may end thousands of commands at once: others have their turn, too */
};

/* Handles all that has happened: for who cannot wait until the pause is over. */
void batch_take(struct batch *batch) {
    while (loop_run_once(&batch->loop, false) == 0)
        ;
}

static void batch_handle_source(void *argument, uint32_t events) {
    struct batch *batch = argument;

    (void)events;
    for (int i = 0; i < TURN_MAX; i++) {
        if (loop_run_once(&batch->loop, false) != 0)
            break;
        if (i + 1 == TURN_MAX)
            return; /* there may be more: this is called again after the others' next turn */
    }
    if (loop_change_source(batch->outer, &batch->source, 0) == 0)
        loop_set_timer(batch->outer, &batch->pause, loop_now() + PAUSE_MS);
}

static void batch_handle_pause(void *argument) {
    struct batch *batch = argument;

    if (loop_change_source(batch->outer, &batch->source, EPOLLIN) < 0)
        loop_set_timer(batch->outer, &batch->pause, loop_now() + PAUSE_MS);
}

/* @outer must be set up. Returns 0 or a negative errno. */
int batch_init(struct batch *batch, struct loop *outer) {
    int r;

    *batch = (struct batch){.loop = LOOP_NULL,
                            .outer = outer,
                            .pause = {.function = batch_handle_pause, .argument = batch}};
    r = loop_init(&batch->loop);
    if (r < 0)
        return r;
    batch->source = (struct loop_source){
        .fd = batch->loop.epoll, .function = batch_handle_source, .argument = batch};
    return loop_add_source(outer, &batch->source, EPOLLIN);
}
