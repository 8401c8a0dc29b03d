#pragma once

/*
 * The file of what lives (LEDGER_LIVE_PATH): the ledger writes it, and reads it when it starts
 * again; utsrun --ps reads it. All users can read it, as they can read /proc.
 *
 * The first line is LIVE_HEADER. Each other line is a command:
 *
 *    STATE PID START UID MODE SINCE KEY LINE "FILE" "HOSTNAME" "DOMAINNAME" "USER" "COMMAND"
 *
 *    STATE   '+' it lives; '.' it has ended, and its end is not in the log yet; '-' it is gone
 *    START   which process has the pid: 'i' and the inode of its pidfd (Linux 6.9), or 't' and its
 *            start time, in ticks (proc(5), /proc/PID/stat)
 *    MODE    'd' direct mode, 's' service mode
 *    SINCE   seconds since the epoch
 *    KEY     the key of the rule's meaning, in hexadecimal digits; LINE is the rule's line in FILE
 *
 * A value in quotes has \xHH for all but printable ASCII, and for quote and backslash; empty: none.
 * STATE changes in place. A line that does not end in a newline is being written.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "utsbroker/ledger.h"

#define LIVE_HEADER "utsbroker-live 1\n"

/* More than the longest line, its newline and a NUL have. */
enum { LIVE_LINE_SIZE = 4096 };

enum live_state { LIVE_RUNS = '+', LIVE_ENDED = '.', LIVE_GONE = '-' };

struct live_command {
    enum live_state state;
    pid_t pid;
    char start_kind; /* 'i' or 't' */
    uint64_t start;
    uid_t uid;
    bool is_service;
    int64_t since;
    uint64_t rule_key;
    uint32_t rule_line;
    char rule_file[PROTOCOL_RULE_FILE_SIZE];
    char hostname[PROTOCOL_NAME_SIZE];
    char domainname[PROTOCOL_NAME_SIZE];
    char user[LEDGER_USER_SIZE];
    char command[PROTOCOL_COMMAND_SIZE];
};

static inline int live_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes a number of @base, at most @max, with a blank after it. */
static inline bool live_take_number(const char **atp, unsigned base, uint64_t max,
                                    uint64_t *numberp) {
    const char *at = *atp;
    uint64_t number = 0;

    for (int digit = live_digit(*at); digit >= 0; digit = live_digit(*++at)) {
        if ((unsigned)digit >= base || number > (max - (unsigned)digit) / base)
            return false;
        number = number * base + (unsigned)digit;
    }
    if (at == *atp || *at != ' ')
        return false;
    *numberp = number;
    *atp = at + 1;
    return true;
}

/* Takes a value in quotes with the character @after after it. */
static inline bool live_take_quoted(const char **atp, char *value, size_t size, char after) {
    const char *at = *atp;
    size_t n = 0;

    if (*at++ != '"')
        return false;
    for (; *at != '"'; n++) {
        int c = (unsigned char)*at++;

        if (c < ' ' || c > '~' || n + 1 >= size)
            return false;
        if (c == '\\') {
            if (at[0] != 'x' || live_digit(at[1]) < 0 || live_digit(at[2]) < 0)
                return false;
            c = live_digit(at[1]) * 16 + live_digit(at[2]);
            at += 3;
        }
        if (c == '\0')
            return false;
        value[n] = (char)c;
    }
    if (at[1] != after)
        return false;
    value[n] = '\0';
    *atp = at + 2;
    return true;
}

/* Takes one character of @allowed with a blank after it. */
static inline bool live_take_letter(const char **atp, const char *allowed, char *letterp) {
    *letterp = **atp;
    if (*letterp == '\0' || strchr(allowed, *letterp) == NULL || (*atp)[1] != ' ')
        return false;
    *atp += 2;
    return true;
}

/*
 * Parses one line of the file, up to its newline. Returns true with *@commandp, whose state may be
 * LIVE_GONE; what follows a string's end in it is 0.
 */
static inline bool live_parse(const char *line, struct live_command *commandp) {
    struct live_command c = {.pid = 0};
    uint64_t pid, uid, since, rule_line;
    char state, mode;

    if (!live_take_letter(&line, "+.-", &state) || !live_take_number(&line, 10, INT32_MAX, &pid))
        return false;
    c.start_kind = *line;
    if ((c.start_kind != 'i' && c.start_kind != 't') || *++line == '\0' ||
        !live_take_number(&line, 10, UINT64_MAX, &c.start) ||
        !live_take_number(&line, 10, UINT32_MAX - 1, &uid) ||
        !live_take_letter(&line, "ds", &mode) || !live_take_number(&line, 10, INT64_MAX, &since) ||
        !live_take_number(&line, 16, UINT64_MAX, &c.rule_key) ||
        !live_take_number(&line, 10, UINT32_MAX, &rule_line) ||
        !live_take_quoted(&line, c.rule_file, sizeof(c.rule_file), ' ') ||
        !live_take_quoted(&line, c.hostname, sizeof(c.hostname), ' ') ||
        !live_take_quoted(&line, c.domainname, sizeof(c.domainname), ' ') ||
        !live_take_quoted(&line, c.user, sizeof(c.user), ' ') ||
        !live_take_quoted(&line, c.command, sizeof(c.command), '\n') || pid == 0)
        return false;
    c.state = (enum live_state)state;
    c.pid = (pid_t)pid;
    c.uid = (uid_t)uid;
    c.is_service = mode == 's';
    c.since = (int64_t)since;
    c.rule_line = (uint32_t)rule_line;
    *commandp = c;
    return true;
}
