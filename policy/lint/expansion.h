#pragma once

/*
 * The names that a pattern matches, where they can be listed. Pure functions of the pattern, whose
 * sets have no error (pattern_find_error()).
 */

#include <stdbool.h>
#include <stddef.h>

bool expansion_is_finite(const char *pattern);
size_t expansion_count(const char *pattern, size_t max);
int expansion_each(const char *pattern, int (*add)(void *context, const char *name), void *context);
int expansion_compare(const char *a, const char *b);
