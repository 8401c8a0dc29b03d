#include "policy/syntax-hints.h"

#include <string.h>
#include <strings.h>

#include "policy/host-range.h"
#include "policy/name-pattern.h"
#include "utsbroker/base.h"

#define CHARACTER "; if the name has this character, quote the word"
#define WORD "; if it is a name, quote it"

/* Why a word with this hint is rejected, and when it is not. */
static const struct {
    const char *text, *exception;
} texts[] = {
    [SYNTAX_HINT_NONE] = {"", ""},
    [SYNTAX_HINT_COMMENT] = {"a comment begins with #", WORD},
    [SYNTAX_HINT_LIST] = {"separate words with spaces", CHARACTER},
    [SYNTAX_HINT_SET_LIST] = {"a set lists its characters without separators", CHARACTER},
    [SYNTAX_HINT_BRACES] = {"braces have no meaning: a range has brackets, as in node[01-16]",
                            CHARACTER},
    [SYNTAX_HINT_REGEXP] = {"patterns are not regular expressions: use *, ? and [...], and spaces "
                            "between patterns",
                            CHARACTER},
    [SYNTAX_HINT_REGEXP_WHOLE] = {"patterns are not regular expressions: use *, ? and [...]; a "
                                  "pattern matches the whole name",
                                  CHARACTER},
    [SYNTAX_HINT_QUOTE] = {"' is not a quote: write \"", ""},
    [SYNTAX_HINT_EXCLUSION] = {"a rule excludes nothing: put a deny rule above this one", WORD},
    [SYNTAX_HINT_VALUE] = {"write a space before a value, as in limit 8", CHARACTER},
    [SYNTAX_HINT_CONJUNCTION] = {"separate words with spaces only: remove this word", WORD},
    [SYNTAX_HINT_EVERY_NAME] = {"for every name write *", WORD},
    [SYNTAX_HINT_RANGE] = {"a range is one word with brackets, as in node[01-16]", WORD},
    [SYNTAX_HINT_LEADING_DOT] = {"no name begins with a dot", WORD},
    [SYNTAX_HINT_TRAILING_DOT] = {"no host name ends with a dot", WORD},
    [SYNTAX_HINT_TWO_DOTS] = {"no host name has two dots in a row: a range has brackets, as in "
                              "node[01-16]",
                              WORD},
    [SYNTAX_HINT_SLASH] = {"no host name has a /: patterns are not regular expressions, paths or "
                           "networks",
                           CHARACTER},
    [SYNTAX_HINT_NETGROUP] = {"netgroups and other groups of hosts are not supported: write each "
                              "name, or a range",
                              CHARACTER},
    [SYNTAX_HINT_CHARACTER] = {"this character has no meaning in a pattern: use *, ? and [...]",
                               CHARACTER},
    [SYNTAX_HINT_EVERYBODY] = {"for everybody write any, without user or group", WORD},
    [SYNTAX_HINT_GROUP_MARK] = {"a group has no mark: its name is after the word group", CHARACTER},
    [SYNTAX_HINT_USER_NETGROUP] = {"netgroups are not supported: write each user, or a group",
                                   CHARACTER},
    [SYNTAX_HINT_OWNER] = {"users, groups and names are separate words", CHARACTER},
    [SYNTAX_HINT_ID_RANGE] = {"ids have no ranges: write each id, or a group", WORD},
    [SYNTAX_HINT_NEGATIVE_ID] = {"no id is below 0: write a name, or an id from 0 to 4294967294",
                                 WORD},
    [SYNTAX_HINT_VARIABLE] = {"variables have no value here: write the name", CHARACTER},
    [SYNTAX_HINT_SUBJECT_PATTERN] = {"users and groups cannot be patterns: write each name, or any",
                                     CHARACTER},
    [SYNTAX_HINT_ACTION] = {"a rule begins with permit or deny, not", ""},
    [SYNTAX_HINT_SUBJECT] = {"expected any, user NAME or group NAME, not", ""},
    [SYNTAX_HINT_CLAUSE] = {"expected hostname, domainname, limit or setuid, not", ""},
};

/* Returns why a word with @hint is rejected. */
const char *syntax_hint_get_text(enum syntax_hint hint) {
    return texts[hint].text;
}

/* Returns what follows that text, and what is written instead of the word: when it is accepted. */
const char *syntax_hint_get_exception(enum syntax_hint hint) {
    return texts[hint].exception;
}

/* True if @word can be @other, which is in lower case, in any case: mostly their first bytes
 * differ. */
static bool word_can_be(const char *word, const char *other) {
    return (word[0] | ' ') == other[0];
}

static bool word_is(const char *word, const char *other) {
    return word_can_be(word, other) && strcasecmp(word, other) == 0;
}

static bool word_is_one_of(const char *word, const char *const *list) {
    while (*list != NULL && !word_is(word, *list))
        list++;
    return *list != NULL;
}

/* True if the byte at @at of @word separates a keyword from its value. */
static bool is_after_keyword(const char *word, const char *at) {
    size_t length = (size_t)(at - word);

    return syntax_hint_find_clause_in(word, length) != NULL ||
           (length == 4 && strncasecmp(word, "user", length) == 0) ||
           (length == 5 && strncasecmp(word, "group", length) == 0);
}

/* Returns the hint for the character at @at, which is outside of a set. */
static enum syntax_hint char_find_hint(const char *word, const char *at, bool is_pattern) {
    switch (*at) {
    case ',':
    case ';':
        return SYNTAX_HINT_LIST;
    case '(':
    case ')':
    case '|':
        return is_pattern ? SYNTAX_HINT_REGEXP : SYNTAX_HINT_LIST;
    case '{':
    case '}':
        return is_pattern ? SYNTAX_HINT_BRACES : SYNTAX_HINT_LIST;
    case '+':
    case '$':
    case '^':
        return is_pattern ? SYNTAX_HINT_REGEXP_WHOLE : SYNTAX_HINT_NONE;
    case '%':
    case '~':
    case '&':
    case '<':
    case '>':
    case '`':
        return is_pattern ? SYNTAX_HINT_CHARACTER : SYNTAX_HINT_NONE;
    case '@':
        return is_pattern ? SYNTAX_HINT_NETGROUP : SYNTAX_HINT_NONE;
    case '/':
        return is_pattern ? SYNTAX_HINT_SLASH : SYNTAX_HINT_NONE;
    case '\'':
        return SYNTAX_HINT_QUOTE;
    case '!':
        return SYNTAX_HINT_EXCLUSION;
    case '=':
        return SYNTAX_HINT_VALUE;
    case ':':
        if (is_after_keyword(word, at))
            return SYNTAX_HINT_VALUE;
        return is_pattern ? SYNTAX_HINT_LIST : SYNTAX_HINT_OWNER;
    default:
        return SYNTAX_HINT_NONE;
    }
}

/* Characters that stand for themselves in a set are accepted there. */
static enum syntax_hint char_find_hint_in_set(char c) {
    return c == '\''                                        ? SYNTAX_HINT_QUOTE
           : c == '/'                                       ? SYNTAX_HINT_SLASH
           : c != '\0' && strchr(",;(){}|+$^=:", c) != NULL ? SYNTAX_HINT_SET_LIST
                                                            : SYNTAX_HINT_NONE;
}

static enum syntax_hint find_hint_in_characters(const char *word, bool is_pattern,
                                                size_t *offsetp) {
    bool is_in_set = false;
    enum syntax_hint hint = SYNTAX_HINT_NONE;

    for (size_t i = 0; word[i] != '\0'; i++) {
        size_t range;

        if ((word[i] >= 'a' && word[i] <= 'z') || (word[i] >= '0' && word[i] <= '9'))
            continue;
        range = is_pattern && word[i] == '[' ? host_range_get_length(word + i) : 0;

        if (range > 0) {
            i += range - 1; /* its commas are right */
            continue;
        }
        *offsetp = i;
        hint =
            is_in_set ? char_find_hint_in_set(word[i]) : char_find_hint(word, word + i, is_pattern);
        if (hint == SYNTAX_HINT_NONE && is_pattern && !is_in_set && word[i] == '.' &&
            word[i + 1] == '.')
            hint = SYNTAX_HINT_TWO_DOTS;
        if (hint != SYNTAX_HINT_NONE)
            return hint;
        if (word[i] == '[')
            is_in_set = is_pattern;
        if (word[i] == ']')
            is_in_set = false;
    }
    return SYNTAX_HINT_NONE;
}

/* Returns the hint for @word, a user, group or pattern, as a whole. */
static enum syntax_hint word_find_hint(const char *word) {
    static const char *const exclusions[] = {"except", "but",     "without",   "not",
                                             "unless", "exclude", "excluding", NULL};
    static const char *const conjunctions[] = {"and", "or", NULL};

    if (strncmp(word, "//", 2) == 0 || strncmp(word, "/*", 2) == 0 || strcmp(word, "--") == 0)
        return SYNTAX_HINT_COMMENT;
    if (word_is_one_of(word, exclusions))
        return SYNTAX_HINT_EXCLUSION;
    return word_is_one_of(word, conjunctions) ? SYNTAX_HINT_CONJUNCTION : SYNTAX_HINT_NONE;
}

/*
 * Returns the hint for the bare @word in the place of a pattern, with *@offsetp the byte that is
 * meant.
 */
enum syntax_hint syntax_hint_for_pattern(const char *word, size_t *offsetp) {
    static const char *const everything[] = {"all", NULL};
    static const char *const ranges[] = {"-", "to", "through", NULL};
    enum syntax_hint hint = word_find_hint(word);
    size_t length = strlen(word);

    *offsetp = 0;
    if (hint != SYNTAX_HINT_NONE)
        return hint;
    if (word_is_one_of(word, everything))
        return SYNTAX_HINT_EVERY_NAME;
    if (word_is_one_of(word, ranges))
        return SYNTAX_HINT_RANGE;
    if (word[0] == '-')
        return SYNTAX_HINT_EXCLUSION;
    if (word[0] == '.' && word[1] != '.')
        return SYNTAX_HINT_LEADING_DOT;
    hint = find_hint_in_characters(word, true, offsetp);
    if (hint != SYNTAX_HINT_NONE || length == 0 || word[length - 1] != '.')
        return hint;
    *offsetp = length - 1;
    return SYNTAX_HINT_TRAILING_DOT;
}

/* True for digits, a hyphen, digits. */
static bool word_is_id_range(const char *word) {
    size_t first = strspn(word, "0123456789");
    size_t last = word[first] == '-' ? strspn(word + first + 1, "0123456789") : 0;

    return first > 0 && last > 0 && word[first + 1 + last] == '\0';
}

/* Does the same for the name of a user or group. */
enum syntax_hint syntax_hint_for_subject(const char *word, size_t *offsetp) {
    static const char *const everybody[] = {"*",      "all",     "everybody", "everyone",
                                            "anyone", "anybody", NULL};
    enum syntax_hint hint = word_find_hint(word);
    size_t length = strlen(word);

    *offsetp = 0;
    if (hint != SYNTAX_HINT_NONE)
        return hint;
    if (word_is_one_of(word, everybody))
        return SYNTAX_HINT_EVERYBODY;
    if (word[0] == '@' || word[0] == '%')
        return SYNTAX_HINT_GROUP_MARK;
    if (word[0] == '+' || word[0] == '&' || strncmp(word, "-@", 2) == 0)
        return SYNTAX_HINT_USER_NETGROUP;
    if (word[0] == '-')
        return word[1] >= '0' && word[1] <= '9' ? SYNTAX_HINT_NEGATIVE_ID : SYNTAX_HINT_EXCLUSION;
    if (word[0] == '$' || word[0] == '~')
        return SYNTAX_HINT_VARIABLE;
    if (word_is_id_range(word))
        return SYNTAX_HINT_ID_RANGE;
    *offsetp = strcspn(word, "*?[");
    if (word[*offsetp] != '\0')
        return SYNTAX_HINT_SUBJECT_PATTERN;
    hint = find_hint_in_characters(word, false, offsetp);
    if (hint != SYNTAX_HINT_NONE || length == 0 || word[length - 1] != '@')
        return hint;
    *offsetp = length - 1;
    return SYNTAX_HINT_GROUP_MARK;
}

/*
 * Returns the clause that the @length bytes at @word, in any case, singular or plural, stand for;
 * NULL: none.
 */
const char *syntax_hint_find_clause_in(const char *word, size_t length) {
    static const char *const clauses[][2] = {
        {"host", "hostname"},         {"hosts", "hostname"},         {"hostname", "hostname"},
        {"hostnames", "hostname"},    {"domain", "domainname"},      {"domains", "domainname"},
        {"domainname", "domainname"}, {"domainnames", "domainname"}, {"limit", "limit"},
        {"limits", "limit"},          {"setuid", "setuid"},          {"as", "hostname"},
        {"on", "hostname"},
    };

    for (size_t i = 0; i < BASE_ARRAY_SIZE(clauses); i++)
        if (word_can_be(word, clauses[i][0]) && strlen(clauses[i][0]) == length &&
            strncasecmp(word, clauses[i][0], length) == 0)
            return clauses[i][1];
    return NULL;
}

/* Does the same for the whole @word. */
const char *syntax_hint_find_clause(const char *word) {
    return syntax_hint_find_clause_in(word, strlen(word));
}

/* Returns the keyword that @word is in lower case; NULL: none. */
const char *syntax_hint_find_keyword(const char *word) {
    static const char *const keywords[] = {"permit",   "deny",       "any",   "user",  "group",
                                           "hostname", "domainname", "limit", "setuid"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(keywords); i++)
        if (word_is(word, keywords[i]))
            return keywords[i];
    return NULL;
}
