#pragma once

#include <stddef.h>

int read_text(const char *file, char **textp, size_t *sizep);
