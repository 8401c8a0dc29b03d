#include "launcher/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "launcher/error.h"
#include "launcher/program.h"

static int output = STDERR_FILENO;

/*
 * Writes the program's name, the text and a line end to standard error, with one write. Replaces
 * what is not printable by '?': a name from a stranger must not control the terminal.
 */
void message(const char *format, ...) {
    char text[1024], line[sizeof(text) + 32];
    int n;
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    for (char *c = text; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    n = snprintf(line, sizeof(line), "%s: %s\n", program.name, text);
    if (write(output, line, (size_t)n) < 0)
        return; /* nobody can be told */
}

/* Has all messages go to @fd instead of standard error. */
void message_redirect(int fd) {
    output = fd;
}

/*
 * Says that @what happened because of @error, an errno, and how to fix it: by @fix, unless the
 * error says that a resource is short.
 */
void message_failure(const char *what, int error, const char *fix) {
    const char *shortage_fix = error_find_fix(error);

    message("%s: %s; %s", what, error_describe(error), shortage_fix != NULL ? shortage_fix : fix);
}
