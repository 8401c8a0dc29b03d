#include "policy/lint/contradiction.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "policy/name-pattern.h"

#define BAD_LABEL "has a label that is empty, or that begins or ends with a hyphen"

static bool char_is_edge(char c) {
    return c == '-' || c == '.';
}

/*
 * Returns why no valid host name (RFC 1123) matches @pattern, which has a wildcard; NULL: some
 * names may match. If the reason is a character that no such name has, *@invalidp is it, else '\0'.
 */
const char *contradiction_find(const char *pattern, char *invalidp) {
    size_t n = 0, n_label = 0; /* characters that a name must have at least */
    char before = '.';         /* '\0': any character */

    *invalidp = '\0';
    for (const char *at = pattern; *at != '\0'; at = pattern_skip_element(at)) {
        if (strchr("*?[", *at) != NULL) {
            before = '\0';
            n += *at != '*';
            n_label = 0;
            continue;
        }
        if (!name_char_is_alphanumeric(*at) && !char_is_edge(*at)) {
            *invalidp = *at;
            return "has a character that no valid host name has";
        }
        if (char_is_edge(*at) && (before == '.' || (*at == '.' && before == '-')))
            return BAD_LABEL;
        n++;
        n_label = *at == '.' ? 0 : n_label + 1;
        if (n_label > NAME_LABEL_MAX)
            return "has a label of more than 63 bytes";
        before = *at;
    }
    if (char_is_edge(before))
        return BAD_LABEL;
    return n > NAME_LENGTH_MAX ? "needs more than 64 bytes" : NULL;
}
