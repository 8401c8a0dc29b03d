#include "policy/range-expansion.h"

#include <string.h>

#include "policy/name-pattern.h"

/* Appends a part of the word, up to @end or, if that is NULL, to its NUL. Returns the new length.
 */
static size_t text_add_word(char *text, size_t n, size_t max, const char *from, const char *end) {
    for (; from != end && *from != '\0' && n < max; from++)
        text[n++] = *from;
    return n;
}

static void bracket_rewind(struct range_bracket *bracket) {
    bracket->rest = bracket->start + 1;
    bracket->low = 1;
    bracket->high = 0;
    bracket->is_set = false;
}

static void bracket_init(struct range_bracket *bracket, const char *start, const char *end) {
    bracket->start = start;
    bracket->end = end;
    bracket->width = 0;
    bracket_rewind(bracket);
}

/* Moves to the next element of the list, which host_range_find_error() found right. */
static void bracket_take_element(struct range_bracket *bracket) {
    const char *at = bracket->rest;
    struct host_range_number low = host_range_read_number(&at), high = low;

    if (*at == '-') {
        at++;
        high = host_range_read_number(&at);
    }
    if (*at == ',')
        at++;
    bracket->rest = at;
    bracket->low = low.value;
    bracket->high = high.value;
    bracket->width = low.width == high.width ? low.width : 0;
}

/* The piece as it is being written. What does not fit is left out; everything fits. */
struct piece {
    char *text;
    size_t n;
};

static void piece_add(struct piece *piece, const char *bytes, size_t n_bytes) {
    size_t n = piece->n;

    for (size_t i = 0; i < n_bytes && n < RANGE_PIECE_MAX; i++)
        piece->text[n++] = bytes[i];
    piece->text[n] = '\0';
    piece->n = n;
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
static unsigned bracket_get_place(const struct range_bracket *bracket) {
    unsigned place = 0;

    if (bracket->width > 0)
        return bracket->width - 1;
    while (place < HOST_RANGE_DIGITS_MAX && powers[place + 1] <= bracket->low)
        place++;
    return place;
}

/*
 * Takes from the element the numbers that one pattern can match, and writes it to @text: 0[1-9] of
 * 01-16, then 1[0-6]. After the digit that has a set, all digits are free.
 */
static void bracket_take_numbers(struct range_bracket *bracket, char *text) {
    struct piece piece = {.text = text};
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

/* Moves the range number @i to its next piece. Returns false if there is none. */
static bool expansion_advance(struct range_expansion *expansion, size_t i) {
    struct range_bracket *bracket = &expansion->brackets[i];
    char *piece = expansion->pieces[i];
    const char *end;
    size_t n;

    if (bracket->low > bracket->high && name_char_is_digit(*bracket->rest))
        bracket_take_element(bracket);
    if (bracket->low <= bracket->high) {
        bracket_take_numbers(bracket, piece);
        return true;
    }
    if (!expansion->with_sets || bracket->is_set ||
        pattern_find_set_error(bracket->start, &end) != NULL)
        return false;
    bracket->is_set = true;
    n = text_add_word(piece, 0, RANGE_PIECE_MAX, bracket->start, bracket->end);
    piece[n] = '\0';
    return true;
}

/*
 * Begins to expand @word, in which host_range_find_error() found no error, and which must live as
 * long as @expansion. @with_sets: each range that could also be a set, as [01-16] is one of 0, 1
 * and 6, is expanded to that set, too.
 */
void range_expansion_begin(struct range_expansion *expansion, const char *word, bool with_sets) {
    const char *start, *end = word;
    size_t i;

    memset(expansion, 0, sizeof(*expansion));
    expansion->word = word;
    expansion->with_sets = with_sets;
    for (i = 0; i < HOST_RANGE_BRACKETS_MAX; i++)
        bracket_init(&expansion->brackets[i], word, word);
    while (expansion->n_brackets < HOST_RANGE_BRACKETS_MAX &&
           (start = host_range_find_both(end, &end)) != NULL) {
        i = expansion->n_brackets++;
        bracket_init(&expansion->brackets[i], start, end);
        (void)expansion_advance(expansion, i);
    }
}

static size_t text_add_piece(char *text, size_t n, const char *piece) {
    for (size_t i = 0; i < RANGE_PIECE_MAX && piece[i] != '\0' && n < RANGE_TEXT_MAX; i++)
        text[n++] = piece[i];
    return n;
}

/*
 * Writes the next pattern to @text, which has room for RANGE_TEXT_MAX and a NUL. Sets
 * *@is_setp if one of its ranges was read as a set. Returns its length; 0: there was none.
 */
size_t range_expansion_next(struct range_expansion *expansion, char *text, bool *is_setp) {
    const char *at = expansion->word;
    size_t n = 0;

    *is_setp = false;
    if (expansion->has_ended)
        return 0;
    for (size_t i = 0; i < expansion->n_brackets; i++) {
        const struct range_bracket *bracket = &expansion->brackets[i];

        n = text_add_word(text, n, RANGE_TEXT_MAX, at, bracket->start);
        n = text_add_piece(text, n, expansion->pieces[i]);
        at = bracket->end;
        *is_setp |= bracket->is_set;
    }
    n = text_add_word(text, n, RANGE_TEXT_MAX, at, NULL);
    text[n] = '\0';
    for (size_t i = expansion->n_brackets; i > 0; i--) {
        if (expansion_advance(expansion, i - 1))
            return n;
        bracket_rewind(&expansion->brackets[i - 1]);
        (void)expansion_advance(expansion, i - 1);
    }
    expansion->has_ended = true;
    return n;
}
