#include "policy/host-range.h"

#include <errno.h>

#include "policy/name-pattern.h"
#include "policy/range-expansion.h"
#include "policy/range-patterns.h"
#include "tests/test.h"

#define A250 A50 A50 A50 A50 A50
#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* Writes the patterns that @word makes to @patterns and @sets, with spaces between them. */
static void expand(const char *word, bool with_sets, char *patterns, char *sets) {
    char text[RANGE_TEXT_MAX + 1];
    struct range_expansion expansion;
    bool is_set;
    size_t n;

    patterns[0] = sets[0] = '\0';
    range_expansion_begin(&expansion, word, with_sets);
    while ((n = range_expansion_next(&expansion, text, &is_set)) > 0) {
        char *to = is_set ? sets : patterns;

        assert_int_equal(n, strlen(text));
        (void)strcat(strcat(to, to[0] != '\0' ? " " : ""), text);
    }
}

/* A bracket is a range, a set, or both; the last column says which patterns a deny rule has. */
static void a_word_is_expanded_as_it_is_meant(void **state) {
    static const struct {
        const char *word;
        const char *patterns; /* of a permit rule; NULL: the word has no range */
        const char *sets;     /* what a deny rule denies besides */
    } cases[] = {
        /* Those that were sets, and passed. */
        {"lab[01-16]", "lab0[1-9] lab1[0-6]", "lab[01-16]"},
        {"[1-10]", "[1-9] 10", "[1-10]"},
        {"[1-12]", "[1-9] 1[0-2]", "[1-12]"},
        {"[0-15]", "[0-9] 1[0-5]", "[0-15]"},
        {"[1-20]", "[1-9] 1[0-9] 20", "[1-20]"},
        {"[1-40]", "[1-9] [1-3][0-9] 40", "[1-40]"},
        {"[1-64]", "[1-9] [1-5][0-9] 6[0-4]", "[1-64]"},
        {"[01-32]", "0[1-9] [1-2][0-9] 3[0-2]", "[01-32]"},
        {"rack[1-4]n[01-32]", "rack[1-4]n0[1-9] rack[1-4]n[1-2][0-9] rack[1-4]n3[0-2]",
         "rack[1-4]n[01-32]"},
        {"[1-4,7,10-12]", "[1-4] 7 1[0-2]", ""},
        /* Widths. */
        {"[001-016]", "00[1-9] 01[0-6]", ""},
        {"[001-100]", "00[1-9] 0[1-9][0-9] 100", ""},
        {"[000-999]", "[0-9][0-9][0-9]", ""},
        {"[01,2]", "01 2", "[01,2]"},
        {"[01-02,3-4,005]", "0[1-2] [3-4] 005", ""},
        {"[8-12]", "[8-9] 1[0-2]", ""},
        {"[5-105]", "[5-9] [1-9][0-9] 10[0-5]", ""},
        {"[10-12]", "1[0-2]", "[10-12]"},
        {"[01-01]", "01", ""},
        {"[9-10]", "9 10", ""},
        {"[0-10]", "[0-9] 10", ""},
        {"[1,3]", "1 3", "[1,3]"},
        {"[7,7]", "7 7", ""},
        {"[95-104]", "9[5-9] 10[0-4]", ""},
        {"[000000000000000000-999999999999999999]",
         "[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-"
         "9]",
         ""},
        {"[999999999999999998-999999999999999999]", "99999999999999999[8-9]", ""},
        {"[009999999999999999-010000000000000000]", "009999999999999999 010000000000000000", ""},
        /* Several ranges, and with wildcards. */
        {"a[1-2,4]b[01-03]", "a[1-2]b0[1-3] a4b0[1-3]", "a[1-2,4]b0[1-3]"},
        {"n[08-11]*.[!x]?", "n0[8-9]*.[!x]? n1[0-1]*.[!x]?", ""},
        {"[a-f][10-11]", "[a-f]1[0-1]", ""},
        {"[1-10][1-10]", "[1-9][1-9] [1-9]10 10[1-9] 1010",
         "[1-9][1-10] 10[1-10] [1-10][1-9] [1-10]10 [1-10][1-10]"},
        {"]x[10-11]", "]x1[0-1]", ""},
        /* Sets and names stay what they were. */
        {"[12]", NULL, NULL},
        {"[0-9]", NULL, NULL},
        {"[1-4]", NULL, NULL},
        {"[0-9-]", NULL, NULL},
        {"[-0-9]", NULL, NULL},
        {"[-1]", NULL, NULL},
        {"[-]", NULL, NULL},
        {"[1-2-3]", NULL, NULL},
        {"[!01-16]", NULL, NULL},
        {"[a-f]", NULL, NULL},
        {"[0-9a-f]", NULL, NULL},
        {"[a10-12]", NULL, NULL},
        {"[a,b]", NULL, NULL},
        {"[10-12", NULL, NULL},
        {"[x[10-12]", NULL, NULL},
        {"10-12]", NULL, NULL},
        {"node01-16", NULL, NULL},
        {"", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        char patterns[1024], sets[1024];
        size_t offset;

        if ((host_range_find(cases[i].word) != NULL) != (cases[i].patterns != NULL))
            fail_msg("'%s'", cases[i].word);
        if (cases[i].patterns == NULL)
            continue;
        assert_null(host_range_find_error(cases[i].word, &offset));
        expand(cases[i].word, false, patterns, sets);
        assert_string_equal(patterns, cases[i].patterns);
        assert_string_equal(sets, "");
        expand(cases[i].word, true, patterns, sets);
        assert_string_equal(patterns, cases[i].patterns);
        assert_string_equal(sets, cases[i].sets);
    }
}

static void only_some_sets_look_like_numbers(void **state) {
    static const struct {
        const char *bracket;
        bool is_lone_number;
    } cases[] = {{"[12]", true}, {"[012]x", true}, {"[1]", false},
                 {"[]", false},  {"[1-2]", false}, {"[12", false},
                 {"12]", false}, {"[12a]", false}, {"", false}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (host_range_is_lone_number(cases[i].bracket) != cases[i].is_lone_number)
            fail_msg("'%s'", cases[i].bracket);
}

static void wrong_ranges_give_an_error_and_its_offset(void **state) {
    static const struct {
        const char *word;
        size_t offset;
        const char *wrong; /* a part of the message */
    } cases[] = {
        {"n[01-100]", 5, "[001-100] or [1-100]"},
        {"[1-016]", 3, "the same number of digits"},
        {"[001-16]", 5, "the same number of digits"},
        {"[100-0]", 5, "upwards"},
        {"[00-1]", 4, "the same number of digits"},
        {"[16-01]", 4, "write the smaller number first"},
        {"[1-4,12-10]", 8, "write the smaller number first"},
        {"[1,,3]", 3, "a number is missing"},
        {"[,]", 1, "a number is missing"},
        {"[,1]", 1, "a number is missing"},
        {"a[1,]", 4, "a number is missing"},
        {"[1-]", 3, "a number after the hyphen"},
        {"[10-]", 4, "a number after the hyphen"},
        {"[1-,2]", 3, "a number after the hyphen"},
        {"[-16]", 1, "a number before the hyphen"},
        {"[1,-2]", 3, "a number before the hyphen"},
        {"[10--12]", 4, "a number after the hyphen"},
        {"[10-20-30]", 6, "two numbers"},
        {"[0-35-9]", 5, "two numbers"},
        {"[1234567890123456789,2]", 1, "more than 18 digits"},
        {"[1-1000000000000000000]", 3, "more than 18 digits"},
        {"[1-4,99999999999999999999999999999999999999999]", 5, "more than 18 digits"},
        {"[1,2][ab", 5, "[ without ]"},
        {"[aa][1,2]", 0, "a character twice"},
        {"[1,2][]", 5, "an empty set"},
        {"[1,2]a[1,2]b[1,2]c[1,2]d[1,2]e[1,2]f[1,2]g[1,2]h[1,2]", 48, "more than 8 ranges"},
        {A250 "aaaaaa[1,2]", 0, NULL},
        {A250 "aaaaaa[1,2]a", 261, "more than 256 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        size_t offset = 999;
        const char *wrong = host_range_find_error(cases[i].word, &offset);

        assert_non_null(host_range_find(cases[i].word));
        if ((wrong == NULL) != (cases[i].wrong == NULL) || offset != cases[i].offset ||
            (wrong != NULL && strstr(wrong, cases[i].wrong) == NULL))
            fail_msg("'%s': %zu: %s", cases[i].word, offset, wrong != NULL ? wrong : "no error");
    }
}

enum { NAME_SIZE = 24, LIST_MAX = 4000, NAMES_MAX = 60000 };

/* Names, in any order; one that is there twice counts twice. */
struct names {
    size_t n;
    char (*all)[NAME_SIZE];
};

static void names_add(struct names *names, const char *name) {
    assert_true(names->n < NAMES_MAX && strlen(name) < NAME_SIZE);
    memset(names->all[names->n], 0, NAME_SIZE); /* compared as a whole */
    (void)strcpy(names->all[names->n++], name);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(a, b);
}

/* Adds all names that @pattern matches, one by one; it has no other sets than [3-5]. */
static void names_add_matches(struct names *names, const char *pattern) {
    const char *set = strchr(pattern, '[');
    char name[RANGE_TEXT_MAX + 1];

    if (set == NULL) {
        names_add(names, pattern);
        return;
    }
    assert_true(set[1] < set[3] && set[2] == '-' && set[4] == ']');
    for (char c = set[1]; c <= set[3]; c++) {
        (void)snprintf(name, sizeof(name), "%.*s%c%s", (int)(set - pattern), pattern, c, set + 5);
        names_add_matches(names, name);
    }
}

static unsigned random_below(unsigned *seed, unsigned n) {
    return (unsigned)rand_r(seed) % n;
}

/* Appends a random range to @word, and adds what it means to @numbers, one by one. */
static void random_range(char *word, struct names *numbers, unsigned *seed, unsigned max) {
    unsigned n_elements = random_below(seed, 3) + 1;

    for (unsigned i = 0; i < n_elements; i++) {
        /* The first has two digits after a hyphen, so that it is not a set. */
        bool is_single = i > 0 && random_below(seed, 3) == 0;
        unsigned low = random_below(seed, max), high = low + 10 + random_below(seed, max);
        int n_digits = snprintf(NULL, 0, "%u", high), width = 0;
        char text[NAME_SIZE];

        if (random_below(seed, 2) == 0)
            width = n_digits + (int)random_below(seed, 3);
        high = is_single ? low : high;
        (void)snprintf(text, sizeof(text), is_single ? "%s%0*u" : "%s%0*u-%0*u", i == 0 ? "[" : ",",
                       width, low, width, high);
        (void)strcat(word, text);
        for (unsigned number = low; number <= high; number++) {
            (void)snprintf(text, sizeof(text), "%0*u", width, number);
            names_add(numbers, text);
        }
    }
    (void)strcat(word, "]");
}

/* A word with one or two ranges matches exactly what a loop over its numbers writes. */
static size_t random_word_check(unsigned *seed, struct names *names, struct names *others) {
    struct names first = {.all = calloc(NAMES_MAX, NAME_SIZE)};
    struct names second = {.all = calloc(NAMES_MAX, NAME_SIZE)};
    bool has_two = random_below(seed, 3) == 0;
    char word[256] = "n", text[RANGE_TEXT_MAX + 1];
    struct range_expansion expansion;
    size_t offset, n_patterns = 0;
    bool is_set;

    assert_true(first.all != NULL && second.all != NULL);
    names->n = others->n = 0;
    random_range(word, &first, seed, has_two ? 40 : random_below(seed, 8000) + 1);
    (void)strcat(word, "-x");
    if (has_two)
        random_range(word, &second, seed, 40);
    else
        names_add(&second, "");
    for (size_t i = 0; i < first.n; i++)
        for (size_t j = 0; j < second.n; j++) {
            (void)snprintf(text, sizeof(text), "n%s-x%s", first.all[i], second.all[j]);
            names_add(names, text);
        }
    assert_null(host_range_find_error(word, &offset));
    range_expansion_begin(&expansion, word, false);
    for (; range_expansion_next(&expansion, text, &is_set) > 0; n_patterns++)
        names_add_matches(others, text);
    free(first.all);
    free(second.all);
    qsort(names->all, names->n, NAME_SIZE, compare_names);
    qsort(others->all, others->n, NAME_SIZE, compare_names);
    if (names->n != others->n || memcmp(names->all, others->all, names->n * NAME_SIZE) != 0)
        fail_msg("%s: %zu names, and %zu by %zu patterns", word, names->n, others->n, n_patterns);
    return n_patterns;
}

static void an_expansion_is_what_a_loop_over_the_numbers_writes(void **state) {
    struct names names = {.all = calloc(NAMES_MAX, NAME_SIZE)};
    struct names others = {.all = calloc(NAMES_MAX, NAME_SIZE)};
    size_t n_names = 0, n_patterns = 0;
    unsigned seed = 1;

    (void)state;
    assert_true(names.all != NULL && others.all != NULL);
    while (n_names < 1000000) {
        n_patterns += random_word_check(&seed, &names, &others);
        n_names += names.n;
    }
    print_message("%zu names, %zu patterns\n", n_names, n_patterns);
    assert_true(n_patterns < n_names / 10);
    free(names.all);
    free(others.all);
}

/* The ranges of a rule make a limited number of patterns, all or none of a word. */
static void a_rule_has_a_limited_number_of_patterns(void **state) {
    static const struct {
        const char *word;
        bool with_sets;
        int r;
        size_t n; /* patterns of the rule afterwards */
    } cases[] = {
        {"[1,2][1,2][1,2][1,2][1,2][1,2]", false, 0, 64},
        {"[1,2][1,2][1,2][1,2][1,2][1,2]", true, 0, 793}, /* 3 * 3 * 3 * 3 * 3 * 3 more */
        {"[1,2,3,4][1,2,3,4][1,2,3,4][1,2,3,4][1,2,3,4][1,2,3,4]", false, -E2BIG, 793},
        {"[1,2,3][1,2,3][1,2,3][1,2,3][1,2,3][1,2,3][1,2,3]", false, 0, 2980},
        {"[1,2,3][1,2,3][1,2,3][1,2,3][1,2,3][1,2,3][1,2,3]", true, -E2BIG, 2980},
        {"[1,2][1,2][1,2][1,2][1,2][1,2][1,2][1,2]", false, 0, 3236},
        {"[1,2,3][1,2,3][1,2,3][1,2,3][1,2,3][1,2,3]", false, 0, 3965},
        {"[1,2][1,2][1,2][1,2][1,2][1,2][1,2]", false, 0, 4093},
        {"[1,2,3,4]", false, -E2BIG, 4093},
        {"[1,2,3]", false, 0, 4096},
        {"[1,1]", false, -E2BIG, 4096},
    };
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct policy_pattern word = {.written = cases[i].word, .line = 7};

        assert_int_equal(range_patterns_add(&policy, &word, cases[i].with_sets, &n), cases[i].r);
        assert_int_equal(n, cases[i].n);
        assert_int_equal(policy.n_patterns, n);
    }
    for (size_t i = 0; i < n; i++)
        assert_int_equal(policy.patterns[i].line, 7);
    assert_string_equal(policy.patterns[0].text, "111111");
    assert_string_equal(policy.patterns[4095].text, "3");
    assert_ptr_equal(policy.patterns[4095].written, cases[9].word);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_word_is_expanded_as_it_is_meant),
    cmocka_unit_test(only_some_sets_look_like_numbers),
    cmocka_unit_test(wrong_ranges_give_an_error_and_its_offset),
    cmocka_unit_test(an_expansion_is_what_a_loop_over_the_numbers_writes),
    cmocka_unit_test(a_rule_has_a_limited_number_of_patterns),
};

TEST_MAIN(tests)
