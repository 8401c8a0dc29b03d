/* Comments that silence warnings. tests/policy/cases/strict has what utspolicy makes of them. */

#include "policy/lint/comments.h"
#include "policy/lint/format.h"
#include "policy/lint/print.h"
#include "policy/lint/warning-names.h"
#include "policy/rule-key.h"
#include "tests/test.h"
#include "tests/unit/parse.h"

struct found {
    size_t n;
    char text[2048];
};

static void note(void *context, const struct policy_error *found) {
    struct found *all = context;
    size_t length = strlen(all->text);

    all->n++;
    (void)snprintf(all->text + length, sizeof(all->text) - length, "%u:%u %s: %s\n", found->line,
                   found->column, found->kind, found->message);
}

static void silences(const char *text, unsigned line, const char *kind, bool expected) {
    CLEANUP_COMMENTS struct comments comments = {.file = "x.conf"};
    struct found found = {.n = 0};
    struct policy_error warning = {
        .severity = POLICY_WARNING, .kind = kind, .file = "x.conf", .line = line};

    assert_int_equal(comments_read(&comments, text, strlen(text), note, &found), 0);
    assert_int_equal(found.n, 0);
    if (comments_silence(&comments, &warning) != expected)
        fail_msg("%s: line %u, %s", text, line, kind);
    warning.file = "y.conf";
    assert_false(comments_silence(&comments, &warning));
    comments_report_unused(&comments, true, note, &found);
    assert_int_equal(found.n, expected ? 0 : comments.n);
}

static void a_comment_is_about_its_rule(void **state) {
    static const char text[] = "\n"
                               "deny any hostname a \\\n"
                               "  b \\\n"
                               "  c # check: allow late\n"
                               "permit any hostname d\n"
                               "  # about the next\n"
                               "permit any hostname e # none\n";

    (void)state;
    for (unsigned line = 1; line <= 8; line++) {
        silences(text, line, "late", line >= 2 && line <= 4);
        silences(text, line, "range", false);
    }
    silences(text, 0, "late", false);
    silences("deny any#check: allow late", 1, "late", false); /* that is a word */
    silences("deny any #check: allow late", 1, "late", true);
    silences("deny any #\tcheck:\tallow\tlate\t\r\n", 1, "late", true);
}

static void several_names_are_for_several_warnings(void **state) {
    static const char text[] = "deny any hostname a # check: allow set late regexp # range\n";
    CLEANUP_COMMENTS struct comments comments = {.file = "x.conf"};
    struct found found = {.n = 0};
    struct policy_error warning = {.file = "x.conf", .line = 1, .kind = "late"};

    (void)state;
    assert_int_equal(comments_read(&comments, text, strlen(text), note, &found), 0);
    assert_int_equal(comments.n, 3);
    assert_true(comments_silence(&comments, &warning));
    assert_true(comments_silence(&comments, &warning));
    warning.kind = "regexp";
    assert_true(comments_silence(&comments, &warning));
    warning.kind = "range";
    assert_false(comments_silence(&comments, &warning));
    comments_report_unused(&comments, true, note, &found);
    assert_string_equal(found.text,
                        "1:36 allow: set silences nothing: there is no such warning for this rule; "
                        "remove it\n");
}

static void what_needs_users_counts_only_with_them(void **state) {
    static const char text[] = "deny user a # check: allow unknown late\n";
    CLEANUP_COMMENTS struct comments comments = {.file = "x.conf"};
    struct found found = {.n = 0};

    (void)state;
    assert_int_equal(comments_read(&comments, text, strlen(text), note, &found), 0);
    comments_report_unused(&comments, false, note, &found);
    assert_int_equal(found.n, 0);
    comments_report_unused(&comments, true, note, &found);
    assert_int_equal(found.n, 2);
}

static void a_file_that_masks_another_says_so(void **state) {
    static const char text[] = "# check: allow masked\npermit any hostname a\n";
    CLEANUP_COMMENTS struct comments comments = {.file = "/etc/x/50-a.conf"};
    struct found found = {.n = 0};
    struct policy_error masked = {.file = "/usr/lib/x/50-a.conf", .kind = "masked"};

    (void)state;
    assert_int_equal(comments_read(&comments, text, strlen(text), note, &found), 0);
    assert_int_equal(found.n, 0);
    masked.file = "/usr/lib/x/50-b.conf";
    assert_false(comments_silence(&comments, &masked));
    masked.file = "/usr/lib/x/50-a.conf";
    masked.kind = "ignored";
    assert_false(comments_silence(&comments, &masked));
    masked.kind = "masked";
    assert_true(comments_silence(&comments, &masked));
    comments_report_unused(&comments, true, note, &found);
    assert_int_equal(found.n, 0);
}

static void other_comments_are_reported(void **state) {
    static const struct {
        const char *text, *expected; /* "": nothing */
    } cases[] = {
        {"deny any # check with the boss\n", ""},
        {"deny any # checks: allow late\n", ""},
        {"deny any # check: allow\n", "1:10 allow: this comment silences nothing"},
        {"deny any # check: allow # late\n", "1:10 allow: this comment silences nothing"},
        {"deny any # check: allowlate\n", "1:10 allow: this comment silences nothing"},
        {"deny any # check:\n", "1:10 allow: this comment silences nothing"},
        {"deny any # CHECK: allow late\n", "1:10 allow: this comment silences nothing"},
        {"deny any # check: Allow late\n", "1:10 allow: this comment silences nothing"},
        {"deny any # check allow late\n", "1:10 allow: this comment silences nothing"},
        {"deny any \\\n # check: allow no\xc3\xa9\n", "2:17 allow: no warning that can be allowed "
                                                      "has the name 'no?\?'"},
        {"# check: allow late\n", "1:16 allow: late is allowed on the line of a rule"},
        {"deny any # check: allow masked\n", "1:25 allow: masked is allowed for a whole file"},
        {"deny user a #1000\n", "1:13 comment: # begins a comment, so this is no id: write 1000"},
        {"deny user a #1000 left\n", "1:13 comment: # begins a comment"},
        {"deny user a # 1000\n", ""},
        {"deny user a #1000th\n", ""},
        {"deny user a hostname b #1000\n", ""},
        {"deny any #1000\n", ""},
        {"#1000\n", ""},
        {"#include x\n", "1:1 comment: this is a comment"},
        {"#includedir x\n", "1:1 comment: this is a comment"},
        {"# include x\n", ""},
        {"deny any #include x\n", ""},
        {"deny any [ \"\n#include x\n", "2:1 comment: this is a comment"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        CLEANUP_COMMENTS struct comments comments = {.file = "x.conf"};
        struct found found = {.n = 0};

        assert_int_equal(
            comments_read(&comments, cases[i].text, strlen(cases[i].text), note, &found), 0);
        if (found.n != (cases[i].expected[0] != '\0') ||
            strncmp(found.text, cases[i].expected, strlen(cases[i].expected)) != 0)
            fail_msg("%s: %s", cases[i].text, found.text);
    }
}

/* Reading any bytes ends, and accesses only its own memory (the sanitizer builds check that). */
static void random_bytes_do_not_break_it(void **state) {
    static const char *const pieces[] = {"check:", "allow", " ",  "late", "masked",  "#",    "\n",
                                         "\\\n",   "\\",    "\"", "\r",   "\t",      "deny", "any",
                                         "user",   "1",     "[",  "\xc3", "include", "check"};
    unsigned seed = 1;

    (void)state;
    for (int i = 0; i < 50000; i++) {
        CLEANUP_COMMENTS struct comments comments = {.file = "x.conf"};
        struct found found = {.n = 0};
        char text[256], *exact;
        size_t size = 0;

        for (int n = rand_r(&seed) % 16; n > 0; n--) {
            const char *piece = pieces[(size_t)rand_r(&seed) % BASE_ARRAY_SIZE(pieces)];

            memcpy(text + size, piece, strlen(piece));
            size += strlen(piece);
        }
        exact = malloc(size + (size == 0));
        assert_non_null(exact);
        memcpy(exact, text, size);
        assert_int_equal(comments_read(&comments, exact, size, note, &found), 0);
        free(exact);
    }
}

/* Neither what is permitted nor what the ledger counts by changes. */
static void a_comment_changes_no_rule(void **state) {
    static const char plain[] = "permit user 5 hostname * limit 3\n";
    static const char with[] = "permit user 5 hostname * limit 3 # check: allow every-name\n";
    CLEANUP_POLICY struct policy first = POLICY_NULL;
    CLEANUP_POLICY struct policy second = POLICY_NULL;
    CLEANUP_FREE char *first_text = NULL;
    CLEANUP_FREE char *second_text = NULL;

    (void)state;
    parse_valid(&first, "x", plain);
    parse_valid(&second, "x", with);
    assert_int_equal(first.n_rules, second.n_rules);
    assert_int_equal(first.n_patterns, second.n_patterns);
    first_text = print_to_text(print_rule, &first, first.rules);
    second_text = print_to_text(print_rule, &second, second.rules);
    assert_non_null(first_text);
    assert_non_null(second_text);
    assert_string_equal(first_text, second_text);
    assert_true(rule_key_make(&first, first.rules) == rule_key_make(&second, second.rules));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_comment_is_about_its_rule),
    cmocka_unit_test(several_names_are_for_several_warnings),
    cmocka_unit_test(what_needs_users_counts_only_with_them),
    cmocka_unit_test(a_file_that_masks_another_says_so),
    cmocka_unit_test(other_comments_are_reported),
    cmocka_unit_test(random_bytes_do_not_break_it),
    cmocka_unit_test(a_comment_changes_no_rule),
};

TEST_MAIN(tests)
