#include "policy/name-pattern.h"

#include <string.h>

/* Without <ctype.h>, as the locale must not decide what a valid name is. */
bool name_char_is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool name_char_is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || name_char_is_digit(c);
}

/* Returns @c with an ASCII capital letter as a small one, whatever the locale. */
char name_char_to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool char_is_printable(char c) {
    return c >= ' ' && c <= '~';
}

/*
 * True if @name is 1 to 64 bytes of printable ASCII, which every name must be. So no name contains
 * a control character, or a byte that a terminal or a log could misread.
 */
bool name_is_printable(const char *name) {
    size_t length = 0;

    for (; name[length] != '\0'; length++)
        if (length == NAME_LENGTH_MAX || !char_is_printable(name[length]))
            return false;
    return length > 0;
}

/*
 * True if @name is a valid host name (RFC 1123, section 2.1) that the kernel can hold: labels of
 * letters, digits and hyphens, no hyphen at the start or end of a label, at most 63 bytes in a
 * label and 64 bytes in all.
 */
bool name_is_rfc1123(const char *name) {
    size_t length = 0;
    size_t label = 0;

    for (; name[length] != '\0'; length++) {
        char c = name[length];

        if (length == NAME_LENGTH_MAX)
            return false;
        if (c == '.') {
            if (label == 0 || name[length - 1] == '-')
                return false;
            label = 0;
            continue;
        }
        if (!name_char_is_alphanumeric(c) && (c != '-' || label == 0))
            return false;
        if (++label > NAME_LABEL_MAX)
            return false;
    }
    return label > 0 && name[length - 1] != '-';
}

/* True if @pattern has a wildcard: it then matches many names and spells out none. */
bool pattern_is_wildcard(const char *pattern) {
    return strpbrk(pattern, "*?[") != NULL;
}

/* Case is ignored, so a range from a letter to another kind of character would surprise people. */
static bool is_plain_range(char low, char high) {
    return name_char_is_alphanumeric(low) && name_char_is_alphanumeric(high) &&
           name_char_is_digit(low) == name_char_is_digit(high) &&
           name_char_to_lower(low) <= name_char_to_lower(high);
}

/*
 * Looks for an error in the set that begins with the [ at @set. Returns NULL if there is none, with
 * *@endp the byte after its ]; else a constant string that describes the error.
 */
const char *pattern_find_set_error(const char *set, const char **endp) {
    unsigned char seen[256] = {0};
    const char *at = set + 1;

    if (*at == '^')
        return "[^ is not supported: write [! to match what is not in the set";
    if (*at == '!')
        at++;
    if (*at == ']')
        return "an empty set: write characters between [ and ]";
    for (; *at != ']'; at++) {
        if (*at == '\0')
            return "[ without ]";
        if (*at == '[')
            return at[1] == ':' ? "[:classes:] are not supported: a digit is [0-9]"
                                : "[ inside a set";
        if (seen[(unsigned char)*at]++ != 0)
            return "a set matches one character, and this one lists a character twice; for the "
                   "numbers 01 to 40 write [01-40]";
        if (at[1] != '-' || at[2] == ']' || at[2] == '\0')
            continue;
        if (!is_plain_range(at[0], at[2]))
            return "a range goes from letter to letter or from digit to digit, upwards";
        at += 2;
    }
    *endp = at + 1;
    return NULL;
}

/*
 * Looks for an error in @pattern, which has no host range (host-range.h). Returns NULL if there is
 * none, else a constant string that describes the error, with *@offsetp the byte at which it
 * begins.
 */
const char *pattern_find_error(const char *pattern, size_t *offsetp) {
    const char *at = pattern;

    *offsetp = 0;
    if (*at == '\0')
        return "an empty pattern matches no name";
    while (*at != '\0') {
        const char *wrong = NULL;

        if (*at == '[')
            wrong = pattern_find_set_error(at, &at);
        else
            at++;
        if (wrong == NULL)
            continue;
        *offsetp = (size_t)(at - pattern);
        return wrong;
    }
    if (!pattern_is_wildcard(pattern) && at - pattern > NAME_LENGTH_MAX)
        return "longer than 64 bytes, the most that a name can have";
    return NULL;
}

/*
 * True if the set whose first byte after the [ is at @set matches @c, which is in lower case. Sets
 * *@endp to the byte after the ]. pattern_find_error() found no error in the set.
 */
static bool set_matches(const char *set, char c, const char **endp) {
    bool negated = *set == '!';
    bool found = false;

    if (negated)
        set++;
    while (*set != ']' && *set != '\0') {
        char low = name_char_to_lower(*set);
        char high = low;

        if (set[1] == '-' && set[2] != ']' && set[2] != '\0') {
            high = name_char_to_lower(set[2]);
            set += 2;
        }
        set++;
        if (c >= low && c <= high)
            found = true;
    }
    *endp = *set == ']' ? set + 1 : set;
    return found != negated;
}

/*
 * True if the first element of *@patternp matches @c; moves *@patternp to the next element. An
 * element is one character, `?`, or a set such as `[a-z]`; `*` counts as a character here.
 */
bool pattern_match_element(const char **patternp, char c) {
    const char *pattern = *patternp;

    if (*pattern == '[')
        return set_matches(pattern + 1, name_char_to_lower(c), patternp);
    *patternp = pattern + 1;
    return *pattern == '?' || name_char_to_lower(*pattern) == name_char_to_lower(c);
}

/* Returns the element of @pattern, which is not empty, after the first one; a `*` is one, too. */
const char *pattern_skip_element(const char *pattern) {
    (void)pattern_match_element(&pattern, '\0');
    return pattern;
}

/* Does what the next two functions say; the name ends at its NUL or before its first @end. */
static bool matches_until(const char *pattern, const char *name, char end) {
    const char *after_star = NULL;
    const char *star_name = NULL;

    while ((*name != '\0' && *name != end) || *pattern == '*') {
        if (*pattern == '*') {
            after_star = ++pattern;
            star_name = name;
            continue;
        }
        if (*pattern != '\0' && pattern_match_element(&pattern, *name)) {
            name++;
            continue;
        }
        if (after_star == NULL)
            return false;
        pattern = after_star;
        name = ++star_name;
    }
    return *pattern == '\0';
}

/*
 * True if @pattern matches the whole of @name; case is ignored. `*` matches any number of
 * characters, dots included; `?` matches one; `[a-z]` matches one that is in the set, `[!a-z]` one
 * that is not. pattern_find_error() found no error in @pattern.
 *
 * Cost: at most strlen(pattern) * strlen(name) steps. When a match fails, only the last star takes
 * one more character: an earlier star would only repeat what the last one tried.
 */
bool pattern_matches(const char *pattern, const char *name) {
    return matches_until(pattern, name, '\0');
}

/* Does the same with the first label of @name, that is, with what comes before its first dot. */
bool pattern_matches_first_label(const char *pattern, const char *name) {
    return matches_until(pattern, name, '.');
}
