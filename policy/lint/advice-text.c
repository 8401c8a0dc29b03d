#include "policy/lint/advice-text.h"

#include <stdarg.h>
#include <stdio.h>

/* Appends to the advice. */
void advice_print(struct advice *advice, const char *format, ...) {
    size_t room = sizeof(advice->text) - advice->length;
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(advice->text + advice->length, room, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= room) {
        advice->text[advice->length] = '\0';
        advice->is_lost = true;
        return;
    }
    advice->length += (size_t)n;
}

/* Appends the bytes from @begin to before @end. */
void advice_print_part(struct advice *advice, const char *begin, const char *end) {
    advice_print(advice, "%.*s", (int)(end - begin), begin);
}
