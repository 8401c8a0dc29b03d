/* What is refused, by whom, and what people are told. */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/integration/harness.h"

/* Runs "utsrun OPTIONS... -- uname -n" as @user; the result is in a static buffer. */
static const struct result *ask(const struct user *user, char *const options[],
                                void (*set_up)(void *context)) {
    static struct result result;
    struct run run = {.user = user, .argv = {UTSRUN_PATH}, .set_up = set_up};
    size_t n = 1;

    for (size_t i = 0; options[i] != NULL; i++)
        run.argv[n++] = options[i];
    run.argv[n++] = "--";
    run.argv[n++] = "uname";
    run.argv[n++] = "-n";
    harness_run(&run, &result);
    return &result;
}

static void assert_refused(const struct result *result, const char *message) {
    harness_assert_exit(result, 125);
    assert_string_equal(result->output, "");
    if (strstr(result->errors, message) == NULL)
        fail_msg("expected '%s', got: %s", message, result->errors);
    /* One line, and utsrun's. */
    assert_memory_equal(result->errors, "utsrun: ", 8);
    assert_ptr_equal(strchr(result->errors, '\n'), result->errors + strlen(result->errors) - 1);
}

/* The answer is a line that can be pasted, with the user's own words. */
static void a_list_of_hosts_is_answered_with_the_line_that_does_it(void **state) {
    static const struct {
        char *argv[12];
        const char *line;
    } cases[] = {
        {{UTSRUN_PATH, "-n", "node[01-08]", "uname", "-n"},
         "pdsh -R exec -w 'node[01-08]' utsrun -n %h -- uname -n"},
        {{UTSRUN_PATH, "-vn", "n[1-2].test", "-d", "lab.example", "--", "sh", "-c", "echo 5%; ls"},
         "pdsh -R exec -w 'n[1-2].test' utsrun -vn %h -d lab.example -- sh -c 'echo 5%%; ls'"},
        {{UTSRUN_PATH, "--hostname=n[1,3]", "--via", "direct", "env"},
         "pdsh -R exec -w 'n[1,3]' utsrun --hostname=%h --via direct -- env"},
        {{UTSRUN_PATH, "-nn[1-2]"}, "pdsh -R exec -w 'n[1-2]' utsrun -n%h"},
        {{UTSRUN_PATH, "-c", "-n", "n[1-2]"}, "pdsh -R exec -w 'n[1-2]' utsrun -c -n %h"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        struct run run = {.user = USER_WITHOUT_NAME};
        char expected[512];

        memcpy(run.argv, cases[i].argv, sizeof(cases[i].argv));
        harness_run(&run, &result);
        harness_assert_exit(&result, 125);
        (void)snprintf(expected, sizeof(expected),
                       "and one is needed; to run the command on "
                       "each, use: %s\n",
                       cases[i].line);
        if (strstr(result.errors, expected) == NULL)
            fail_msg("case %zu: %s", i, result.errors);
    }
}

static void the_default_policy_gives_what_is_reserved_for_tests(void **state) {
    static const struct {
        char *options[6];
        const char *message; /* NULL: granted */
    } cases[] = {
        {{"-n", "node1.test"}, NULL},
        {{"-n", "a.b.example"}, NULL},
        {{"-n", "In Namespace"}, NULL},
        {{"-n", "x.test", "-d", "y.example"}, NULL},
        {{"-d", "y.example"}, NULL},
        {{"-n", "evil"},
         "host name 'evil' denied: no rule permits it; nearest names that rules permit: *.test, "
         "*.example, \"In Namespace\" (all: utsrun -l)"},
        {{"-n", "test"}, "host name 'test' denied"},
        {{"-n", "x.test.com"}, "host name 'x.test.com' denied"},
        {{"-d", "In Namespace"}, "domain name 'In Namespace' refused"},
        {{"-n", "x.test", "-d", "evil"}, "utsrun: NIS domain name 'evil' denied"},
        {{"-n", "evil", "-d", "evil"},
         "utsrun: host name 'evil' and NIS domain name 'evil' denied"},
        {{"-n", "a_b.test"},
         "host name 'a_b.test' refused: not a valid host name (RFC 1123: labels of letters, digits "
         "and inner hyphens, joined by dots, 64 bytes at most); nearest names that rules permit: "
         "a-b.test, *.test, *.example, \"In Namespace\" (all: utsrun -l)"},
        {{"-n", "-a.test"}, "refused: not a valid host name"},
        {{"-n", "a\nb.test"}, "host name 'a?b.test' refused: not a valid host name"},
        {{"-n", "b\xc3\xbc"
                "cher.test"},
         "refused: not a valid host name"},
        {{"-n", ""}, "a name has 1 to 64 bytes"},
        {{"-n", "0123456789012345678901234567890123456789012345678901234567890.test"},
         "a name has 1 to 64 bytes, this one has 66"},
        {{"-n", "x.test", "--via", "auto"}, NULL},
    };

    (void)state;
    for (size_t u = 0; u < BASE_ARRAY_SIZE(harness_users); u++) {
        for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
            const struct result *result = ask(&harness_users[u], cases[i].options, NULL);

            if (cases[i].message != NULL)
                assert_refused(result, cases[i].message);
            else
                harness_assert_exit(result, 0);
        }
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void without_a_name_it_is_a_usage_error(void **state) {
    static char *const options[] = {NULL};

    (void)state;
    assert_refused(ask(USER_WITHOUT_NAME, options, NULL), "no name is given; use -n NAME");
}

static void the_administrator_says_who_gets_what(void **state) {
    static const struct {
        const char *policy;
        const struct user *user;
        char *options[6];
        const char *message;
    } cases[] = {
        {"permit any hostname lab1\npermit any domainname lab.example",
         USER_WITHOUT_NAME,
         {"-n", "lab1", "-d", "lab.example"},
         "utsrun: host name 'lab1' and NIS domain name 'lab.example' denied: no rule permits both "
         "names; "},
        {"permit any hostname \"a b\"\npermit any domainname d",
         USER_WITHOUT_NAME,
         {"-n", "a b", "-d", "d"},
         "utsrun: host name 'a b' and NIS domain name 'd' denied: no rule permits both names; "},
        {"permit user nobody hostname lab1", USER_NOBODY, {"-n", "lab1"}, NULL},
        {"permit user nobody hostname lab1", USER_WITHOUT_NAME, {"-n", "lab1"}, "denied"},
        {"permit user 54321 hostname lab1", USER_WITHOUT_NAME, {"-n", "LAB1"}, NULL},
        {"permit group 54323 hostname lab1", USER_WITHOUT_NAME, {"-n", "lab1"}, NULL},
        {"permit group 54322 hostname lab1", USER_WITHOUT_NAME, {"-n", "lab1"}, NULL},
        {"permit group 54321 hostname lab1", USER_WITHOUT_NAME, {"-n", "lab1"}, "denied"},
        {"deny user nosuchuser hostname x*", USER_WITHOUT_NAME, {"-n", "x.test"}, "denies it"},
        {"deny user nosuchuser hostname x*", USER_WITHOUT_NAME, {"-n", "y.test"}, NULL},
        {"permit user nosuchuser group nosuchgroup hostname lab1\n"
         "permit user 54321 hostname lab1",
         USER_WITHOUT_NAME,
         {"-n", "lab1"},
         NULL},
        {"deny any hostname x.test",
         USER_WITHOUT_NAME,
         {"-n", "x.test"},
         "10-test.conf:1 denies it"},
        {"deny any hostname x.test", USER_WITHOUT_NAME, {"-n", "y.test"}, NULL},
        {"\n\ndeny user 54321", USER_WITHOUT_NAME, {"-n", "y.test"}, "10-test.conf:3 denies it"},
        {"permitt any",
         USER_WITHOUT_NAME,
         {"-n", "y.test"},
         "the policy in " POLICY_FOLDER_ADMIN " is missing or has an error"},
        {"deny user 5 hostname [", USER_WITHOUT_NAME, {"-n", "y.test"}, "has an error"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct result *result;

        policy_write("10-test.conf", cases[i].policy);
        result = ask(cases[i].user, cases[i].options, NULL);
        if (cases[i].message != NULL)
            assert_refused(result, cases[i].message);
        else
            harness_assert_exit(result, 0);
        /* Where in the policy the error is, is for the log. */
        assert_null(strstr(result->errors, "permitt"));
    }
    policy_clear();
}

/* A rule that only one mode, or only a ledger, can serve: it is refused, and says which. */
static void a_rule_that_needs_more_than_there_is_says_so(void **state) {
    static const struct {
        const char *policy, *direct_message, *service_message;
    } cases[] = {
        {"permit any hostname * limit 3",
         "10-test.conf:1 has a limit, and no ledger counts on this machine",
         "10-test.conf:1 has a limit, and no ledger counts on this machine"},
        {"permit any hostname * setuid", NULL,
         "10-test.conf:1 has setuid, and the service cannot grant new privileges; use --via "
         "direct"},
        {"permit any hostname * setuid limit 3",
         "10-test.conf:1 has a limit, and no ledger counts on this machine",
         "10-test.conf:1 has setuid, and the service cannot grant new privileges; use --via "
         "direct"},
    };
    static char *const options[] = {"-n", "x.test", NULL};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const char *message =
            harness_is_service() ? cases[i].service_message : cases[i].direct_message;
        const struct result *result;

        policy_write("10-test.conf", cases[i].policy);
        result = ask(USER_WITHOUT_NAME, options, NULL);
        if (message != NULL)
            assert_refused(result, message);
        else
            harness_assert_exit(result, 0);
    }
    policy_clear();
}

static void a_service_that_is_not_there_is_told(void **state) {
    static char *const options[] = {"-n", "x.test", "--via", "service", NULL};

    (void)state;
    assert_refused(
        ask(USER_WITHOUT_NAME, options, NULL),
        "/54321.sock cannot be reached: No such file or directory; it starts when you log "
        "in; for cron and at, run: loginctl enable-linger; or use --via direct, or ask "
        "your administrator to run: systemctl enable --now utsbroker@54321.socket");
}

static void a_policy_that_others_can_write_refuses(void **state) {
    static char *const options[] = {"-n", "x.test", NULL};

    (void)state;
    policy_write("10-test.conf", "permit any hostname *");
    assert_int_equal(chmod(POLICY_FOLDER_ADMIN "/10-test.conf", 0664), 0);
    assert_refused(ask(USER_WITHOUT_NAME, options, NULL), "has an error");
    assert_int_equal(chmod(POLICY_FOLDER_ADMIN "/10-test.conf", 0644), 0);
    harness_assert_exit(ask(USER_WITHOUT_NAME, options, NULL), 0);
    assert_int_equal(chmod(POLICY_FOLDER_ADMIN, 0777), 0);
    assert_refused(ask(USER_WITHOUT_NAME, options, NULL), "has an error");
    policy_clear();
}

static void masking_the_default_takes_everything_away(void **state) {
    static char *const options[] = {"-n", "x.test", NULL};

    (void)state;
    policy_write("10-test.conf", "");
    assert_int_equal(symlink("/dev/null", POLICY_FOLDER_ADMIN "/50-default.conf"), 0);
    assert_refused(ask(USER_WITHOUT_NAME, options, NULL), "host name 'x.test' denied");
    policy_clear();
}

static void setuid_rules_leave_no_new_privs_out(void **state) {
    static const struct {
        const char *policy, *line;
    } cases[] = {{"permit any hostname x.test", "NoNewPrivs:\t1\n"},
                 {"permit any hostname x.test setuid", "NoNewPrivs:\t0\n"},
                 {"permit any hostname y.test setuid\npermit any hostname *", "NoNewPrivs:\t1\n"}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "grep", "-E",
                                         "NoNewPrivs|Cap(Inh|Prm|Eff|Amb)", "/proc/self/status"}};

        policy_write("10-test.conf", cases[i].policy);
        harness_run(&run, &result);
        harness_assert_exit(&result, 0);
        assert_non_null(strstr(result.output, cases[i].line));
        assert_non_null(strstr(result.output, "CapPrm:\t0000000000000000"));
        assert_non_null(strstr(result.output, "CapEff:\t0000000000000000"));
        assert_non_null(strstr(result.output, "CapInh:\t0000000000000000"));
        assert_non_null(strstr(result.output, "CapAmb:\t0000000000000000"));
    }
    policy_clear();
}

static void no_new_privs(void *context) {
    (void)context;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void user_namespace(void *context) {
    (void)context;
    if (unshare(CLONE_NEWUSER) < 0)
        _exit(203);
}

static void be_traced(void *context) {
    (void)context;
    /* A tracer that is no better than this process, and lets every stop pass. */
    pid_t pid = fork(), stopped;
    int status;

    if (pid == 0) {
        (void)ptrace(PTRACE_TRACEME, 0, 0, 0);
        return;
    }
    while ((stopped = waitpid(-1, &status, __WALL)) > 0) {
        int number = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;

        if (WIFEXITED(status) && stopped == pid)
            _exit(WEXITSTATUS(status));
        if (number == SIGTRAP || number == SIGSTOP)
            number = 0;
        (void)ptrace(PTRACE_SETOPTIONS, stopped, 0, PTRACE_O_TRACEVFORK | PTRACE_O_TRACEFORK);
        (void)ptrace(PTRACE_CONT, stopped, 0, number);
    }
    _exit(204);
}

/* Direct mode where it is possible, else the service, whose child the command is. */
static void each_mode_can_be_asked_for(void **state) {
    static char *const cases[][5] = {{"-v", "-n", "x.test", NULL},
                                     {"-v", "-n", "x.test", "--via=auto", NULL},
                                     {"-v", "-n", "x.test", "--via=service", NULL},
                                     {"-v", "-n", "x.test", "--via=direct", NULL}};
    static const struct {
        void (*set_up)(void *context);
        const char *modes[BASE_ARRAY_SIZE(cases)]; /* NULL: not tried */
    } situations[] = {
        {NULL, {", direct, pid", ", direct, pid", ", service, pid", ", direct, pid"}},
        {be_traced, {", service, pid", ", service, pid", ", service, pid", NULL}},
    };

    (void)state;
    harness_permit_direct();
    for (size_t s = 0; s < BASE_ARRAY_SIZE(situations); s++) {
        for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
            const struct result *result;

            if (situations[s].modes[i] == NULL)
                continue;
            result = ask(USER_WITHOUT_NAME, cases[i], situations[s].set_up);
            harness_assert_exit(result, 0);
            if (strstr(result->errors, situations[s].modes[i]) == NULL)
                fail_msg("situation %zu, case %zu: %s", s, i, result->errors);
        }
    }
    harness_prevent_direct();
    harness_assert_exit(ask(USER_WITHOUT_NAME, cases[0], NULL), 0);
    assert_non_null(strstr(ask(USER_WITHOUT_NAME, cases[0], NULL)->errors, ", service, pid"));
}

/* The service would refuse these, as it lacks a group or has one too many: direct mode does not. */
static void what_the_service_refuses_runs_directly(void **state) {
    static const struct user users[] = {
        {.uid = 54321, .gid = 54322, .groups = {54323}, .n_groups = 1},
        {.uid = 54321, .gid = 54322, .groups = {54323, 54324, 54329}, .n_groups = 3},
        {.uid = 54321, .gid = 54324, .groups = {54322, 54323}, .n_groups = 2}};
    static char *const options[] = {"-n", "lab9", NULL}, *const service[] = {"-n", "lab9",
                                                                             "--via=service", NULL};

    (void)state;
    policy_write("10-test.conf", "permit group 54329 hostname lab9\n"
                                 "deny group 54329\n"
                                 "permit user 54321 hostname lab9");
    harness_permit_direct();
    for (size_t i = 0; i < BASE_ARRAY_SIZE(users); i++) {
        harness_assert_exit(ask(&users[i], options, NULL), 0);
        if (i != 1)
            harness_assert_exit(ask(&users[i], service, NULL), 125);
    }
    harness_prevent_direct();
    policy_clear();
}

static void what_takes_the_capability_away_is_told(void **state) {
    static const struct {
        const char *what;
        void (*set_up)(void *context);
        const char *message;
    } cases[] = {
        {"no_new_privs", no_new_privs, "no_new_privs is set here"},
        {"a user namespace", user_namespace, "this is a user namespace"},
        {"the same again without", NULL, NULL},
    };
    static char *const options[] = {"-n", "x.test", NULL};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct result *result = ask(USER_WITHOUT_NAME, options, cases[i].set_up);

        if (WIFEXITED(result->status) && WEXITSTATUS(result->status) == 203)
            print_message("%s: this kernel does not let it be made\n", cases[i].what);
        else if (cases[i].message != NULL)
            assert_refused(result, cases[i].message);
        else
            harness_assert_exit(result, 0);
    }
}

/* The tracer's own child is utsrun; its broker is traced too, by PTRACE_O_TRACEVFORK. */
static void a_traced_launcher_gets_no_capability(void **state) {
    static char *const options[] = {"-n", "x.test", NULL};

    (void)state;
    assert_refused(ask(USER_WITHOUT_NAME, options, be_traced), "utsrun is being traced");
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void a_broker_without_capability_names_the_cure(void **state) {
    static char *const options[] = {"-n", "x.test", NULL};
    const char *const cure =
        BROKER_PATH " has no file capability; install utsbroker-direct, or if this was built from "
                    "source, run: sudo setcap cap_sys_admin=p " BROKER_PATH;

    (void)state;
    assert_int_equal(system("setcap -r " BROKER_PATH), 0);
    assert_refused(ask(USER_WITHOUT_NAME, options, NULL), cure);
    /* The cure, as it is told, cures (this test is root and needs no sudo). */
    assert_int_equal(system("setcap cap_sys_admin=p " BROKER_PATH), 0);
    harness_assert_exit(ask(USER_WITHOUT_NAME, options, NULL), 0);
}

static void a_nosuid_mount_is_told(void **state) {
    static char *const options[] = {"-n", "x.test", NULL};
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount(BROKER_PATH, BROKER_PATH, NULL, MS_BIND, NULL) < 0 ||
            mount(NULL, BROKER_PATH, NULL, MS_BIND | MS_REMOUNT | MS_NOSUID, NULL) < 0)
            _exit(90);
        assert_refused(ask(USER_WITHOUT_NAME, options, NULL), "is mounted nosuid");
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void drop_bounding_set(void *context) {
    const struct user *user = context;

    if (prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0) < 0)
        _exit(203);
    harness_become(user);
}

static void a_bounding_set_without_it_is_told(void **state) {
    static struct result result;
    const struct run run = {.argv = {UTSRUN_PATH, "-n", "x.test", "true"},
                            .set_up = drop_bounding_set,
                            .context = USER_WITHOUT_NAME};

    (void)state;
    harness_run(&run, &result);
    assert_refused(&result, "the bounding set has no CAP_SYS_ADMIN");
}

/* Without a login there is no socket. Under no_new_privs a service would not help. */
static void who_has_no_service_is_told_how_to_get_one(void **state) {
    static char *const options[] = {"-n", "x.test", NULL};
    static const char advice[] =
        "host name 'x.test' refused: you have no service here, it starts when you log in (for cron "
        "and at, run: loginctl enable-linger); and " BROKER_PATH " has no file capability";
    const struct result *result;

    (void)state;
    assert_int_equal(system("setcap -r " BROKER_PATH), 0);
    assert_refused(ask(USER_WITHOUT_NAME, options, NULL), advice);
    result = ask(USER_WITHOUT_NAME, options, no_new_privs);
    assert_refused(result, "has no file capability");
    assert_null(strstr(result->errors, "loginctl"));
    assert_int_equal(system("setcap cap_sys_admin=p " BROKER_PATH), 0);
}

/* Without a broker, without processes, without descriptors: one line each. */
static void no_processes(void *context) {
    const struct rlimit limit = {1, 1};

    (void)context;
    (void)setrlimit(RLIMIT_NPROC, &limit);
}

static void no_descriptors(void *context) {
    const struct rlimit limit = {3, 3};

    (void)context;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void few_descriptors(void *context) {
    const struct rlimit limit = {6, 6};

    (void)context;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void no_file_size(void *context) {
    const struct rlimit limit = {0, 0};

    (void)context;
    (void)setrlimit(RLIMIT_FSIZE, &limit);
}

static void exhaustion_is_told(void **state) {
    static const struct {
        void (*set_up)(void *context);
        const char *message, *with_musl;
        bool is_enough_for_service;
    } cases[] = {{no_processes, "Resource temporarily unavailable", "(the same)", false},
                 {no_descriptors, "Too many open files", "No file descriptors available", false},
                 {few_descriptors, "Too many open files", "No file descriptors available", true},
                 {no_file_size, "File too large", "(the same)", false}};
    static char *const options[] = {"-n", "x.test", NULL};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct result *result = ask(USER_WITHOUT_NAME, options, cases[i].set_up);

        /* Without descriptors a utsrun that needs a loader does not get as far as to say it. */
        if (harness_is_service() && cases[i].is_enough_for_service)
            harness_assert_exit(result, 0);
        else if (strstr(result->errors, "error while loading shared libraries") == NULL)
            assert_refused(result, strstr(result->errors, cases[i].message) != NULL
                                       ? cases[i].message
                                       : cases[i].with_musl);
        else
            harness_assert_exit(result, 127);
    }
}

static void a_broker_that_is_not_there_is_told(void **state) {
    static char *const options[] = {"-n", "x.test", NULL};

    (void)state;
    assert_int_equal(rename(BROKER_PATH, BROKER_PATH ".away"), 0);
    assert_refused(ask(USER_WITHOUT_NAME, options, NULL), "could not be started: No such file");
    assert_int_equal(rename(BROKER_PATH ".away", BROKER_PATH), 0);
}

static void different_effective(void *context) {
    (void)context;
    if (setresgid(54322, 54323, 54323) < 0)
        _exit(203);
}

static void one_that_is_two_users_is_refused(void **state) {
    static struct result result;
    /* As root, so that the ids can differ at all; the child becomes the user by halves. */
    const struct run run = {.argv = {UTSRUN_PATH, "-n", "x.test", "true"},
                            .set_up = different_effective};

    (void)state;
    harness_run(&run, &result);
    assert_refused(&result, "real and effective ids differ");
}

static void a_privileged_broker_obeys_nothing_but_the_session_fd(void **state) {
    static char *const argvs[][6] = {
        {BROKER_PATH, "--policy-dir", "/tmp"},
        {BROKER_PATH, "--session-fd", "3", "--policy-dir", "/tmp"},
        {BROKER_PATH, "--help"},
        {BROKER_PATH, "--listen"},
        {BROKER_PATH, "--session-fd"},
        {BROKER_PATH, "--session-fd", "0"},
        {BROKER_PATH, "--session-fd", "-1"},
        {BROKER_PATH, "--session-fd", " 3"},
        {BROKER_PATH, "--session-fd", "3x"},
        {BROKER_PATH, "--session-fd", "99999999999999999999"},
        {BROKER_PATH, "--session-fd", "3"}, /* closed */
        {BROKER_PATH},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(argvs); i++) {
        static struct result result;
        struct run run = {.user = USER_WITHOUT_NAME};

        memcpy(run.argv, argvs[i], sizeof(argvs[i]));
        harness_run(&run, &result);
        harness_assert_exit(&result, 125);
        assert_memory_equal(result.errors, "utsbroker: ", 11);
    }
}

static void close_stdio(void *context) {
    (void)context;
    close(0);
    close(1);
    close(2);
}

/* Root's broker is no secure execution: nobody but the broker fills 0, 1 and 2 there. */
static void root_has_every_name_and_keeps_what_it_is(void **state) {
    static char *const names[] = {"x.test", "anything.at.all", "In Namespace"};
    static struct result result;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(names); i++) {
        const struct run run = {
            .argv = {UTSRUN_PATH, "-n", names[i], "grep", "NoNewPrivs", "/proc/self/status"}};

        harness_run(&run, &result);
        harness_assert_exit(&result, 0);
        assert_string_equal(result.output, "NoNewPrivs:\t0\n");
    }
    for (int i = 0; i < 2; i++) {
        const struct run run = {
            .argv = {UTSRUN_PATH, "-n", "x.test", i == 0 ? "/no/such/file" : "/bin/true"},
            .set_up = close_stdio};

        harness_run(&run, &result);
        harness_assert_exit(&result, i == 0 ? 127 : 0);
    }
}

static void verbose_tells_the_rule(void **state) {
    static char *const options[] = {"-v", "-n", "x.test", NULL};
    const struct result *result = ask(USER_WITHOUT_NAME, options, NULL);

    (void)state;
    harness_assert_exit(result, 0);
    assert_non_null(
        strstr(result->errors, "utsrun: granted by " POLICY_FOLDER_VENDOR "/50-default.conf:"));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_list_of_hosts_is_answered_with_the_line_that_does_it),
    cmocka_unit_test(the_default_policy_gives_what_is_reserved_for_tests),
    cmocka_unit_test(without_a_name_it_is_a_usage_error),
    cmocka_unit_test(the_administrator_says_who_gets_what),
    cmocka_unit_test(a_policy_that_others_can_write_refuses),
    cmocka_unit_test(masking_the_default_takes_everything_away),
    cmocka_unit_test(a_rule_that_needs_more_than_there_is_says_so),
    cmocka_unit_test(exhaustion_is_told),
    cmocka_unit_test(one_that_is_two_users_is_refused),
    cmocka_unit_test(root_has_every_name_and_keeps_what_it_is),
    cmocka_unit_test(verbose_tells_the_rule),
};

static const struct CMUnitTest direct_tests[] = {
    cmocka_unit_test(setuid_rules_leave_no_new_privs_out),
    cmocka_unit_test(what_takes_the_capability_away_is_told),
    cmocka_unit_test(a_traced_launcher_gets_no_capability),
    cmocka_unit_test(a_broker_without_capability_names_the_cure),
    cmocka_unit_test(who_has_no_service_is_told_how_to_get_one),
    cmocka_unit_test(a_nosuid_mount_is_told),
    cmocka_unit_test(a_bounding_set_without_it_is_told),
    cmocka_unit_test(a_privileged_broker_obeys_nothing_but_the_session_fd),
    cmocka_unit_test(a_service_that_is_not_there_is_told),
    cmocka_unit_test(a_broker_that_is_not_there_is_told),
};

static const struct CMUnitTest service_tests[] = {
    cmocka_unit_test(each_mode_can_be_asked_for),
    cmocka_unit_test(what_the_service_refuses_runs_directly),
};

HARNESS_MAIN_OF_BOTH(tests, direct_tests, service_tests, harness_set_up, harness_tear_down)
