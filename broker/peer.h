#pragma once

/* Who is at the other end of the service's connection, and what they would escape from by it. */

#include <stdbool.h>
#include <sys/types.h>

#include "broker/place.h"
#include "policy/subject.h"

struct peer {
    bool groups_differ; /* from the service's, and so from the command's */
    struct limits limits;
};

int peer_examine(struct peer *peer, int connection, const struct subject *subject);
