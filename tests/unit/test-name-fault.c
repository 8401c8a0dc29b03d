/* What is wrong with a name, which name was meant, and how both are shown. */

#include "policy/lint/name-fault.h"
#include "policy/lint/readable.h"
#include "tests/test.h"

#define A60 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void the_fault_is_found_and_fixed(void **state) {
    static const struct {
        const char *name, *what, *fixed;
        size_t position;
    } cases[] = {
        {"node1.test", NULL, NULL, 0},
        {"NODE1", NULL, NULL, 0},
        {A60 "aa.b", NULL, NULL, 0}, /* 64 bytes */
        {"", "it is empty", NULL, 0},
        {"node_1.test", "'_' at position 5", "node-1.test", 5},
        {"a__b", "'_' at position 2", "a--b", 2},
        {"_a_", "'_' at position 1", "a", 1},
        {"a_.b", "'_' at position 2", "a.b", 2},
        {"node 1", "a space at position 5", "node-1", 5},
        {" node1 ", "a space at position 1", "node1", 1},
        {"node1\n", "a line feed at position 6", "node1", 6},
        {"node1\r\n", "a carriage return at position 6", "node1", 6},
        {"node1\t", "a tab at position 6", "node1", 6},
        {"a\x7f", "the invisible character U+007F at position 2", "a", 2},
        {"\x1b[1ma", "the invisible character U+001B at position 1", NULL, 1},
        {"n\xc3\xb6"
         "de_1",
         "'\xc3\xb6' (U+00F6) at position 2", NULL, 2},
        {"\xe7\xaf\x80_1", "'\xe7\xaf\x80' (U+7BC0) at position 1", NULL, 1},
        {"node\xe2\x80\x93"
         "1",
         "'\xe2\x80\x93' (U+2013) at position 5", "node-1", 5},
        {"node1\xc2\xa0", "a no-break space (U+00A0) at position 6", "node1", 6},
        {"no\xe2\x80\x8b"
         "de1",
         "the invisible character U+200B at position 3", "node1", 3},
        {"a\xe2\x80\xa9", "the invisible character U+2029 at position 2", NULL, 2},
        {"a\xff", "the byte 0xff at position 2", NULL, 2},
        {"a\xc3", "the byte 0xc3 at position 2", NULL, 2},
        {"a\xc0\xaf", "the byte 0xc0 at position 2", NULL, 2},         /* overlong */
        {"a\xed\xa0\x80", "the byte 0xed at position 2", NULL, 2},     /* a surrogate */
        {"a\xf4\x90\x80\x80", "the byte 0xf4 at position 2", NULL, 2}, /* after U+10FFFF */
        {"node1.test.", "it ends with a dot", "node1.test", 11},
        {"node1.test..", "two dots in a row at position 11", "node1.test", 11},
        {"node1..test", "two dots in a row at position 6", "node1.test", 6},
        {".test", "it begins with a dot", "test", 1},
        {".", "it begins with a dot", NULL, 1},
        {"-a", "a label begins with '-' at position 1", "a", 1},
        {"a-", "a label ends with '-' at position 2", "a", 2},
        {"a.-b", "a label begins with '-' at position 3", "a.b", 3},
        {"a-.b", "a label ends with '-' at position 2", "a.b", 2},
        {"a-.-.b-", "a label ends with '-' at position 2", "a.b", 2},
        {"-", "a label begins with '-' at position 1", NULL, 1},
        {"http://node1.test/x", "':' at position 5 (a request has a host name, not a URL)",
         "node1.test", 5},
        {"ssh://bob@node1:22", "':' at position 4 (a request has a host name, not a URL)", "node1",
         4},
        {"http://node1?a=b", "':' at position 5 (a request has a host name, not a URL)", "node1",
         5},
        {"bob@node1", "'@' at position 4 (a request has a host name, not a user)", "node1", 4},
        {"node1:22", "':' at position 6 (a request has a host name, not a port)", "node1", 6},
        {"node1:", "':' at position 6 (a request has a host name, not a port)", "node1", 6},
        {"node1:/tmp", "':' at position 6 (a request has a host name, not a port)", "node1", 6},
        {"node1:22x", "':' at position 6 (a request has a host name, not a port)", NULL, 6},
        {"fe80::1", "':' at position 5 (a request has a host name, not a port)", NULL, 5},
        {"node1/", "'/' at position 6 (a request has a host name, not a path)", "node1", 6},
        {"node*", "'*' at position 5 (a request has one name, not a pattern)", NULL, 5},
        {"node?", "'?' at position 5 (a request has one name, not a pattern)", NULL, 5},
        {"node[1-2]", "'[' at position 5 (a request has one name, not a pattern)", NULL, 5},
        {"a,b", "',' at position 2", NULL, 2},
        {A60 "aaaa", "a label of 64 bytes at position 1, at most 63", NULL, 1},
        {"b." A60 "aaaa.c", "a label of 64 bytes at position 3, at most 63", NULL, 3},
        {A60 ".aaaa", "it has 65 bytes, at most 64", NULL, 0},
        {A60 ".aaa.", "it ends with a dot", A60 ".aaa", 65},
        {A60 ".aaaa.", "it ends with a dot", NULL, 66},
        {A60 A60 A60 A60 "_", "'_' at position 241", NULL, 241},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct name_fault fault = {.position = 0};
        char fixed[NAME_LENGTH_MAX + 1] = "untouched";
        bool is_wrong = name_fault_find(cases[i].name, &fault);
        bool is_fixed = name_fault_fix(cases[i].name, '-', fixed);

        if (is_wrong != (cases[i].what != NULL) ||
            (is_wrong &&
             (strcmp(fault.what, cases[i].what) != 0 || fault.position != cases[i].position)))
            fail_msg("'%s': %d, '%s' (%zu)", cases[i].name, is_wrong, fault.what, fault.position);
        if (is_fixed != (cases[i].fixed != NULL) ||
            strcmp(fixed, is_fixed ? cases[i].fixed : "untouched") != 0)
            fail_msg("'%s' is fixed as '%s' (%d)", cases[i].name, fixed, is_fixed);
    }
}

static void blanks_become_hyphens_or_nothing(void **state) {
    static const struct {
        const char *name, *with_hyphen, *without;
    } cases[] = {
        {"node_07", "node-07", "node07"}, {"In Namespace", "In-Namespace", "InNamespace"},
        {"a_.b", "a.b", "a.b"},           {"_", NULL, NULL},
        {"a_-b", "a--b", "a-b"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        char fixed[NAME_LENGTH_MAX + 1];

        assert_int_equal(name_fault_fix(cases[i].name, '-', fixed), cases[i].with_hyphen != NULL);
        if (cases[i].with_hyphen == NULL)
            continue;
        assert_string_equal(fixed, cases[i].with_hyphen);
        assert_true(name_fault_fix(cases[i].name, '\0', fixed));
        assert_string_equal(fixed, cases[i].without);
    }
}

static bool has_only_text(const char *text) {
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == '\x7f')
            return false;
    return true;
}

/* For random names: what is said is right as far as it can be told, and no control character is
 * shown. */
static void every_wrong_name_has_a_fault(void **state) {
    static const char *const pieces[] = {"a",
                                         "1",
                                         "-",
                                         ".",
                                         "_",
                                         " ",
                                         "\n",
                                         "\x1b",
                                         "\xc3\xb6",
                                         "\xc3",
                                         "\x80",
                                         "\xe2\x80",
                                         "\xff",
                                         "/",
                                         ":",
                                         "@",
                                         "://",
                                         "\xc2\x9b",
                                         "aaaaaaaaaaaaaaaaaaaa",
                                         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    unsigned seed = 3, n_valid = 0, n_fixed = 0;

    (void)state;
    for (int i = 0; i < 50000; i++) {
        char name[512] = "", fixed[NAME_LENGTH_MAX + 1];
        CLEANUP_FREE char *shown = NULL;
        struct name_fault fault;
        size_t size = 0;
        FILE *out = open_memstream(&shown, &size);

        assert_non_null(out);
        for (unsigned n = (unsigned)rand_r(&seed) % 6; n > 0; n--)
            strcat(name, pieces[(unsigned)rand_r(&seed) % BASE_ARRAY_SIZE(pieces)]);
        readable_print(out, name);
        assert_int_equal(fclose(out), 0);
        assert_true(has_only_text(shown));
        if (strchr(name, '\xc2') != NULL) /* U+009B is a control character of terminals, too */
            assert_null(strstr(shown, "\xc2\x9b"));
        if (name_fault_find(name, &fault) == name_is_rfc1123(name))
            fail_msg("'%s'", shown);
        if (name_is_rfc1123(name)) {
            n_valid++;
            assert_string_equal(shown, name);
            assert_false(name_fault_fix(name, '-', fixed));
            continue;
        }
        assert_true(has_only_text(fault.what));
        assert_true(fault.position <= strlen(name));
        if (name_fault_fix(name, i % 2 == 0 ? '-' : '\0', fixed)) {
            n_fixed++;
            assert_true(name_is_rfc1123(fixed));
        }
    }
    assert_true(n_valid > 1000 && n_fixed > 1000);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_fault_is_found_and_fixed),
    cmocka_unit_test(blanks_become_hyphens_or_nothing),
    cmocka_unit_test(every_wrong_name_has_a_fault),
};

TEST_MAIN(tests)
