#pragma once

/*
 * Splits the policy language into words, bare or "quoted". A backslash at the end of a line
 * continues it: both are one logical line. A # where a word could begin starts a comment.
 */

#include <stdbool.h>
#include <stddef.h>

#include "policy/rules.h"
#include "policy/syntax-hints.h"

enum word_kind { WORD_TEXT, WORD_LINE_END, WORD_BAD };

struct word {
    enum word_kind kind;
    bool is_quoted;
    const char *text;
    unsigned line, column;
};

struct lexer {
    const char *file;
    const char *at, *end;
    const char *line_start;
    unsigned line;
    const char *comment; /* the # of the logical line's comment; NULL: none seen */
    char *words;         /* where the next word is stored; a word is never longer than its source */
    policy_report report;
    void *context;
    bool has_failed;      /* an error was reported */
    bool line_has_failed; /* for this line: no second error is reported for it */
};

__attribute__((format(printf, 4, 5))) void lexer_fail(struct lexer *lexer, unsigned line,
                                                      unsigned column, const char *format, ...);
void lexer_fail_with_hint(struct lexer *lexer, const struct word *keyword, const struct word *word,
                          enum syntax_hint hint, size_t offset);
struct word lexer_next_word(struct lexer *lexer);
bool lexer_has_word_as_comment(const struct lexer *lexer);
bool lexer_word_begins_line(const struct lexer *lexer, const struct word *word);
bool lexer_can_stand_bare(const char *word);
void lexer_next_line(struct lexer *lexer);
