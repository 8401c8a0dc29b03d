/* The launch description, from the launcher that writes it to the gate that reads it. */

#include "broker/launch.h"

#include <errno.h>
#include <fcntl.h>
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

static void what_is_written_is_what_is_read(void **state) {
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

static void more_than_exec_takes_is_refused(void **state) {
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

/* Each byte of a good description changed, and each length cut: refused, or read as it stands. */
static void malformed_descriptions_are_refused(void **state) {
    char *command[] = {"cmd", "arg", NULL};
    char *environment[] = {"A=b", NULL};
    struct options options = {.hostname = "a.test", .command = command};
    CLEANUP_FD int fd = -1;
    CLEANUP_FREE char *good = NULL;
    size_t size;

    (void)state;
    assert_int_equal(request_write_launch(&fd, &options, environment,
                                          &(struct request_place){.closed_stdio = 0}),
                     0);
    good = read_whole(fd, &size);
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
            launch_deinit(&launch);
        }
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
        {{.version = LAUNCH_VERSION, .n_arguments = 1}, "a", 1, -EBADMSG},    /* no NUL */
        {{.version = LAUNCH_VERSION, .n_arguments = 1}, "a\0b", 4, -EBADMSG}, /* a string more */
        {{.version = LAUNCH_VERSION, .n_arguments = 2}, "a", 2, -EBADMSG},    /* a string less */
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

static void descriptors_that_are_no_sealed_memfd_are_refused(void **state) {
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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_written_is_what_is_read),
    cmocka_unit_test(the_description_is_sealed),
    cmocka_unit_test(more_than_exec_takes_is_refused),
    cmocka_unit_test(malformed_descriptions_are_refused),
    cmocka_unit_test(counts_and_strings_must_agree),
    cmocka_unit_test(descriptors_that_are_no_sealed_memfd_are_refused),
};

TEST_MAIN(tests)
