#include "broker/log-line.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <syslog.h>

struct text {
    char *bytes;
    size_t size;
    size_t length;
};

/* Appends text; cuts it off at the end of the buffer. */
__attribute__((format(printf, 2, 3))) static void text_add(struct text *text, const char *format,
                                                           ...) {
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(text->bytes + text->length, text->size - text->length, format, arguments);
    va_end(arguments);
    if (n > 0)
        text->length += (size_t)n;
    if (text->length >= text->size)
        text->length = text->size - 1;
}

static void text_put(struct text *text, char byte) {
    if (text->length + 1 >= text->size)
        return;
    text->bytes[text->length++] = byte;
    text->bytes[text->length] = '\0';
}

/*
 * Appends key="value". All but printable ASCII, and quote and backslash, becomes \xHH: so no value
 * can forge a field or a line.
 */
static void text_add_quoted(struct text *text, const char *key, const char *value) {
    if (value == NULL) {
        text_add(text, " %s=-", key);
        return;
    }
    text_add(text, " %s=\"", key);
    for (; *value != '\0'; value++) {
        if (*value < ' ' || *value > '~' || *value == '"' || *value == '\\')
            text_add(text, "\\x%02x", (unsigned char)*value);
        else
            text_put(text, *value);
    }
    text_add(text, "\"");
}

/* The first word of a line. */
static const char *kind_word(enum ledger_kind kind) {
    switch (kind) {
    case LEDGER_ENTER:
        return "grant";
    case LEDGER_FAILURE:
        return "failure";
    case LEDGER_END:
        return "end";
    case LEDGER_REFUSAL:
    case LEDGER_KIND_COUNT:
    default:
        return "refusal";
    }
}

/* The priority of syslog(3) for a line of @kind. */
int log_line_priority(enum ledger_kind kind) {
    return LOG_AUTHPRIV | (kind == LEDGER_ENTER || kind == LEDGER_END ? LOG_NOTICE : LOG_WARNING);
}

static void text_add_rule(struct text *text, const struct log_line *line) {
    char rule[PROTOCOL_RULE_FILE_SIZE + 16];

    (void)snprintf(rule, sizeof(rule), "%s:%u", line->rule_file, line->rule_line);
    text_add_quoted(text, "rule", rule);
}

static void text_add_number(struct text *text, const char *key, bool is_known, int number) {
    if (is_known)
        text_add(text, " %s=%d", key, number);
    else
        text_add(text, " %s=-", key);
}

/*
 * Writes @line to @text: a word, then key=value pairs. The text ends with NUL and is cut off at
 * @size, which never happens with LOG_LINE_SIZE. Returns its length. Makes no system call.
 */
size_t log_line_format(char *text, size_t size, const struct log_line *line) {
    struct text out = {.bytes = text, .size = size};
    int status = line->wait_status;

    text_add(&out, "%s", kind_word(line->kind));
    text_add_quoted(&out, "user", line->user);
    text_add(&out, " uid=%u", (unsigned)line->uid);
    text_add_quoted(&out, "hostname", line->hostname);
    text_add_quoted(&out, "domainname", line->domainname);
    if (line->rule_file != NULL)
        text_add_rule(&out, line);
    else
        text_add_quoted(&out, "rule", NULL);
    text_add_number(&out, "pid", line->pid > 0, (int)line->pid);
    text_add(&out, " mode=%s", line->mode == LEDGER_SERVICE ? "service" : "direct");
    text_add_quoted(&out, "command", line->command);
    if (line->kind == LEDGER_END) {
        text_add_number(&out, "exit", line->has_status && WIFEXITED(status), WEXITSTATUS(status));
        text_add_number(&out, "signal", line->has_status && WIFSIGNALED(status), WTERMSIG(status));
    } else {
        text_add_quoted(&out, "reason", line->reason);
    }
    if (line->n_missed > 0)
        text_add(&out, " missed=%u", line->n_missed);
    return out.length;
}

/* Fills @line from @event, whose strings it points to; @uid is the user's. The pid of an enter is
 * not in the event: it is the caller's to add. */
void log_line_from_event(struct log_line *line, const struct ledger_event *event, uid_t uid) {
    *line = (struct log_line){
        .kind = (enum ledger_kind)event->kind,
        .user = log_line_value(event->user),
        .uid = uid,
        .hostname = log_line_value(event->hostname),
        .domainname = log_line_value(event->domainname),
        .rule_file = log_line_value(event->rule_file),
        .rule_line = event->rule_line,
        .pid = event->pid,
        .mode = (enum ledger_mode)event->mode,
        .command = event->names != 0 ? event->command : NULL,
        .reason = log_line_value(event->reason),
        .has_status = event->kind == LEDGER_END,
        .wait_status = event->wait_status,
    };
}
