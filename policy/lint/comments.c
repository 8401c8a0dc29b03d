#include "policy/lint/comments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/lexer.h"
#include "policy/lint/warn.h"
#include "policy/lint/warning-names.h"
#include "policy/name-pattern.h"
#include "utsbroker/base.h"

/* The comment of one logical line. */
struct comment {
    const char *begin, *end; /* its #, and the byte after its last one that is not blank */
    unsigned line, column;
    unsigned rule_line; /* 0: the line has no rule */
    bool is_in_subjects;
};

static bool char_is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static const char *skip_blanks(const char *at, const char *end) {
    while (at < end && char_is_blank(*at))
        at++;
    return at;
}

static const char *skip_word(const char *at, const char *end) {
    while (at < end && !char_is_blank(*at))
        at++;
    return at;
}

static bool begins_with(const char *at, const char *end, const char *text) {
    size_t length = strlen(text);

    return (size_t)(end - at) >= length && strncasecmp(at, text, length) == 0;
}

static int comments_add(struct comments *comments, const struct comment *comment, const char *name,
                        size_t length) {
    struct allowance *allowance;

    if (comments->n == comments->room) {
        size_t room = comments->room == 0 ? 16 : comments->room * 2;

        allowance = reallocarray(comments->list, room, sizeof(*allowance));
        if (allowance == NULL)
            return -ENOMEM;
        comments->list = allowance;
        comments->room = room;
    }
    allowance = &comments->list[comments->n];
    *allowance = (struct allowance){.name = strndup(name, length),
                                    .rule_line = comment->rule_line,
                                    .line = comment->line,
                                    .column = comment->column + (unsigned)(name - comment->begin)};
    if (allowance->name == NULL)
        return -ENOMEM;
    comments->n++;
    return 0;
}

/* Adds a name of the comment, or reports why it cannot be there. */
static int read_name(struct comments *comments, const struct comment *comment, const char *name,
                     size_t length, const struct warning_sink *sink) {
    enum warning_scope scope = warning_name_find(name, length);
    unsigned column = comment->column + (unsigned)(name - comment->begin);
    char shown[40] = "";

    if (scope == (comment->rule_line > 0 ? WARNING_OF_RULE : WARNING_OF_FILE))
        return comments_add(comments, comment, name, length);
    /* Comments can have any bytes. */
    for (size_t i = 0; i < length && i < sizeof(shown) - 1; i++)
        shown[i] = name[i] > ' ' && name[i] <= '~' ? name[i] : '?';
    if (scope == WARNING_OF_RULE)
        warn(sink, "allow", comment->line, column,
             "%s is allowed on the line of a rule: write this comment after the rule", shown);
    else if (scope == WARNING_OF_FILE)
        warn(sink, "allow", comment->line, column,
             "%s is allowed for a whole file: write this comment on a line of its own", shown);
    else
        warn(sink, "allow", comment->line, column,
             "no warning that can be allowed has the name '%s'; see utspolicy(1)", shown);
    return 0;
}

/* Reads "# check: allow NAME..."; a # ends the names, so that a reason can follow. */
static int read_allowances(struct comments *comments, const struct comment *comment,
                           const struct warning_sink *sink) {
    const char *end = comment->end, *at = skip_blanks(comment->begin + 1, end), *after;
    int r = 0;

    after = at + strlen("check");
    if (!begins_with(at, end, "check") || (!begins_with(skip_blanks(after, end), end, ":") &&
                                           !begins_with(skip_blanks(after, end), end, "allow")))
        return 0;
    after = skip_blanks(at + strlen("check:"), end);
    if (strncmp(at, "check:", strlen("check:")) != 0 || !begins_with(after, end, "allow") ||
        strncmp(after, "allow", strlen("allow")) != 0 ||
        skip_blanks(after + strlen("allow"), end) == after + strlen("allow")) {
        warn(sink, "allow", comment->line, comment->column,
             "this comment silences nothing: write # check: allow NAME");
        return 0;
    }
    at = skip_blanks(after + strlen("allow"), end);
    if (at == end || *at == '#')
        warn(sink, "allow", comment->line, comment->column,
             "this comment silences nothing: write the names of warnings after allow");
    for (; at < end && *at != '#' && r == 0; at = skip_blanks(after, end)) {
        after = skip_word(at, end);
        r = read_name(comments, comment, at, (size_t)(after - at), sink);
    }
    return r;
}

/* What other languages do not take for a comment. */
static void warn_of_words(const struct comment *comment, const struct warning_sink *sink) {
    const char *at = comment->begin + 1;
    size_t n = 0;

    while (at + n < comment->end && name_char_is_digit(at[n]))
        n++;
    if (comment->is_in_subjects && n > 0 && (at + n == comment->end || char_is_blank(at[n])))
        warn(sink, "comment", comment->line, comment->column,
             "# begins a comment, so this is no id: write %.*s", (int)(n < 12 ? n : 12), at);
    else if (comment->rule_line == 0 && begins_with(at, comment->end, "include"))
        warn(sink, "comment", comment->line, comment->column,
             "this is a comment: no file includes another, each *.conf of the folder is read");
}

static void ignore_error(void *context, const struct policy_error *error) {
    (void)context;
    (void)error;
}

static bool word_is_one_of(const struct word *word, const char *const *list) {
    while (*list != NULL && strcmp(word->text, *list) != 0)
        list++;
    return !word->is_quoted && *list != NULL;
}

/* Reads a logical line, up to its end. Sets @comment->begin to NULL if it has no comment. */
static void read_line(struct lexer *lexer, struct comment *comment) {
    static const char *const subjects[] = {"user", "group", NULL};
    static const char *const clauses[] = {"any", "hostname", "domainname", "limit", "setuid", NULL};
    struct word word;

    *comment = (struct comment){.begin = NULL};
    lexer->comment = NULL;
    lexer->line_has_failed = false;
    for (;;) {
        word = lexer_next_word(lexer);
        if (word.kind == WORD_LINE_END)
            break;
        if (comment->rule_line == 0)
            comment->rule_line = word.line;
        if (word.kind == WORD_TEXT && word_is_one_of(&word, subjects))
            comment->is_in_subjects = true;
        else if (word.kind == WORD_TEXT && word_is_one_of(&word, clauses))
            comment->is_in_subjects = false;
    }
    if (lexer->comment == NULL)
        return;
    comment->begin = lexer->comment;
    comment->end = lexer->at;
    while (char_is_blank(comment->end[-1]))
        comment->end--;
    comment->line = lexer->line;
    comment->column = (unsigned)(lexer->comment - lexer->line_start) + 1;
}

/*
 * Reads the comments of the @size bytes at @text, which are those of @comments->file, also if they
 * have errors. Reports, as warnings, comments that silence nothing or are taken for something else.
 * Returns 0 or -ENOMEM.
 */
int comments_read(struct comments *comments, const char *text, size_t size, policy_report report,
                  void *context) {
    CLEANUP_FREE char *words = malloc(size + 1);
    struct lexer lexer = {.file = comments->file,
                          .at = text,
                          .end = text + size,
                          .line_start = text,
                          .line = 1,
                          .words = words,
                          .report = ignore_error};
    struct warning_sink sink = {report, context, comments->file};
    struct comment comment;
    int r = words == NULL ? -ENOMEM : 0;

    while (r == 0) {
        read_line(&lexer, &comment);
        if (comment.begin != NULL) {
            warn_of_words(&comment, &sink);
            r = read_allowances(comments, &comment, &sink);
        }
        if (lexer.at == lexer.end)
            break;
        lexer_next_line(&lexer);
    }
    return r;
}

static const char *get_base_name(const char *path) {
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* Returns the first name in the comment of the rule that @line is part of, or of a later line. */
static size_t comments_find_line(const struct comments *comments, unsigned line) {
    size_t low = 0, high = comments->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (comments->list[middle].line < line)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A file that is masked is so by one of the same name, which can carry the comment. */
static bool is_about_file(const struct comments *comments, const struct policy_error *warning) {
    if (warning->line > 0)
        return strcmp(warning->file, comments->file) == 0;
    return strcmp(get_base_name(warning->file), get_base_name(comments->file)) == 0;
}

/* True if a comment silences @warning, which may be about another file. */
bool comments_silence(struct comments *comments, const struct policy_error *warning) {
    if (!is_about_file(comments, warning))
        return false;
    for (size_t i = comments_find_line(comments, warning->line); i < comments->n; i++) {
        struct allowance *allowance = &comments->list[i];

        if (warning->line > 0 &&
            (allowance->rule_line == 0 || allowance->rule_line > warning->line))
            return false;
        if ((warning->line > 0) == (allowance->rule_line > 0) &&
            strcmp(allowance->name, warning->kind) == 0) {
            allowance->is_used = true;
            return true;
        }
    }
    return false;
}

/*
 * Reports, as warnings, the names that silenced nothing. Without @knows_users nobody has looked for
 * unknown users, nor for denies that are late for the members of a group.
 */
void comments_report_unused(const struct comments *comments, bool knows_users, policy_report report,
                            void *context) {
    struct warning_sink sink = {report, context, comments->file};

    for (size_t i = 0; i < comments->n; i++) {
        const struct allowance *allowance = &comments->list[i];
        bool needs_users =
            strcmp(allowance->name, "unknown") == 0 || strcmp(allowance->name, "late") == 0;

        if (!allowance->is_used && (knows_users || !needs_users))
            warn(&sink, "allow", allowance->line, allowance->column,
                 "%s silences nothing: there is no such warning %s; remove it", allowance->name,
                 allowance->rule_line > 0 ? "for this rule" : "about this file");
    }
}

void comments_deinit(struct comments *comments) {
    for (size_t i = 0; i < comments->n; i++)
        free(comments->list[i].name);
    free(comments->list);
    *comments = (struct comments){.file = NULL};
}
