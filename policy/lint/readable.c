#include "policy/lint/readable.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Decodes the character at @text, which is not empty. Returns its length in bytes; 0 if it is not
 * UTF-8 in its shortest form.
 */
static size_t decode(const char *text, uint32_t *codep) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)text[0];
    size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t code = length < 2 ? first : first & (0x7fU >> length);

    if (length == 0 || first > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    }
    if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    *codep = code;
    return length;
}

/* False for control characters, blanks other than a space, marks and all that changes direction. */
static bool is_visible(uint32_t code) {
    static const uint32_t hidden[][2] = {
        {0, 0x1f},        {0x7f, 0xa0},     {0xad, 0xad},     {0x300, 0x36f},     {0x61c, 0x61c},
        {0x115f, 0x1160}, {0x1680, 0x1680}, {0x180b, 0x180f}, {0x2000, 0x200f},   {0x2028, 0x202f},
        {0x205f, 0x206f}, {0x3000, 0x3000}, {0x3164, 0x3164}, {0xe000, 0xf8ff},   {0xfe00, 0xfe0f},
        {0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff0, 0xfffb}, {0xe0000, 0x10ffff}};

    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        if (code >= hidden[i][0] && code <= hidden[i][1])
            return false;
    return true;
}

static const char *name_of(uint32_t code) {
    switch (code) {
    case '\t':
        return "a tab";
    case '\n':
        return "a line feed";
    case '\r':
        return "a carriage return";
    case ' ':
        return "a space";
    case 0xa0:
        return "a no-break space";
    default:
        return NULL;
    }
}

/*
 * Writes the first character of @text, which is not empty, as people can read it: "'_'", "'ö'
 * (U+00F6)", "a tab (U+0009)", "the byte 0xff". Returns its length in bytes.
 */
size_t readable_describe(const char *text, char *description, size_t size) {
    uint32_t code = 0;
    size_t length = decode(text, &code);
    const char *name = name_of(code);

    if (length == 0)
        (void)snprintf(description, size, "the byte 0x%02x", (unsigned)(unsigned char)text[0]);
    else if (name != NULL && (code == ' ' || code > 0x7f))
        (void)snprintf(description, size, code == ' ' ? "%s" : "%s (U+%04X)", name, (unsigned)code);
    else if (name != NULL)
        (void)snprintf(description, size, "%s", name);
    else if (!is_visible(code))
        (void)snprintf(description, size, "the invisible character U+%04X", (unsigned)code);
    else if (code < 0x80)
        (void)snprintf(description, size, "'%c'", (int)code);
    else
        (void)snprintf(description, size, "'%.*s' (U+%04X)", (int)length, text, (unsigned)code);
    return length > 0 ? length : 1;
}

/* Writes @text; each character that would not be seen becomes \xNN for each of its bytes. */
void readable_print(FILE *out, const char *text) {
    while (*text != '\0') {
        uint32_t code = 0;
        size_t length = decode(text, &code);

        if (length > 0 && is_visible(code)) {
            (void)fwrite(text, 1, length, out);
        } else {
            length = length > 0 ? length : 1;
            for (size_t i = 0; i < length; i++)
                (void)fprintf(out, "\\x%02x", (unsigned)(unsigned char)text[i]);
        }
        text += length;
    }
}
