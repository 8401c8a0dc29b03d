#include "policy/byte-hints.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "utsbroker/base.h"

static bool is_continuation(const char *at) {
    return ((unsigned char)*at & 0xc0) == 0x80;
}

/*
 * Returns the character of UTF-8 at @at, which is before @end, if it has two or three bytes; else
 * the byte, so that the blanks and quotes of ISO 8859-1 and of Windows are recognized, too.
 */
static uint32_t read_character(const char *at, const char *end) {
    unsigned char first = (unsigned char)*at;

    if (first >= 0xc2 && first <= 0xdf && end - at >= 2 && is_continuation(at + 1))
        return ((first & UINT32_C(0x1f)) << 6) | ((unsigned char)at[1] & UINT32_C(0x3f));
    if (first >= 0xe0 && first <= 0xef && end - at >= 3 && is_continuation(at + 1) &&
        is_continuation(at + 2))
        return ((first & UINT32_C(0x0f)) << 12) | (((unsigned char)at[1] & UINT32_C(0x3f)) << 6) |
               ((unsigned char)at[2] & UINT32_C(0x3f));
    return first >= 0xfe ? UINT32_C(0xfffe) : first;
}

/*
 * Returns why the byte at @at, which is before @end, cannot be there, and what to write instead;
 * NULL: there is no more to say than that it is not printable ASCII.
 */
const char *byte_hint_find(const char *at, const char *end) {
    static const char carriage_return[] =
        "a carriage return: save the file with Unix line endings (sed -i 's/\\r$//')";
    static const char utf_16[] = "the file is in UTF-16: save it as ASCII or UTF-8";
    static const char blank[] = "a blank that is not a space (such as a no-break space): write a "
                                "space";
    static const char quote[] = "a typographic quote or dash: write \" or -";
    static const char invisible[] = "an invisible character: remove it";
    static const struct {
        uint32_t first, last;
        const char *text;
    } characters[] = {
        {0x00, 0x00, utf_16},
        {0x0b, 0x0c, blank},
        {'\r', '\r', carriage_return},
        {0x85, 0x85, "an ellipsis: a range is node[01-16]"},
        {0x91, 0x97, quote},
        {0xa0, 0xa0, blank},
        {0xab, 0xab, quote},
        {0xad, 0xad, invisible},
        {0xb4, 0xb4, quote},
        {0xbb, 0xbb, quote},
        {0xfffe, 0xfffe, utf_16},
        {0x1680, 0x1680, blank},
        {0x180e, 0x180e, invisible},
        {0x2000, 0x200a, blank},
        {0x200b, 0x200f, invisible},
        {0x2010, 0x201f, quote},
        {0x2026, 0x2026, "an ellipsis: a range is node[01-16]"},
        {0x2028, 0x2029, blank},
        {0x202a, 0x202e, invisible},
        {0x202f, 0x202f, blank},
        {0x2032, 0x2036, quote},
        {0x2039, 0x203a, quote},
        {0x205f, 0x205f, blank},
        {0x2060, 0x206f, invisible},
        {0x2212, 0x2212, quote},
        {0x3000, 0x3000, blank},
        {0xfeff, 0xfeff, "a byte order mark: save the file without it"},
        {0xff01, 0xff5e, "a full-width character: write it in ASCII"},
    };
    uint32_t character = read_character(at, end);

    for (size_t i = 0; i < BASE_ARRAY_SIZE(characters); i++)
        if (character >= characters[i].first && character <= characters[i].last)
            return characters[i].text;
    return NULL;
}
