#pragma once

/* The log: one line for each grant, refusal, failure and end, to syslog's LOG_AUTHPRIV. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "policy/rules.h"

enum audit_kind {
    AUDIT_GRANT, /* written just before the session releases the gate */
    AUDIT_REFUSAL,
    AUDIT_FAILURE, /* after AUDIT_GRANT: the command could not be executed */
    AUDIT_END,     /* the service: a command has ended */
    AUDIT_POLICY,  /* the service: the policy has an error, all requests are refused */
};

/* The values of a line. NULL and 0 mean "none" or "not known". Strings may hold any byte. */
struct audit_event {
    enum audit_kind kind;
    const char *user;
    uid_t uid;
    const char *hostname;
    const char *domainname;
    const struct policy_rule *rule;
    pid_t pid;
    const char *mode; /* "direct" or "service" */
    const char *reason;
    int wait_status; /* AUDIT_END: the wait status, wait(2) */
};

struct audit {
    int fd;         /* negative: no log daemon */
    bool is_stream; /* SOCK_STREAM, else SOCK_DGRAM */
    pid_t pid;      /* the broker's, for syslog's tag */
};

#define AUDIT_NULL                                                                                 \
    { .fd = -1 }
#define AUDIT_SOCKET "/dev/log" /* syslog(3), _PATH_LOG */

int audit_open(struct audit *audit, const char *path, int flags);
int audit_write(const struct audit *audit, const struct audit_event *event);
size_t audit_format(char *line, size_t size, const struct audit_event *event);
