#pragma once

/*
 * The clients of the service, each from its connection to the end of its command. A client is in
 * one state; the table of states and events is above client_change_state().
 */

#include <stdbool.h>
#include <stddef.h>

#include "broker/list.h"
#include "broker/loop.h"
#include "broker/service/closer.h"
#include "broker/service/current-policy.h"
#include "broker/service/end-report.h"
#include "broker/service/peer.h"
#include "broker/service/session-pool.h"
#include "broker/service/witness.h"
#include "policy/subject.h"

/* A reload hands the number over (handover.h): a new state comes last, and none is renumbered. */
enum client_state {
    CLIENT_CONNECTED, /* no request has come */
    CLIENT_PROVING,   /* the launcher is to prove that nothing confines it (proof.h) */
    CLIENT_DECIDING,  /* a session reads the request, decides, and releases the gate */
    CLIENT_STARTING,  /* the log has the grant, and the gate takes long to become the command */
    CLIENT_RUNNING,   /* the launcher has the grant, and the command runs */
    CLIENT_REFUSED,   /* there is no command; session and gate end */
    CLIENT_LOST,      /* the session died while starting; what became of the gate is killed */
    CLIENT_STATE_COUNT
};

/* All clients, and what they share. */
struct clients {
    struct loop *loop;
    struct reaper *reaper;
    struct session_pool *pool;
    struct current_policy *policy;
    struct closer *closer;
    struct end_reports *end_reports;
    const struct subject *subject;          /* whose service this is */
    const struct peer_reference *reference; /* what callers must be in */
    struct list in_state[CLIENT_STATE_COUNT];
    size_t n; /* in all states */
    bool is_ending;
};

struct client {
    struct clients *clients;
    enum client_state state;
    int64_t since;                 /* in milliseconds of loop_now(), it is in this state */
    struct list_link link;         /* in the list of its state */
    uint32_t version;              /* of the protocol, that the launcher speaks */
    struct loop_source connection; /* to the launcher; fd -1: closed */
    bool has_hung_up;              /* the launcher, or the service; it may not be closed yet */
    struct loop_timer deadline;
    struct witness witness; /* while proving */
    bool was_to_prove, has_proved;
    void (*go_on)(struct client *client); /* called when it has proved that, or has not */
    struct pool_session *session;         /* NULL before it decides; its gate becomes the command */
    int signal_at_hangup;                 /* for the command, when the launcher ends; 0: none */
    bool wants_status;                    /* the ledger must be told how the command ended */
    bool has_ended;                       /* who wants to know of the end was told */
    unsigned n_again;                     /* sessions that could not serve it */
    int stop_signal; /* the command was stopped by it, and the launcher is yet to be told; or 0 */
};

void client_change_state(struct client *client, enum client_state state);
void client_hang_up(struct client *client);
void client_close_connection(struct client *client);
void client_free(struct client *client);
void client_settle(struct client *client);
