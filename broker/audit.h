#pragma once

/* The log: one line for each grant and each refusal, to syslog's LOG_AUTHPRIV. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "policy/rules.h"

enum audit_kind {
    AUDIT_GRANT, /* the policy permits, and the gate is about to be released */
    AUDIT_REFUSAL,
    AUDIT_FAILURE, /* granted, but the command could not be executed */
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
};

struct audit {
    int fd; /* negative: no log daemon */
    bool is_stream;
    pid_t pid; /* of the broker: syslog's tag */
};

#define AUDIT_NULL                                                                                 \
    { .fd = -1 }
#define AUDIT_SOCKET "/dev/log" /* syslog(3), _PATH_LOG */

int audit_open(struct audit *audit, const char *path);
int audit_write(const struct audit *audit, const struct audit_event *event);
size_t audit_format(char *line, size_t size, const struct audit_event *event);
