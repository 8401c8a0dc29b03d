#include "policy/host-range.h"

#include "policy/name-pattern.h"

/*
 * Returns the byte after the host range that begins with the [ at @bracket; NULL: that is a set, or
 * not a bracket. A bracket of digits, commas and hyphens is a range if it has a comma, or a hyphen
 * next to a number of at least two digits. So [0-9], [12] and [0-9-] stay sets. [1-] is a range
 * that lacks a number.
 */
const char *host_range_find_end(const char *bracket) {
    const char *at = bracket;
    size_t n_digits = 0;
    bool is_range = false, follows_hyphen = false;

    if (*at != '[')
        return NULL;
    for (at++; *at != ']'; at++) {
        if (name_char_is_digit(*at)) {
            is_range |= ++n_digits == 2 && follows_hyphen;
        } else if (*at == '-' || *at == ',') {
            is_range |= *at == ',' || n_digits >= 2;
            is_range |= n_digits == 1 && at == bracket + 2 && at[1] == ']';
            follows_hyphen = *at == '-';
            n_digits = 0;
        } else {
            return NULL;
        }
    }
    return is_range ? at + 1 : NULL;
}

/* Returns the length of that range; 0: none. */
size_t host_range_get_length(const char *bracket) {
    const char *end = host_range_find_end(bracket);

    return end != NULL ? (size_t)(end - bracket) : 0;
}

/* True if the bracket at @bracket is a set like [12], by which others mean the number 12. */
bool host_range_is_lone_number(const char *bracket) {
    const char *at = bracket;

    if (*at != '[')
        return false;
    for (at++; name_char_is_digit(*at);)
        at++;
    return *at == ']' && at > bracket + 2;
}

/* Returns the first host range of @word, with *@endp the byte after its ]; NULL: none. */
const char *host_range_find_both(const char *word, const char **endp) {
    while (*word != '\0') {
        const char *end = *word == '[' ? host_range_find_end(word) : NULL;

        if (end != NULL) {
            *endp = end;
            return word;
        }
        if (*word == '[')
            while (*word != ']' && *word != '\0')
                word++;
        else
            word++;
    }
    return NULL;
}

/* Does the same without the end. */
const char *host_range_find(const char *word) {
    const char *end;

    return host_range_find_both(word, &end);
}

/* Reads the number at *@atp, which may have no digit, and moves *@atp to the byte after it. */
struct host_range_number host_range_read_number(const char **atp) {
    struct host_range_number number = {.start = *atp};
    const char *at = *atp;

    for (; name_char_is_digit(*at); at++) {
        if (number.width > HOST_RANGE_DIGITS_MAX)
            continue;
        number.value = number.value * 10 + (uint64_t)(*at - '0');
        number.width++;
    }
    *atp = at;
    return number;
}

static bool number_has_zeros(const struct host_range_number *number) {
    return number->width > 1 && *number->start == '0';
}

/* Returns what is wrong with @low-@high, at the second number. */
static const char *find_order_error(const struct host_range_number *low,
                                    const struct host_range_number *high) {
    if (low->width != high->width && (number_has_zeros(low) || number_has_zeros(high)))
        return "with leading zeros, both numbers of a range have the same number of digits: for 1 "
               "to 100 write [001-100] or [1-100]";
    return low->value > high->value ? "a range goes upwards: write the smaller number first" : NULL;
}

/* Looks for an error in the element of a list at *@atp; moves *@atp to the byte after it, or to the
 * error. */
static const char *find_element_error(const char **atp) {
    struct host_range_number low = host_range_read_number(atp), high = low;
    const char *wrong;

    if (low.width == 0)
        return **atp == '-' ? "a range needs a number before the hyphen, as in [01-16]"
                            : "a number is missing: write one on each side of a comma";
    if (**atp == '-') {
        ++*atp;
        high = host_range_read_number(atp);
        if (high.width == 0)
            return "a range needs a number after the hyphen, as in [01-16]";
        if (**atp == '-')
            return "a range has two numbers; write several ranges with commas, as in [01-04,07-09]";
    }
    if (low.width > HOST_RANGE_DIGITS_MAX || high.width > HOST_RANGE_DIGITS_MAX) {
        *atp = low.width > HOST_RANGE_DIGITS_MAX ? low.start : high.start;
        return "a number of more than 18 digits: write fewer digits in the brackets";
    }
    wrong = find_order_error(&low, &high);
    if (wrong != NULL)
        *atp = high.start;
    return wrong;
}

/* Looks for an error in the host range at *@atp; moves *@atp to its ], or to the error. */
static const char *find_range_error(const char **atp) {
    const char *wrong = NULL;

    while (wrong == NULL && (**atp == '[' || **atp == ',')) {
        ++*atp;
        wrong = find_element_error(atp);
    }
    return wrong;
}

/*
 * Looks for an error in @word, which has a host range. Returns NULL if there is none, else a
 * constant string that describes the error, with *@offsetp the byte at which it begins.
 */
const char *host_range_find_error(const char *word, size_t *offsetp) {
    const char *at = word, *wrong = NULL;
    size_t n_ranges = 0, n_outside = 0;

    while (wrong == NULL && *at != '\0') {
        const char *end = host_range_find_end(at);

        if (end != NULL) {
            wrong = ++n_ranges > HOST_RANGE_BRACKETS_MAX
                        ? "more than 8 ranges in one word: write several words"
                        : find_range_error(&at);
        } else {
            end = at + 1;
            if (*at == '[')
                wrong = pattern_find_set_error(at, &end);
            n_outside += (size_t)(end - at);
            if (wrong == NULL && n_outside > HOST_RANGE_OUTSIDE_MAX)
                wrong = "more than 256 bytes outside of the ranges: no name is so long";
        }
        at = wrong == NULL ? end : at;
    }
    *offsetp = wrong != NULL ? (size_t)(at - word) : 0;
    return wrong;
}
