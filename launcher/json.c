#include "launcher/json.h"

#include <stdio.h>
#include <string.h>

/*
 * Writes @value to @text, which has room for JSON_QUOTED_SIZE(strlen(value)) bytes; NULL and "" are
 * null. A byte that is not ASCII becomes the Latin-1 character, as for --status-fd. Returns @text.
 */
char *json_quote(const char *value, char *text) {
    char *at = text;

    if (value == NULL || *value == '\0')
        return strcpy(text, "null");
    *at++ = '"';
    for (; *value != '\0'; value++) {
        if (*value < ' ' || *value > '~' || *value == '"' || *value == '\\')
            at += sprintf(at, "\\u%04x", (unsigned char)*value);
        else
            *at++ = *value;
    }
    (void)strcpy(at, "\"");
    return text;
}
