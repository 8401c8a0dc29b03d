#pragma once

/* Strings in JSON (RFC 8259), in ASCII. */

#include <stddef.h>

/* What json_quote() needs for a string of @length bytes: six for each, two quotes, a NUL. */
#define JSON_QUOTED_SIZE(length) (6 * (length) + 3)

const char *json_quote(const char *value, char *text, size_t size);
