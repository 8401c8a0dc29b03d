#include "policy/name-pattern.h"

#include <string.h>

/* Not <ctype.h>: what a name is must not depend on a locale. */
static bool char_is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Not <ctype.h> either. */
char name_char_to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool char_is_printable(char c) {
    return c >= ' ' && c <= '~';
}

/*
 * True if @name is 1 to 64 bytes of printable ASCII: the least that any name must be. No control
 * character passes, and nothing that a terminal or a log could take for something else.
 */
bool name_is_printable(const char *name) {
    size_t length = 0;

    for (; name[length] != '\0'; length++)
        if (length == NAME_LENGTH_MAX || !char_is_printable(name[length]))
            return false;
    return length > 0;
}

/*
 * True if @name is a host name of RFC 1123, section 2.1, that the kernel can hold: labels of
 * letters, digits and hyphens, no hyphen at a label's edge, 63 bytes a label, 64 in all.
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
        if (!char_is_alphanumeric(c) && (c != '-' || label == 0))
            return false;
        if (++label > NAME_LABEL_MAX)
            return false;
    }
    return label > 0 && name[length - 1] != '-';
}

/* True if @pattern has a wildcard: it then stands for many names and spells out none. */
bool pattern_is_wildcard(const char *pattern) {
    return strpbrk(pattern, "*?[") != NULL;
}

static bool char_is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* As case is ignored, a range from a letter to something else would mean what nobody expects. */
static bool range_is_plain(char low, char high) {
    return char_is_alphanumeric(low) && char_is_alphanumeric(high) &&
           char_is_digit(low) == char_is_digit(high) &&
           name_char_to_lower(low) <= name_char_to_lower(high);
}

/*
 * Looks for what is wrong with @pattern. Returns NULL if nothing is, else what is, as a constant
 * string, with *@offsetp the byte where it begins.
 */
const char *pattern_find_error(const char *pattern, size_t *offsetp) {
    unsigned char seen[256];
    size_t i = 0;

    *offsetp = 0;
    if (pattern[0] == '\0')
        return "an empty pattern matches no name";
    while (pattern[i] != '\0') {
        if (pattern[i++] != '[')
            continue;
        *offsetp = i - 1;
        if (pattern[i] == '^')
            return "[^ has no meaning: write [! for what is not in the set";
        if (pattern[i] == '!')
            i++;
        if (pattern[i] == ']')
            return "an empty set: write characters between [ and ]";
        memset(seen, 0, sizeof(seen));
        for (; pattern[i] != ']'; i++) {
            if (pattern[i] == '\0')
                return "[ without ]";
            if (pattern[i] == '[')
                return pattern[i + 1] == ':' ? "[:classes:] do not exist: a digit is [0-9]"
                                             : "[ inside a set";
            if (seen[(unsigned char)pattern[i]]++ != 0)
                return "a set is for one character, and has one twice; 01 to 40 would be 0[1-9] "
                       "[1-3][0-9] 40";
            if (pattern[i + 1] != '-' || pattern[i + 2] == ']' || pattern[i + 2] == '\0')
                continue;
            if (!range_is_plain(pattern[i], pattern[i + 2]))
                return "a range goes from letter to letter or from digit to digit, upwards";
            i += 2;
        }
        i++;
    }
    *offsetp = 0;
    if (!pattern_is_wildcard(pattern) && i > NAME_LENGTH_MAX)
        return "longer than the 64 bytes that a name can have";
    return NULL;
}

/*
 * Matches @c, in lower case, against the set that begins behind the [ at @set. Moves *@endp behind
 * the ]. The set is well-formed: pattern_find_error() saw it.
 */
static bool set_contains(const char *set, char c, const char **endp) {
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

/* Matches one element of a pattern (not a star) against @c; moves *@patternp behind it. */
static bool element_matches(const char **patternp, char c) {
    const char *pattern = *patternp;

    if (*pattern == '[')
        return set_contains(pattern + 1, name_char_to_lower(c), patternp);
    *patternp = pattern + 1;
    return *pattern == '?' || name_char_to_lower(*pattern) == name_char_to_lower(c);
}

/*
 * True if @pattern matches the whole of @name; letters match in either case. `*` stands for any
 * number of characters, dots included, `?` for one, `[a-z]` for one of a set, `[!a-z]` for one that
 * is not. @pattern is one in which pattern_find_error() found nothing.
 *
 * Cost: at most strlen(pattern) * strlen(name) steps. When a match fails only the last star can
 * take one character more; an earlier star would only repeat what the last one has tried.
 */
bool pattern_matches(const char *pattern, const char *name) {
    const char *behind_star = NULL;
    const char *star_name = NULL;

    while (*name != '\0' || *pattern == '*') {
        if (*pattern == '*') {
            behind_star = ++pattern;
            star_name = name;
            continue;
        }
        if (*pattern != '\0' && element_matches(&pattern, *name)) {
            name++;
            continue;
        }
        if (behind_star == NULL)
            return false;
        pattern = behind_star;
        name = ++star_name;
    }
    return *pattern == '\0';
}
