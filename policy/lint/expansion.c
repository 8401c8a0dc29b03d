#include "policy/lint/expansion.h"

#include <string.h>

#include "policy/name-pattern.h"

/*
 * True if the pattern has only characters and sets of the characters that it lists: a star, a
 * question mark and [!...] match more names than anybody means to list.
 */
bool expansion_is_finite(const char *pattern) {
    return strpbrk(pattern, "*?") == NULL && strstr(pattern, "[!") == NULL;
}

/* The characters from @low to @high; with both as small letters, if only one of them is. */
struct range {
    unsigned char low, high;
};

/* Reads a range, or a single character, of the set at *@atp, and moves *@atp behind it. */
static struct range range_read(const char **atp) {
    const char *at = *atp;
    char low = at[0], high = at[0];

    *atp = at + 1;
    if (at[1] == '-' && at[2] != ']' && at[2] != '\0') {
        high = at[2];
        *atp = at + 3;
    }
    if (low > high || (low <= 'Z' && high >= 'a')) {
        low = name_char_to_lower(low);
        high = name_char_to_lower(high);
    }
    return (struct range){.low = (unsigned char)low, .high = (unsigned char)high};
}

static bool set_has_ended(const char *at) {
    return *at == ']' || *at == '\0';
}

static size_t set_count(const char *set) {
    size_t n = 0;

    while (!set_has_ended(set)) {
        struct range range = range_read(&set);

        n += (size_t)(range.high - range.low) + 1;
    }
    return n;
}

/*
 * Returns the number of names that expansion_each() gives for @pattern, or @max + 1 if there are
 * more than @max.
 */
size_t expansion_count(const char *pattern, size_t max) {
    size_t n = 1, length = 0;

    for (const char *at = pattern; *at != '\0'; at = pattern_skip_element(at))
        if (++length > NAME_LENGTH_MAX)
            return 0;
    for (const char *at = pattern; *at != '\0' && n <= max; at = pattern_skip_element(at))
        n *= *at == '[' ? set_count(at + 1) : 1;
    return n <= max ? n : max + 1;
}

struct expansion {
    char name[NAME_LENGTH_MAX + 1];
    int (*add)(void *context, const char *name);
    void *context;
};

/* Gives the names that begin with the @length characters which are there, and go on by @pattern. */
static int expand(struct expansion *expansion, const char *pattern, size_t length) {
    const char *set = pattern + 1;
    int r = 0;

    if (*pattern == '\0') {
        expansion->name[length] = '\0';
        return expansion->add(expansion->context, expansion->name);
    }
    if (*pattern != '[') {
        expansion->name[length] = *pattern;
        return expand(expansion, pattern + 1, length + 1);
    }
    while (!set_has_ended(set) && r == 0) {
        struct range range = range_read(&set);

        for (unsigned c = range.low; c <= range.high && r == 0; c++) {
            expansion->name[length] = (char)c;
            r = expand(expansion, pattern_skip_element(pattern), length + 1);
        }
    }
    return r;
}

/*
 * Calls @add for each name that the finite @pattern matches, in the order in which its sets list
 * their characters, the last set first; case is that of the pattern. No name has more than 64
 * bytes: a longer pattern matches none. Stops if @add returns something else than 0, and returns
 * that.
 */
int expansion_each(const char *pattern, int (*add)(void *context, const char *name),
                   void *context) {
    struct expansion expansion = {.add = add, .context = context};

    return expansion_count(pattern, 1) == 0 ? 0 : expand(&expansion, pattern, 0);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Compares the numbers at *@ap and *@bp, and moves both behind them. */
static int numbers_compare(const char **ap, const char **bp) {
    const char *a = *ap, *b = *bp;
    size_t zeros_a = strspn(a, "0"), zeros_b = strspn(b, "0");
    size_t length_a = strspn(a + zeros_a, "0123456789"),
           length_b = strspn(b + zeros_b, "0123456789");
    int order;

    *ap = a + zeros_a + length_a;
    *bp = b + zeros_b + length_b;
    if (length_a != length_b)
        return length_a < length_b ? -1 : 1;
    order = memcmp(a + zeros_a, b + zeros_b, length_a);
    return order != 0 ? order : (zeros_a > zeros_b) - (zeros_a < zeros_b);
}

/* Compares names as people count: node2 is before node10. Case is ignored. */
int expansion_compare(const char *a, const char *b) {
    while (*a != '\0' && *b != '\0') {
        int order;

        if (is_digit(*a) && is_digit(*b)) {
            order = numbers_compare(&a, &b);
        } else {
            order = name_char_to_lower(*a) - name_char_to_lower(*b);
            a++;
            b++;
        }
        if (order != 0)
            return order;
    }
    return (*a != '\0') - (*b != '\0');
}
