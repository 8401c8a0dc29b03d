/* Names, patterns and matching, for all bytes and all lengths that the policy's files allow. */

#include <stddef.h>
#include <string.h>

#include "policy/loader.h"
#include "tests/proof/proof.h"

/* A pattern is a word of a file, and no longer than that; its NUL follows. */
#define PATTERN_LENGTH (4 << 20)
static char the_pattern[PATTERN_LENGTH + 1];

static char the_name[64 + 1];

/*
 * The specification of Frama-C's library says only that the result points somewhere into @string.
 */
static char *strpbrk_model(const char *string, const char *accepted) {
    //@ dynamic_split string - the_pattern >= PATTERN_LENGTH;
    for (; *string != '\0'; string++)
        for (const char *a = accepted; *a != '\0'; a++)
            if (*a == *string)
                return (char *)string;
    return NULL;
}
#define strpbrk strpbrk_model

#include "policy/name-pattern.c"

_Static_assert(sizeof(the_name) == NAME_LENGTH_MAX + 1, "a name, and its NUL");
_Static_assert(PATTERN_LENGTH == LOADER_FILE_SIZE_MAX, "a file of one word");

/* Also without a NUL: a name that is too long is not read to its end. */
static void names_prove(void) {
    Frama_C_make_unknown(the_name, sizeof(the_name));
    (void)name_is_printable(the_name);
    (void)name_is_rfc1123(the_name);
}

static void patterns_prove(void) {
    size_t offset;

    Frama_C_make_unknown(the_pattern, PATTERN_LENGTH);
    (void)pattern_is_wildcard(the_pattern);
    (void)pattern_find_error(the_pattern, &offset);
    //@ assert offset <= PATTERN_LENGTH;
}

/* Also of patterns in which pattern_find_error() finds something. */
static void matching_prove(void) {
    Frama_C_make_unknown(the_name, NAME_LENGTH_MAX);
    the_name[NAME_LENGTH_MAX] = '\0';
    (void)pattern_matches(the_pattern, the_name);
    (void)pattern_matches_first_label(the_pattern, the_name);
}

int main(void) {
    names_prove();
    patterns_prove();
    matching_prove();
    Frama_C_show_each_reached(1);
    return 0;
}
