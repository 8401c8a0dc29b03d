/* The launch description: the launcher writes it, the gate reads it. */

#include "broker/session/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "launcher/request.h"
#include "tests/test.h"

static char *read_whole(int fd, size_t *sizep) {
    struct stat status;
    char *bytes;

    assert_int_equal(fstat(fd, &status), 0);
    *sizep = (size_t)status.st_size;
    bytes = malloc(*sizep);
    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, *sizep, 0), *sizep);
    return bytes;
}

static void the_gate_reads_what_the_launcher_wrote(void **state) {
    char *command[] = {"cmd", "", "-n", "a b\nc", NULL};
    char *environment[] = {"PATH=/bin",      "HOSTNAME=old", "HOST=old", "LD_LIBRARY_PATH=/x",
                           "HOSTNAMEX=keep", "EMPTY=",       "strange",  NULL};
    static const struct {
        const char *hostname;
        const char *host_variable, *hostname_variable;
    } cases[] = {{"node1.test", "HOST=node1.test", "HOSTNAME=node1.test"},
                 {NULL, "HOST=old", "HOSTNAME=old"}}; /* only the domain name changes */

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct options options = {
            .hostname = cases[i].hostname, .domainname = "d.test", .command = command};
        struct launch launch = LAUNCH_NULL;
        CLEANUP_FD int fd = -1;

        assert_int_equal(request_write_launch(&fd, &options, environment,
                                              &(struct request_place){.closed_stdio = 5}),
                         0);
        assert_int_equal(launch_read(&launch, fd), 0);
        assert_int_equal(launch.header.closed_stdio, 5);
        assert_int_equal(launch.header.n_arguments, 4);
        for (size_t j = 0; j < 4; j++)
            assert_string_equal(launch.arguments[j], command[j]);
        assert_null(launch.arguments[4]);
        assert_int_equal(launch.header.n_environment, 7);
        assert_string_equal(launch.environment[0], "PATH=/bin");
        assert_string_equal(launch.environment[1], cases[i].hostname_variable);
        assert_string_equal(launch.environment[2], cases[i].host_variable);
        for (size_t j = 3; j < 7; j++)
            assert_string_equal(launch.environment[j], environment[j]);
        assert_null(launch.environment[7]);
        launch_deinit(&launch);
    }
}

static void the_description_is_sealed(void **state) {
    char *command[] = {"cmd", NULL};
    char *environment[] = {NULL};
    struct options options = {.hostname = "a.test", .command = command};
    CLEANUP_FD int fd = -1;

    (void)state;
    assert_int_equal(request_write_launch(&fd, &options, environment,
                                          &(struct request_place){.closed_stdio = 0}),
                     0);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 1), -1);
    assert_int_equal(ftruncate(fd, 100000), -1);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static void a_description_above_the_maximal_size_is_refused(void **state) {
    static char argument[LAUNCH_SIZE_MAX + 1];
    char *command[] = {argument, NULL};
    char *environment[] = {NULL};
    struct options options = {.hostname = "a.test", .command = command};
    CLEANUP_FD int fd = -1;

    (void)state;
    memset(argument, 'x', LAUNCH_SIZE_MAX);
    assert_int_equal(request_write_launch(&fd, &options, environment,
                                          &(struct request_place){.closed_stdio = 0}),
                     -E2BIG);
    argument[LAUNCH_SIZE_MAX - sizeof(struct launch_header) - 1] = '\0';
    assert_int_equal(request_write_launch(&fd, &options, environment,
                                          &(struct request_place){.closed_stdio = 0}),
                     0);
}

/* A caller's context for the service, in which no value is a default. */
static void inheritance_fill(struct inheritance *inheritance, sigset_t *mask) {
    static const int32_t numbers[] = {0, 2, 7, 1000, LAUNCH_DESCRIPTOR_MAX - 1};

    *inheritance = (struct inheritance){.n_fds = BASE_ARRAY_SIZE(numbers),
                                        .umask = 0127,
                                        .ignored_signals = UINT64_C(0x8000000000001002),
                                        .mask = mask};
    memcpy(inheritance->numbers, numbers, sizeof(numbers));
    (void)sigemptyset(mask);
    (void)sigaddset(mask, SIGHUP);
    (void)sigaddset(mask, 64);
}

static void the_callers_context_is_read_as_it_was_written(void **state) {
    char *command[] = {"cmd", "arg", NULL};
    char *environment[] = {"A=b", NULL};
    struct options options = {.hostname = "a.test", .command = command};
    struct inheritance inheritance;
    struct request_place place = {.closed_stdio = 2, .inheritance = &inheritance};
    struct launch launch = LAUNCH_NULL;
    CLEANUP_FD int fd = -1;
    sigset_t mask;

    (void)state;
    inheritance_fill(&inheritance, &mask);
    assert_int_equal(request_write_launch(&fd, &options, environment, &place), 0);
    assert_int_equal(launch_read(&launch, fd), 0);
    assert_int_equal(launch.header.closed_stdio, 2);
    assert_int_equal(launch.header.n_descriptors, inheritance.n_fds);
    assert_memory_equal(launch.descriptors, inheritance.numbers,
                        inheritance.n_fds * sizeof(int32_t));
    assert_int_equal(launch.header.umask, 0127);
    assert_true(launch.header.ignored_signals == UINT64_C(0x8000000000001002));
    assert_true(launch.header.blocked_signals == UINT64_C(0x8000000000000001));
    assert_int_equal(launch.header.n_arguments, 2);
    assert_string_equal(launch.arguments[0], "cmd");
    assert_string_equal(launch.arguments[1], "arg");
    assert_null(launch.arguments[2]);
    assert_int_equal(launch.header.n_environment, 1);
    assert_string_equal(launch.environment[0], "A=b");
    launch_deinit(&launch);
}

/* In direct mode the command inherits all of it, so the description says nothing about it. */
static void in_direct_mode_the_description_has_no_context(void **state) {
    char *command[] = {"cmd", NULL};
    char *environment[] = {NULL};
    struct options options = {.hostname = "a.test", .command = command};
    struct launch launch = LAUNCH_NULL;
    CLEANUP_FD int fd = -1;

    (void)state;
    assert_int_equal(request_write_launch(&fd, &options, environment,
                                          &(struct request_place){.closed_stdio = 0}),
                     0);
    assert_int_equal(launch_read(&launch, fd), 0);
    assert_int_equal(launch.header.n_descriptors, 0);
    assert_int_equal(launch.header.n_processors, 0);
    assert_true(launch.header.ignored_signals == 0 && launch.header.blocked_signals == 0);
    launch_deinit(&launch);
}

/* Everything parsed points into the bytes that were read, and every value is valid. */
static void assert_harmless(const struct launch *launch, const char *bytes, size_t size) {
    const struct launch_header *header = &launch->header;
    const char *at = bytes + sizeof(*header) + header->n_descriptors * sizeof(int32_t);

    assert_true(header->n_descriptors <= CHANNEL_FDS_MAX && header->umask <= 0777);
    assert_true(header->n_processors <= LAUNCH_PROCESSORS_MAX && header->closed_stdio <= 7);
    assert_true(header->n_arguments >= 1);
    for (size_t i = 0; i < header->n_descriptors; i++)
        assert_true(launch->descriptors[i] > (i > 0 ? launch->descriptors[i - 1] : -1) &&
                    launch->descriptors[i] < LAUNCH_DESCRIPTOR_MAX);
    for (size_t i = 0; i < header->n_arguments; i++) {
        assert_ptr_equal(launch->arguments[i], at);
        at += strlen(at) + 1;
    }
    assert_null(launch->arguments[header->n_arguments]);
    for (size_t i = 0; i < header->n_environment; i++) {
        assert_ptr_equal(launch->environment[i], at);
        at += strlen(at) + 1;
    }
    assert_null(launch->environment[header->n_environment]);
    assert_ptr_equal(at, bytes + size);
}

/* Changes each byte of a valid description, and cuts it at each length: refused, or read as it is.
 */
static void malform(const char *good, size_t size) {
    for (size_t cut = 0; cut < size; cut++) {
        CLEANUP_FREE char *bytes = malloc(cut + 1);
        struct launch launch = LAUNCH_NULL;

        memcpy(bytes, good, cut);
        assert_int_equal(launch_parse(&launch, bytes, cut), -EBADMSG);
    }
    for (size_t at = 0; at < size; at++) {
        for (int flip = 1; flip < 256; flip++) {
            CLEANUP_FREE char *bytes = malloc(size);
            struct launch launch = LAUNCH_NULL;
            int r;

            memcpy(bytes, good, size);
            bytes[at] = (char)(bytes[at] ^ flip);
            r = launch_parse(&launch, bytes, size);
            assert_true(r == 0 || r == -EBADMSG);
            if (r == 0)
                assert_harmless(&launch, bytes, size);
            launch_deinit(&launch);
        }
    }
}

static void malformed_descriptions_are_refused(void **state) {
    char *command[] = {"cmd", "arg", NULL};
    char *environment[] = {"A=b", NULL};
    struct options options = {.hostname = "a.test", .command = command};
    struct inheritance inheritance;
    const struct request_place places[] = {{.inheritance = NULL}, {.inheritance = &inheritance}};
    sigset_t mask;

    (void)state;
    inheritance_fill(&inheritance, &mask);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(places); i++) {
        CLEANUP_FD int fd = -1;
        CLEANUP_FREE char *good = NULL;
        size_t size;

        assert_int_equal(request_write_launch(&fd, &options, environment, &places[i]), 0);
        good = read_whole(fd, &size);
        malform(good, size);
    }
}

/* Parses a header, @n_given numbers and one argument. */
static int parse_numbers(const struct launch_header *header, const int32_t *numbers,
                         size_t n_given) {
    const size_t size = sizeof(*header) + n_given * sizeof(*numbers) + sizeof("a");
    CLEANUP_FREE char *bytes = malloc(size);
    struct launch launch = LAUNCH_NULL;
    int r;

    memcpy(bytes, header, sizeof(*header));
    if (n_given > 0)
        memcpy(bytes + sizeof(*header), numbers, n_given * sizeof(*numbers));
    memcpy(bytes + size - sizeof("a"), "a", sizeof("a"));
    r = launch_parse(&launch, bytes, size);
    if (r == 0)
        assert_harmless(&launch, bytes, size);
    launch_deinit(&launch);
    return r;
}

static void numbers_of_descriptors_must_ascend(void **state) {
    static const struct {
        int32_t numbers[4];
        size_t n_given;
        uint32_t n_said;
        int result;
    } cases[] = {
        {{0}, 0, 0, 0},
        {{0}, 1, 1, 0},
        {{0, 1, 2}, 3, 3, 0},
        {{0, 2, 7, 1000}, 4, 4, 0},
        {{LAUNCH_DESCRIPTOR_MAX - 1}, 1, 1, 0},
        {{LAUNCH_DESCRIPTOR_MAX}, 1, 1, -EBADMSG},
        {{0, LAUNCH_DESCRIPTOR_MAX}, 2, 2, -EBADMSG},
        {{INT32_MAX}, 1, 1, -EBADMSG},
        {{-1}, 1, 1, -EBADMSG},
        {{-2, -1}, 2, 2, -EBADMSG},
        {{INT32_MIN}, 1, 1, -EBADMSG},
        {{0, -1}, 2, 2, -EBADMSG},
        {{0, 0}, 2, 2, -EBADMSG},
        {{3, 4, 4}, 3, 3, -EBADMSG},
        {{1, 0}, 2, 2, -EBADMSG},
        {{0, 1, 3, 2}, 4, 4, -EBADMSG},
        {{0, 1}, 2, 1, -EBADMSG}, /* one more than counted: its bytes are surplus strings */
        {{0, 1},
         2,
         3,
         -EBADMSG}, /* one less than counted: only the argument's two bytes are left */
        {{0}, 0, 1, -EBADMSG},
        {{0}, 1, CHANNEL_FDS_MAX, -EBADMSG},
        {{0}, 1, CHANNEL_FDS_MAX + 1, -EBADMSG},
        {{0}, 1, 1U << 30, -EBADMSG}, /* times four is 0 in 32 bits */
        {{0}, 1, (1U << 30) + 1, -EBADMSG},
        {{0}, 1, UINT32_MAX, -EBADMSG},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct launch_header header = {
            .version = LAUNCH_VERSION, .n_arguments = 1, .n_descriptors = cases[i].n_said};

        if (parse_numbers(&header, cases[i].numbers, cases[i].n_given) != cases[i].result)
            fail_msg("case %zu", i);
    }
}

static void the_maximum_of_descriptors_is_what_one_record_carries(void **state) {
    int32_t numbers[CHANNEL_FDS_MAX + 2];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(numbers); i++)
        numbers[i] = (int32_t)i;
    for (size_t n = CHANNEL_FDS_MAX - 1; n <= BASE_ARRAY_SIZE(numbers); n++) {
        const struct launch_header header = {
            .version = LAUNCH_VERSION, .n_arguments = 1, .n_descriptors = (uint32_t)n};

        assert_int_equal(parse_numbers(&header, numbers, n), n <= CHANNEL_FDS_MAX ? 0 : -EBADMSG);
    }
}

static void invalid_values_are_refused(void **state) {
    static const struct {
        uint32_t umask, n_processors;
        int result;
        uint32_t variables, is_login;
    } cases[] = {
        {0, 0, 0, 0, 0},
        {0777, 0, 0, 0, 0},
        {01000, 0, -EBADMSG, 0, 0},
        {UINT32_MAX, 0, -EBADMSG, 0, 0},
        {0, 1, 0, 0, 0},
        {0, LAUNCH_PROCESSORS_MAX, 0, 0, 0},
        {0, LAUNCH_PROCESSORS_MAX + 1, -EBADMSG, 0, 0},
        {0, UINT32_MAX, -EBADMSG, 0, 0},
        {0, 0, 0, (1U << LAUNCH_VARIABLE_COUNT) - 1, 0},
        {0, 0, -EBADMSG, 1U << LAUNCH_VARIABLE_COUNT, 0},
        {0, 0, -EBADMSG, UINT32_MAX, 0},
        {0, 0, 0, 0, 1},
        {0, 0, -EBADMSG, 0, 2},
        {0, 0, -EBADMSG, 0, UINT32_MAX},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct launch_header header = {.version = LAUNCH_VERSION,
                                             .n_arguments = 1,
                                             .variables = cases[i].variables,
                                             .is_login = cases[i].is_login,
                                             .umask = cases[i].umask,
                                             .n_processors = cases[i].n_processors};

        if (parse_numbers(&header, NULL, 0) != cases[i].result)
            fail_msg("case %zu", i);
    }
}

static void counts_and_strings_must_agree(void **state) {
    static const struct {
        struct launch_header header;
        const char *strings;
        size_t size;
        int result;
    } cases[] = {
        {{.version = LAUNCH_VERSION, .n_arguments = 1}, "a", 2, 0},
        {{.version = LAUNCH_VERSION, .n_arguments = 1}, "", 1, 0},
        {{.version = LAUNCH_VERSION, .n_arguments = 2, .n_environment = 1}, "a\0b\0C=d", 8, 0},
        {{.version = LAUNCH_VERSION, .n_arguments = 0}, "", 0, -EBADMSG}, /* CVE-2021-4034 */
        {{.version = LAUNCH_VERSION, .n_arguments = 0, .n_environment = 1}, "A=b", 4, -EBADMSG},
        {{.version = 0, .n_arguments = 1}, "a", 2, -EBADMSG},
        {{.version = 1, .n_arguments = 1}, "a", 2, -EBADMSG},
        {{.version = LAUNCH_VERSION, .n_arguments = 1, .umask = 01000}, "a", 2, -EBADMSG},
        {{.version = LAUNCH_VERSION, .n_arguments = 1, .closed_stdio = 8}, "a", 2, -EBADMSG},
        {{.version = LAUNCH_VERSION, .n_arguments = 1}, "a", 1, -EBADMSG}, /* no NUL */
        {{.version = LAUNCH_VERSION, .n_arguments = 1},
         "a\0b",
         4,
         -EBADMSG},                                                        /* one string too many */
        {{.version = LAUNCH_VERSION, .n_arguments = 2}, "a", 2, -EBADMSG}, /* one string too few */
        {{.version = LAUNCH_VERSION, .n_arguments = UINT32_MAX}, "a", 2, -EBADMSG},
        {{.version = LAUNCH_VERSION, .n_arguments = 1, .n_environment = UINT32_MAX},
         "a",
         2,
         -EBADMSG},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        size_t size = sizeof(struct launch_header) + cases[i].size;
        CLEANUP_FREE char *bytes = malloc(size);
        struct launch launch = LAUNCH_NULL;

        memcpy(bytes, &cases[i].header, sizeof(struct launch_header));
        memcpy(bytes + sizeof(struct launch_header), cases[i].strings, cases[i].size);
        if (launch_parse(&launch, bytes, size) != cases[i].result)
            fail_msg("case %zu", i);
        launch_deinit(&launch);
    }
}

static void other_descriptors_than_sealed_memfds_are_refused(void **state) {
    struct launch launch = LAUNCH_NULL;
    int pipe_ends[2];
    CLEANUP_FD int unsealed = memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    CLEANUP_FD int half_sealed = memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    CLEANUP_FD int directory = open("/", O_RDONLY | O_CLOEXEC);
    CLEANUP_FD int path_only = open("/etc/passwd", O_PATH | O_CLOEXEC);
    CLEANUP_FD int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(ftruncate(unsealed, 100), 0);
    assert_int_equal(ftruncate(half_sealed, 100), 0);
    assert_int_equal(fcntl(half_sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    for (const int *fd = (int[]){unsealed, half_sealed, directory, path_only, file, pipe_ends[0],
                                 12345, -1, -2};
         *fd != -2; fd++)
        assert_int_equal(launch_read(&launch, *fd), -EBADMSG);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

/* Only where the number is this process's own, as it is written. */
static void variables_that_name_the_launcher_are_marked(void **state) {
    static const struct {
        const char *format; /* of the pid, or of the pidfd's inode */
        enum launch_variable variable;
        bool is_marked;
    } cases[] = {
        {"LISTEN_PID=%ju", LAUNCH_LISTEN_PID, true},
        {"LISTEN_PID=%ju0", LAUNCH_LISTEN_PID, false},
        {"LISTEN_PID= %ju", LAUNCH_LISTEN_PID, false},
        {"LISTEN_PID=", LAUNCH_LISTEN_PID, false},
        {"XLISTEN_PID=%ju", LAUNCH_LISTEN_PID, false},
        {"WATCHDOG_PID=%ju", LAUNCH_WATCHDOG_PID, true},
        {"WATCHDOG_PIDS=%ju", LAUNCH_WATCHDOG_PID, false},
        {"LISTEN_PIDFDID=%ju", LAUNCH_LISTEN_PIDFDID, true},
        {"LISTEN_PIDFDID=%jx.", LAUNCH_LISTEN_PIDFDID, false},
    };
    char *command[] = {"cmd", NULL};
    const struct options options = {.hostname = "x.test", .command = command};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        char entry[64], *environment[] = {"A=b", entry, NULL};
        struct launch launch = LAUNCH_NULL;
        CLEANUP_FD int fd = -1;

        snprintf(entry, sizeof(entry), cases[i].format,
                 (uintmax_t)launch_variable_number(cases[i].variable));
        assert_int_equal(request_write_launch(&fd, &options, environment,
                                              &(struct request_place){.closed_stdio = 0}),
                         0);
        assert_int_equal(launch_read(&launch, fd), 0);
        if (launch.header.variables != (cases[i].is_marked ? 1U << cases[i].variable : 0))
            fail_msg("%s: %u", entry, launch.header.variables);
        assert_string_equal(launch.environment[1], entry);
        launch_deinit(&launch);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_gate_reads_what_the_launcher_wrote),
    cmocka_unit_test(variables_that_name_the_launcher_are_marked),
    cmocka_unit_test(the_description_is_sealed),
    cmocka_unit_test(a_description_above_the_maximal_size_is_refused),
    cmocka_unit_test(the_callers_context_is_read_as_it_was_written),
    cmocka_unit_test(in_direct_mode_the_description_has_no_context),
    cmocka_unit_test(malformed_descriptions_are_refused),
    cmocka_unit_test(numbers_of_descriptors_must_ascend),
    cmocka_unit_test(the_maximum_of_descriptors_is_what_one_record_carries),
    cmocka_unit_test(invalid_values_are_refused),
    cmocka_unit_test(counts_and_strings_must_agree),
    cmocka_unit_test(other_descriptors_than_sealed_memfds_are_refused),
};

TEST_MAIN(tests)
