#pragma once

/* The policy as the broker has it: rules that can be used, or why they cannot. */

#include <stddef.h>

#include "policy/rules.h"
#include "utsbroker/protocol.h"

enum { RULEBOOK_REASON_SIZE = 256 };

struct rulebook {
    struct policy policy;
    enum protocol_status status;       /* PROTOCOL_GRANTED: nothing speaks against using it */
    int error;                         /* an errno, or 0 */
    char reason[RULEBOOK_REASON_SIZE]; /* for the log */
};

#define RULEBOOK_NULL                                                                              \
    { .status = PROTOCOL_POLICY_INVALID }

void rulebook_load(struct rulebook *rulebook, const char *const *folders, size_t n_folders);
void rulebook_deinit(struct rulebook *rulebook);

#define CLEANUP_RULEBOOK __attribute__((cleanup(rulebook_deinit)))
