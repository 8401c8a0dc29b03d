/*
 * Words of other languages: what is rejected is accepted in quotes, as the messages say, and what
 * is advised is accepted, whatever the words are. tests/policy/cases/habits has the messages.
 */

#include "policy/lint/advice.h"
#include "policy/lexer.h"
#include "policy/parser.h"
#include "tests/test.h"

struct errors {
    size_t n;
    struct policy_error first;
};

/* The words live as long as the policy only. */
static void errors_collect(void *context, const struct policy_error *error) {
    struct errors *errors = context;

    if (errors->n++ > 0)
        return;
    errors->first = *error;
    advice_add(&errors->first);
}

static int parse(const char *text, struct errors *errors) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;

    *errors = (struct errors){.n = 0};
    return policy_parse(&policy, "x.conf", text, strlen(text), errors_collect, errors);
}

/* Writes the rule with @word. */
static const char *make_rule(char rule[1024], const char *before, const char *word,
                             const char *after) {
    (void)snprintf(rule, 1024, "permit %s%s%s", before, word, after);
    return rule;
}

struct advised {
    const char *word, *words; /* NULL: nothing is advised */
};

/* @advised_before is what is before the words that are advised. */
static void check_advice(const struct advised *cases, size_t n, const char *before,
                         const char *advised_before, const char *after) {
    for (size_t i = 0; i < n; i++) {
        char rule[1024], expected[256];
        struct errors errors;
        const char *found;

        assert_int_equal(parse(make_rule(rule, before, cases[i].word, after), &errors),
                         POLICY_E_INVALID);
        found = strstr(errors.first.message, "; write ");
        if (cases[i].words == NULL) {
            if (found != NULL)
                fail_msg("%s: %s", rule, errors.first.message);
            continue;
        }
        (void)snprintf(expected, sizeof(expected), "; write %s", cases[i].words);
        if (found == NULL || strncmp(found, expected, strlen(expected)) != 0 ||
            strchr(";", found[strlen(expected)]) == NULL)
            fail_msg("%s: %s", rule, errors.first.message);
        if (parse(make_rule(rule, advised_before, cases[i].words, after), &errors) != 0)
            fail_msg("%s: %s", rule, errors.first.message);
    }
}

static void what_is_advised_is_accepted(void **state) {
    static const struct advised patterns[] = {
        {"node{01..16}", "node[01-16]"},
        {"n{1..4}x{01..32}", "n[1-4]x[01-32]"},
        {"node{1,b}.test", "node1.test nodeb.test"},
        {"{a..c}x", "[a-c]x"},
        {"node{1..9..2}", NULL},
        {"node{1..4}x{a,b}", NULL},
        {"node{1", NULL},
        {"node}1{", NULL},
        {"a,,b;c[1,2],", "a b c[1,2]"},
        {"a:b", "a b"},
        {",", NULL},
        {"x[a,b-c]y", "x[ab-c]y"},
        {"x[ab,cd]y", "xaby xcdy"},
        {"x[a$]y", NULL},
        {"x[1:4]y", "x[1-4]y"},
        {"x[1:4:2]y", NULL},
        {"^node[0-9].*$", "node[0-9]*"},
        {"^a$", "a"},
        {"^a^", NULL},
        {"a|b", "a b"},
        {"n(1|2)x", "n1x n2x"},
        {"n(1|2)+", NULL},
        {"n(1|(2)", NULL},
        {")|(", NULL},
        {"a..b", NULL},
        {"n1..3x", "n[1-3]x"},
        {"n1..n3.test", "n[1-3].test"},
        {"n1..", NULL},
        {"..3", NULL},
        {"1..3..5", NULL},
        {"a.", "a"},
        {".a", "*.a"},
        {".*a.*", "*a*"},
        {"/a/", "*a*"},
        {"/", NULL},
        {"//a", NULL},
        {"a%", "a*"},
        {"a%d", NULL},
        {"<a>", "a"},
    };
    static const struct advised lists[] = {
        {"a,b", "a b"},
        {"{a,b}", "a b"},
        {"5-7", "5 6 7"},
        {"7-5", NULL},
        {"4294967293-4294967294", "4294967293 4294967294"},
        {"4294967294-4294967295", NULL},
        {"99999999999999999999-1", NULL},
        {"1-99999999999999999999", NULL},
        {"a=b", NULL},
        {"a:b:c", NULL},
        {"!", NULL},
        {"@", NULL},
    };
    static const struct advised subjects[] = {
        {"a:b", "user a group b"}, {":b", "group b"},           {"group:b", "group b"},
        {"uid=5", "user 5"},       {"@b", "group b"},           {"%b", "group b"},
        {"%:b", "group b"},        {"+@b", "group b"},          {"b@", "group b"},
        {"&b", "group b"},         {"unix-group:b", "group b"}, {"g:b", "group b"},
    };

    (void)state;
    check_advice(patterns, BASE_ARRAY_SIZE(patterns), "any hostname ", "any hostname ", "");
    check_advice(lists, BASE_ARRAY_SIZE(lists), "user ", "user ", " hostname a");
    check_advice(subjects, BASE_ARRAY_SIZE(subjects), "user ", "", " hostname a");
}

/* Returns a random word, up to @max long, of the pieces that others write. */
static void make_word(char *word, size_t max, unsigned *seed) {
    static const char *const pieces[] = {
        "a", "node", "01", "16", "..", ".", ".*", "{", "}", "[",   "]",    "(",   ")",
        "|", ",",    ";",  ":",  "=",  "^", "$",  "+", "*", "?",   "-",    "@",   "%",
        "&", "!",    "/",  "~",  "<",  ">", "'",  "`", "_", "all", "user", "host"};
    size_t n = 0, length = 1 + (size_t)rand_r(seed) % max;

    while (n < length) {
        const char *piece = pieces[(size_t)rand_r(seed) % BASE_ARRAY_SIZE(pieces)];

        if (n + strlen(piece) > length)
            piece = "a";
        memcpy(word + n, piece, strlen(piece));
        n += strlen(piece);
    }
    word[n] = '\0';
}

static void check_message(const char *rule, const struct errors *errors) {
    const char *message = errors->first.message;

    assert_int_equal(errors->n, 1);
    assert_true(strlen(message) > 0 && strlen(message) < sizeof(errors->first.message));
    for (const char *at = message; *at != '\0'; at++)
        if (*at < ' ' || *at > '~')
            fail_msg("%s: %s", rule, message);
}

static void a_rejected_word_is_accepted_in_quotes(void **state) {
    static const char *const places[][2] = {
        {"any hostname ", ""}, {"user ", " hostname a"}, {"any domainname a ", " limit 3"}};
    unsigned seed = 1, n_rejected = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        const char *const *place = places[i % 3];
        char word[512], quoted[600], rule[1024];
        struct errors errors;

        make_word(word, i % 10 == 0 ? 400 : 12, &seed);
        if (parse(make_rule(rule, place[0], word, place[1]), &errors) == 0)
            continue;
        check_message(rule, &errors);
        /* Other errors are those of the pattern, also in quotes. */
        if (errors.first.hint == SYNTAX_HINT_NONE)
            continue;
        n_rejected++;
        (void)snprintf(quoted, sizeof(quoted), "\"%s\"", word);
        if (parse(make_rule(rule, place[0], quoted, place[1]), &errors) != 0)
            fail_msg("%s: %s", rule, errors.first.message);
    }
    print_message("%u words rejected\n", n_rejected);
    assert_true(n_rejected > 20000);
}

/* In the places of the first and the second word, where no quotes help. */
static void messages_about_other_words_are_printable(void **state) {
    unsigned seed = 2;

    (void)state;
    for (int i = 0; i < 50000; i++) {
        char word[512], rule[1024];
        struct errors errors;

        make_word(word, i % 10 == 0 ? 400 : 12, &seed);
        (void)snprintf(rule, sizeof(rule), i % 2 == 0 ? "%s any hostname a" : "permit %s", word);
        assert_int_equal(parse(rule, &errors), POLICY_E_INVALID);
        check_message(rule, &errors);
    }
}

/* Each byte that is not ASCII, alone and before others, also at the end of the text. */
static void bytes_that_are_not_ascii_are_errors(void **state) {
    (void)state;
    for (unsigned first = 0x80; first <= 0xff; first++)
        for (unsigned second = 0; second <= 0xff; second++)
            for (unsigned size = 1; size <= 3 && second != '\n'; size++) {
                char *exact = malloc(8 + size);
                CLEANUP_POLICY struct policy policy = POLICY_NULL;
                struct errors errors = {.n = 0};

                assert_non_null(exact);
                memcpy(exact, "deny any", 8);
                exact[8] = (char)first;
                if (size > 1)
                    exact[9] = (char)second;
                if (size > 2)
                    exact[10] = (char)0x80;
                assert_int_equal(
                    policy_parse(&policy, "x", exact, 8 + size, errors_collect, &errors),
                    POLICY_E_INVALID);
                check_message("deny any", &errors);
                assert_int_equal(errors.first.column, 9);
                free(exact);
            }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_advised_is_accepted),
    cmocka_unit_test(a_rejected_word_is_accepted_in_quotes),
    cmocka_unit_test(messages_about_other_words_are_printable),
    cmocka_unit_test(bytes_that_are_not_ascii_are_errors),
};

TEST_MAIN(tests)
