/* What a process that is to be attached to has of the service and of the caller. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "broker/service/witness.h"
#include "tests/test.h"
#include "utsbroker/resource.h"

enum { MARKED = 301 /* a limit of descriptors that nobody else has */ };

/* What the witness says of itself by its pipe, as soon as it is executed. */
struct report {
    char standard_error[64];
    int n_descriptors;
    struct rlimit limit;
};

static _Noreturn void be_witness(void) {
    struct report report = {.n_descriptors = 0};

    if (readlink("/proc/self/fd/2", report.standard_error, sizeof(report.standard_error) - 1) < 0)
        _exit(1);
    for (int fd = 0; fd < 1024; fd++)
        report.n_descriptors += fcntl(fd, F_GETFD) >= 0;
    (void)getrlimit(RLIMIT_NOFILE, &report.limit);
    _exit(write(STDIN_FILENO, &report, sizeof(report)) == sizeof(report) ? 0 : 1);
}

static void handle_witness(void *argument, enum witness_event event) {
    (void)argument;
    (void)event;
}

/* From execve(2) on another process of the user may attach, before the program has run at all. */
static void it_is_executed_with_no_file_of_the_service_and_the_limits_of_the_caller(void **state) {
    struct loop loop;
    struct reaper reaper;
    struct witness witness;
    struct limits limits;
    struct report report;
    struct pollfd ready = {.events = POLLIN};
    int before[2] = {dup(1), dup(2)}, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int file = open("/etc/passwd", O_RDONLY | O_CLOEXEC), r;

    (void)state;
    for (int i = 0; i < RLIM_NLIMITS; i++)
        assert_int_equal(getrlimit((resource_limit)i, &limits.all[i]), 0);
    limits.all[RLIMIT_NOFILE] = (struct rlimit){.rlim_cur = MARKED - 1, .rlim_max = MARKED};
    assert_int_equal(loop_init(&loop), 0);
    reaper_init(&reaper, &loop);
    /* As in the service: 1 is /dev/null, and 2 the service manager's log. */
    assert_true(dup2(null, 1) == 1 && dup2(file, 2) == 2);
    r = witness_start(&witness, &loop, &reaper, getpid(), &limits, handle_witness, NULL);
    assert_true(dup2(before[0], 1) == 1 && dup2(before[1], 2) == 2);
    assert_int_equal(r, 0);
    ready.fd = witness.ready.fd;
    assert_int_equal(poll(&ready, 1, 5000), 1);
    assert_int_equal(read(ready.fd, &report, sizeof(report)), sizeof(report));
    assert_string_equal(report.standard_error, "/dev/null");
    assert_int_equal(report.n_descriptors, 3);
    assert_int_equal(report.limit.rlim_cur, MARKED - 1);
    assert_int_equal(report.limit.rlim_max, MARKED);
    witness_end(&witness);
    loop_deinit(&loop);
    close(before[0]);
    close(before[1]);
    close(null);
    close(file);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(it_is_executed_with_no_file_of_the_service_and_the_limits_of_the_caller),
};

/* With arguments it is the witness. */
int main(int argc, char **argv) {
    (void)argv;
    if (argc > 2)
        be_witness();
    return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
