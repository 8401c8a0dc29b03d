#pragma once

/* A launcher with no_new_privs proves that nothing else confines it (witness.h). */

#include "broker/service/caller-description.h"
#include "broker/service/client-state.h"

enum {
    PROOF_E_ASKED = 1, /* the launcher is asked for the proof */
};

int proof_ask(struct client *client, struct caller_description *description);
int64_t proof_duration(const struct client *client);
void proof_refuse_late(struct client *client);
