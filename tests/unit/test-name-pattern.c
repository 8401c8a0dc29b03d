#include "policy/name-pattern.h"
#include "tests/test.h"

#define A10 "aaaaaaaaaa"
#define A60 A10 A10 A10 A10 A10 A10

static void names_follow_rfc1123(void **state) {
    static const struct {
        const char *name;
        bool is_printable, is_rfc1123;
    } cases[] = {
        {"", false, false},
        {"a", true, true},
        {"A", true, true},
        {"7", true, true},
        {"node1.test", true, true},
        {"1.2.3.4", true, true},
        {"xn--bcher-kva.example", true, true},
        {"a-b", true, true},
        {"a--b", true, true},
        {"-a", true, false},
        {"a-", true, false},
        {"-", true, false},
        {"a-.b", true, false},
        {"a.-b", true, false},
        {".", true, false},
        {".a", true, false},
        {"a.", true, false},
        {"a..b", true, false},
        {"a_b", true, false},
        {"In Namespace", true, false},
        {"a/b", true, false},
        {"a;b", true, false},
        {"a*", true, false},
        {A60 "aaa", true, true},     /* 63: a whole label */
        {A60 "aaaa", true, false},   /* 64 in one label */
        {A60 "aa.b", true, true},    /* 64 in two */
        {A60 ".aaa", true, true},    /* 64 */
        {A60 ".aaaa", false, false}, /* 65 */
        {A60 "aaa.", true, false},   /* 64, ends with a dot */
        {A60 "aaaaa", false, false}, /* 65 */
        {A60 A60 A60, false, false}, /* 180 */
        {"a\n", false, false},
        {"a\tb", false, false},
        {"a\x1b[31m", false, false},
        {"a\x7f", false, false},
        {"\x01", false, false},
        {"b\xc3\xbc"
         "cher",
         false, false}, /* UTF-8 */
        {"\xff", false, false},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        if (name_is_printable(cases[i].name) != cases[i].is_printable)
            fail_msg("printable: '%s'", cases[i].name);
        if (name_is_rfc1123(cases[i].name) != cases[i].is_rfc1123)
            fail_msg("RFC 1123: '%s'", cases[i].name);
    }
}

static void bytes_that_are_not_printable_are_invalid(void **state) {
    (void)state;
    for (int c = 1; c < 256; c++) {
        char name[] = {'a', (char)c, 'b', '\0'};
        bool is_ldh = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '.';

        assert_int_equal(name_is_printable(name), c >= 0x20 && c <= 0x7e);
        assert_int_equal(name_is_rfc1123(name), is_ldh);
    }
}

static void patterns_match_whole_names_in_either_case(void **state) {
    static const struct {
        const char *pattern, *name;
        bool matches;
    } cases[] = {
        {"node1", "node1", true},
        {"node1", "NODE1", true},
        {"NODE1", "node1", true},
        {"node1", "node", false},
        {"node", "node1", false},
        {"node", "xnode", false},
        {"*", "anything.at.all", true},
        {"*", "", true},
        {"**", "a", true},
        {"*.test", "a.test", true},
        {"*.test", "a.b.test", true}, /* a star crosses dots */
        {"*.test", "test", false},
        {"*.test", ".test", true},
        {"*.test", "a.testx", false},
        {"*.test", "a.test.example", false},
        {"lab-??", "lab-07", true},
        {"lab-??", "lab-7", false},
        {"lab-??", "lab-007", false},
        {"?", ".", true},
        {"?", "", false},
        {"node[0-9]*", "node1", true},
        {"node[0-9]*", "node1.example", true},
        {"node[0-9]*", "node", false},
        {"node[0-9]*", "nodex", false},
        {"[abc]", "b", true},
        {"[abc]", "B", true},
        {"[A-C]", "b", true},
        {"[abc]", "d", false},
        {"[!abc]", "d", true},
        {"[!abc]", "a", false},
        {"[!a-c]", "B", false},
        {"[!a]", "", false},
        {"[a-]", "-", true},
        {"[-a]", "-", true},
        {"[a!]", "!", true},
        {"a*b*c", "aXbYc", true},
        {"a*b*c", "abcabc", true},
        {"a*b*c", "aXbY", false},
        {"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
        {"In Namespace", "In Namespace", true},
        {"In Namespace", "in namespace", true},
        {"a.b", "axb", false}, /* a dot is a dot */
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (pattern_matches(cases[i].pattern, cases[i].name) != cases[i].matches)
            fail_msg("'%s' on '%s'", cases[i].pattern, cases[i].name);
}

/*
 * Matches by the definition, in exponential time: compared with the fast function on all short
 * strings.
 */
static bool matches_naively(const char *pattern, const char *name) {
    if (*pattern == '\0')
        return *name == '\0';
    if (*pattern == '*')
        return matches_naively(pattern + 1, name) ||
               (*name != '\0' && matches_naively(pattern, name + 1));
    return *name != '\0' && (*pattern == '?' || *pattern == *name) &&
           matches_naively(pattern + 1, name + 1);
}

static void string_of(char *string, size_t length, unsigned number, const char *alphabet) {
    for (size_t i = 0; i < length; i++) {
        string[i] = alphabet[number % strlen(alphabet)];
        number /= (unsigned)strlen(alphabet);
    }
    string[length] = '\0';
}

static void patterns_match_as_defined_on_all_short_strings(void **state) {
    unsigned n_cases = 0;

    (void)state;
    for (unsigned p = 0; p < 1024; p++) {
        for (unsigned n = 0; n < 64; n++) {
            char pattern[6], name[7];

            for (size_t length = 0; length <= 6; length++) {
                string_of(pattern, 5, p, "ab*?");
                string_of(name, length, n, "ab");
                if (pattern_matches(pattern, name) != matches_naively(pattern, name))
                    fail_msg("'%s' on '%s'", pattern, name);
                n_cases++;
            }
        }
    }
    assert_int_equal(n_cases, 1024 * 64 * 7);
}

static void wrong_patterns_give_an_error_and_its_offset(void **state) {
    static const struct {
        const char *pattern;
        const char *wrong; /* a part of the message; NULL: no error */
        size_t offset;
    } cases[] = {
        {"*.test", NULL, 0},
        {"[a-z]", NULL, 0},
        {"[!a-z]x[0-9]", NULL, 0},
        {"]", NULL, 0},
        {"", "empty pattern", 0},
        {"ab[", "without ]", 2},
        {"ab[cd", "without ]", 2},
        {"ab[!", "without ]", 2},
        {"[]", "empty set", 0},
        {"x[!]", "empty set", 1},
        {"[[]", "inside a set", 0},
        {"[z-a]", "a range goes", 0},
        {"ok[a-z]no[9-0]", "a range goes", 9},
        {"[+-z]", "a range goes", 0},
        {"[9-_]", "a range goes", 0},
        {"[0-z]", "a range goes", 0},
        {"[a-Z]", NULL, 0},
        {"[^a]", "write [!", 0},
        {"[a^]", NULL, 0},
        {A60 "aaaa", NULL, 0},
        {A60 "aaaaa", "64 bytes", 0},
        {A60 "aaaaa*", NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        size_t offset = 99;
        const char *wrong = pattern_find_error(cases[i].pattern, &offset);

        if ((wrong == NULL) != (cases[i].wrong == NULL))
            fail_msg("'%s': %s", cases[i].pattern, wrong != NULL ? wrong : "nothing found");
        if (wrong != NULL) {
            assert_non_null(strstr(wrong, cases[i].wrong));
            assert_int_equal(offset, cases[i].offset);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(names_follow_rfc1123),
    cmocka_unit_test(bytes_that_are_not_printable_are_invalid),
    cmocka_unit_test(patterns_match_whole_names_in_either_case),
    cmocka_unit_test(patterns_match_as_defined_on_all_short_strings),
    cmocka_unit_test(wrong_patterns_give_an_error_and_its_offset),
};

TEST_MAIN(tests)
