#include "policy/host-range.h"

#include <string.h>

#include "policy/name-pattern.h"

/*
 * Returns the length of the host range that begins with the [ at @bracket; 0: that is a set, or not
 * a bracket. A bracket of digits, commas and hyphens is a range if it has a comma, or a hyphen next
 * to a number of at least two digits. So [0-9], [12] and [0-9-] stay sets. [1-] is a range that
 * lacks a number.
 */
size_t host_range_get_length(const char *bracket) {
    size_t n = 1, n_digits = 0;
    bool is_range = false, follows_hyphen = false;

    if (*bracket != '[')
        return 0;
    for (; bracket[n] != ']'; n++) {
        if (name_char_is_digit(bracket[n])) {
            is_range |= ++n_digits == 2 && follows_hyphen;
        } else if (bracket[n] == '-' || bracket[n] == ',') {
            follows_hyphen = bracket[n] == '-';
            is_range |= !follows_hyphen || n_digits >= 2;
            is_range |= n == 2 && n_digits == 1 && bracket[3] == ']';
            n_digits = 0;
        } else {
            return 0;
        }
    }
    return is_range ? n + 1 : 0;
}

/* True if the bracket at @bracket is a set like [12], by which others mean the number 12. */
bool host_range_is_lone_number(const char *bracket) {
    size_t n = 1;

    if (*bracket != '[')
        return false;
    while (name_char_is_digit(bracket[n]))
        n++;
    return bracket[n] == ']' && n > 2;
}

/* Returns the first host range of @word; NULL: none. */
const char *host_range_find(const char *word) {
    while (*word != '\0') {
        if (*word == '[') {
            if (host_range_get_length(word) > 0)
                return word;
            while (*word != ']' && *word != '\0')
                word++;
        } else {
            word++;
        }
    }
    return NULL;
}

/* A number of a list, as it is written. */
struct number {
    const char *start;
    unsigned width;
    uint64_t value;
};

static bool number_has_zeros(const struct number *number) {
    return number->width > 1 && *number->start == '0';
}

/* Reads the number at *@atp, which may have no digit, and moves *@atp to the byte after it. */
static struct number read_number(const char **atp) {
    struct number number = {.start = *atp};

    for (; name_char_is_digit(**atp); ++*atp) {
        if (number.width <= HOST_RANGE_DIGITS_MAX)
            number.value = number.value * 10 + (uint64_t)(**atp - '0');
        number.width += number.width <= HOST_RANGE_DIGITS_MAX;
    }
    return number;
}

/* Returns what is wrong with @low-@high, at the second number. */
static const char *find_order_error(const struct number *low, const struct number *high) {
    if (low->width != high->width && (number_has_zeros(low) || number_has_zeros(high)))
        return "the numbers of a range have the same width if one begins with 0: write 1 to 100 as "
               "[001-100] or [1-100]";
    return low->value > high->value ? "a range goes upwards: write the smaller number first" : NULL;
}

/* Looks for an error in the element of a list at *@atp; moves *@atp to the byte after it, or to the
 * error. */
static const char *find_element_error(const char **atp) {
    struct number low = read_number(atp), high = low;
    const char *wrong;

    if (low.width == 0)
        return **atp == '-' ? "a range needs a number before the hyphen, as in [01-16]"
                            : "a number is missing: write one on each side of a comma";
    if (**atp == '-') {
        ++*atp;
        high = read_number(atp);
        if (high.width == 0)
            return "a range needs a number after the hyphen, as in [01-16]";
        if (**atp == '-')
            return "a range has two numbers; write several ranges with commas, as in [01-04,07-09]";
    }
    if (low.width > HOST_RANGE_DIGITS_MAX || high.width > HOST_RANGE_DIGITS_MAX) {
        *atp = low.width > HOST_RANGE_DIGITS_MAX ? low.start : high.start;
        return "a number of more than 18 digits: write fewer digits in the brackets";
    }
    wrong = find_order_error(&low, &high);
    if (wrong != NULL)
        *atp = high.start;
    return wrong;
}

/* Looks for an error in the host range at *@atp; moves *@atp to the byte after it, or to the error.
 */
static const char *find_range_error(const char **atp) {
    while (**atp != ']') {
        const char *wrong;

        ++*atp; /* the [ or a comma */
        wrong = find_element_error(atp);
        if (wrong != NULL)
            return wrong;
    }
    ++*atp;
    return NULL;
}

/*
 * Looks for an error in @word, which has a host range. Returns NULL if there is none, else a
 * constant string that describes the error, with *@offsetp the byte at which it begins.
 */
const char *host_range_find_error(const char *word, size_t *offsetp) {
    const char *at = word;
    size_t n_ranges = 0, n_outside = 0;

    while (*at != '\0') {
        const char *start = at, *wrong = NULL;
        bool is_range = host_range_get_length(at) > 0;

        *offsetp = (size_t)(at - word);
        if (is_range && ++n_ranges > HOST_RANGE_BRACKETS_MAX)
            return "more than 8 ranges in one word: write several words";
        if (is_range)
            wrong = find_range_error(&at);
        else if (*at == '[')
            wrong = pattern_find_set_error(at, &at);
        else
            at++;
        if (wrong != NULL) {
            *offsetp = (size_t)(at - word);
            return wrong;
        }
        if (!is_range)
            n_outside += (size_t)(at - start);
        if (n_outside > HOST_RANGE_OUTSIDE_MAX)
            return "more than 256 bytes outside of the ranges: no name is so long";
    }
    *offsetp = 0;
    return NULL;
}

static void bracket_rewind(struct host_range_bracket *bracket) {
    bracket->rest = bracket->start + 1;
    bracket->low = 1;
    bracket->high = 0;
    bracket->is_set = false;
}

/* Moves to the next element of the list, which find_range_error() found right. */
static void bracket_take_element(struct host_range_bracket *bracket) {
    struct number low = read_number(&bracket->rest), high = low;

    if (*bracket->rest == '-') {
        bracket->rest++;
        high = read_number(&bracket->rest);
    }
    if (*bracket->rest == ',')
        bracket->rest++;
    bracket->low = low.value;
    bracket->high = high.value;
    bracket->width = low.width == high.width ? low.width : 0;
}

/* The piece as it is being written. What does not fit is left out; everything fits. */
struct piece {
    char *text;
    size_t n;
};

static void piece_add(struct piece *piece, const char *bytes, size_t n) {
    for (size_t i = 0; i < n && piece->n < HOST_RANGE_PIECE_MAX; i++)
        piece->text[piece->n++] = bytes[i];
    piece->text[piece->n] = '\0';
}

static void piece_add_digit(struct piece *piece, uint64_t digit) {
    char c = (char)('0' + digit % 10);

    piece_add(piece, &c, 1);
}

/* powers[i]: 10 to the power of i. Wider numbers are errors. */
static const uint64_t powers[HOST_RANGE_DIGITS_MAX + 2] = {
    UINT64_C(1),
    UINT64_C(10),
    UINT64_C(100),
    UINT64_C(1000),
    UINT64_C(10000),
    UINT64_C(100000),
    UINT64_C(1000000),
    UINT64_C(10000000),
    UINT64_C(100000000),
    UINT64_C(1000000000),
    UINT64_C(10000000000),
    UINT64_C(100000000000),
    UINT64_C(1000000000000),
    UINT64_C(10000000000000),
    UINT64_C(100000000000000),
    UINT64_C(1000000000000000),
    UINT64_C(10000000000000000),
    UINT64_C(100000000000000000),
    UINT64_C(1000000000000000000),
    UINT64_C(10000000000000000000),
};

/* Returns how many digits follow the first one of the next number. */
static unsigned bracket_get_place(const struct host_range_bracket *bracket) {
    unsigned place = 0;

    if (bracket->width > 0)
        return bracket->width - 1;
    while (place < HOST_RANGE_DIGITS_MAX && powers[place + 1] <= bracket->low)
        place++;
    return place;
}

/*
 * Takes from the element the numbers that one pattern can match, and writes the pattern: 0[1-9] of
 * 01-16, then 1[0-6]. After the digit that has a set, all digits are free.
 */
static void bracket_take_numbers(struct host_range_bracket *bracket) {
    struct piece piece = {.text = bracket->piece};
    unsigned place = bracket_get_place(bracket), n_free = 0;
    uint64_t end = bracket->high + 1, digit, n;

    if (end > powers[place + 1])
        end = powers[place + 1]; /* numbers with more digits come later */
    while (n_free < place && bracket->low % powers[n_free + 1] == 0 &&
           end - bracket->low >= powers[n_free + 1])
        n_free++;
    digit = bracket->low / powers[n_free] % 10;
    n = (end - bracket->low) / powers[n_free];
    n = n < 10 - digit ? n : 10 - digit;
    for (unsigned i = place; i > n_free; i--)
        piece_add_digit(&piece, bracket->low / powers[i]);
    piece_add(&piece, "[", n > 1);
    piece_add_digit(&piece, digit);
    if (n > 1) {
        piece_add(&piece, "-", 1);
        piece_add_digit(&piece, digit + n - 1);
        piece_add(&piece, "]", 1);
    }
    for (unsigned i = 0; i < n_free; i++)
        piece_add(&piece, "[0-9]", 5);
    bracket->low += n * powers[n_free];
}

/* Moves to the next piece. Returns false if there is none. */
static bool bracket_advance(struct host_range_bracket *bracket, bool with_sets) {
    struct piece piece = {.text = bracket->piece};
    const char *end;

    if (bracket->low > bracket->high && name_char_is_digit(*bracket->rest))
        bracket_take_element(bracket);
    if (bracket->low <= bracket->high) {
        bracket_take_numbers(bracket);
        return true;
    }
    if (!with_sets || bracket->is_set || pattern_find_set_error(bracket->start, &end) != NULL)
        return false;
    bracket->is_set = true;
    piece_add(&piece, bracket->start, (size_t)(bracket->end - bracket->start));
    return true;
}

/*
 * Begins to expand @word, in which host_range_find_error() found no error, and which must live as
 * long as @range. @with_sets: each range that could also be a set, as [01-16] is one of 0, 1 and 6,
 * is expanded to that set, too.
 */
void host_range_begin(struct host_range *range, const char *word, bool with_sets) {
    const char *at = word;

    range->word = word;
    range->with_sets = with_sets;
    range->has_ended = false;
    range->n_brackets = 0;
    while (range->n_brackets < HOST_RANGE_BRACKETS_MAX && (at = host_range_find(at)) != NULL) {
        struct host_range_bracket *bracket = &range->brackets[range->n_brackets++];

        bracket->start = at;
        at += host_range_get_length(at);
        bracket->end = at;
        bracket_rewind(bracket);
        (void)bracket_advance(bracket, with_sets);
    }
}

static size_t text_add(char *text, size_t n, const char *from, const char *end) {
    for (; from < end && n < HOST_RANGE_TEXT_MAX; from++)
        text[n++] = *from;
    return n;
}

/*
 * Writes the next pattern to @text, which has room for HOST_RANGE_TEXT_MAX and a NUL. Sets
 * *@is_setp if one of its ranges was read as a set. Returns its length; 0: there was none.
 */
size_t host_range_next(struct host_range *range, char *text, bool *is_setp) {
    const char *at = range->word;
    size_t n = 0;

    *is_setp = false;
    if (range->has_ended)
        return 0;
    for (size_t i = 0; i < range->n_brackets; i++) {
        const struct host_range_bracket *bracket = &range->brackets[i];

        n = text_add(text, n, at, bracket->start);
        n = text_add(text, n, bracket->piece, bracket->piece + strlen(bracket->piece));
        at = bracket->end;
        *is_setp |= bracket->is_set;
    }
    n = text_add(text, n, at, at + strlen(at));
    text[n] = '\0';
    for (size_t i = range->n_brackets; i-- > 0;) {
        if (bracket_advance(&range->brackets[i], range->with_sets))
            return n;
        bracket_rewind(&range->brackets[i]);
        (void)bracket_advance(&range->brackets[i], range->with_sets);
    }
    range->has_ended = true;
    return n;
}
