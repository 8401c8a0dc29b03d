/*
 * The log. Runs in the session, before and behind its seccomp filter, and in the service, as the
 * user. Needs no privilege.
 *
 * It does not use syslog(3). That allocates memory, reads the time zone's file and may connect
 * again, and which system calls it makes differs between C libraries; the session's filter permits
 * none of them. Of the protocol (RFC 3164) it needs one record, "<priority>tag[pid]: text", to
 * which the daemon adds the time.
 */

#include "broker/audit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "utsbroker/channel.h"

enum { AUDIT_LINE_SIZE = 2048 };

struct line {
    char *bytes;
    size_t size;
    size_t length;
};

/* Appends text; cuts it off at the end of the buffer. */
__attribute__((format(printf, 2, 3))) static void line_add(struct line *line, const char *format,
                                                           ...) {
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(line->bytes + line->length, line->size - line->length, format, arguments);
    va_end(arguments);
    if (n > 0)
        line->length += (size_t)n;
    if (line->length >= line->size)
        line->length = line->size - 1;
}

/*
 * Appends key="value". All but printable ASCII, and quote and backslash, becomes \xHH: so no value
 * can forge a field or a line.
 */
static void line_add_quoted(struct line *line, const char *key, const char *value) {
    if (value == NULL) {
        line_add(line, " %s=-", key);
        return;
    }
    line_add(line, " %s=\"", key);
    for (; *value != '\0'; value++) {
        if (*value < ' ' || *value > '~' || *value == '"' || *value == '\\')
            line_add(line, "\\x%02x", (unsigned char)*value);
        else
            line_add(line, "%c", *value);
    }
    line_add(line, "\"");
}

/* The first word of a line. */
static const char *kind_word(enum audit_kind kind) {
    switch (kind) {
    case AUDIT_GRANT:
        return "grant";
    case AUDIT_FAILURE:
        return "failure";
    case AUDIT_END:
        return "end";
    case AUDIT_POLICY:
        return "policy-error";
    case AUDIT_REFUSAL:
    default:
        return "refusal";
    }
}

static int kind_priority(enum audit_kind kind) {
    return LOG_AUTHPRIV | (kind == AUDIT_GRANT || kind == AUDIT_END ? LOG_NOTICE : LOG_WARNING);
}

/* Appends the names that the request asks for, and the rule that decided. */
static void line_add_request(struct line *line, const struct audit_event *event) {
    line_add_quoted(line, "hostname", event->hostname);
    line_add_quoted(line, "domainname", event->domainname);
    if (event->rule != NULL) {
        char rule[512];

        (void)snprintf(rule, sizeof(rule), "%s:%u", event->rule->file, event->rule->line);
        line_add_quoted(line, "rule", rule);
    } else {
        line_add_quoted(line, "rule", NULL);
    }
}

static void line_add_number(struct line *line, const char *key, bool is_known, int number) {
    if (is_known)
        line_add(line, " %s=%d", key, number);
    else
        line_add(line, " %s=-", key);
}

/*
 * Writes the text of @event to @line: a word, then key=value pairs. The text ends with NUL and is
 * cut off at @size. Returns its length. Makes no system call.
 */
size_t audit_format(char *line, size_t size, const struct audit_event *event) {
    struct line text = {.bytes = line, .size = size};

    line_add(&text, "%s", kind_word(event->kind));
    line_add_quoted(&text, "user", event->user);
    line_add(&text, " uid=%u", (unsigned)event->uid);
    if (event->kind != AUDIT_END && event->kind != AUDIT_POLICY)
        line_add_request(&text, event);
    if (event->kind != AUDIT_POLICY)
        line_add_number(&text, "pid", event->pid > 0, (int)event->pid);
    line_add(&text, " mode=%s", event->mode);
    if (event->kind == AUDIT_END) {
        line_add_number(&text, "exit", WIFEXITED(event->wait_status),
                        WEXITSTATUS(event->wait_status));
        line_add_number(&text, "signal", WIFSIGNALED(event->wait_status),
                        WTERMSIG(event->wait_status));
    } else {
        line_add_quoted(&text, "reason", event->reason);
    }
    return text.length;
}

/* Returns a connected socket, or a negative errno. */
static int connect_log(const char *path, int type) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 2};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    int error;

    if (fd < 0)
        return -errno;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    /* A log daemon that hangs must not delay a launch for ever. */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    error = errno;
    (void)close(fd);
    return -error;
}

/* True if there is no daemon, or it has ended. A user cannot cause either. */
static bool is_daemon_absent(int error) {
    return error == -ENOENT || error == -ECONNREFUSED;
}

/*
 * Connects to the log daemon's socket at @path. With SOCK_NONBLOCK in @flags, audit_write() does
 * not wait for the daemon. Must be called before filter_load(). If there is no daemon,
 * audit_write() does nothing.
 *
 * Returns 0, or a negative errno for any other failure, such as -EMFILE. A user could cause such a
 * failure to keep grants out of the log, so the caller must refuse.
 */
int audit_open(struct audit *audit, const char *path, int flags) {
    *audit = (struct audit){.pid = getpid(), .fd = connect_log(path, SOCK_DGRAM | flags)};
    if (audit->fd == -EPROTOTYPE) {
        audit->fd = connect_log(path, SOCK_STREAM | flags);
        audit->is_stream = true;
    }
    return audit->fd >= 0 || is_daemon_absent(audit->fd) ? 0 : audit->fd;
}

/*
 * Sends the line of @event to the log, by one sendmsg(2). Allocates nothing. Returns 0 if the
 * daemon has the line or there is no daemon; a negative errno: -EAGAIN if the daemon did not take
 * it within two seconds, -ECONNREFUSED or -EPIPE if the daemon has ended since audit_open().
 */
int audit_write(const struct audit *audit, const struct audit_event *event) {
    char record[AUDIT_LINE_SIZE];
    size_t length;
    int n;

    if (audit->fd < 0)
        return 0;
    n = snprintf(record, sizeof(record), "<%d>utsbroker[%d]: ", kind_priority(event->kind),
                 (int)audit->pid);
    if (n < 0)
        return -EINVAL;
    length = (size_t)n;
    length += audit_format(record + length, sizeof(record) - length, event);
    /* On a stream the NUL ends the record. */
    return channel_send(audit->fd, record, length + (audit->is_stream ? 1 : 0), NULL, 0);
}
