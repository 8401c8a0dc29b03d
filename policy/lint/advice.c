#include "policy/lint/advice.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/lint/pattern-advice.h"
#include "policy/parser.h"
#include "policy/syntax-hints.h"
#include "utsbroker/base.h"

/* Returns the keyword that the @length bytes at @word are elsewhere; NULL: none. */
static const char *find_keyword(const char *word, size_t length) {
    static const char *const keywords[][2] = {
        {"user", "user"},      {"users", "user"},      {"uid", "user"},  {"u", "user"},
        {"group", "group"},    {"groups", "group"},    {"gid", "group"}, {"g", "group"},
        {"unix-user", "user"}, {"unix-group", "group"}};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(keywords); i++)
        if (strlen(keywords[i][0]) == length && strncasecmp(word, keywords[i][0], length) == 0)
            return keywords[i][1];
    return syntax_hint_find_clause_in(word, length);
}

/* Of KEYWORD=VALUE, and of USER:GROUP. */
static void advise_on_pair(struct advice *advice, const char *word, const char *keyword) {
    size_t length = strcspn(word, "=:");
    const char *value = word + length + (word[length] != '\0'), *found = find_keyword(word, length);

    if (strpbrk(value, "=:") != NULL)
        return;
    if (found != NULL)
        advice_print(advice, "%s%s%s", found, *value != '\0' ? " " : "", value);
    else if (word[length] == '=')
        return;
    else if (*value == '\0')
        advice_print(advice, "%s %.*s hostname NAME", keyword, (int)length, word);
    else
        advice_print(advice, "%s%.*s%sgroup %s", length > 0 ? "user " : "", (int)length, word,
                     length > 0 ? " " : "", value);
}

static void advise_on_group(struct advice *advice, const char *word) {
    size_t length;

    word += strspn(word, "@%+&-:");
    length = strcspn(word, "@");
    if (length > 0)
        advice_print(advice, "group %.*s", (int)length, word);
}

static void advise_on_ids(struct advice *advice, const char *word) {
    const char *hyphen = strchr(word, '-');
    uint32_t low = 0, high = 0;
    char digits[16];

    if (hyphen == NULL || hyphen - word >= (ptrdiff_t)sizeof(digits))
        return;
    (void)snprintf(digits, sizeof(digits), "%.*s", (int)(hyphen - word), word);
    if (!parser_read_number(digits, POLICY_ID_MAX, &low) ||
        !parser_read_number(hyphen + 1, POLICY_ID_MAX, &high) || low > high || high - low > 9)
        return;
    for (uint32_t id = low; id <= high; id++)
        advice_print(advice, "%s%u", id > low ? " " : "", (unsigned)id);
}

/* Of what is excluded elsewhere by a mark before it. */
static void advise_on_exclusion(struct advice *advice, const char *word, const char *keyword) {
    bool is_subject = strcmp(keyword, "user") == 0 || strcmp(keyword, "group") == 0;

    if (*word != '!' && *word != '-')
        return;
    word += strspn(word, "!-");
    if (*word != '\0')
        advice_print(advice, "deny %s%s %s", is_subject ? "" : "any ", keyword, word);
}

/* Of a host name as ssh(1) takes it, with the user. */
static void advise_on_netgroup(struct advice *advice, const char *word) {
    size_t user = strcspn(word, "@");

    if (user > 0 && word[user] == '@' && word[user + 1] != '\0')
        advice_print(advice, "user %.*s hostname %s", (int)user, word, word + user + 1);
}

/* Of the first word of a line. */
static void advise_on_action(struct advice *advice, const char *word) {
    static const char *const actions[][2] = {
        {"allow", "permit"},
        {"allowed", "permit"},
        {"accept", "permit"},
        {"grant", "permit"},
        {"permits", "permit"},
        {"permitted", "permit"},
        {"permit", "permit"},
        {"+", "permit"},
        {"reject", "deny"},
        {"refuse", "deny"},
        {"block", "deny"},
        {"drop", "deny"},
        {"forbid", "deny"},
        {"disallow", "deny"},
        {"denied", "deny"},
        {"denies", "deny"},
        {"deny", "deny"},
        {"revoke", "deny"},
        {"-", "deny"},
        {"AllowUsers", "permit user"},
        {"DenyUsers", "deny user"},
        {"AllowGroups", "permit group"},
        {"DenyGroups", "deny group"},
    };

    size_t length = strcspn(word, "=:");

    for (size_t i = 0; i < BASE_ARRAY_SIZE(actions); i++)
        if (strlen(actions[i][0]) == length && strncasecmp(word, actions[i][0], length) == 0)
            advice_print(advice, "%s", actions[i][1]);
    if (advice->length > 0 && word[0] != '+' && word[0] != '-' && word[length] != '\0' &&
        word[length + 1] != '\0')
        advice_print(advice, " %s", word + length + 1);
    if (advice->length == 0 && (*word == '%' || *word == '@')) {
        advice_print(advice, "permit ");
        advise_on_group(advice, word);
    }
}

/* Of a word after any, which has no value. */
static void advise_on_clause(struct advice *advice, const char *word, const char *keyword) {
    size_t offset, length = strcspn(word, "=:");
    const char *clause = find_keyword(word, length);

    if (strcmp(keyword, "any") != 0)
        return;
    if (clause != NULL)
        advise_on_pair(advice, word, keyword);
    else if (syntax_hint_for_pattern(word, &offset) == SYNTAX_HINT_NONE)
        advice_print(advice, "hostname %s", word);
}

/* Returns what is not there at all, of the first word of a line; NULL: it is something else. */
static const char *explain_action(const char *word) {
    size_t length = strlen(word);

    if (strstr(word, "include") != NULL || strcmp(word, "Include") == 0)
        return "no file includes another: each *.conf of the folder is read";
    if (length > 6 && strcmp(word + length - 6, "_Alias") == 0)
        return "there are no aliases: write each name, or a range such as node[01-16]";
    return NULL;
}

static void advise_on_hint(struct advice *advice, enum syntax_hint hint, const char *word,
                           const char *keyword);

/* Of the second word of a line. */
static void advise_on_subject(struct advice *advice, const char *word) {
    static const char *const others[] = {"from", "to", "for", "in", "with", "if", "where"};
    size_t offset;
    enum syntax_hint hint = syntax_hint_for_subject(word, &offset);

    for (size_t i = 0; i < BASE_ARRAY_SIZE(others); i++)
        if (strcasecmp(word, others[i]) == 0)
            return;
    if (hint == SYNTAX_HINT_EVERYBODY)
        advice_print(advice, "any");
    else if (hint != SYNTAX_HINT_NONE)
        advise_on_hint(advice, hint, word, "user");
    else if (find_keyword(word, strlen(word)) != NULL)
        advice_print(advice, "%s", find_keyword(word, strlen(word)));
    else
        advice_print(advice, "user %s or group %s", word, word);
}

static void advise_on_hint(struct advice *advice, enum syntax_hint hint, const char *word,
                           const char *keyword) {
    size_t length = strlen(word);

    switch ((int)hint) {
    case SYNTAX_HINT_LIST:
        advise_on_list(advice, word, strchr(word, ':') != NULL ? ",;:" : ",;(){}|");
        break;
    case SYNTAX_HINT_SET_LIST:
        advise_on_set(advice, word);
        break;
    case SYNTAX_HINT_BRACES:
        advise_on_braces(advice, word);
        break;
    case SYNTAX_HINT_REGEXP:
    case SYNTAX_HINT_REGEXP_WHOLE:
        advise_on_regexp(advice, word);
        break;
    case SYNTAX_HINT_SLASH:
        if (word[0] == '/' && length > 2 && word[length - 1] == '/')
            advise_on_regexp(advice, word);
        break;
    case SYNTAX_HINT_EXCLUSION:
        advise_on_exclusion(advice, word, keyword);
        break;
    case SYNTAX_HINT_VALUE:
    case SYNTAX_HINT_OWNER:
        advise_on_pair(advice, word, keyword);
        break;
    case SYNTAX_HINT_LEADING_DOT:
        if (word[1] == '*')
            advise_on_regexp(advice, word);
        else if (word[1] != '\0')
            advice_print(advice, "*%s", word);
        break;
    case SYNTAX_HINT_TRAILING_DOT:
        advice_print_part(advice, word, word + length - 1);
        break;
    case SYNTAX_HINT_TWO_DOTS:
        advise_on_dots(advice, word);
        break;
    case SYNTAX_HINT_NETGROUP:
        advise_on_netgroup(advice, word);
        break;
    case SYNTAX_HINT_CHARACTER:
        advise_on_character(advice, word);
        break;
    case SYNTAX_HINT_GROUP_MARK:
    case SYNTAX_HINT_USER_NETGROUP:
        advise_on_group(advice, word);
        break;
    case SYNTAX_HINT_ID_RANGE:
        advise_on_ids(advice, word);
        break;
    default: /* the text says it */
        break;
    }
}

/*
 * Adds to the message of @error, which the parser has reported, what to write instead of the word
 * that it is about. Does nothing if that is not known, or too long for the message.
 */
void advice_add(struct policy_error *error) {
    enum syntax_hint hint = (enum syntax_hint)error->hint;
    const char *exception = syntax_hint_get_exception(hint);
    size_t length = strlen(error->message) - strlen(exception);
    struct advice advice = {.length = 0};
    char message[sizeof(error->message)];
    const char *note = NULL;
    int n;

    if (hint == SYNTAX_HINT_NONE)
        return;
    if (hint == SYNTAX_HINT_ACTION) {
        note = explain_action(error->word);
        if (note == NULL)
            advise_on_action(&advice, error->word);
        if (note == NULL && advice.length == 0 && error->column > 1)
            note = "to continue the line above, end it with a space and a backslash";
    } else if (hint == SYNTAX_HINT_SUBJECT) {
        advise_on_subject(&advice, error->word);
    } else if (hint == SYNTAX_HINT_CLAUSE) {
        advise_on_clause(&advice, error->word, error->keyword);
    } else {
        advise_on_hint(&advice, hint, error->word, error->keyword);
    }
    if (note != NULL)
        n = snprintf(message, sizeof(message), "%s; %s", error->message, note);
    else if (advice.length > 0 && !advice.is_lost)
        n = snprintf(message, sizeof(message), "%.*s; write %s%s", (int)length, error->message,
                     advice.text, exception);
    else
        return;
    if (n > 0 && (size_t)n < sizeof(message))
        memcpy(error->message, message, sizeof(message));
}
