#pragma once

/*
 * What a session and the service say to each other, over the channel session_service.control. Each
 * message is one record of fixed size.
 *
 *    session -> service    SESSION_BEGINS, by a session that the zygote has made
 *    session -> service    SESSION_HAS_GATE
 *    service -> session    struct session_client, with the client's connection
 *    session -> service    SESSION_AGAIN, or
 *    session -> service    SESSION_DECIDED, if that takes long; SESSION_FAILED or SESSION_GRANTED
 *
 * A session that refuses a request says nothing: it closes the channel.
 */

#include <stdint.h>

#include "broker/session/caller-context.h"

enum session_word {
    SESSION_BEGINS,   /* @value: the session's pid */
    SESSION_HAS_GATE, /* @value: the gate's pid; 0: there is none. Sent before the request is read
                       */
    /* The ledger has ended since the session was made. The session has read nothing from the
     * client, and ends. Another session must serve the client. */
    SESSION_AGAIN,
    /* The log has the grant, and the gate, which was released, takes more than a second to become
     * the command: it may take as long as it needs. @value: as of SESSION_GRANTED. */
    SESSION_DECIDED,
    SESSION_FAILED, /* the gate was released and did not become the command; it is logged */
    /* The gate is the command now, or was killed before, and the launcher has its reply. @value:
     * SESSION_DIES_WITH_LAUNCHER and the others, or 0. */
    SESSION_GRANTED,
};

enum {
    SESSION_DIES_WITH_LAUNCHER = 1U << 0, /* the command must end when the launcher ends */
    SESSION_WANTS_STATUS = 1U << 1,       /* the ledger must be told how the command ends */
    SESSION_HANGS_UP = 1U << 2,           /* the command gets SIGHUP when the launcher ends */
};

struct session_message {
    uint32_t word; /* enum session_word */
    uint32_t value;
};

/*
 * The client that the service gives to a session, and what the service knows about it. The first
 * descriptor is the client's connection. On a machine without a ledger the second is the connection
 * to the log daemon, if there is a log daemon.
 */
struct session_client {
    int32_t peer;     /* what peer_examine() returned */
    uint32_t version; /* of the protocol, that the launcher speaks */
    struct caller_difference difference;
    uint32_t has_ledger; /* 1: this machine has a ledger */
    int32_t log;         /* without a ledger: what syslog_open() returned */
    uint32_t log_is_stream;
    struct limits limits; /* of struct peer */
};
