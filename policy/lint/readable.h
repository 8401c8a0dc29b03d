#pragma once

/*
 * Text that somebody else typed, as a terminal can show it: no control character reaches the
 * terminal, and no character is invisible. Text is UTF-8, whatever the locale.
 */

#include <stddef.h>
#include <stdio.h>

size_t readable_describe(const char *text, char *description, size_t size);
void readable_print(FILE *out, const char *text);
