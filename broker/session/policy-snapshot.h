#pragma once

/* The policy snapshot: the rules as they were when the broker loaded them, or why it has none. */

#include <stddef.h>

#include "policy/rules.h"
#include "utsbroker/protocol.h"

enum { POLICY_SNAPSHOT_REASON_SIZE = 256 };

struct policy_snapshot {
    struct policy policy;
    enum protocol_status status; /* PROTOCOL_GRANTED: @policy can be used; else refuse with this */
    int error;                   /* an errno, or 0 */
    char reason[POLICY_SNAPSHOT_REASON_SIZE]; /* for the log */
};

#define POLICY_SNAPSHOT_NULL                                                                       \
    { .status = PROTOCOL_POLICY_INVALID }

void policy_snapshot_load(struct policy_snapshot *snapshot, const char *const *folders,
                          size_t n_folders);
void policy_snapshot_deinit(struct policy_snapshot *snapshot);

#define CLEANUP_POLICY_SNAPSHOT __attribute__((cleanup(policy_snapshot_deinit)))
