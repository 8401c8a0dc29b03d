#pragma once

/*
 * What a broker and the ledger say to each other. The ledger (utsbroker-ledger, broker/ledger)
 * keeps the log, counts live commands for rules with a limit, and knows which commands live.
 *
 * It listens on an abstract SOCK_SEQPACKET socket (unix(7)) in a network namespace that has nothing
 * else in it and is pinned at LEDGER_NAMESPACE_PATH. Only a process with CAP_SYS_ADMIN can enter it
 * (setns(2)), so no stranger can connect. A connection carries, each in one record of fixed size:
 *
 *    ledger -> broker    struct ledger_hello
 *    broker -> ledger    struct ledger_event: an enter or a refusal, then a reply; or an end
 *    broker -> ledger    struct ledger_event: a failure, only after an enter; then a reply
 *
 * A ledger that is told to end says LEDGER_ENDS to those that have sent nothing, then serves for a
 * moment those that are connected: their request is read already, and they cannot connect again.
 *
 * Both run on one machine, so integers are in its byte order. No record says who the user is: the
 * ledger asks the kernel (SO_PEERCRED).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "utsbroker/protocol.h"

#define LEDGER_NAMESPACE_PATH RUN_FOLDER "/ledger.net"
#define LEDGER_LIVE_PATH RUN_FOLDER "/ledger/live"
#define LEDGER_LOG_PATH LOG_FOLDER "/log"
#define LEDGER_SOCKET_NAME "utsbroker-ledger" /* in the abstract namespace, without the NUL */

enum {
    LEDGER_VERSION = 1,
    LEDGER_USER_SIZE = 257, /* LOGIN_NAME_MAX, and a NUL */
    LEDGER_REASON_SIZE = 256,
};

/* What the ledger tells about itself when a broker connects. */
struct ledger_hello {
    uint32_t version;
    uint32_t wants_status; /* 1: the kernel does not tell it how a command ended */
    uint64_t uts_device;   /* the machine's own UTS namespace, the ledger's */
    uint64_t uts_inode;
    char hostname[PROTOCOL_NAME_SIZE]; /* of that namespace; may be empty */
    char domainname[PROTOCOL_NAME_SIZE];
    uint8_t reserved[6];
};
_Static_assert(sizeof(struct ledger_hello) == 160, "the hello has no holes");

enum ledger_kind {
    LEDGER_ENTER,   /* a grant, with the gate's pidfd: count it, then log it */
    LEDGER_REFUSAL, /* log it */
    LEDGER_FAILURE, /* after an enter: log that there is no command */
    LEDGER_END,     /* from the service, if the ledger wants it: how a command ended */
    LEDGER_KIND_COUNT
};

enum ledger_mode { LEDGER_DIRECT, LEDGER_SERVICE, LEDGER_MODE_COUNT };

struct ledger_event {
    uint32_t version;
    uint32_t kind; /* enum ledger_kind */
    uint32_t mode; /* enum ledger_mode */
    uint32_t
        names; /* PROTOCOL_HOSTNAME, PROTOCOL_DOMAINNAME or both; 0: the request was not read */
    uint64_t rule_key;   /* of the rule's meaning (policy/rule-key.h); 0: no rule decided */
    uint32_t rule_line;  /* 0: no rule decided */
    uint32_t limit;      /* enter: at most so many live commands of the user by this rule; 0: any */
    int32_t pid;         /* failure, end: the command's; else 0 */
    int32_t wait_status; /* end: wait(2); else 0 */
    uint32_t may_run;    /* failure: 1: the command may run all the same, and its end is logged */
    char hostname[PROTOCOL_NAME_SIZE];
    char domainname[PROTOCOL_NAME_SIZE];
    char user[LEDGER_USER_SIZE]; /* empty: not known */
    char rule_file[PROTOCOL_RULE_FILE_SIZE];
    char command[PROTOCOL_COMMAND_SIZE]; /* argv[0], as it was sent */
    char reason[LEDGER_REASON_SIZE];     /* refusal, failure: for the log; may be empty */
    uint8_t reserved[1];
};
_Static_assert(sizeof(struct ledger_event) == 1200, "the event has no holes");

enum ledger_status {
    LEDGER_ENTERED,       /* it is in the log, and counted if it is an enter */
    LEDGER_LIMIT_REACHED, /* @n_live commands run, and @limit are permitted */
    LEDGER_TOO_MANY,      /* the same, of the ledger's own bound for each user */
    LEDGER_NOT_LOGGED,    /* the line could not be written; @error says why */
    LEDGER_BAD_EVENT,     /* not a valid record, or not in this order */
    LEDGER_ENDS,          /* no reply: who has sent nothing yet should connect to the next ledger */
    LEDGER_STATUS_COUNT
};

struct ledger_reply {
    uint32_t version;
    uint32_t status; /* enum ledger_status */
    int32_t error;   /* an errno, or 0 */
    uint32_t n_live;
    uint32_t limit;
};
_Static_assert(sizeof(struct ledger_reply) == 20, "the reply has no holes");

/* Fills @address with the ledger's, in the network namespace that a process is in. Returns its
 * size, for bind(2) and connect(2): in the abstract namespace each byte counts (unix(7)). */
static inline socklen_t ledger_address(struct sockaddr_un *address) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path + 1, LEDGER_SOCKET_NAME, strlen(LEDGER_SOCKET_NAME));
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(LEDGER_SOCKET_NAME));
}

/* True if each string of @event is canonical, and the names are there that it says are there. */
static inline bool ledger_strings_are_canonical(const struct ledger_event *event) {
    return protocol_name_is_consistent(event->hostname, event->names & PROTOCOL_HOSTNAME) &&
           protocol_name_is_consistent(event->domainname, event->names & PROTOCOL_DOMAINNAME) &&
           protocol_string_is_canonical(event->user, sizeof(event->user)) &&
           protocol_string_is_canonical(event->rule_file, sizeof(event->rule_file)) &&
           protocol_string_is_canonical(event->command, sizeof(event->command)) &&
           protocol_string_is_canonical(event->reason, sizeof(event->reason));
}

/* True if @event has what its kind has, and nothing else. */
static inline bool ledger_kind_is_consistent(const struct ledger_event *event, size_t n_fds) {
    bool is_enter = event->kind == LEDGER_ENTER, is_end = event->kind == LEDGER_END;
    bool has_pid = event->kind == LEDGER_FAILURE || is_end;

    return event->kind < LEDGER_KIND_COUNT && event->mode < LEDGER_MODE_COUNT &&
           (event->names & ~(uint32_t)PROTOCOL_NAMES_ALL) == 0 && n_fds == (is_enter ? 1U : 0U) &&
           (is_enter || event->limit == 0) && (has_pid ? event->pid > 0 : event->pid == 0) &&
           (is_end || event->wait_status == 0) && event->may_run <= 1 &&
           (event->kind == LEDGER_FAILURE || event->may_run == 0) &&
           (!is_enter || (event->names != 0 && event->rule_key != 0 && event->rule_line != 0)) &&
           (event->rule_line != 0) == (event->rule_file[0] != '\0');
}

/*
 * Decodes an event: a pure function of the record's bytes and the number of its descriptors, which
 * stay the caller's. Accepts exactly what a broker of this version sends. Returns true with
 * *@eventp.
 */
static inline bool ledger_decode_event(const void *bytes, size_t size, size_t n_fds,
                                       struct ledger_event *eventp) {
    struct ledger_event event;

    if (size != sizeof(event))
        return false;
    memcpy(&event, bytes, sizeof(event));
    if (event.version != LEDGER_VERSION || event.reserved[0] != 0 ||
        !ledger_kind_is_consistent(&event, n_fds) || !ledger_strings_are_canonical(&event))
        return false;
    *eventp = event;
    return true;
}

/* Decodes a hello, by the same contract as ledger_decode_event(). It carries no descriptor. */
static inline bool ledger_decode_hello(const void *bytes, size_t size, size_t n_fds,
                                       struct ledger_hello *hellop) {
    struct ledger_hello hello;

    if (size != sizeof(hello) || n_fds != 0)
        return false;
    memcpy(&hello, bytes, sizeof(hello));
    if (hello.version != LEDGER_VERSION || hello.wants_status > 1 ||
        !protocol_string_is_canonical(hello.hostname, sizeof(hello.hostname)) ||
        !protocol_string_is_canonical(hello.domainname, sizeof(hello.domainname)))
        return false;
    *hellop = hello;
    return true;
}

/* Decodes a reply, by the same contract. */
static inline bool ledger_decode_reply(const void *bytes, size_t size, size_t n_fds,
                                       struct ledger_reply *replyp) {
    struct ledger_reply reply;

    if (size != sizeof(reply) || n_fds != 0)
        return false;
    memcpy(&reply, bytes, sizeof(reply));
    if (reply.version != LEDGER_VERSION || reply.status >= LEDGER_STATUS_COUNT || reply.error < 0)
        return false;
    *replyp = reply;
    return true;
}
