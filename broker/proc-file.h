#pragma once

/* Files of /proc/PID that have a line for each key (proc(5)). */

#include <stdbool.h>
#include <stddef.h>

int proc_file_read(int folder, const char *name, char **textp);
bool proc_file_line_is(const char *text, const char *key, size_t n, unsigned long expected);
