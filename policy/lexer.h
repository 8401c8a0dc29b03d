#pragma once

/*
 * Words of the policy language: bare or "quoted", joined to one logical line by a backslash at a
 * line's end; # begins a comment where a word could begin.
 */

#include <stdbool.h>
#include <stddef.h>

#include "policy/rules.h"

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
    const char *comment; /* of the logical line, from its # to the line's end; NULL: none seen */
    char *words;         /* where the next word is put: no word is longer than what it came from */
    policy_report report;
    void *context;
    bool has_failed;      /* in any line */
    bool line_has_failed; /* in this one: nothing more is reported of it */
};

__attribute__((format(printf, 4, 5))) void lexer_fail(struct lexer *lexer, unsigned line,
                                                      unsigned column, const char *format, ...);
struct word lexer_next_word(struct lexer *lexer);
bool lexer_can_stand_bare(const char *word);
void lexer_next_line(struct lexer *lexer);
