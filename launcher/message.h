#pragma once

/* What utsrun says to people: one line, what was asked, why not, what to do now. */

#include <signal.h>

#include "launcher/options.h"
#include "utsbroker/protocol.h"

enum {
    EXIT_UTSRUN_FAILED = 125, /* as env(1), timeout(1) and docker have it */
    EXIT_CANNOT_EXECUTE = 126,
    EXIT_NOT_FOUND = 127,
};

__attribute__((format(printf, 1, 2))) void message(const char *format, ...);
void message_failure(const char *what, int error, const char *otherwise);
int message_refusal(const struct options *options, const struct protocol_reply *reply,
                    const sigset_t *mask);
