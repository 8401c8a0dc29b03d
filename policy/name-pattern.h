#pragma once

/* Host names, NIS domain names, and the patterns that match them. Pure functions of strings. */

#include <stdbool.h>
#include <stddef.h>

enum {
    NAME_LENGTH_MAX = 64, /* __NEW_UTS_LEN: what sethostname(2) takes */
    NAME_LABEL_MAX = 63,  /* RFC 1123, section 2.1 */
};

char name_char_to_lower(char c);
bool name_char_is_digit(char c);
bool name_char_is_alphanumeric(char c);
bool name_is_printable(const char *name);
bool name_is_rfc1123(const char *name);

bool pattern_is_wildcard(const char *pattern);
const char *pattern_find_set_error(const char *set, const char **endp);
const char *pattern_find_error(const char *pattern, size_t *offsetp);
bool pattern_match_element(const char **patternp, char c);
const char *pattern_skip_element(const char *pattern);
bool pattern_matches(const char *pattern, const char *name);
bool pattern_matches_first_label(const char *pattern, const char *name);
