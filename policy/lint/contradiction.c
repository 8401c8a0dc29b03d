#include "policy/lint/contradiction.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "policy/name-pattern.h"

static bool char_is_of_names(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.';
}

static bool char_is_edge(char c) {
    return c == '-' || c == '.';
}

/*
 * Why no name of RFC 1123 matches @pattern, which has a wildcard; NULL: some may. *@culpritp is the
 * character that is in none, or '\0'.
 */
const char *contradiction_find(const char *pattern, char *culpritp) {
    size_t n = 0, n_label = 0; /* characters that must be there */
    char before = '.';         /* '\0': it may be any */

    *culpritp = '\0';
    for (const char *at = pattern; *at != '\0'; at++) {
        if (*at == '[')
            at = strchr(at, ']');
        if (*at == '*' || *at == '?' || *at == ']') {
            before = '\0';
            n += *at != '*';
            n_label = 0;
            continue;
        }
        if (!char_is_of_names(*at)) {
            *culpritp = *at;
            return "has a character that none of them has";
        }
        if (char_is_edge(*at) && (before == '.' || (*at == '.' && before == '-')))
            return "has a label that is empty or has a hyphen at its edge";
        n++;
        n_label = *at == '.' ? 0 : n_label + 1;
        if (n_label > NAME_LABEL_MAX)
            return "has a label that is too long";
        before = *at;
    }
    if (char_is_edge(before))
        return "has a label that is empty or has a hyphen at its edge";
    return n > NAME_LENGTH_MAX ? "asks for more than 64 bytes" : NULL;
}
