#pragma once

/*
 * What a word of the policy matches, read in another way than policy/ does: ranges are never
 * expanded, digits of the name are compared with the numbers of the list. No error is in the word.
 */

#include "policy/name-pattern.h"
#include "tests/fuzz/fuzz.h"

enum { SLOW_NAME_MAX = 64 };

/* True if the bracket [...] of @n bytes is a list of numbers. */
static inline bool slow_is_range(const char *bracket, size_t n) {
    const char *list = bracket + 1;

    if (strspn(list, "0123456789,-") != n - 2)
        return false;
    if (memchr(list, ',', n - 2) != NULL)
        return true;
    for (size_t i = 0; i < n - 2; i++) {
        size_t before = i, after = strspn(list + i + 1, "0123456789");

        while (before > 0 && list[before - 1] != '-')
            before--;
        if (list[i] == '-' && (i - before >= 2 || after >= 2))
            return true;
    }
    return false;
}

/* Compares numbers without leading zeros. */
static inline int slow_compare(const char *a, size_t length_a, const char *b, size_t length_b) {
    return length_a != length_b ? (length_a > length_b) - (length_a < length_b)
                                : memcmp(a, b, length_a);
}

/* True if the @n digits at @digits are a number of the list, which ends with a bracket. */
static inline bool slow_list_has(const char *list, const char *digits, size_t n) {
    for (; list[-1] != ']'; list += strcspn(list, ",]") + 1) {
        size_t length = strspn(list, "0123456789"), last_length = length;
        const char *last = list;

        if (list[length] == '-') {
            last = list + length + 1;
            last_length = strspn(last, "0123456789");
        }
        if (length == last_length ? n != length : n > 1 && digits[0] == '0')
            continue;
        if (slow_compare(list, length, digits, n) <= 0 &&
            slow_compare(digits, n, last, last_length) <= 0)
            return true;
    }
    return false;
}

/* Sets @after[j + n] if the range at @bracket takes n digits of @name from @j on. */
static inline void slow_take_range(const char *bracket, const char *name, size_t j, bool *after) {
    size_t n_digits = strspn(name + j, "0123456789");

    for (size_t n = 1; n <= n_digits; n++)
        after[j + n] |= slow_list_has(bracket + 1, name + j, n);
}

/* True if @bracket, of @n bytes, is a set without an error. */
static inline bool slow_is_set(const char *bracket, size_t n) {
    CLEANUP_FREE char *set = strndup(bracket, n);
    size_t offset;

    MUST(set != NULL);
    return pattern_find_error(set, &offset) == NULL;
}

/*
 * True if @word matches @name. Keeps, for each element of the word, the places of the name that the
 * elements before it can lead to. @is_deny: a range is also a set, if it can be one.
 */
static inline bool slow_word_matches(const char *word, const char *name, bool is_deny) {
    bool places[SLOW_NAME_MAX + 2] = {true};
    size_t length = strlen(name), n;

    if (length > SLOW_NAME_MAX)
        return false;
    for (; *word != '\0'; word += n) {
        bool after[SLOW_NAME_MAX + 2] = {false}, is_range;

        n = *word == '[' ? strcspn(word, "]") + 1 : 1;
        is_range = n > 1 && slow_is_range(word, n);
        for (size_t j = 0; j <= length; j++) {
            const char *element = word;

            if (!places[j])
                continue;
            if (*word == '*') {
                memset(after + j, true, length + 1 - j);
                break;
            }
            if (is_range)
                slow_take_range(word, name, j, after);
            if (j < length && (!is_range || (is_deny && slow_is_set(word, n))))
                after[j + 1] |= pattern_match_element(&element, name[j]);
        }
        memcpy(places, after, sizeof(places));
    }
    return places[length];
}

/* Appends a number of the list, one more, one less, with another last digit, or that digit only. */
static inline size_t slow_add_number(char *name, size_t room, const char *list, unsigned choice) {
    size_t n_numbers = 0, n;
    unsigned long long number;
    int width;

    for (const char *at = list; *at != ']'; at++)
        n_numbers += strchr("0123456789", *at) != NULL && strchr("0123456789", at[1]) == NULL;
    for (size_t skip = choice / 5 % n_numbers; skip > 0; skip--)
        list += strcspn(list, ",-") + 1;
    width = (int)strspn(list, "0123456789");
    number = strtoull(list, NULL, 10);
    if (choice % 5 < 2)
        number += choice % 5;
    else if (choice % 5 == 2 && number > 0)
        number--;
    else if (choice % 5 > 2)
        number = (choice % 5 == 3 ? number / 10 * 10 : 0) + choice / 7 % 10;
    n = (size_t)snprintf(name, room, "%0*llu", choice % 5 == 4 ? 1 : width, number);
    return n < room ? n : room - 1;
}

/* Writes a name that @word may match, or nearly; @choice selects which. */
static inline void slow_name_of_word(char name[SLOW_NAME_MAX + 1], const char *word,
                                     unsigned choice) {
    size_t n = 0, length;

    for (; *word != '\0' && n < SLOW_NAME_MAX; word += length, choice = choice * 1103 + 17) {
        length = *word == '[' ? strcspn(word, "]") + 1 : 1;
        if (length > 1 && slow_is_range(word, length))
            n += slow_add_number(name + n, SLOW_NAME_MAX + 1 - n, word + 1, choice);
        else if (length > 1)
            name[n++] = word[1 + choice % (length - 2)];
        else if (*word != '*')
            name[n++] = *word == '?' ? (char)('0' + choice % 10) : *word;
        else if (choice % 2 == 1)
            name[n++] = 'x';
    }
    name[n] = '\0';
}
