#pragma once

/* Whole texts: from a file, a pipe or standard input. */

#include <stddef.h>

int read_text(const char *file, size_t max, char **textp, size_t *sizep);
