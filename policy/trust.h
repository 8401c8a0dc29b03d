#pragma once

/* Whether the mode and the owner of a file or folder of the policy are right. */

#include <sys/stat.h>

const char *trust_find_error(const struct stat *status);
const char *trust_find_unreadable(const struct stat *status);
