#include "launcher/status.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Large enough for two names and a path, of which each byte may need six (\u00XX). */
struct text {
    char bytes[4096];
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *text, const char *format,
                                                           ...) {
    const size_t room = sizeof(text->bytes) - text->length;
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(text->bytes + text->length, room, format, arguments);
    va_end(arguments);
    if (n > 0)
        text->length += (size_t)n < room ? (size_t)n : room - 1;
}

/* Adds ,"key":"value", or null. Writes a byte that is not ASCII as the Latin-1 character. */
static void text_add_string(struct text *text, const char *key, const char *value) {
    text_add(text, ",\"%s\":", key);
    if (value == NULL) {
        text_add(text, "null");
        return;
    }
    text_add(text, "\"");
    for (; *value != '\0'; value++) {
        if (*value < ' ' || *value > '~' || *value == '"' || *value == '\\')
            text_add(text, "\\u%04x", (unsigned char)*value);
        else
            text_add(text, "%c", *value);
    }
    text_add(text, "\"");
}

/* Writes the line with one write, or drops it if nobody reads: the command must not wait. */
static void text_send(struct text *text, const struct options *options) {
    struct pollfd room = {.fd = options->status_fd, .events = POLLOUT};

    text_add(text, "}\n");
    if (poll(&room, 1, 0) != 1 || (room.revents & POLLERR) != 0 ||
        write(options->status_fd, text->bytes, text->length) < 0)
        return;
}

/* Writes that the command runs, by @reply, in @mode ("direct" or "service"). */
void status_write_running(const struct options *options, const struct protocol_reply *reply,
                          const char *mode) {
    char rule[PROTOCOL_RULE_FILE_SIZE + 16];
    struct text text = {.length = 0};

    if (options->status_fd < 0)
        return;
    (void)snprintf(rule, sizeof(rule), "%s:%" PRIu32, reply->rule_file, reply->rule_line);
    text_add(&text, "{\"event\":\"running\",\"pid\":%d", (int)reply->pid);
    if (reply->uts_namespace != 0)
        text_add(&text, ",\"uts\":%" PRIu64, reply->uts_namespace);
    else
        text_add(&text, ",\"uts\":null");
    text_add_string(&text, "hostname", options->hostname);
    text_add_string(&text, "domainname", options->domainname);
    text_add_string(&text, "mode", mode);
    text_add_string(&text, "rule", rule);
    text_send(&text, options);
}

/* Writes that the command ended with @wait_status (wait(2)). */
void status_write_end(const struct options *options, int wait_status) {
    struct text text = {.length = 0};

    if (options->status_fd < 0)
        return;
    if (WIFSIGNALED(wait_status))
        text_add(&text, "{\"event\":\"ended\",\"exit\":null,\"signal\":%d", WTERMSIG(wait_status));
    else
        text_add(&text, "{\"event\":\"ended\",\"exit\":%d,\"signal\":null",
                 WEXITSTATUS(wait_status));
    text_send(&text, options);
}

/* Writes that the command ended, but not how: no process could wait for it. */
void status_write_unknown_end(const struct options *options) {
    struct text text = {.length = 0};

    if (options->status_fd < 0)
        return;
    text_add(&text, "{\"event\":\"ended\",\"exit\":null,\"signal\":null");
    text_send(&text, options);
}
