#pragma once

/*
 * Bare words that are likely mistakes: lists, patterns and clauses as other languages write them.
 * The parser rejects such a word unless it is quoted, so this file is part of what decides, though
 * its messages give advice; only a few of its callers (lint) do not reject.
 */

#include <stdbool.h>
#include <stddef.h>

const char *syntax_hint_for_word(const char *word, bool is_pattern, size_t *offsetp);
const char *syntax_hint_for_subject(const char *word, size_t *offsetp);
const char *syntax_hint_find_clause(const char *word);
const char *syntax_hint_find_keyword(const char *word);
