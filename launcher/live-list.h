#pragma once

/* utsrun --ps: the commands that live, from the file that the ledger writes. */

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

int live_list_print(const char *path, uid_t uid, bool is_json, FILE *out);
