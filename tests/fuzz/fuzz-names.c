/*
 * Input: a pattern and a name, separated by NUL. The results of name-pattern.c are compared with
 * functions that are slow and simple.
 */

#include <ctype.h>

#include "policy/lint/subsumption.h"
#include "policy/lint/contradiction.h"
#include "policy/syntax-hints.h"
#include "policy/name-pattern.h"
#include "tests/fuzz/fuzz.h"

/* True if the first element of @pattern matches @c; sets *@nextp to the next element. */
static bool element_matches_slowly(const char *pattern, char c, const char **nextp) {
    bool is_negated = pattern[0] == '[' && pattern[1] == '!', is_in = false;
    const char *at = pattern + 1 + is_negated;

    *nextp = pattern + 1;
    if (pattern[0] != '[')
        return pattern[0] == '?' || tolower(pattern[0]) == tolower(c);
    for (; *at != ']'; at++) {
        char high = at[1] == '-' && at[2] != ']' ? at[2] : at[0];

        is_in |= tolower(c) >= tolower(at[0]) && tolower(c) <= tolower(high);
        at += high != at[0] || (at[1] == '-' && at[2] != ']') ? 2 : 0;
    }
    *nextp = at + 1;
    return is_in != is_negated;
}

static bool matches_slowly(const char *pattern, const char *name, unsigned *patience) {
    const char *next;

    if (*patience == 0 || *pattern == '\0')
        return *patience > 0 && *name == '\0';
    (*patience)--;
    if (*pattern == '*')
        return matches_slowly(pattern + 1, name, patience) ||
               (*name != '\0' && matches_slowly(pattern, name + 1, patience));
    return *name != '\0' && element_matches_slowly(pattern, *name, &next) &&
           matches_slowly(next, name + 1, patience);
}

/* RFC 1123, section 2.1, in another way: splits at the dots and checks each label. */
static bool is_rfc1123_slowly(const char *name) {
    size_t length = strlen(name);

    if (length == 0 || length > 64)
        return false;
    for (const char *label = name;; label += strcspn(label, ".") + 1) {
        size_t n = strcspn(label, ".");

        if (n == 0 || n > 63 || label[0] == '-' || label[n - 1] == '-')
            return false;
        for (size_t i = 0; i < n; i++)
            if (!isascii((unsigned char)label[i]) ||
                (!isalnum((unsigned char)label[i]) && label[i] != '-'))
                return false;
        if (label[n] == '\0')
            return true;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct input input = {bytes, bytes + size};
    CLEANUP_FREE char *pattern = input_string(&input), *name = input_string(&input);
    unsigned patience = 100000;
    size_t offset;
    char invalid;

    MUST(name_is_rfc1123(name) == is_rfc1123_slowly(name));
    MUST(!name_is_rfc1123(name) || name_is_printable(name));
    (void)syntax_hint_for_pattern(pattern, &offset);
    (void)syntax_hint_for_subject(pattern, &offset);
    if (pattern_find_error(pattern, &offset) != NULL) {
        MUST(offset <= strlen(pattern));
        return 0;
    }
    if (strlen(name) <= 64) {
        bool matches = pattern_matches(pattern, name);
        bool expected = matches_slowly(pattern, name, &patience);

        MUST(patience == 0 || matches == expected);
        MUST(!matches || !name_is_rfc1123(name) || !pattern_is_wildcard(pattern) ||
             contradiction_find(pattern, &invalid) == NULL);
    }
    if (strlen(pattern) <= 64)
        MUST(subsumption_of_pattern(pattern, pattern));
    return 0;
}
