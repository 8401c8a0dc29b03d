/* The names that utsrsh tries, the user that it accepts, and the answer to a list of hosts. */

#include "launcher/host-list.h"
#include "launcher/rsh-caller.h"
#include "launcher/rsh-search.h"

#include "tests/test.h"

static void a_name_without_a_dot_is_completed(void **state) {
    static const struct {
        const char *host, *search;
        const char *names[5]; /* in the order in which they are tried */
    } cases[] = {
        {"n1", "test", {"n1", "n1.test"}},
        {"n1", "test lab.example", {"n1", "n1.test", "n1.lab.example"}},
        {"n1", " ,test,\tlab.example , ", {"n1", "n1.test", "n1.lab.example"}},
        {"n1", ".test", {"n1", "n1.test"}},
        {"n1", "", {"n1"}},
        {"n1.test", "test", {"n1.test"}},
        {"n1.", "test", {"n1."}},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        for (size_t n = 0;; n++) {
            const char *expected = cases[i].names[n];
            char name[64];
            bool has_name = rsh_search_name(name, sizeof(name), cases[i].host, cases[i].search, n);

            if (has_name != (expected != NULL) || (has_name && strcmp(name, expected) != 0))
                fail_msg("case %zu, name %zu: %s", i, n, has_name ? name : "none");
            if (!has_name)
                break;
        }
    }
}

static void a_name_that_does_not_fit_is_none(void **state) {
    char name[8];

    (void)state;
    assert_true(rsh_search_name(name, sizeof(name), "1234567", "", 0));
    assert_false(rsh_search_name(name, sizeof(name), "12345678", "", 0));
    assert_true(rsh_search_name(name, sizeof(name), "12", "test", 1));
    assert_false(rsh_search_name(name, sizeof(name), "123", "test", 1));
}

static void another_user_is_refused(void **state) {
    static char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                           "\n"
                           "# broken line\n"
                           "alice:x:1000:1000:Alice,,,:/home/alice:/bin/bash\n"
                           "also-alice::1000:1000::/:/bin/sh\n"
                           "bob:x:1001:1001::/home/bob:/bin/sh\n";
    static const struct {
        uid_t uid;
        const char *user, *logname, *name;
        bool is_caller, has_passwd;
    } cases[] = {
        {1000, NULL, NULL, "alice", true, true},
        {1000, "bob", "bob", "alice", true, true},
        {1000, NULL, NULL, "also-alice", true, true},
        {1000, "bob", "bob", "bob", false, true},    /* the environment is out of date */
        {1000, "carol", NULL, "carol", false, true}, /* the uid has names, and this is none */
        {1000, NULL, NULL, "1000", true, true},
        {1000, "alice", "alice", "root", false, true},
        {0, NULL, NULL, "root", true, true},
        {0, NULL, NULL, "alice", false, true},
        {5000, "carol", NULL, "carol", true, true}, /* of a directory service */
        {5000, NULL, "carol", "carol", true, true},
        {5000, "carol", "carol", "dave", false, true},
        {5000, "alice", "alice", "alice", false, true},
        {5000, NULL, NULL, "carol", false, true},
        {5000, NULL, NULL, "5000", true, true},
        {5000, NULL, NULL, "5001", false, true},
        {1000, "alice", NULL, "alice", true, false},
        {1000, "alice", NULL, "bob", false, false},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct rsh_caller caller = {
            .uid = cases[i].uid, .user = cases[i].user, .logname = cases[i].logname};
        FILE *file = cases[i].has_passwd ? fmemopen(passwd, strlen(passwd), "r") : NULL;

        if (rsh_caller_is(&caller, cases[i].name, file) != cases[i].is_caller)
            fail_msg("case %zu", i);
        if (file != NULL)
            (void)fclose(file);
    }
}

static void a_list_of_hosts_is_recognised(void **state) {
    (void)state;
    assert_true(host_list_is("node[01-08]"));
    assert_true(host_list_is("r[1-4]n[1,3].test"));
    assert_false(host_list_is("node1"));
    assert_false(host_list_is("node1]"));
    assert_false(host_list_is("node]1["));
    assert_false(host_list_is("node[1"));
}

static void the_words_of_the_answer_survive_the_shell_and_pdsh(void **state) {
    static const struct {
        const char *word, *host, *added;
    } cases[] = {
        {"uname", "", " uname"}, {"-c", "", " -c"},
        {"a b", "", " 'a b'"},   {"it's $HOME", "", " 'it'\\''s $HOME'"},
        {"100%", "", " 100%%"},  {"%h", "", " %%h"},
        {"", "", " ''"},         {"", "%h", " %h"},
        {"-n", "%h", " -n%h"},   {"--hostname=", "%h", " --hostname=%h"},
        {"a;b", "", " 'a;b'"},   {"~", "", " '~'"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct host_list_line line;
        char expected[128];

        host_list_begin(&line, "n[1-2]");
        host_list_add(&line, cases[i].word, strlen(cases[i].word), cases[i].host);
        (void)snprintf(expected, sizeof(expected), "pdsh -R exec -w 'n[1-2]'%s", cases[i].added);
        assert_string_equal(line.text, expected);
        assert_false(line.is_cut);
    }
}

static void a_long_answer_is_cut(void **state) {
    struct host_list_line line;

    (void)state;
    host_list_begin(&line, "n[1-2]");
    for (int i = 0; i < 1000; i++)
        host_list_add(&line, "word", 4, "");
    assert_true(line.is_cut);
    assert_true(strlen(line.text) == line.length && line.length < sizeof(line.text));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_without_a_dot_is_completed),
        cmocka_unit_test(a_name_that_does_not_fit_is_none),
        cmocka_unit_test(another_user_is_refused),
        cmocka_unit_test(a_list_of_hosts_is_recognised),
        cmocka_unit_test(the_words_of_the_answer_survive_the_shell_and_pdsh),
        cmocka_unit_test(a_long_answer_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
