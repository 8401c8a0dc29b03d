#pragma once

/*
 * Runs the installed utsrun, with the real broker, as an unprivileged user. The fixture "stage" of
 * CMakeLists.txt installs it and sets the file capability.
 *
 * A test program runs in one of two modes, by UTSBROKER_TEST_MODE: "direct", or "service". In
 * service mode the harness starts a service for each user, as a service manager does, and prevents
 * direct mode, so that utsrun finds the service without an option.
 */

#include <signal.h>
#include <sys/types.h>

#include "tests/test.h"

enum { HARNESS_OUTPUT_MAX = 1 << 16, HARNESS_WORDS_MAX = 24 };

/* The users of the tests: one without an entry in any user database, and nobody. */
struct user {
    const char *what;
    uid_t uid;
    gid_t gid;
    gid_t groups[3];
    size_t n_groups;
};

extern struct user harness_users[2];
#define USER_WITHOUT_NAME (&harness_users[0])
#define USER_NOBODY (&harness_users[1])

struct run {
    const struct user *user;
    char *argv[HARNESS_WORDS_MAX];
    char **environment;            /* NULL: PATH only */
    void (*set_up)(void *context); /* in the child, as the user, before execve(2) of argv */
    void *context;
    const char *input; /* NULL: /dev/null */
};

struct result {
    int status; /* wait(2)'s */
    char output[HARNESS_OUTPUT_MAX];
    char errors[HARNESS_OUTPUT_MAX];
};

void harness_run(const struct run *run, struct result *result);
pid_t harness_start(const struct run *run, int *output_fdp, int *error_fdp);
void harness_become(const struct user *user);
void harness_assert_exit(const struct result *result, int code);
double harness_now(void);
bool harness_wait_for(bool (*is_true)(void *context), void *context);
char harness_process_state(pid_t pid);
bool harness_wait_for_state(pid_t pid, const char *states);
unsigned harness_number(const char *variable, unsigned otherwise);
const char *harness_status_line(pid_t pid, const char *key);
size_t harness_count_processes(uid_t uid);
void harness_print_processes(uid_t uid);
size_t harness_count_descriptors(pid_t pid);
bool harness_is_service(void);
int harness_repeats(int n);
const char *harness_mode(void);
void harness_permit_direct(void);
void harness_prevent_direct(void);
pid_t service_zygote(pid_t service);
size_t service_children(pid_t service, pid_t *pids, size_t max);
void harness_assert_nothing_left(const struct user *user);
char *harness_read_line(int fd);

/*
 * The processes of a service at rest: the service, its zygote, and the ready session with its gate.
 */
enum { SERVICE_PROCESSES = 4 };

/* A service that the harness started, as a service manager does. */
struct test_service {
    const struct user *user;
    pid_t pid;
    int listen_fd; /* the manager's */
    char path[108];
};

int service_listen(const char *path, const struct user *user);
_Noreturn void service_execute(const struct user *user, int listen_fd, const char *notify,
                               char *const options[]);
void service_start(struct test_service *service, const struct user *user, const char *path,
                   char *const options[]);
void service_start_in(struct test_service *service, const struct user *user, const char *path,
                      char *const options[], void (*enter)(void *context), void *context);
void service_stop(struct test_service *service);
bool service_is_resumed(void *context);
struct test_service *harness_service_of(const struct user *user);
size_t children_of(pid_t pid, pid_t *pids, size_t max);

void policy_write(const char *name, const char *text);
void policy_clear(void);

int harness_mount_dev(void);
int harness_mount_groups(void);
int harness_set_up(void **state);
int harness_tear_down(void **state);

#define HARNESS_MAIN(tests) TEST_MAIN_AS_ROOT(tests, harness_set_up, harness_tear_down)

/*
 * For a program that runs in both modes: @tests run in both, @direct_tests and @service_tests in
 * one of them. An empty list is HARNESS_NO_TEST.
 */
#define HARNESS_MAIN_OF_BOTH(tests, direct_tests, service_tests, set_up, tear_down)                \
    int main(void) {                                                                               \
        static struct CMUnitTest all[BASE_ARRAY_SIZE(tests) + BASE_ARRAY_SIZE(direct_tests) +      \
                                     BASE_ARRAY_SIZE(service_tests)];                              \
        const struct CMUnitTest *own = harness_is_service() ? service_tests : direct_tests;        \
        size_t n_own =                                                                             \
            harness_is_service() ? BASE_ARRAY_SIZE(service_tests) : BASE_ARRAY_SIZE(direct_tests); \
        size_t n = BASE_ARRAY_SIZE(tests) + (own[0].name != NULL ? n_own : 0);                     \
        int status;                                                                                \
                                                                                                   \
        if (!test_has_root(n, &status))                                                            \
            return status;                                                                         \
        cmocka_set_test_filter(getenv("UTSBROKER_TEST_FILTER"));                                   \
        memcpy(all, tests, sizeof(tests));                                                         \
        memcpy(all + BASE_ARRAY_SIZE(tests), own, n_own * sizeof(all[0]));                         \
        return _cmocka_run_group_tests(__FILE__, all, n, set_up, tear_down);                       \
    }
#define HARNESS_NO_TEST                                                                            \
    { .name = NULL }
