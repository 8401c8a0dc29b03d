#pragma once

/*
 * What is hardly meant as it stands: ways of other languages to write a list, a pattern, a clause.
 * Whoever means such a word puts it into quotes.
 */

#include <stdbool.h>
#include <stddef.h>

const char *syntax_hint_for_word(const char *word, bool is_pattern, size_t *offsetp);
const char *syntax_hint_for_subject(const char *word, size_t *offsetp);
const char *syntax_hint_find_clause(const char *word);
bool syntax_hint_is_keyword(const char *word);
