#pragma once

/* What to write instead of patterns and lists of other languages. */

#include "policy/lint/advice-text.h"

void advise_on_list(struct advice *advice, const char *word, const char *separators);
void advise_on_set(struct advice *advice, const char *word);
void advise_on_braces(struct advice *advice, const char *word);
void advise_on_dots(struct advice *advice, const char *word);
void advise_on_regexp(struct advice *advice, const char *word);
void advise_on_character(struct advice *advice, const char *word);
