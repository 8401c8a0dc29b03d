#pragma once

/*
 * Bare words that are likely mistakes: lists, patterns and clauses as other languages write them.
 * The parser rejects such a word unless it is quoted, so this file is part of what decides. What to
 * write instead is advice, and lint/advice.c has it.
 */

#include <stdbool.h>
#include <stddef.h>

enum syntax_hint {
    SYNTAX_HINT_NONE,
    SYNTAX_HINT_COMMENT,
    SYNTAX_HINT_LIST,
    SYNTAX_HINT_SET_LIST,
    SYNTAX_HINT_BRACES,
    SYNTAX_HINT_REGEXP,
    SYNTAX_HINT_REGEXP_WHOLE,
    SYNTAX_HINT_QUOTE,
    SYNTAX_HINT_EXCLUSION,
    SYNTAX_HINT_VALUE,
    SYNTAX_HINT_CONJUNCTION,
    /* of a pattern */
    SYNTAX_HINT_EVERY_NAME,
    SYNTAX_HINT_RANGE,
    SYNTAX_HINT_LEADING_DOT,
    SYNTAX_HINT_TRAILING_DOT,
    SYNTAX_HINT_TWO_DOTS,
    SYNTAX_HINT_SLASH,
    SYNTAX_HINT_NETGROUP,
    SYNTAX_HINT_CHARACTER,
    /* of a user or group */
    SYNTAX_HINT_EVERYBODY,
    SYNTAX_HINT_GROUP_MARK,
    SYNTAX_HINT_USER_NETGROUP,
    SYNTAX_HINT_OWNER,
    SYNTAX_HINT_ID_RANGE,
    SYNTAX_HINT_NEGATIVE_ID,
    SYNTAX_HINT_VARIABLE,
    SYNTAX_HINT_SUBJECT_PATTERN,
    /* Not found here, but by the parser. The word follows the text. */
    SYNTAX_HINT_ACTION,  /* a word in the place of permit or deny */
    SYNTAX_HINT_SUBJECT, /* a word in the place of any, user or group */
    SYNTAX_HINT_CLAUSE,  /* a word in the place of hostname, domainname, limit or setuid */
};

enum syntax_hint syntax_hint_for_pattern(const char *word, size_t *offsetp);
enum syntax_hint syntax_hint_for_subject(const char *word, size_t *offsetp);
const char *syntax_hint_get_text(enum syntax_hint hint);
const char *syntax_hint_get_exception(enum syntax_hint hint);
const char *syntax_hint_find_clause(const char *word);
const char *syntax_hint_find_clause_in(const char *word, size_t length);
const char *syntax_hint_find_keyword(const char *word);
