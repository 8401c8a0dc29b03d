#pragma once

/* The session: one request, from the first privileged step to the reply. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/session/caller-context.h"
#include "broker/session/policy-snapshot.h"

enum {
    SESSION_EXIT_GRANTED, /* in direct mode; the service is told by SESSION_GRANTED */
    SESSION_EXIT_REFUSED,
};

/* What a session says to the service: fixed size, one record each; it says no more by closing. */
enum session_word {
    SESSION_BEGINS, /* @value: its own pid; one of the nursery's says so first of all */
    /* @value: its pid, or 0 for none; said once, before the first stranger's byte is read. */
    SESSION_HAS_GATE,
    SESSION_COUNTS, /* @value: a counter; answered by a byte, not 0 if there is room */
    /* The grant is in the log and the gate about to be released; how long that takes is not the
     * session's to say. */
    SESSION_DECIDED,
    SESSION_FAILED, /* nothing became of that, as the log says, too */
    /* The gate is the command now, or was killed on the way; the launcher knows. @value: 1 if the
     * command is not to live longer than the launcher. */
    SESSION_GRANTED,
};

struct session_message {
    uint32_t word;
    uint32_t value;
};

/*
 * What the service says to a session: the client, whose connection is the first descriptor, and
 * what it has found out about it; the log daemon's connection is the second, if there is one.
 */
struct session_client {
    uint32_t is_late;       /* 1: it has said nothing for too long */
    int32_t peer;           /* what peer_examine() returned */
    uint32_t groups_differ; /* of struct peer */
    int32_t log;            /* what audit_open() returned */
    uint32_t log_is_stream;
    struct limits limits; /* of struct peer */
};

/* What the service gives a session that it has forked. */
struct session_service {
    int control;   /* a channel to the service; the session's own */
    bool is_ahead; /* made before there was a client: a failure is not worth keeping for one */
    const struct policy_snapshot *snapshot;
    const size_t *counters; /* of the snapshot's rules, by their index */
};

/* Where a session gets its request, and by which policy it decides. */
struct session_setup {
    int channel; /* to the launcher; the session's own; from the service it gets it later */
    const char *const *policy_folders;
    size_t n_policy_folders;
    const struct session_service
        *service; /* NULL: direct mode, where the session loads the policy */
};

_Noreturn void session_run(const struct session_setup *setup);
