#pragma once

/*
 * Reads a file that somebody may write to at the same time, either as it was at one moment or not
 * at all.
 */

#include <stdbool.h>
#include <sys/stat.h>

bool stable_read_is_same(const struct stat *a, const struct stat *b);
int stable_read_settle(int fd, struct stat *statusp);
int stable_read_check_unchanged(int folder, const char *path, int flags, const struct stat *status);
int stable_read_text(int fd, const struct stat *status, char *text);
