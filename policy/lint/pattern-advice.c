#include "policy/lint/pattern-advice.h"

#include <stdint.h>
#include <string.h>

#include "policy/name-pattern.h"
#include "policy/syntax-hints.h"

/* Returns the byte after the bracket that begins at @at, or @at if none does. */
static const char *skip_bracket(const char *at) {
    const char *end = *at == '[' ? strchr(at, ']') : NULL;

    return end != NULL ? end + 1 : at;
}

/* Writes the words of @word, which any of @separators separates outside of brackets. */
void advise_on_list(struct advice *advice, const char *word, const char *separators) {
    const char *begin = word;

    while (*begin != '\0') {
        const char *end = begin;

        while (*end != '\0' && strchr(separators, *end) == NULL)
            end = skip_bracket(end) > end ? skip_bracket(end) : end + 1;
        if (end > begin) {
            advice_print(advice, "%s", advice->length > 0 ? " " : "");
            advice_print_part(advice, begin, end);
        }
        begin = *end != '\0' ? end + 1 : end;
    }
}

/* Writes a word for each of the parts from @begin to @end, with what is around them. */
static void advise_on_parts(struct advice *advice, const char *word, const char *begin,
                            const char *end, const char *separators) {
    for (const char *at = begin; at <= end; at++) {
        size_t length = strcspn(at, separators);

        if (length > (size_t)(end - at))
            length = (size_t)(end - at);
        advice_print(advice, "%s", advice->length > 0 ? " " : "");
        advice_print_part(advice, word, begin - 1);
        advice_print_part(advice, at, at + length);
        advice_print(advice, "%s", end + 1);
        at += length;
    }
}

/* Of a set with separators, such as [a,b] or [foo|bar], or of a range of Ansible's, [1:4]. */
void advise_on_set(struct advice *advice, const char *word) {
    size_t offset;
    const char *begin, *end;
    bool has_long_part = false;

    (void)syntax_hint_for_pattern(word, &offset);
    begin = word + offset;
    end = strchr(begin, ']');
    while (begin > word && begin[-1] != '[')
        begin--;
    if (end == NULL)
        return;
    if (end - begin == 3 && begin[1] == ':') {
        advice_print_part(advice, word, begin);
        advice_print(advice, "%c-%s", begin[0], begin + 2);
        return;
    }
    if (strchr(",;|", word[offset]) == NULL)
        return;
    for (const char *at = begin; at < end; at++) {
        size_t length = strcspn(at, ",;|]");

        has_long_part |= length > 1 && (length != 3 || at[1] != '-');
        at += length;
    }
    if (has_long_part) {
        advise_on_parts(advice, word, begin, end, ",;|]");
        return;
    }
    advice_print_part(advice, word, begin);
    for (const char *at = begin; at < end; at++)
        if (strchr(",;|", *at) == NULL)
            advice_print(advice, "%c", *at);
    advice_print(advice, "%s", end);
}

/*
 * Returns the length of "01..16" or "01-16", with *@lowp the length of the first number and *@dotsp
 * that of what is between them; 0: none.
 */
static size_t read_range(const char *at, size_t *lowp, size_t *dotsp) {
    size_t high;

    *lowp = strspn(at, "0123456789");
    *dotsp = strncmp(at + *lowp, "..", 2) == 0 ? 2 : at[*lowp] == '-' ? 1 : 0;
    high = *dotsp > 0 ? strspn(at + *lowp + *dotsp, "0123456789") : 0;
    return *lowp > 0 && high > 0 ? *lowp + *dotsp + high : 0;
}

/* Of the braces of a shell: ranges of numbers, or one list of words. */
void advise_on_braces(struct advice *advice, const char *word) {
    const char *begin = strchr(word, '{'), *end = begin != NULL ? strchr(begin, '}') : NULL;
    size_t low, dots, length;

    if (begin != NULL && end != NULL && strchr(end, '{') == NULL &&
        strcspn(begin, ",") < (size_t)(end - begin)) {
        advise_on_parts(advice, word, begin + 1, end, ",}");
        return;
    }
    for (const char *at = word; *at != '\0'; at++) {
        length = *at == '{' ? read_range(at + 1, &low, &dots) : 0;
        if (strchr("{}", *at) == NULL) {
            advice_print(advice, "%c", *at);
        } else if (name_char_is_alphanumeric(at[1]) && strncmp(at + 2, "..", 2) == 0 &&
                   name_char_is_alphanumeric(at[4]) && at[5] == '}') {
            advice_print(advice, "[%c-%c]", at[1], at[4]);
            at += 5;
        } else if (length > 0 && at[1 + length] == '}') {
            advice_print(advice, "[%.*s-%.*s]", (int)low, at + 1, (int)(length - low - dots),
                         at + 1 + low + dots);
            at += length + 1;
        } else {
            advice->is_lost = true;
        }
    }
}

/* Of a name with two dots, such as node01..16 or node01..node16. */
void advise_on_dots(struct advice *advice, const char *word) {
    const char *dots = strstr(word, ".."), *low = dots, *high;
    size_t stem, digits;

    if (dots == NULL)
        return;
    while (low > word && low[-1] >= '0' && low[-1] <= '9')
        low--;
    high = dots + 2;
    stem = (size_t)(low - word);
    if (stem < strlen(high) && memcmp(high, word, stem) == 0)
        high += stem;
    digits = strspn(high, "0123456789");
    if (low == dots || digits == 0 || strstr(high, "..") != NULL)
        return;
    advice_print_part(advice, word, low);
    advice_print(advice, "[");
    advice_print_part(advice, low, dots);
    advice_print(advice, "-%.*s]%s", (int)digits, high, high + digits);
}

/* Of the simplest regular expressions: anchors, and .* for any characters. */
void advise_on_regexp(struct advice *advice, const char *word) {
    const char *end = word + strlen(word), *begin = word, *bar = strchr(word, '|');
    bool is_anchored_at_begin, is_anchored_at_end;

    if (bar != NULL && *word != '(' && strchr(word, '(') == NULL) {
        advise_on_list(advice, word, "|");
        return;
    }
    if (bar != NULL) {
        const char *open = strchr(word, '('), *close = strchr(word, ')');

        if (open != NULL && close != NULL && open < close &&
            strpbrk(close + 1, "()|*+^$?{") == NULL &&
            strcspn(open + 1, "(.*+^$?{") >= (size_t)(close - open - 1))
            advise_on_parts(advice, word, open + 1, close, "|)");
        return;
    }
    if (*begin == '/' || *begin == '~')
        begin++;
    if (*word == '/' && end > begin && end[-1] == '/')
        end--;
    is_anchored_at_begin = begin < end && *begin == '^';
    begin += is_anchored_at_begin;
    is_anchored_at_end = begin < end && end[-1] == '$';
    end -= is_anchored_at_end;
    if (!is_anchored_at_begin && *begin != '.')
        advice_print(advice, "*");
    for (; begin < end; begin++) {
        if (strncmp(begin, ".*", 2) == 0)
            continue; /* the star is next */
        if (*begin == '*' || name_char_is_alphanumeric(*begin) || strchr("-.[]", *begin) != NULL)
            advice_print(advice, "%c", *begin);
        else
            advice->is_lost = true;
    }
    if (!is_anchored_at_end && advice->length > 0 && advice->text[advice->length - 1] != '*')
        advice_print(advice, "*");
}

/* Of a character that is a wildcard or a mark elsewhere: node%, <name>. */
void advise_on_character(struct advice *advice, const char *word) {
    if (*word == '~' && word[1] != '\0') {
        advise_on_regexp(advice, word);
        return;
    }
    for (const char *at = word; *at != '\0'; at++) {
        if (*at == '%' && !name_char_is_alphanumeric(at[1]))
            advice_print(advice, "*");
        else if (strchr("%~&`", *at) != NULL)
            advice->is_lost = true;
        else if (strchr("<>", *at) == NULL)
            advice_print(advice, "%c", *at);
    }
}
