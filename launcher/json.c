#include "launcher/json.h"

#include <stdio.h>
#include <string.h>

/*
 * Writes @value to @text, in quotes. A byte that is not ASCII becomes the Latin-1 character, as for
 * --status-fd. Returns @text; or "null" if @value is NULL or empty, or @size is less than
 * JSON_QUOTED_SIZE(strlen(value)).
 */
const char *json_quote(const char *value, char *text, size_t size) {
    char *at = text, *end = text + size;

    if (value == NULL || *value == '\0' || size < JSON_QUOTED_SIZE(strlen(value)))
        return "null";
    *at++ = '"';
    for (; *value != '\0'; value++) {
        if (*value < ' ' || *value > '~' || *value == '"' || *value == '\\')
            at += snprintf(at, (size_t)(end - at), "\\u%04x", (unsigned char)*value);
        else
            *at++ = *value;
    }
    *at++ = '"';
    *at = '\0';
    return text;
}
