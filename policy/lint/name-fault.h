#pragma once

/* Why a name is not a valid host name (RFC 1123), and which name was probably meant. */

#include <stdbool.h>
#include <stddef.h>

#include "policy/name-pattern.h"

struct name_fault {
    size_t position; /* in characters, from 1; 0: the whole name */
    char what[128];  /* completes "it is not a valid host name (RFC 1123): " */
};

bool name_fault_find(const char *name, struct name_fault *fault);
bool name_fault_fix(const char *name, char blank, char fixed[NAME_LENGTH_MAX + 1]);
