#pragma once

/* The words that are advised, as far as a message has room for them. */

#include <stdbool.h>
#include <stddef.h>

/* If @text is too short for the advice, @is_lost is set, and there is none. */
struct advice {
    char text[96];
    size_t length;
    bool is_lost;
};

__attribute__((format(printf, 2, 3))) void advice_print(struct advice *advice, const char *format,
                                                        ...);
void advice_print_part(struct advice *advice, const char *begin, const char *end);
