#pragma once

/* The log: one line for each grant, refusal and end, to syslog's LOG_AUTHPRIV. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "policy/rules.h"

enum audit_kind {
    AUDIT_GRANT, /* the policy permits, and the gate is about to be released */
    AUDIT_REFUSAL,
    AUDIT_FAILURE, /* granted, but the command could not be executed */
    AUDIT_END,     /* the service: a command has ended */
    AUDIT_POLICY,  /* the service: the policy has an error, and nothing is granted by it */
};

/* What a line says. NULL and 0 stand for "none" or "not known". Strings may hold any byte. */
struct audit_event {
    enum audit_kind kind;
    const char *user;
    uid_t uid;
    const char *hostname;
    const char *domainname;
    const struct policy_rule *rule;
    pid_t pid;
    const char *mode;
    const char *reason;
    int wait_status; /* AUDIT_END: wait(2)'s */
};

struct audit {
    int fd; /* negative: no log daemon */
    bool is_stream;
    pid_t pid; /* of the broker: syslog's tag */
};

#define AUDIT_NULL                                                                                 \
    { .fd = -1 }
#define AUDIT_SOCKET "/dev/log" /* syslog(3), _PATH_LOG */

int audit_open(struct audit *audit, const char *path, int flags);
int audit_write(const struct audit *audit, const struct audit_event *event);
size_t audit_format(char *line, size_t size, const struct audit_event *event);
