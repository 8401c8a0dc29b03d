#include "launcher/options.h"

#include <getopt.h>

#include "tests/test.h"

enum { WORDS = 10 };

static void command_lines_mean_what_the_help_says(void **state) {
    static const struct {
        char *argv[WORDS];
        int result;
        const char *hostname, *domainname;
        enum mode mode;
        bool is_verbose;
        const char *command; /* joined by blanks */
    } cases[] = {
        {{"-n", "a", "uname", "-n"}, 0, "a", NULL, MODE_AUTO, false, "uname -n"},
        {{"-n", "a", "--", "uname", "-n"}, 0, "a", NULL, MODE_AUTO, false, "uname -n"},
        {{"-na", "x", "--", "-v"}, 0, "a", NULL, MODE_AUTO, false, "x -- -v"},
        {{"--hostname=a", "x"}, 0, "a", NULL, MODE_AUTO, false, "x"},
        {{"--hostname", "a", "-d", "b", "x"}, 0, "a", "b", MODE_AUTO, false, "x"},
        {{"--domainname", "b", "x"}, 0, NULL, "b", MODE_AUTO, false, "x"},
        {{"-n", "a", "-v", "x"}, 0, "a", NULL, MODE_AUTO, true, "x"},
        {{"-n", "a", "--verbose", "--via", "direct", "x"}, 0, "a", NULL, MODE_DIRECT, true, "x"},
        {{"-n", "a", "--via=service", "x"}, 0, "a", NULL, MODE_SERVICE, false, "x"},
        {{"-n", "a", "--via=auto", "x"}, 0, "a", NULL, MODE_AUTO, false, "x"},
        {{"-n", "a", "x", "--via", "nonsense", "-h"},
         0,
         "a",
         NULL,
         MODE_AUTO,
         false,
         "x --via nonsense -h"},
        {{"-n", "a", "-n", "b", "x"}, 0, "b", NULL, MODE_AUTO, false, "x"}, /* the last counts */
        {{"-n", "-v", "x"}, 0, "-v", NULL, MODE_AUTO, false, "x"},
        {{"-n", "a"}, 0, "a", NULL, MODE_AUTO, false, "/the/shell"},
        {{"-n", "a", "--"}, 0, "a", NULL, MODE_AUTO, false, "/the/shell"},
        {{"-h"}, OPTIONS_E_DONE, NULL, NULL, MODE_AUTO, false, NULL},
        {{"--help", "x"}, OPTIONS_E_DONE, NULL, NULL, MODE_AUTO, false, NULL},
        {{"-n", "a", "-V"}, OPTIONS_E_DONE, NULL, NULL, MODE_AUTO, false, NULL},
        {{NULL}, OPTIONS_E_USAGE, NULL, NULL, MODE_AUTO, false, NULL},
        {{"uname", "-n"}, OPTIONS_E_USAGE, NULL, NULL, MODE_AUTO, false, NULL},
        {{"-n"}, OPTIONS_E_USAGE, NULL, NULL, MODE_AUTO, false, NULL},
        {{"-n", "", "x"}, OPTIONS_E_USAGE, NULL, NULL, MODE_AUTO, false, NULL},
        {{"-d", "", "x"}, OPTIONS_E_USAGE, NULL, NULL, MODE_AUTO, false, NULL},
        {{"-n", "a", "--via", "other", "x"}, OPTIONS_E_USAGE, NULL, NULL, MODE_AUTO, false, NULL},
        {{"-n", "a", "-x", "x"}, OPTIONS_E_USAGE, NULL, NULL, MODE_AUTO, false, NULL},
        {{"-n", "a", "--nonsense", "x"}, OPTIONS_E_USAGE, NULL, NULL, MODE_AUTO, false, NULL},
    };

    (void)state;
    assert_int_equal(setenv("SHELL", "/the/shell", 1), 0);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        char *argv[WORDS + 2] = {"utsrun"};
        char command[256] = "";
        struct options options;
        int argc = 1, r;

        for (; cases[i].argv[argc - 1] != NULL; argc++)
            argv[argc] = cases[i].argv[argc - 1];
        optind = 0; /* getopt_long(3): begin anew */
        r = options_parse(&options, argc, argv);
        if (r != cases[i].result)
            fail_msg("case %zu: %d", i, r);
        if (r != 0)
            continue;
        for (char **word = options.command; *word != NULL; word++)
            snprintf(command + strlen(command), sizeof(command) - strlen(command), "%s%s",
                     word == options.command ? "" : " ", *word);
        assert_string_equal(command, cases[i].command);
        assert_int_equal(options.mode, cases[i].mode);
        assert_int_equal(options.is_verbose, cases[i].is_verbose);
        assert_int_equal(options.hostname == NULL, cases[i].hostname == NULL);
        assert_int_equal(options.domainname == NULL, cases[i].domainname == NULL);
        if (options.hostname != NULL)
            assert_string_equal(options.hostname, cases[i].hostname);
        if (options.domainname != NULL)
            assert_string_equal(options.domainname, cases[i].domainname);
    }
}

static void to_see_what_lives_takes_no_other_option(void **state) {
    static const struct {
        char *argv[WORDS];
        int result;
        bool is_json;
    } cases[] = {
        {{"--ps"}, 0, false},
        {{"--ps", "--json"}, 0, true},
        {{"--json", "--ps", "--ps"}, 0, true},
        {{"--ps", "--"}, 0, false},
        {{"--ps", "-h"}, OPTIONS_E_DONE, false},
        {{"--ps", "true"}, OPTIONS_E_USAGE, false},
        {{"--ps", "--", "true"}, OPTIONS_E_USAGE, false},
        {{"--ps", "-n", "a"}, OPTIONS_E_USAGE, false},
        {{"-d", "a", "--ps"}, OPTIONS_E_USAGE, false},
        {{"--ps", "-v"}, OPTIONS_E_USAGE, false},
        {{"--ps", "--via", "service"}, OPTIONS_E_USAGE, false},
        {{"--ps", "--die-with-parent"}, OPTIONS_E_USAGE, false},
        {{"--ps", "--status-fd", "9"}, OPTIONS_E_USAGE, false},
        {{"--ps=x"}, OPTIONS_E_USAGE, false},
        {{"--ps", "-l"}, OPTIONS_E_USAGE, false},
        {{"-c", "--ps"}, OPTIONS_E_USAGE, false},
        {{"-c", "-l", "-n", "a"}, OPTIONS_E_USAGE, false},
        {{"--json"}, OPTIONS_E_USAGE, false},
        {{"--json", "-n", "a", "true"}, OPTIONS_E_USAGE, false},
        {{"--json", "-l"}, OPTIONS_E_USAGE, false},
    };

    (void)state;
    assert_int_equal(dup2(2, 9), 9);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        char *argv[WORDS + 2] = {"utsrun"};
        struct options options;
        int argc = 1, r;

        for (; cases[i].argv[argc - 1] != NULL; argc++)
            argv[argc] = cases[i].argv[argc - 1];
        optind = 0;
        r = options_parse(&options, argc, argv);
        if (r != cases[i].result)
            fail_msg("case %zu: %d", i, r);
        if (r != 0)
            continue;
        assert_int_equal(options.action, ACTION_PS);
        assert_int_equal(options.is_json, cases[i].is_json);
    }
}

static void names_that_no_record_can_hold_are_refused_at_once(void **state) {
    (void)state;
    for (size_t length = 0; length <= 200; length++) {
        char name[201] = "";
        char *argv[] = {"utsrun", "-n", name, "x", NULL};
        struct options options;

        memset(name, 'a', length);
        optind = 0;
        assert_int_equal(options_parse(&options, 4, argv),
                         length >= 1 && length <= 64 ? 0 : OPTIONS_E_USAGE);
    }
}

static void without_a_command_it_is_the_shell(void **state) {
    static const struct {
        const char *shell, *command;
    } cases[] = {{"/bin/zsh", "/bin/zsh"}, {"", "/bin/bash"}, {NULL, "/bin/bash"}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        char *argv[] = {"utsrun", "-n", "a", NULL};
        struct options options;

        if (cases[i].shell != NULL)
            assert_int_equal(setenv("SHELL", cases[i].shell, 1), 0);
        else
            assert_int_equal(unsetenv("SHELL"), 0);
        optind = 0;
        assert_int_equal(options_parse(&options, 3, argv), 0);
        assert_string_equal(options.command[0], cases[i].command);
        assert_null(options.command[1]);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(command_lines_mean_what_the_help_says),
    cmocka_unit_test(to_see_what_lives_takes_no_other_option),
    cmocka_unit_test(names_that_no_record_can_hold_are_refused_at_once),
    cmocka_unit_test(without_a_command_it_is_the_shell),
};

TEST_MAIN(tests)
