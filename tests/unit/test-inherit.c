/* What the service's command has from the caller: descriptors, umask, signals, processors. */

#include "launcher/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/test.h"

/* In a child, where cmocka's assertions do not reach. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            dprintf(SPARE_STDERR, "%s:%d: " #condition ": %m\n", __FILE__, __LINE__);              \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

enum { SPARE_STDERR = 400, SLAVE = 401, END = -1, NUMBERS_MAX = 1024 };

static bool in_child(void (*play)(const void *), const void *script) {
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        (void)alarm(10);
        if (dup3(2, SPARE_STDERR, O_CLOEXEC) != SPARE_STDERR)
            _exit(1);
        play(script);
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status == 0;
}

static void close_all(void) {
    for (int fd = 0; fd < NUMBERS_MAX; fd++)
        if (fd != SPARE_STDERR)
            (void)close(fd);
}

static size_t n_open(void) {
    size_t n = 0;

    for (int fd = 0; fd < NUMBERS_MAX; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void number_open(int number, bool is_inherited) {
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    CHECK(fd >= 0);
    if (fd != number) {
        CHECK(dup3(fd, number, O_CLOEXEC) == number && close(fd) == 0);
    }
    CHECK(!is_inherited || fcntl(number, F_SETFD, 0) == 0);
}

/* Gathers with an empty mask; @terminal NULL: none. */
static int collect(struct inheritance *inheritance, const struct terminal *terminal) {
    static const struct terminal none = TERMINAL_NULL;
    static sigset_t mask;

    (void)sigemptyset(&mask);
    return inherit_collect(inheritance, terminal != NULL ? terminal : &none, &mask);
}

/* What is open, -1 at the end. The highest is opened first, so that none is in another's way. */
struct opened {
    const char *what;
    int inherited[8], own[8];
};

static void play_descriptors(const void *script) {
    const struct opened *opened = script;
    struct inheritance inheritance;
    size_t n = 0, n_own = 0, before;

    close_all();
    while (opened->inherited[n] != END)
        n++;
    while (opened->own[n_own] != END)
        n_own++;
    for (int fd = NUMBERS_MAX - 1; fd >= 0; fd--) {
        for (size_t i = 0; i < n; i++)
            if (opened->inherited[i] == fd)
                number_open(fd, true);
        for (size_t i = 0; i < n_own; i++)
            if (opened->own[i] == fd)
                number_open(fd, false);
    }
    before = n_open();
    CHECK(collect(&inheritance, NULL) == 0);
    CHECK(n_open() == before);
    CHECK(inheritance.n_fds == n);
    for (size_t i = 0; i < n; i++)
        CHECK(inheritance.numbers[i] == opened->inherited[i] &&
              inheritance.fds[i] == opened->inherited[i]);
}

static void what_is_not_close_on_exec_is_inherited_in_ascending_order(void **state) {
    static const struct opened cases[] = {
        {"nothing", {END}, {END}},
        {"only our own", {END}, {0, 1, 2, 3, END}},
        {"the standard ones", {0, 1, 2, END}, {END}},
        {"the standard ones, and our own", {0, 1, 2, END}, {3, 4, 5, END}},
        {"no standard input", {1, 2, END}, {3, END}},
        {"no standard error, and our own in its place", {0, 1, END}, {2, END}},
        {"one far up", {1023, END}, {END}},
        {"at the edges of what the kernel counts by", {63, 64, 127, 128, 255, 256, END}, {65, END}},
        {"between our own", {0, 3, 5, 7, 900, END}, {1, 4, 6, 899, 901, END}},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (!in_child(play_descriptors, &cases[i]))
            fail_msg("%s", cases[i].what);
}

struct replacement {
    bool has_slave;
    bool is_standard[3];
    bool is_closed[3];
    int expected[5]; /* of 0, 1, 2, 3 and 4, without those that are closed */
};

static void play_replacement(const void *script) {
    const struct replacement *replacement = script;
    struct terminal terminal = TERMINAL_NULL;
    struct inheritance inheritance;
    size_t n = 0;

    close_all();
    number_open(SLAVE, false);
    for (int fd = 4; fd >= 0; fd--)
        if (fd > 2 || !replacement->is_closed[fd])
            number_open(fd, true);
    terminal.slave = replacement->has_slave ? SLAVE : -1;
    memcpy(terminal.is_standard, replacement->is_standard, sizeof(terminal.is_standard));
    terminal.is_foreground = terminal.is_mirrored = true; /* they lie behind it */
    CHECK(collect(&inheritance, &terminal) == 0);
    for (int fd = 0; fd < 5; fd++) {
        if (fd <= 2 && replacement->is_closed[fd])
            continue;
        CHECK(inheritance.numbers[n] == fd && inheritance.fds[n] == replacement->expected[n]);
        n++;
    }
    CHECK(inheritance.n_fds == n);
}

static void where_the_terminal_was_is_the_pty(void **state) {
    static const struct replacement cases[] = {
        {true, {true, true, true}, {false}, {SLAVE, SLAVE, SLAVE, 3, 4}},
        {true, {true, false, true}, {false}, {SLAVE, 1, SLAVE, 3, 4}},
        {true, {false, true, false}, {false}, {0, SLAVE, 2, 3, 4}},
        {true, {false, false, false}, {false}, {0, 1, 2, 3, 4}},
        {true, {false, false, true}, {true, false, false}, {1, SLAVE, 3, 4}},
        {true, {false, true, false}, {true, false, true}, {SLAVE, 3, 4}},
        {false, {false, false, false}, {false}, {0, 1, 2, 3, 4}},
        {false, {true, true, true}, {false}, {0, 1, 2, 3, 4}}, /* no pty: nothing is replaced */
        {false, {false, false, false}, {true, true, true}, {3, 4}},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (!in_child(play_replacement, &cases[i]))
            fail_msg("case %zu", i);
}

struct crowd {
    size_t n;
    bool has_terminal;
    int result;
};

static void play_crowd(const void *script) {
    const struct crowd *crowd = script;
    struct terminal terminal = TERMINAL_NULL;
    struct inheritance inheritance;

    close_all();
    number_open(SLAVE, false);
    for (size_t n = 0; n < crowd->n; n++) {
        int fd = open("/dev/null", O_RDWR);

        CHECK(fd >= 0);
    }
    terminal.slave = crowd->has_terminal ? SLAVE : -1;
    CHECK(collect(&inheritance, &terminal) == crowd->result);
    CHECK(inheritance.n_fds == crowd->n);
}

/* A record carries 253; the launch description, the working directory, and a terminal and the end
 * of its monitor's channel go before. */
static void as_many_fit_as_one_record_carries(void **state) {
    static const struct crowd cases[] = {
        {250, false, 0},
        {251, false, 0},
        {252, false, INHERIT_E_TOO_MANY},
        {248, true, 0},
        {249, true, 0},
        {250, true, INHERIT_E_TOO_MANY},
        {253, false, INHERIT_E_TOO_MANY},
        {254, false, INHERIT_E_TOO_MANY},
        {900, false, INHERIT_E_TOO_MANY},
        {900, true, INHERIT_E_TOO_MANY},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (!in_child(play_crowd, &cases[i]))
            fail_msg("%zu, with a terminal: %d", cases[i].n, cases[i].has_terminal);
}

static void play_umask(const void *script) {
    const mode_t *mask = script;
    struct inheritance inheritance;
    struct launch_header header = {.version = LAUNCH_VERSION};

    (void)umask(*mask);
    CHECK(collect(&inheritance, NULL) == 0);
    CHECK(inheritance.umask == *mask);
    inherit_describe(&inheritance, &header);
    CHECK(header.umask == *mask);
    CHECK(umask(0) == *mask);
}

static void the_umask_is_told_and_stays(void **state) {
    static const mode_t masks[] = {0, 022, 077, 0123, 0777};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(masks); i++)
        assert_true(in_child(play_umask, &masks[i]));
}

#define BIT(number) (UINT64_C(1) << ((number)-1))

struct masks {
    uint64_t ignored, blocked;
};

/*
 * Ignores these, and no others. Two or three the C library keeps for itself; whoever started this
 * may ignore them, as dpkg-buildpackage does. An action of zeros is the default one.
 */
static void signals_ignore(uint64_t ignored) {
    static const unsigned char default_action[64];

    for (int number = 1; number <= 64; number++) {
        if (number == SIGKILL || number == SIGSTOP)
            continue;
        if (number >= 32 && number < SIGRTMIN) {
            CHECK(syscall(SYS_rt_sigaction, number, default_action, NULL, sizeof(uint64_t)) == 0);
            continue;
        }
        CHECK(signal(number, (ignored & BIT(number)) != 0 ? SIG_IGN : SIG_DFL) != SIG_ERR);
    }
}

static void play_signals(const void *script) {
    const struct masks *masks = script;
    const struct terminal none = TERMINAL_NULL;
    struct launch_header header = {.version = LAUNCH_VERSION};
    struct inheritance inheritance;
    sigset_t mask, all;

    signals_ignore(masks->ignored);
    (void)sigemptyset(&mask);
    for (int number = 1; number <= 64; number++)
        if ((masks->blocked & BIT(number)) != 0)
            (void)sigaddset(&mask, number);
    /* As utsrun is by then: what it blocks itself is not the caller's. */
    (void)sigfillset(&all);
    CHECK(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
    CHECK(inherit_collect(&inheritance, &none, &mask) == 0);
    inherit_describe(&inheritance, &header);
    CHECK(header.ignored_signals == masks->ignored);
    CHECK(header.blocked_signals == masks->blocked);
}

static void signals_are_told_as_the_caller_had_them(void **state) {
    const struct masks cases[] = {
        {0, 0},
        {BIT(SIGINT) | BIT(SIGQUIT), 0},
        {0, BIT(SIGTERM) | BIT(SIGCHLD)},
        {BIT(SIGHUP), BIT(SIGHUP)},
        {BIT(1), BIT(64)},
        {BIT(64), BIT(1)},
        {BIT(31) | BIT(SIGRTMIN), BIT(31) | BIT(SIGRTMIN)},
        {BIT(SIGPIPE) | BIT(SIGTSTP) | BIT(SIGTTOU) | BIT(40), BIT(SIGUSR1) | BIT(50)},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (!in_child(play_signals, &cases[i]))
            fail_msg("ignored: %jx, blocked: %jx", (uintmax_t)cases[i].ignored,
                     (uintmax_t)cases[i].blocked);
}

static bool processors_are(const struct launch_header *header, const cpu_set_t *expected) {
    if (header->n_processors != LAUNCH_PROCESSORS_MAX)
        return false;
    for (size_t i = 0; i < LAUNCH_PROCESSORS_MAX; i++)
        if ((header->processors[i / 64] >> (i % 64) & 1) != (CPU_ISSET(i, expected) != 0))
            return false;
    return true;
}

static void play_processors(const void *script) {
    struct launch_header header = {.version = LAUNCH_VERSION}, fewer = header;
    struct inheritance inheritance;
    cpu_set_t all, last;
    size_t highest = 0;

    (void)script;
    CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
    CHECK(collect(&inheritance, NULL) == 0);
    inherit_describe(&inheritance, &header);
    CHECK(processors_are(&header, &all));
    for (size_t i = 0; i < LAUNCH_PROCESSORS_MAX; i++)
        if (CPU_ISSET(i, &all))
            highest = i;
    CPU_ZERO(&last);
    CPU_SET(highest, &last);
    CHECK(sched_setaffinity(0, sizeof(last), &last) == 0);
    inherit_describe(&inheritance, &fewer);
    CHECK(processors_are(&fewer, &last));
}

static void processors_are_told(void **state) {
    (void)state;
    assert_true(in_child(play_processors, NULL));
}

static void play_description(const void *script) {
    struct launch_header header = {.version = LAUNCH_VERSION,
                                   .n_arguments = 3,
                                   .n_environment = 4,
                                   .closed_stdio = 5,
                                   .personality = 6,
                                   .stack_limit = 7};
    struct inheritance inheritance;

    (void)script;
    close_all();
    for (int fd = 7; fd >= 3; fd--)
        number_open(fd, true);
    CHECK(collect(&inheritance, NULL) == 0);
    inherit_describe(&inheritance, &header);
    CHECK(header.n_descriptors == 5);
    CHECK(header.version == LAUNCH_VERSION && header.n_arguments == 3);
    CHECK(header.n_environment == 4 && header.closed_stdio == 5);
    CHECK(header.personality == 6 && header.stack_limit == 7);
}

static void the_rest_of_the_description_stays(void **state) {
    (void)state;
    assert_true(in_child(play_description, NULL));
}

/* What the process is called stands in the same file of the kernel's. */
static void play_name(const void *script) {
    const char *name = script;
    struct inheritance inheritance;

    CHECK(prctl(PR_SET_NAME, name, 0, 0, 0) == 0);
    (void)umask(027);
    signals_ignore(BIT(SIGINT));
    CHECK(collect(&inheritance, NULL) == 0);
    CHECK(inheritance.umask == 027 && inheritance.ignored_signals == BIT(SIGINT));
}

static void a_name_of_the_process_is_taken_for_nothing_else(void **state) {
    static const char *const names[] = {"Umask: 777",   "\nUmask: 777",  "x\nUmask:\t777",
                                        "\nSigIgn: f",  "\rSigIgn: f",   "\nFDSize: 1",
                                        "\\\nUmask: 7", "%s%s%s%s%s%s%s"};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(names); i++)
        if (!in_child(play_name, names[i]))
            fail_msg("%s", names[i]);
}

/* The list of groups makes a line of tens of thousands of bytes. */
static void play_groups(const void *script) {
    static gid_t groups[5000];
    struct inheritance inheritance;

    (void)script;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(groups); i++)
        groups[i] = (gid_t)(100000 + i);
    CHECK(setgroups(BASE_ARRAY_SIZE(groups), groups) == 0);
    (void)umask(027);
    signals_ignore(BIT(SIGINT));
    CHECK(collect(&inheritance, NULL) == 0);
    CHECK(inheritance.umask == 027 && inheritance.ignored_signals == BIT(SIGINT));
}

static void many_groups_are_in_nobodys_way(void **state) {
    (void)state;
    if (geteuid() != 0 && !test_is_in_ci()) {
        print_message("skipped: to have other groups needs root\n");
        skip();
    }
    assert_true(in_child(play_groups, NULL));
}

static void play_low_limit(const void *script) {
    const rlim_t *limit = script;
    struct inheritance inheritance;

    close_all();
    number_open(700, true);
    CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){*limit, *limit}) == 0);
    CHECK(collect(&inheritance, NULL) == 0);
    CHECK(inheritance.n_fds == 1 && inheritance.numbers[0] == 700);
}

/*
 * Before Linux 6.2 the count of descriptors needs one itself, so at a limit of 0 there is none. But
 * utsrun has opened others by then.
 */
static void what_is_open_beyond_the_limit_is_inherited_too(void **state) {
    static const rlim_t limits[] = {1, 16, 0};
    struct stat folder;

    (void)state;
    assert_int_equal(stat("/proc/self/fd", &folder), 0);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(limits); i++)
        if ((limits[i] > 0 || folder.st_size > 0) && !in_child(play_low_limit, &limits[i]))
            fail_msg("a limit of %ju", (uintmax_t)limits[i]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_not_close_on_exec_is_inherited_in_ascending_order),
    cmocka_unit_test(where_the_terminal_was_is_the_pty),
    cmocka_unit_test(as_many_fit_as_one_record_carries),
    cmocka_unit_test(the_umask_is_told_and_stays),
    cmocka_unit_test(signals_are_told_as_the_caller_had_them),
    cmocka_unit_test(processors_are_told),
    cmocka_unit_test(the_rest_of_the_description_stays),
    cmocka_unit_test(a_name_of_the_process_is_taken_for_nothing_else),
    cmocka_unit_test(many_groups_are_in_nobodys_way),
    cmocka_unit_test(what_is_open_beyond_the_limit_is_inherited_too),
};

TEST_MAIN(tests)
