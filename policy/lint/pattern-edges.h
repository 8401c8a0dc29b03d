#pragma once

/* The fixed text at the edges of a pattern, by which those that can match the same name are found.
 */

#include <stddef.h>

size_t pattern_get_beginning_length(const char *pattern);
size_t pattern_get_end_length(const char *pattern);
