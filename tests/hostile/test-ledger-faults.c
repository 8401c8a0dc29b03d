/*
 * Each system call of the ledger fails once, from its start to the end of a command: while it
 * serves a grant with a limit, a refusal by that limit, a refusal by the policy, and an end.
 * Whatever fails: what runs was in the log before; the limit holds; each line is whole; the ledger
 * goes on, or ends with a message and a new one goes on; and then the next launch is granted.
 *
 * One error is tried for each call; UTSBROKER_TEST_SEED selects it. UTSBROKER_TEST_VERBOSE prints
 * each fault and its outcome.
 */

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/hostile/faulter.h"
#include "tests/integration/ledger.h"

enum { PATIENCE_SECONDS = 12, PROBLEMS_MAX = 10 };

/* What the launches of a trial came to; shared with the process that makes them. */
struct outcome {
    bool is_first_granted, is_second_granted;
    int denied_status, last_status;
    char errors[4][512];
};

struct trial {
    struct fault fault;
    struct faulter faulter;
    struct test_ledger ledger;
    pid_t driver;
    int driver_status;
    bool has_driver_ended;
    unsigned n_restarts;
    char problem[512]; /* the first; "": none */
};

static int listen_fd;
static struct outcome *outcome;
static struct { unsigned n_faults, n_restarts, n_granted, n_refused, n_problems; } tally;

__attribute__((format(printf, 2, 3))) static void problem(struct trial *trial, const char *format,
                                                          ...) {
    va_list arguments;

    va_start(arguments, format);
    if (trial->problem[0] == '\0')
        (void)vsnprintf(trial->problem, sizeof(trial->problem), format, arguments);
    va_end(arguments);
}

static int launch(char *name, size_t which) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME, .argv = {UTSRUN_PATH, "-n", name, "true"}};

    harness_run(&run, &result);
    result.errors[sizeof(outcome->errors[which]) - 1] = '\0';
    strcpy(outcome->errors[which], result.errors);
    return WIFEXITED(result.status) ? WEXITSTATUS(result.status) : -1;
}

/* Starts a command that lives. True: it runs, until *@pidp gets SIGTERM. */
static bool launch_living(char *name, pid_t *pidp) {
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", name, "sh", "-c", "echo; exec sleep 60"}};
    int output, errors;
    char byte;

    *pidp = harness_start(&run, &output, &errors);
    return read(output, &byte, 1) == 1;
}

/* Makes the launches, in a process of its own, while the tracer handles the ledger's calls. */
static _Noreturn void drive(void) {
    pid_t living;

    (void)alarm(PATIENCE_SECONDS);
    outcome->is_first_granted = launch_living("lab1", &living);
    outcome->is_second_granted = launch("lab2", 1) == 0;
    outcome->denied_status = launch("denied.test", 2);
    (void)kill(living, SIGTERM);
    (void)waitpid(living, NULL, 0);
    _exit(0);
}

/* As soon as the end is counted, the next is granted. */
static _Noreturn void drive_next(void) {
    (void)alarm(PATIENCE_SECONDS);
    for (int i = 0; i < 100; i++) {
        outcome->last_status = launch("lab1", 3);
        if (outcome->last_status == 0)
            break;
        usleep(50000);
    }
    _exit(0);
}

static void handle_command(pid_t pid, void *context) {
    (void)pid;
    (void)context; /* the commands are not traced */
}

static void handle_end(pid_t pid, int status, void *context) {
    struct trial *trial = context;

    if (pid == trial->driver) {
        trial->driver_status = status;
        trial->has_driver_ended = true;
    }
    if (pid != trial->ledger.pid)
        return;
    /* Without one of its pages the C library's dynamic loader crashes. */
    if (!(WIFEXITED(status) && WEXITSTATUS(status) != 0) &&
        !(trial->fault.number == FAULTER_MMAP && WIFSIGNALED(status) &&
          WTERMSIG(status) == SIGSEGV))
        problem(trial, "the ledger ends with wait status 0x%x", (unsigned)status);
    if (trial->n_restarts++ > 0)
        problem(trial, "the ledger ends again, with wait status 0x%x", (unsigned)status);
    trial->ledger.stops_first = false;
    ledger_start(&trial->ledger);
}

/* Runs @function in another process until it ends. */
static void trial_drive(struct trial *trial, void (*function)(void)) {
    trial->has_driver_ended = false;
    trial->driver = fork();
    if (trial->driver == 0) {
        (void)signal(SIGALRM, SIG_DFL); /* the tracer's time limit */
        function();
    }
    faulter_set_patience(&trial->faulter, PATIENCE_SECONDS);
    while (!trial->has_driver_ended && faulter_next(&trial->faulter, true))
        ;
    if (!trial->has_driver_ended || trial->driver_status != 0)
        problem(trial, "a launch hangs");
}

/* True if all lines but the last, which may be none, end and say what they are. */
static bool is_log_whole(void) {
    const char *line = ledger_read_log(), *end;

    for (; (end = strchr(line, '\n')) != NULL; line = end + 1)
        if (line[0] != '2' || strncmp(line + 23, "Z ", 2) != 0 ||
            strchr("grfe", line[25]) == NULL || end[-1] == ' ')
            return false;
    return *line == '\0';
}

static bool is_alive(const struct trial *trial) {
    static struct live_command live[8];

    (void)trial;
    return access(LEDGER_LIVE_PATH, F_OK) < 0 || ledger_read_live(live, BASE_ARRAY_SIZE(live)) != 0;
}

static void trial_wait_for_ends(struct trial *trial) {
    double deadline = harness_now() + PATIENCE_SECONDS;

    while (is_alive(trial) && harness_now() < deadline) {
        while (faulter_next(&trial->faulter, false))
            ;
        usleep(2000);
    }
    if (is_alive(trial))
        problem(trial, "something is left in the file of what lives");
}

static void trial_judge(struct trial *trial) {
    size_t n_granted = ledger_count_lines("Z grant ");

    if (outcome->is_first_granted && outcome->is_second_granted)
        problem(trial, "two commands under a limit of one");
    if (n_granted < (size_t)outcome->is_first_granted + outcome->is_second_granted + 1)
        problem(trial, "only %zu grants are in the log", n_granted);
    if (outcome->denied_status != 125)
        problem(trial, "a denied name: exit status %d", outcome->denied_status);
    if (outcome->last_status != 0)
        problem(trial, "the next launch: %s", outcome->errors[3]);
    if (!outcome->is_second_granted && outcome->errors[1][0] == '\0')
        problem(trial, "a refusal without a message");
    if (!is_log_whole())
        problem(trial, "half a line in the log");
    if (ledger_count_lines("Z end ") < n_granted)
        problem(trial, "%zu grants, but %zu ends", n_granted, ledger_count_lines("Z end "));
}

static void trial_start(struct trial *trial, const struct fault *fault) {
    *trial =
        (struct trial){.fault = *fault, .ledger = {.listen_fd = listen_fd, .stops_first = true}};
    memset(outcome, 0, sizeof(*outcome));
    ledger_clear_log();
    faulter_init(&trial->faulter, &trial->fault);
    trial->faulter.on_command = handle_command;
    trial->faulter.on_end = handle_end;
    trial->faulter.context = trial;
    ledger_start(&trial->ledger);
    listen_fd = trial->ledger.listen_fd;
    faulter_take(&trial->faulter, trial->ledger.pid, FAULTER_LEDGER, 1);
}

/* Ends the ledger, as a service manager does. */
static void trial_end(struct trial *trial) {
    pid_t pid = trial->ledger.pid;

    trial->ledger.pid = 0;
    assert_int_equal(kill(pid, SIGKILL), 0);
    faulter_set_patience(&trial->faulter, PATIENCE_SECONDS);
    while (kill(pid, 0) == 0 && faulter_next(&trial->faulter, true))
        ;
    faulter_kill(&trial->faulter);
    faulter_set_patience(&trial->faulter, 0);
}

static void trial_count(const struct trial *trial, double seconds) {
    char *call = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)trial->fault.number);
    bool is_verbose = getenv("UTSBROKER_TEST_VERBOSE") != NULL;

    tally.n_faults += trial->fault.is_injected;
    tally.n_restarts += trial->n_restarts;
    tally.n_granted += outcome->is_first_granted;
    tally.n_refused += !outcome->is_first_granted;
    tally.n_problems += trial->problem[0] != '\0';
    if (is_verbose || (trial->problem[0] != '\0' && tally.n_problems <= PROBLEMS_MAX))
        print_message("call %u, %s, fails with %s: %.2f s, %u restarts, first %s: %s\n",
                      trial->fault.index, call,
                      trial->fault.error == FAULTER_LIE ? "a false success"
                                                        : strerrorname_np(trial->fault.error),
                      seconds, trial->n_restarts, outcome->is_first_granted ? "ran" : "refused",
                      trial->problem);
    if (trial->problem[0] != '\0' && tally.n_problems <= PROBLEMS_MAX)
        print_message("  utsrun: %s%s%s  the log: %s", outcome->errors[1], outcome->errors[2],
                      outcome->errors[3], ledger_read_log());
    free(call);
}

/* Returns false if the ledger makes no such call. */
static bool try_fault(struct fault *fault) {
    static struct trial trial;
    double begin = harness_now();

    trial_start(&trial, fault);
    trial_drive(&trial, drive);
    trial_drive(&trial, drive_next);
    trial_wait_for_ends(&trial);
    trial_judge(&trial);
    trial_end(&trial);
    trial_count(&trial, harness_now() - begin);
    fault->index = trial.fault.index + 1;
    return trial.fault.is_injected;
}

static void each_failing_call_of_the_ledger(void **state) {
    struct fault fault = {.role = FAULTER_LEDGER};
    const struct fault none = {.role = FAULTER_NOBODY};
    struct fault first = none;
    unsigned n_absent = 0;

    (void)state;
    (void)try_fault(&first);
    assert_true(outcome->is_first_granted && !outcome->is_second_granted);
    assert_int_equal(tally.n_problems, 0);
    /* The number of calls differs between trials. */
    while (n_absent < 2 && tally.n_problems <= PROBLEMS_MAX) {
        fault = (struct fault){.role = FAULTER_LEDGER,
                               .index = fault.index,
                               .choice = fault.index + harness_number("UTSBROKER_TEST_SEED", 0)};
        n_absent = try_fault(&fault) ? 0 : n_absent + 1;
    }
    print_message("tried: %u faults of the ledger: %u granted, %u refused, %u restarts\n",
                  tally.n_faults, tally.n_granted, tally.n_refused, tally.n_restarts);
    assert_int_equal(tally.n_problems, 0);
    assert_true(tally.n_faults > 60);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static int set_up(void **state) {
    outcome =
        mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (outcome == MAP_FAILED || harness_mount_dev() < 0 || ledger_set_up() < 0 ||
        harness_set_up(state) < 0)
        return -1;
    policy_write("10-test.conf",
                 "deny any hostname denied.test\npermit any hostname lab* limit 1\n");
    return 0;
}

int main(void) {
    static const struct CMUnitTest tests[] = {cmocka_unit_test(each_failing_call_of_the_ledger)};
    int status;

    if (!test_has_root(BASE_ARRAY_SIZE(tests), &status))
        return status;
    if (!FAULTER_IS_SUPPORTED) {
        printf("skipped: the test cannot replace system calls on this architecture yet\n");
        return TEST_SKIPPED;
    }
    return cmocka_run_group_tests(tests, set_up, harness_tear_down);
}
