/* The command is like a process that the caller started, except for the name and no_new_privs. */

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/integration/harness.h"

static char folder[] = "/tmp/test-command-XXXXXX";
static char report[64];

static int set_up(void **state) {
    if (mkdtemp(folder) == NULL || chmod(folder, 01777) < 0)
        return -1;
    snprintf(report, sizeof(report), "%s/report", folder);
    return harness_set_up(state);
}

static int tear_down(void **state) {
    char command[64];

    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command) == 0 ? harness_tear_down(state) : -1;
}

/* The report of one run, as lines; @lines points into @text. */
struct report {
    char text[1 << 16];
    char *lines[1024];
    size_t n_lines;
};

static void report_read(struct report *result) {
    FILE *file = fopen(report, "re");
    size_t length;

    assert_non_null(file);
    length = fread(result->text, 1, sizeof(result->text) - 1, file);
    result->text[length] = '\0';
    fclose(file);
    unlink(report);
    result->n_lines = 0;
    for (char *line = strtok(result->text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        result->lines[result->n_lines++] = line;
}

static bool begins_with(const char *line, const char *const *prefixes, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strncmp(line, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

static bool report_has(const struct report *result, const char *line) {
    for (size_t i = 0; i < result->n_lines; i++)
        if (strcmp(result->lines[i], line) == 0)
            return true;
    return false;
}

/*
 * What may differ: the name, its namespace, no_new_privs, and the process group of the test. In
 * service mode also the session; and the login uid, which a real login has set already.
 */
static void compare_reports(const char *what, const struct report *plain,
                            const struct report *inside) {
    static const char *const every[] = {
        "hostname=", "ns.uts=",       "status.NoNewPrivs:", "group=",
        "env.HOST=", "env.HOSTNAME=", "session=",           "loginuid="};
    const char *const *excepted = every;
    size_t n_excepted = BASE_ARRAY_SIZE(every) - (harness_is_service() ? 0 : 2);

    for (size_t i = 0; i < plain->n_lines; i++)
        if (!begins_with(plain->lines[i], excepted, n_excepted) &&
            !report_has(inside, plain->lines[i]))
            fail_msg("%s: without utsrun, but not with it: %s", what, plain->lines[i]);
    for (size_t i = 0; i < inside->n_lines; i++)
        if (!begins_with(inside->lines[i], excepted, n_excepted) &&
            !report_has(plain, inside->lines[i]))
            fail_msg("%s: with utsrun, but not without it: %s", what, inside->lines[i]);
    assert_int_equal(plain->n_lines, inside->n_lines);
}

static void nothing(void *context) {
    (void)context;
}

static void close_stdin(void *context) {
    (void)context;
    close(0);
}

static void close_output(void *context) {
    (void)context;
    close(1);
    close(2);
}

static void close_all_three(void *context) {
    (void)context;
    close(0);
    close(1);
    close(2);
}

static void open_more(void *context) {
    int fd = open("/etc/passwd", O_RDONLY);

    (void)context;
    dup2(fd, 57);
    dup2(fd, 1000);
    dup3(fd, 58, O_CLOEXEC); /* closed when utsrun is executed */
}

static void ignore_signals(void *context) {
    static const int signals[] = {SIGCHLD, SIGPIPE, SIGHUP, SIGUSR1, SIGTSTP, SIGTTOU, SIGALRM};

    (void)context;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(signals); i++)
        signal(signals[i], SIG_IGN);
}

static void block_signals(void *context) {
    sigset_t set;

    (void)context;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

static void block_all_signals(void *context) {
    sigset_t set;

    (void)context;
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

static void set_umask(void *context) {
    (void)context;
    umask(0137);
}

static void set_umask_777(void *context) {
    (void)context;
    umask(0777);
}

static void lose_cwd(void *context) {
    (void)context;
    if (mkdir("gone", 0755) < 0 || chdir("gone") < 0 || rmdir("../gone") < 0)
        _exit(203);
}

static void go_to_usr(void *context) {
    (void)context;
    if (chdir("/usr/bin") < 0)
        _exit(203);
}

static void set_limits(void *context) {
    const struct rlimit files = {200, 300}, core = {0, 0}, stack = {RLIM_INFINITY, RLIM_INFINITY};

    (void)context;
    setrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_CORE, &core);
    setrlimit(
        RLIMIT_STACK,
        &stack); /* the kernel lowers it for a broker; utsrun's value is restored for the command */
}

static void set_stack_64m(void *context) {
    const struct rlimit stack = {64 << 20, 128 << 20};

    (void)context;
    setrlimit(RLIMIT_STACK, &stack);
}

static void set_small_stack(void *context) {
    const struct rlimit stack = {1 << 20, 2 << 20};

    (void)context;
    setrlimit(RLIMIT_STACK, &stack);
}

static void set_personality(void *context) {
    (void)context;
    personality(ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT | UNAME26);
}

static void be_nice(void *context) {
    (void)context;
    (void)!nice(7);
}

static void be_batch(void *context) {
    (void)context;
    (void)syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &(struct sched_param){0});
}

static void be_idle(void *context) {
    (void)context;
    (void)syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &(struct sched_param){0});
}

static void give_way_in_io(void *context) {
    (void)context;
    (void)syscall(SYS_ioprio_set, 1, 0, 3 << 13); /* the class "idle" */
}

static void set_timer_slack(void *context) {
    (void)context;
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
}

/* A file of this process, which belongs to root as long as the process is not dumpable. */
static void own_file_write(const char *path, const char *text) {
    int fd;

    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (write(fd, text, strlen(text)) < 0)
        _exit(203);
    close(fd);
}

static void set_core_filter(void *context) {
    (void)context;
    own_file_write("/proc/self/coredump_filter", "0x7f");
}

static void be_killed_first(void *context) {
    (void)context;
    own_file_write("/proc/self/oom_score_adj", "700");
}

/* The policy is "interleave". A kernel without NUMA refuses it. */
static void set_memory_policy(void *context) {
    static const unsigned long node = 1;

    (void)context;
    (void)syscall(SYS_set_mempolicy, 3, &node, 64);
}

static void set_all_of_these(void *context) {
    be_nice(context);
    be_idle(context);
    give_way_in_io(context);
    set_timer_slack(context);
    set_core_filter(context);
    be_killed_first(context);
    set_memory_policy(context);
    set_limits(context);
    close_all_three(context);
}

static void lead_a_session(void *context) {
    (void)context;
    setsid();
}

/*
 * The same files as 0, 1 and 2 in both runs, so that they can be compared; then the case's own
 * set-up.
 */
static void prepare(void *context) {
    void (*const *set_up_case)(void *) = context;
    int fd = open("/dev/full", O_RDWR);

    dup2(fd, 1);
    dup2(fd, 2);
    close(fd);
    (*set_up_case)(NULL);
}

static void the_command_differs_in_nothing_but_the_name(void **state) {
    static char *environment[] = {"PATH=/usr/bin:/bin",
                                  "LD_LIBRARY_PATH=/some/where",
                                  "TMPDIR=/var/tmp",
                                  "GCONV_PATH=/x",
                                  "MALLOC_ARENA_MAX=1",
                                  "ODD",
                                  "EMPTY=",
                                  NULL};
    static char *no_environment[] = {NULL};
    static const struct {
        const char *what;
        void (*set_up)(void *context);
        char **environment;
    } cases[] = {
        {"as it is", nothing, NULL},
        {"variables that the loader takes from privileged programs", nothing, environment},
        {"no environment", nothing, no_environment},
        {"standard input closed", close_stdin, NULL},
        {"standard output and error closed", close_output, NULL},
        {"0, 1 and 2 closed", close_all_three, NULL},
        {"more descriptors", open_more, NULL},
        {"ignored signals", ignore_signals, NULL},
        {"blocked signals", block_signals, NULL},
        {"all signals blocked", block_all_signals, NULL},
        {"a umask", set_umask, NULL},
        {"umask 777", set_umask_777, NULL},
        {"a working directory", go_to_usr, NULL},
        {"a working directory that is gone", lose_cwd, NULL},
        {"limits", set_limits, NULL},
        {"a large stack", set_stack_64m, NULL},
        {"a small stack", set_small_stack, NULL},
        {"a personality", set_personality, NULL},
        {"a nice value", be_nice, NULL},
        {"SCHED_BATCH", be_batch, NULL},
        {"SCHED_IDLE", be_idle, NULL},
        {"an I/O priority", give_way_in_io, NULL},
        {"a timer slack", set_timer_slack, NULL},
        {"a coredump filter", set_core_filter, NULL},
        {"an oom_score_adj", be_killed_first, NULL},
        {"a memory policy", set_memory_policy, NULL},
        {"all of these", set_all_of_these, NULL},
    };
    static struct report plain, inside;

    (void)state;
    for (size_t u = 0; u < BASE_ARRAY_SIZE(harness_users); u++) {
        for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
            struct run run = {.user = &harness_users[u],
                              .argv = {PROBE_PATH, report, "a b", ""},
                              .environment = cases[i].environment,
                              .set_up = prepare,
                              .context = (void *)&cases[i].set_up};
            static struct result result;

            assert_int_equal(chdir(folder), 0);
            harness_run(&run, &result);
            harness_assert_exit(&result, 0);
            report_read(&plain);

            run = (struct run){
                .user = &harness_users[u],
                .argv = {UTSRUN_PATH, "-n", "node1.test", "--", PROBE_PATH, report, "a b", ""},
                .environment = cases[i].environment,
                .set_up = prepare,
                .context = (void *)&cases[i].set_up};
            harness_run(&run, &result);
            if (!WIFEXITED(result.status) || WEXITSTATUS(result.status) != 0)
                fail_msg("%s, %s: 0x%x %s", harness_users[u].what, cases[i].what, result.status,
                         result.errors);
            report_read(&inside);
            compare_reports(cases[i].what, &plain, &inside);

            assert_true(report_has(&inside, "hostname=node1.test"));
            assert_true(report_has(&inside, "status.NoNewPrivs:\t1"));
            assert_true(report_has(&inside, "status.Seccomp:\t0"));
            assert_true(report_has(&inside, "status.CapInh:\t0000000000000000"));
            assert_true(report_has(&inside, "status.CapPrm:\t0000000000000000"));
            assert_true(report_has(&inside, "status.CapEff:\t0000000000000000"));
            assert_true(report_has(&inside, "status.CapAmb:\t0000000000000000"));
        }
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/*
 * The children of a session inherit its filter; the command's process was made before the filter
 * was. In a container with a filter the command has that filter and no more.
 */
static void the_command_has_no_filter(void **state) {
    static struct result outside, inside;
    const struct run plain = {.user = USER_WITHOUT_NAME,
                              .argv = {"/bin/grep", "Seccomp", "/proc/self/status"}};
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "-n", "x.test", "/bin/grep", "Seccomp", "/proc/self/status"}};

    (void)state;
    harness_run(&plain, &outside);
    harness_assert_exit(&outside, 0);
    assert_non_null(strstr(outside.output, "Seccomp_filters:")); /* Linux 5.9 */
    harness_run(&run, &inside);
    harness_assert_exit(&inside, 0);
    assert_string_equal(inside.output, outside.output);
}

/* A session leader's command is in its session, and in its process group. */
static void session_and_process_group_are_the_callers(void **state) {
    static struct report inside;
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "node1.test", PROBE_PATH, report},
                            .set_up = lead_a_session};
    const char *session = NULL, *group = NULL;

    (void)state;
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    report_read(&inside);
    for (size_t i = 0; i < inside.n_lines; i++) {
        if (strncmp(inside.lines[i], "session=", 8) == 0)
            session = inside.lines[i] + 8;
        if (strncmp(inside.lines[i], "group=", 6) == 0)
            group = inside.lines[i] + 6;
    }
    assert_non_null(session);
    assert_non_null(group);
    assert_string_equal(session, group);
    assert_true(atoi(session) > 1);
}

static void host_variables_are_updated_if_set(void **state) {
    static char *with[] = {"HOSTNAME=old", "HOST=old", "HOSTTYPE=keep", NULL};
    static char *without[] = {"HOSTTYPE=keep", NULL};
    static const struct {
        char **environment;
        char *option;
        bool has_new, has_old;
    } cases[] = {
        {with, "-n", true, false}, {with, "-d", false, true}, {without, "-n", false, false}};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct report inside;
        static struct result result;
        const struct run run = {
            .user = USER_WITHOUT_NAME,
            .argv = {UTSRUN_PATH, cases[i].option, "x.test", PROBE_PATH, report},
            .environment = cases[i].environment};

        harness_run(&run, &result);
        harness_assert_exit(&result, 0);
        report_read(&inside);
        assert_int_equal(report_has(&inside, "env.HOSTNAME=x.test"), cases[i].has_new);
        assert_int_equal(report_has(&inside, "env.HOST=x.test"), cases[i].has_new);
        assert_int_equal(report_has(&inside, "env.HOSTNAME=old"), cases[i].has_old);
        assert_int_equal(report_has(&inside, "env.HOST=old"), cases[i].has_old);
        assert_true(report_has(&inside, "env.HOSTTYPE=keep"));
    }
}

static void only_the_requested_names_are_set(void **state) {
    static const struct {
        char *argv[5];
        const char *hostname, *domainname; /* NULL: the host's own */
    } cases[] = {{{"-n", "Node1.Test"}, "hostname=Node1.Test", NULL},
                 {{"-d", "d.test"}, NULL, "domainname=d.test"},
                 {{"-n", "n.test", "-d", "d.test"}, "hostname=n.test", "domainname=d.test"},
                 {{"-n", "In Namespace"}, "hostname=In Namespace", NULL}};
    static struct report plain, inside;
    static struct result result;
    struct run run = {.user = USER_WITHOUT_NAME, .argv = {PROBE_PATH, report}};

    (void)state;
    harness_run(&run, &result);
    report_read(&plain);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        size_t n = 1;

        run = (struct run){.user = USER_WITHOUT_NAME, .argv = {UTSRUN_PATH}};
        for (size_t j = 0; cases[i].argv[j] != NULL; j++)
            run.argv[n++] = cases[i].argv[j];
        run.argv[n++] = PROBE_PATH;
        run.argv[n++] = report;
        harness_run(&run, &result);
        harness_assert_exit(&result, 0);
        report_read(&inside);
        for (size_t j = 0; j < plain.n_lines; j++) {
            if (strncmp(plain.lines[j], "hostname=", 9) == 0)
                assert_true(report_has(&inside, cases[i].hostname != NULL ? cases[i].hostname
                                                                          : plain.lines[j]));
            if (strncmp(plain.lines[j], "domainname=", 11) == 0)
                assert_true(report_has(&inside, cases[i].domainname != NULL ? cases[i].domainname
                                                                            : plain.lines[j]));
            if (strncmp(plain.lines[j], "ns.uts=", 7) == 0)
                assert_false(report_has(&inside, plain.lines[j]));
        }
    }
}

/* Two commands run at the same time: each waits until both run. */
static void two_at_once_do_not_see_each_other(void **state) {
    static char *const names[] = {"one.test", "two.test"};
    static char script[] = "echo ready; read x < fifo; uname -n";
    pid_t pids[2];
    int outputs[2], errors[2], fifo;

    (void)state;
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(mkfifo("fifo", 0666), 0);
    assert_int_equal(chmod("fifo", 0666), 0);
    for (size_t i = 0; i < 2; i++) {
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", names[i], "sh", "-c", script}};

        pids[i] = harness_start(&run, &outputs[i], &errors[i]);
    }
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(harness_read_line(outputs[i]), "ready");
    fifo = open("fifo", O_RDWR | O_CLOEXEC);
    assert_int_equal(write(fifo, "x\ny\n", 4), 4);
    for (size_t i = 0; i < 2; i++) {
        int status;

        assert_string_equal(harness_read_line(outputs[i]), names[i]);
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
        close(outputs[i]);
        close(errors[i]);
    }
    close(fifo);
}

static void the_command_cannot_change_its_name(void **state) {
    static char *const calls[] = {"sethostname", "setdomainname"};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(calls); i++) {
        static struct result result;
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", PROBE_PATH, calls[i]}};

        harness_run(&run, &result);
        harness_assert_exit(&result, 1);
    }
}

/*
 * Such as ping, mtr and dumpcap: the kernel executes a file with an effective capability only if
 * the bounding set has it (capabilities(7)). The command gains nothing by it.
 */
static void files_with_capabilities_are_executed_and_gain_nothing(void **state) {
    static const char *const capabilities[] = {"cap_net_raw=ep", "cap_net_admin,cap_net_raw=eip",
                                               "cap_net_raw=p", "cap_sys_admin=ep"};
    static const char *const empty[] = {
        "status.CapInh:\t0000000000000000", "status.CapPrm:\t0000000000000000",
        "status.CapEff:\t0000000000000000", "status.CapAmb:\t0000000000000000"};
    char file[64], command[256];

    (void)state;
    snprintf(file, sizeof(file), "%s/with-capability", folder);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(capabilities); i++) {
        static struct report inside;
        static struct result result;
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "node1.test", file, report}};

        snprintf(command, sizeof(command), "install -m 755 %s %s && setcap %s %s", PROBE_PATH, file,
                 capabilities[i], file);
        assert_int_equal(system(command), 0);
        harness_run(&run, &result);
        if (!WIFEXITED(result.status) || WEXITSTATUS(result.status) != 0)
            fail_msg("%s: 0x%x %s", capabilities[i], result.status, result.errors);
        report_read(&inside);
        for (size_t j = 0; j < BASE_ARRAY_SIZE(empty); j++)
            if (!report_has(&inside, empty[j]))
                fail_msg("%s: not %s", capabilities[i], empty[j]);
    }
}

/* 12 arguments of 100 KB are more than a default pipe or socket buffer holds. */
static void a_megabyte_of_arguments_arrives(void **state) {
    static char argument[100 * 1024 + 1];
    static struct result result;
    struct run run = {.user = USER_WITHOUT_NAME,
                      .argv = {UTSRUN_PATH, "-n", "x.test", "sh", "-c",
                               "echo $# ${#1} ${#12}; printf %s \"$@\" | cksum", "sh"}};
    char expected[64];
    FILE *cksum;

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(argument); i++)
        argument[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < 12; i++)
        run.argv[7 + i] = argument;
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    cksum = popen("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do"
                  "  yes abcdefghijklmnopqrstuvwxyz | tr -d '\\n' | head -c 102400; done | cksum",
                  "re");
    assert_non_null(fgets(expected, sizeof(expected), cksum));
    pclose(cksum);
    assert_memory_equal(result.output, "12 102400 102400\n", 17);
    assert_string_equal(result.output + 17, expected);
}

static void input_and_output_are_the_callers(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", "sh", "-c", "cat; echo e >&2"},
                            .input = "some text\n"};

    (void)state;
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    assert_string_equal(result.output, "some text\n");
    assert_string_equal(result.errors, "e\n");
}

/* The login uid is the service's, for audit. Only on a kernel with an audit subsystem. */
static void the_command_has_the_services_login_uid(void **state) {
    static struct report inside;
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "node1.test", PROBE_PATH, report}};

    (void)state;
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    report_read(&inside);
    if (access("/proc/self/loginuid", F_OK) == 0)
        assert_true(report_has(&inside, "loginuid=54321"));
}

/*
 * The descriptors 0, 1 and 2 that utsrun does not have stay closed: the service's are not
 * inherited.
 */
static void closed_standard_descriptors_stay_closed(void **state) {
    static struct report inside;
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "node1.test", PROBE_PATH, report},
                            .set_up = close_all_three};

    (void)state;
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    report_read(&inside);
    for (size_t i = 0; i < inside.n_lines; i++)
        if (strncmp(inside.lines[i], "fd.", 3) == 0)
            fail_msg("%s", inside.lines[i]);
}

static void open_many(void *context) {
    int n = *(int *)context;
    int fd = open("/dev/null", O_RDONLY);

    for (int i = 3; i < n; i++)
        if (i != fd)
            dup2(fd, i);
}

static void the_most_descriptors_of_one_record_arrive(void **state) {
    static struct result result;
    static int n;
    struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "-n", "x.test", "sh", "-c", "set -- /proc/$$/fd/*; echo $(($# - 1))"},
        .set_up = open_many,
        .context = &n};

    (void)state;
    n = 251;
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    assert_int_equal(atoi(result.output), 251);
    n = 252;
    harness_run(&run, &result);
    harness_assert_exit(&result, 125);
    assert_non_null(strstr(result.errors, "252 open descriptors are more than the service can "
                                          "pass on"));
    run.argv[1] = "--via=direct";
    run.argv[2] = "--hostname=x.test";
    run.argv[3] = "--";
    run.argv[4] = "sh", run.argv[5] = "-c", run.argv[6] = "set -- /proc/$$/fd/*; echo $(($# - 1))";
    harness_permit_direct();
    for (size_t i = 0; i < 2; i++) {
        harness_run(&run, &result);
        harness_assert_exit(&result, 0);
        assert_int_equal(atoi(result.output), 252);
        run.argv[1] = "--via=auto";
    }
    harness_prevent_direct();
}

/* Runs @script in an empty folder; it must print @output. */
static void check_script(const char *script, const char *output) {
    static struct result result;
    static char *environment[] = {"PATH=" UTSRUN_FOLDER ":/usr/bin:/bin", NULL};
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {"/bin/bash", "-c", (char *)script},
                            .environment = environment};

    assert_int_equal(chdir(folder), 0);
    harness_run(&run, &result);
    if (strcmp(result.output, output) != 0)
        fail_msg("%s: got '%s' %s", script, result.output, result.errors);
    assert_int_equal(system("rm -f f m sub"), 0);
}

/* Pipes and files as they are: what a shell does with them, and make's jobserver. */
static void redirections_reach_the_command(void **state) {
    static const struct {
        const char *script, *output;
    } cases[] = {
        {"echo x | utsrun -n x.test -- cat > f; cat f", "x\n"},
        {"utsrun -n x.test -- cat <(echo a) <(echo b)", "a\nb\n"},
        {"utsrun -n x.test -- sh -c 'echo 1; echo 2 >&2' 2>&1 | sort", "1\n2\n"},
        {"exec 7>f; utsrun -n x.test -- sh -c 'echo seven >&7'; cat f", "seven\n"},
        {"utsrun -n x.test -- head -n 1 <<< text", "text\n"},
        {"seq 100000 | utsrun -n x.test -- cat | tail -n 1", "100000\n"},
        {"yes | utsrun -n x.test -- head -n 1", "y\n"},
        {"printf 'all: a b\\na b:\\n\\t@+utsrun -n $@.test -- $(MAKE) -f sub\\n' > m; "
         "printf 'x:\\n\\t@echo $(findstring jobserver,$(MAKEFLAGS)); uname -n\\n' > sub; "
         "MAKEFLAGS= make -s -j2 -f m 2>&1 | sort | uniq",
         "a.test\nb.test\njobserver\n"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        check_script(cases[i].script, cases[i].output);
}

/*
 * What the command closes is closed: who waits for that sees it while the command lives. Each
 * script prints "lives" if the command, whose pid it learns, still runs then. Standard error is not
 * among them: utsrun may still have something to say there.
 */
static void what_the_command_closes_is_closed(void **state) {
#define COMMAND "utsrun -n x.test -- sh -c "
#define IF_IT_LIVES "kill \"$pid\" && echo lives; }"
    static const char *const scripts[] = {
        COMMAND "'echo $$; exec >&-; exec sleep 5' | { read pid; cat; " IF_IT_LIVES,
        COMMAND
        "'echo $$ >&7; exec 7>&-; exec sleep 5' 7>&1 >/dev/null | { read pid; cat; " IF_IT_LIVES,
        "mkfifo f; yes 2>/dev/null >f & " COMMAND "'echo $$; exec sleep 5 <&-' <f | { read pid; "
        "while kill -0 $! 2>/dev/null; do sleep 0.1; done; " IF_IT_LIVES,
        "( flock 7; exec " COMMAND "'exec 7>&-; echo $$; exec sleep 5 >&-' ) 7>f | { read pid; "
        "flock f true; " IF_IT_LIVES,
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(scripts); i++)
        check_script(scripts[i], "lives\n");
#undef COMMAND
#undef IF_IT_LIVES
}

static char listen_pid[32], watchdog_pid[32], listen_pidfdid[48];
static char *listen_environment[] = {"PATH=/usr/bin:/bin", "LISTEN_FDS=2", listen_pid,
                                     watchdog_pid,         listen_pidfdid, NULL};

static uint64_t pidfd_inode(pid_t pid) {
    CLEANUP_FD int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct stat status;

    return pidfd >= 0 && fstat(pidfd, &status) == 0 ? status.st_ino : 0;
}

/* As a service manager does: the variables name the process that executes utsrun. */
static void listen_for_self(void *context) {
    const bool *is_own = context;
    pid_t pid = *is_own ? getpid() : getppid();

    snprintf(listen_pid, sizeof(listen_pid), "LISTEN_PID=%d", (int)pid);
    snprintf(watchdog_pid, sizeof(watchdog_pid), "WATCHDOG_PID=%d", (int)pid);
    snprintf(listen_pidfdid, sizeof(listen_pidfdid), "LISTEN_PIDFDID=%ju",
             (uintmax_t)pidfd_inode(pid));
    if (dup2(1, 3) != 3 || dup2(1, 4) != 4)
        _exit(200);
}

/* sd_listen_fds(3) takes the descriptors only if the variables name the process that asks. */
static void a_socket_unit_can_start_utsrun(void **state) {
    static const bool is_own[] = {true, false};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(is_own); i++) {
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "sh", "-c",
                                         "echo $$ $LISTEN_PID $WATCHDOG_PID $LISTEN_PIDFDID "
                                         "$LISTEN_FDS >&4; exec sleep 60"},
                                .environment = listen_environment,
                                .set_up = listen_for_self,
                                .context = (void *)(uintptr_t)&is_own[i]};
        pid_t own = is_own[i] ? 0 : getpid();
        unsigned long command = 0, listener = 0, watched = 0;
        uintmax_t inode = 0;
        int output, errors, n = 0, status;
        pid_t pid = harness_start(&run, &output, &errors);
        const char *line = harness_read_line(output);

        assert_int_equal(
            sscanf(line, "%lu %lu %lu %ju %d", &command, &listener, &watched, &inode, &n), 5);
        assert_int_equal(n, 2);
        assert_int_equal(listener, own != 0 ? (unsigned long)own : command);
        assert_int_equal(watched, listener);
        assert_true(inode == pidfd_inode((pid_t)listener));
        assert_int_equal(kill(pid, SIGTERM), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        close(output);
        close(errors);
    }
}

/* The address, relative to the program's start, of the data that is read-only after relocation. */
static unsigned long relro_offset(const char *path) {
    FILE *file = fopen(path, "re");
    ElfW(Ehdr) header;
    unsigned long offset = 0;

    assert_non_null(file);
    assert_int_equal(fread(&header, sizeof(header), 1, file), 1);
    for (int i = 0; i < header.e_phnum; i++) {
        ElfW(Phdr) segment;

        assert_int_equal(fseek(file, (long)header.e_phoff + i * (long)sizeof(segment), SEEK_SET),
                         0);
        assert_int_equal(fread(&segment, sizeof(segment), 1, file), 1);
        if (segment.p_type == PT_GNU_RELRO)
            offset = segment.p_vaddr;
    }
    fclose(file);
    assert_true(offset != 0);
    return offset;
}

/* The loader or the C library makes it read-only. */
static void relocated_data_is_read_only_at_run_time(void **state) {
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "-n", "node1.test", "sh", "-c", "echo ready; exec sleep 60"}};
    unsigned long begin, end, base = 0, address = 0;
    char path[64], line[512], rights[8], right = '-';
    int output, errors;
    pid_t pid = harness_start(&run, &output, &errors);
    FILE *maps;

    (void)state;
    assert_string_equal(harness_read_line(output), "ready");
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    maps = fopen(path, "re");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "%lx-%lx %4s", &begin, &end, rights) != 3)
            continue;
        if (base == 0 && strstr(line, "/utsrun") != NULL) {
            base = begin;
            address = base + relro_offset(UTSRUN_PATH);
        }
        if (base != 0 && address >= begin && address < end)
            right = rights[1];
    }
    fclose(maps);
    assert_true(base != 0);
    assert_int_equal(right, '-');
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(output);
    close(errors);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_command_differs_in_nothing_but_the_name),
    cmocka_unit_test(host_variables_are_updated_if_set),
    cmocka_unit_test(only_the_requested_names_are_set),
    cmocka_unit_test(two_at_once_do_not_see_each_other),
    cmocka_unit_test(relocated_data_is_read_only_at_run_time),
    cmocka_unit_test(the_command_cannot_change_its_name),
    cmocka_unit_test(files_with_capabilities_are_executed_and_gain_nothing),
    cmocka_unit_test(a_megabyte_of_arguments_arrives),
    cmocka_unit_test(input_and_output_are_the_callers),
    cmocka_unit_test(redirections_reach_the_command),
    cmocka_unit_test(what_the_command_closes_is_closed),
    cmocka_unit_test(a_socket_unit_can_start_utsrun),
};

static const struct CMUnitTest direct_tests[] = {
    cmocka_unit_test(the_command_has_no_filter),
    cmocka_unit_test(session_and_process_group_are_the_callers),
};

static const struct CMUnitTest service_tests[] = {
    cmocka_unit_test(the_command_has_the_services_login_uid),
    cmocka_unit_test(closed_standard_descriptors_stay_closed),
    cmocka_unit_test(the_most_descriptors_of_one_record_arrive),
};

HARNESS_MAIN_OF_BOTH(tests, direct_tests, service_tests, set_up, tear_down)
