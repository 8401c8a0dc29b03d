#pragma once

/* A line of the log, as text: for the ledger, and for a session on a machine without one. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "utsbroker/ledger.h"

enum { LOG_LINE_SIZE = 6144 /* the longest line, with every byte escaped, and a NUL */ };

/* The values of a line. NULL and 0 mean "none" or "not known". Strings may hold any byte. */
struct log_line {
    enum ledger_kind kind;
    const char *user;
    uid_t uid;
    const char *hostname;
    const char *domainname;
    const char *rule_file;
    uint32_t rule_line;
    pid_t pid;
    enum ledger_mode mode;
    const char *command;
    const char *reason;
    bool has_status;
    int wait_status;   /* wait(2); of an end */
    unsigned n_missed; /* how many lines before this one were not written */
};

/* @string, of a field in which an empty one means "none", as a line has it. */
static inline const char *log_line_value(const char *string) {
    return string[0] != '\0' ? string : NULL;
}

size_t log_line_format(char *text, size_t size, const struct log_line *line);
void log_line_from_event(struct log_line *line, const struct ledger_event *event, uid_t uid);
int log_line_priority(enum ledger_kind kind);
