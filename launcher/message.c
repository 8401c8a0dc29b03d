#include "launcher/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * Writes "utsrun: ", the text and a line end to standard error in one piece. Bytes that are not
 * printable become '?', so that a foreign name cannot control a terminal.
 */
void message(const char *format, ...) {
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    for (char *c = text; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    (void)fprintf(stderr, "utsrun: %s\n", text);
}

/* What to do against @error, an errno, if it is a shortage; NULL: it is none. */
const char *message_find_shortage_hint(int error) {
    switch (error) {
    case EAGAIN:
        return "too many processes: end some, or raise the limit (ulimit -u, a cgroup's pids.max)";
    case EMFILE:
    case ENFILE:
        return "too many open files: close some, or raise the limit (ulimit -n)";
    case ENOMEM:
        return "not enough memory: end some processes, or raise the limit (ulimit -v, a cgroup's "
               "memory.max)";
    case EFBIG:
        return "files may not be as large: raise the limit (ulimit -f)";
    case E2BIG:
        return "use fewer arguments, or a smaller environment";
    case ETOOMANYREFS:
        return "too many descriptors are on their way: try again, or raise the limit (ulimit -n)";
    default:
        return NULL;
    }
}

/* The text of @error, an errno: strerror(3), and the one that musl lacks. */
const char *message_error_text(int error) {
    return error == ETOOMANYREFS ? "Too many references" : strerror(error);
}

/*
 * Says that @what failed because of @error, an errno, and what to do: about a shortage if it is
 * one, else @otherwise.
 */
void message_failure(const char *what, int error, const char *otherwise) {
    const char *hint = message_find_shortage_hint(error);

    message("%s: %s; %s", what, message_error_text(error), hint != NULL ? hint : otherwise);
}
