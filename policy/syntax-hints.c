#include "policy/syntax-hints.h"

#include <string.h>
#include <strings.h>

#include "policy/host-range.h"
#include "policy/name-pattern.h"
#include "utsbroker/base.h"

#define UNLESS_QUOTED "; if the name has this character, quote the word"

/* Returns why the character at @at of a bare word is a likely mistake, or NULL. */
static const char *char_find_mistake(const char *at, bool is_pattern, bool is_in_set) {
    switch (*at) {
    case ',':
    case ';':
        return is_in_set ? "a set lists its characters without separators" UNLESS_QUOTED
                         : "separate words with spaces" UNLESS_QUOTED;
    case '(':
    case ')':
    case '|':
    case '{':
    case '}':
        return "patterns are not regular expressions: use *, ? and [...], and spaces between "
               "patterns" UNLESS_QUOTED;
    case '+':
    case '$':
    case '^':
        return !is_pattern ? NULL
                           : "patterns are not regular expressions: use *, ? and [...]; a pattern "
                             "matches the whole name" UNLESS_QUOTED;
    case '\'':
        return "' is not a quote: write \"";
    case '!':
        return is_in_set ? NULL : "! does not exclude names: write a deny rule above this one";
    case '=':
    case ':':
        return "write a space before a value, as in limit 8" UNLESS_QUOTED;
    default:
        return NULL;
    }
}

/*
 * Returns NULL, or why the bare @word is a likely mistake, as a constant string, with *@offsetp the
 * byte that is meant.
 */
const char *syntax_hint_for_word(const char *word, bool is_pattern, size_t *offsetp) {
    bool is_in_set = false;

    for (size_t i = 0; word[i] != '\0'; i++) {
        const char *wrong = char_find_mistake(word + i, is_pattern, is_in_set);

        *offsetp = i;
        if (wrong != NULL)
            return wrong;
        if (is_pattern && host_range_get_length(word + i) > 0) {
            i += host_range_get_length(word + i) - 1; /* its commas are right */
            continue;
        }
        if (word[i] == '[')
            is_in_set = is_pattern;
        if (word[i] == ']')
            is_in_set = false;
    }
    return NULL;
}

/* Does the same for the name of a user or group. */
const char *syntax_hint_for_subject(const char *word, size_t *offsetp) {
    *offsetp = 0;
    if (word[0] == '@' || word[0] == '%')
        return "write the name of a group without @ or %, after the word group";
    *offsetp = strcspn(word, "*?[");
    if (word[*offsetp] != '\0')
        return "users and groups cannot be patterns: write each name, or any";
    return syntax_hint_for_word(word, false, offsetp);
}

/* Returns the clause that @word, in any case, singular or plural, stands for; NULL: none. */
const char *syntax_hint_find_clause(const char *word) {
    static const char *const clauses[][2] = {
        {"host", "hostname"},         {"hosts", "hostname"},         {"hostname", "hostname"},
        {"hostnames", "hostname"},    {"domain", "domainname"},      {"domains", "domainname"},
        {"domainname", "domainname"}, {"domainnames", "domainname"}, {"limit", "limit"},
        {"limits", "limit"},          {"setuid", "setuid"},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(clauses); i++)
        if (strcasecmp(word, clauses[i][0]) == 0)
            return clauses[i][1];
    return NULL;
}

/* Returns the keyword that @word is in lower case; NULL: none. */
const char *syntax_hint_find_keyword(const char *word) {
    static const char *const keywords[] = {"permit",   "deny",       "any",   "user",  "group",
                                           "hostname", "domainname", "limit", "setuid"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(keywords); i++)
        if (strcasecmp(word, keywords[i]) == 0)
            return keywords[i];
    return NULL;
}
