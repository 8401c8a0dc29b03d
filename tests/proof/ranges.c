/* Host ranges and their expansion, for all words that the policy's files allow. */

#include <stddef.h>
#include <string.h>

#include "policy/loader.h"
#include "tests/proof/proof.h"

/* A pattern is a word of a file, and no longer than that; its NUL follows. */
#define PATTERN_LENGTH (4 << 20)
static char the_pattern[PATTERN_LENGTH + 1];

static char the_name[64 + 1]; /* for the hints of name-pattern.c */

#include "policy/name-pattern.c"
#include "policy/host-range.c"
#include "policy/range-expansion.c"

_Static_assert(PATTERN_LENGTH == LOADER_FILE_SIZE_MAX, "a file of one word");

static char the_text[RANGE_TEXT_MAX + 1];

static void ranges_prove(void) {
    size_t offset;

    (void)host_range_is_lone_number(the_pattern);
    (void)host_range_get_length(the_pattern);
    (void)host_range_find(the_pattern);
    (void)host_range_find_error(the_pattern, &offset);
    //@ assert offset <= PATTERN_LENGTH;
}

/* Also of words in which host_range_find_error() finds something, and of those without a range. */
static void expansion_prove(void) {
    struct range_expansion expansion;
    bool is_set;

    range_expansion_begin(&expansion, the_pattern, Frama_C_unsigned_int_interval(0, 1) != 0);
    while (range_expansion_next(&expansion, the_text, &is_set) > 0)
        continue;
}

int main(void) {
    Frama_C_make_unknown(the_pattern, PATTERN_LENGTH);
    ranges_prove();
    expansion_prove();
    Frama_C_show_each_reached(1);
    return 0;
}
