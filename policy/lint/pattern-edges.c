#include "policy/lint/pattern-edges.h"

#include <string.h>

/* The length of the fixed text before the first wildcard. */
size_t pattern_get_beginning_length(const char *pattern) {
    return strcspn(pattern, "*?[");
}

/* The length of the fixed text after the last wildcard. */
size_t pattern_get_end_length(const char *pattern) {
    size_t length = strlen(pattern), n = 0;

    while (n < length && strchr("*?]", pattern[length - 1 - n]) == NULL)
        n++;
    return n;
}
