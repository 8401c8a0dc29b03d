#pragma once

/*
 * The clients of the service, each from its connection to the end of its command. A client is in
 * one state; client.c has the table of states and events.
 */

#include <stdbool.h>
#include <stddef.h>

#include "broker/loop.h"
#include "broker/service/current-policy.h"
#include "broker/service/peer.h"
#include "broker/service/session-pool.h"
#include "policy/subject.h"

enum client_state {
    CLIENT_CONNECTED, /* no request has come */
    CLIENT_DECIDING,  /* a session reads the request and decides */
    CLIENT_STARTING,  /* the log has the grant, and the gate becomes the command */
    CLIENT_RUNNING,   /* the launcher has the grant, and the command runs */
    CLIENT_REFUSED,   /* there is no command; session and gate end */
    CLIENT_LOST,      /* the session died while starting; what became of the gate is killed */
    CLIENT_STATE_COUNT
};

struct client;

struct client_list {
    struct client *first, *last;
    size_t n;
};

struct clients {
    struct loop *loop;
    struct session_pool *pool;
    struct current_policy *policy;
    const struct subject *subject;          /* whose service this is */
    const struct peer_reference *reference; /* what callers must be in */
    struct client_list in_state[CLIENT_STATE_COUNT];
    bool is_ending;
};

int clients_add(struct clients *clients, int connection);
size_t clients_count(const struct clients *clients);
void clients_end(struct clients *clients, int signal_number);
