/* A file that somebody may write to at the same time. */

#include "policy/stable-read.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "tests/test.h"
#include "tests/wrap.h"

static int file_fd = -1;

/* Replaces the clock and sleep (ld's --wrap): how long ago the file changed last. */
static long long age_ns;
static bool changes_in_sleep;
static unsigned n_sleeps;

int __wrap_clock_gettime(clockid_t clock, struct timespec *time) WRAP_OF_TIMES("__clock_gettime64");
int __wrap_nanosleep(const struct timespec *duration, struct timespec *rest)
    WRAP_OF_TIMES(WRAP_NANOSLEEP);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time) {
    struct stat status;
    long long now;

    assert_int_equal(clock, CLOCK_REALTIME);
    assert_int_equal(fstat(file_fd, &status), 0);
    now = status.st_ctim.tv_sec * 1000000000LL + status.st_ctim.tv_nsec + age_ns;
    *time = (struct timespec){.tv_sec = now / 1000000000, .tv_nsec = now % 1000000000};
    return 0;
}

int __wrap_nanosleep(const struct timespec *duration, struct timespec *rest) {
    (void)rest;
    assert_int_equal(duration->tv_sec, 0);
    n_sleeps++;
    age_ns = changes_in_sleep ? 0 : age_ns + duration->tv_nsec;
    return 0;
}

static int make_file(void **state) {
    char path[] = "/tmp/test-file-XXXXXX";

    (void)state;
    file_fd = mkstemp(path);
    return file_fd >= 0 && unlink(path) == 0 && write(file_fd, "text", 4) == 4 ? 0 : -1;
}

static int close_file(void **state) {
    (void)state;
    return close(file_fd);
}

/* 20 ms are two ticks of the kernel with the slowest clock. */
static void a_file_that_changed_just_now_is_waited_for(void **state) {
    static const struct {
        long long age_ns;
        bool changes_in_sleep;
        int result;
        unsigned n_sleeps;
    } cases[] = {
        {0, false, 0, 2},
        {1, false, 0, 1},
        {20000000, false, 0, 1},
        {20000001, false, 0, 0},
        {3600 * 1000000000LL, false, 0, 0},
        {-3600 * 1000000000LL, false, 0, 0}, /* the clock was set back */
        {0, true, -EAGAIN, 4},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct stat status = {.st_size = -1};

        age_ns = cases[i].age_ns;
        changes_in_sleep = cases[i].changes_in_sleep;
        n_sleeps = 0;
        assert_int_equal(stable_read_settle(file_fd, &status), cases[i].result);
        assert_int_equal(n_sleeps, cases[i].n_sleeps);
        assert_int_equal(status.st_size, 4);
    }
}

static void a_file_that_changes_meanwhile_is_not_read(void **state) {
    struct stat status;
    char text[8] = "";

    (void)state;
    age_ns = 1000000000;
    assert_int_equal(stable_read_settle(file_fd, &status), 0);
    assert_int_equal(lseek(file_fd, 0, SEEK_SET), 0);
    assert_int_equal(stable_read_text(file_fd, &status, text), 0);
    assert_string_equal(text, "text");
    assert_int_equal(stable_read_check_unchanged(file_fd, "", AT_EMPTY_PATH, &status), 0);

    assert_int_equal(pwrite(file_fd, "longer", 6, 0), 6);
    assert_int_equal(lseek(file_fd, 0, SEEK_SET), 0);
    assert_int_equal(stable_read_text(file_fd, &status, text), -EAGAIN);
    assert_int_equal(stable_read_check_unchanged(file_fd, "", AT_EMPTY_PATH, &status), -EAGAIN);
    assert_int_equal(ftruncate(file_fd, 2), 0);
    assert_int_equal(lseek(file_fd, 0, SEEK_SET), 0);
    assert_int_equal(stable_read_text(file_fd, &status, text), -EAGAIN);
}

static void a_closed_descriptor_is_an_error(void **state) {
    struct stat status = {.st_size = 4};
    char text[8];

    (void)state;
    assert_int_equal(stable_read_settle(-1, &status), -EBADF);
    assert_int_equal(stable_read_text(-1, &status, text), -EBADF);
    assert_int_equal(stable_read_check_unchanged(-1, "", AT_EMPTY_PATH, &status), -EBADF);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(a_file_that_changed_just_now_is_waited_for, make_file,
                                    close_file),
    cmocka_unit_test_setup_teardown(a_file_that_changes_meanwhile_is_not_read, make_file,
                                    close_file),
    cmocka_unit_test(a_closed_descriptor_is_an_error),
};

TEST_MAIN(tests)
