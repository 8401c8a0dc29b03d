#include "policy/syntax-hints.h"

#include <string.h>
#include <strings.h>

#include "policy/name-pattern.h"
#include "utsbroker/base.h"

#define UNLESS_QUOTED "; if the character is meant, quote the word"

/* What the character at @at of a bare word is an attempt at, or NULL. */
static const char *char_find_mistake(const char *at, bool is_pattern, bool is_in_set) {
    switch (*at) {
    case ',':
    case ';':
        return is_in_set ? "a set is its characters, with nothing between them" UNLESS_QUOTED
                         : "separate words by blanks" UNLESS_QUOTED;
    case '(':
    case ')':
    case '|':
    case '{':
    case '}':
        return "this is no regular expression: there is *, ? and [...], and blanks between "
               "patterns" UNLESS_QUOTED;
    case '+':
    case '$':
    case '^':
        return !is_pattern
                   ? NULL
                   : "this is no regular expression: there is *, ? and [...], and a pattern "
                     "is for the whole name" UNLESS_QUOTED;
    case '\'':
        return "' is no quote: write \"";
    case '!':
        return is_in_set ? NULL : "! excludes nothing: write a deny rule above this one";
    case '=':
    case ':':
        return "a value stands behind a blank, as in limit 8" UNLESS_QUOTED;
    default:
        return NULL;
    }
}

/* Returns NULL if nothing is wrong with the bare word, else what is, with *@offsetp where. */
const char *syntax_hint_for_word(const char *word, bool is_pattern, size_t *offsetp) {
    bool is_in_set = false;

    for (size_t i = 0; word[i] != '\0'; i++) {
        const char *wrong = char_find_mistake(word + i, is_pattern, is_in_set);

        *offsetp = i;
        if (wrong != NULL)
            return wrong;
        if (word[i] == '[')
            is_in_set = is_pattern;
        if (word[i] == ']')
            is_in_set = false;
    }
    return NULL;
}

/* The same for the name of a user or group. */
const char *syntax_hint_for_subject(const char *word, size_t *offsetp) {
    *offsetp = 0;
    if (word[0] == '@' || word[0] == '%')
        return "a group's name stands by itself, behind the word group";
    *offsetp = strcspn(word, "*?[");
    if (word[*offsetp] != '\0')
        return "users and groups have no patterns: name them, or write any";
    return syntax_hint_for_word(word, false, offsetp);
}

/* The clause that somebody means who writes @word, which is none; NULL: no such word. */
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

/* True if @word would be a keyword in lower case. */
bool syntax_hint_is_keyword(const char *word) {
    static const char *const keywords[] = {"permit",   "deny",       "any",   "user",  "group",
                                           "hostname", "domainname", "limit", "setuid"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(keywords); i++)
        if (strcasecmp(word, keywords[i]) == 0)
            return true;
    return false;
}
