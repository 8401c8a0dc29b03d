#pragma once

/*
 * What the ledger need not hear at once: that commands and sessions have ended. It is heard at once
 * after a pause, and together every 10 ms where much happens: launches that follow each other share
 * the processors with this work.
 */

#include "broker/loop.h"

struct batch {
    struct loop loop; /* of the sources that can wait */
    struct loop *outer;
    struct loop_source source; /* the epoll of @loop, in @outer */
    struct loop_timer pause;
};

int batch_init(struct batch *batch, struct loop *outer);
void batch_take(struct batch *batch);
