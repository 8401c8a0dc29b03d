/*
 * Makes very many launches, and kills processes of one third of them at random moments. Each launch
 * must have a permitted outcome. At the end there are as many processes and descriptors as before,
 * and hardly more memory.
 *
 * UTSBROKER_TEST_LAUNCHES sets the number of launches in each mode, UTSBROKER_TEST_SEED selects the
 * moments. tests/hostile/soak runs this test with many more launches.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/hostile/chance.h"
#include "tests/integration/harness.h"

enum {
    LAUNCHES = 2000,
    WARM_UP = 300,
    AT_ONCE = 4,
    HOSTILE_ONE_IN = 3,
    PATIENCE_SECONDS = 10,
    NAMED = 42, /* the probe's status if everything is right */
    GROWTH_MAX_KB = 64,
};

struct launch {
    char name[32];
    pid_t pid; /* utsrun's; 0: it has ended */
    int errors;
    int wait_status;
};

/* Some simultaneous launches. In a hostile batch the test kills a process at each of @kills. */
struct batch {
    struct launch launches[AT_ONCE];
    size_t n_alive;
    double begun, kills[AT_ONCE];
    size_t n_kills, n_killed;
    pid_t killed_of_service[AT_ONCE]; /* killed children of the service */
    size_t n_killed_of_service;
};

static struct {
    unsigned launches, ran, refused, ended_by_signal;
    unsigned killed_utsrun, killed_others; /* signals that were sent */
    unsigned n_wrong;
} tally;

static uint64_t chance;
static unsigned n_launched;
static double usual_seconds = 0.01; /* duration of the last batch without kills */

static void report_wrong(const struct launch *launch, const char *problem, const char *errors) {
    print_error("%s: %s; wait status 0x%x, errors: %s\n", launch->name, problem,
                (unsigned)launch->wait_status, errors);
    tally.n_wrong++;
}

static _Noreturn void execute_utsrun(const struct launch *launch) {
    char *environment[] = {"PATH=/usr/bin:/bin", NULL};
    char *name = (char *)(uintptr_t)launch->name;
    char *argv[] = {UTSRUN_PATH, "-n", name, "--", PROBE_PATH, "be-named", name, NULL};
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(nothing, 0) < 0 || dup2(nothing, 1) < 0 || dup2(launch->errors, 2) < 0 ||
        syscall(SYS_close_range, 3, ~0U, 0) < 0)
        _exit(201);
    harness_become(USER_WITHOUT_NAME);
    (void)execve(argv[0], argv, environment);
    _exit(202);
}

static void launch_start(struct launch *launch) {
    snprintf(launch->name, sizeof(launch->name), "soak-%u.test", n_launched++);
    assert_int_equal(ftruncate(launch->errors, 0), 0);
    assert_int_equal(lseek(launch->errors, 0, SEEK_SET), 0);
    launch->wait_status = 0;
    launch->pid = fork();
    assert_true(launch->pid >= 0);
    if (launch->pid == 0)
        execute_utsrun(launch);
}

/* A refusal is one line that starts with "utsrun: ". */
static bool is_one_line(const char *errors) {
    const char *end = strchr(errors, '\n');

    return strncmp(errors, "utsrun: ", 8) == 0 && end != NULL && end[1] == '\0';
}

/* Without kills in its batch a launch must run. */
static void judge_launch(const struct launch *launch, bool is_hostile) {
    char errors[1024] = "";
    int status = launch->wait_status;

    assert_true(pread(launch->errors, errors, sizeof(errors) - 1, 0) >= 0);
    tally.launches++;
    if (WIFEXITED(status) && WEXITSTATUS(status) == NAMED && errors[0] == '\0')
        tally.ran++;
    else if (!is_hostile)
        report_wrong(launch, "it did not run, although the test killed no process", errors);
    else if (WIFSIGNALED(status) && (errors[0] == '\0' || is_one_line(errors)))
        tally.ended_by_signal++; /* perhaps after it had printed its refusal */
    else if (WIFEXITED(status) && WEXITSTATUS(status) == 125 && is_one_line(errors))
        tally.refused++;
    else
        report_wrong(launch, "it ended in a way that is not permitted", errors);
}

/* Fills @pids with the processes of the present launches, utsruns first. Returns their number. */
static size_t batch_list_victims(const struct batch *batch, pid_t *pids, size_t max,
                                 size_t *n_utsrunsp) {
    size_t n = 0;

    for (size_t i = 0; i < AT_ONCE; i++)
        if (batch->launches[i].pid != 0)
            pids[n++] = batch->launches[i].pid;
    *n_utsrunsp = n;
    if (harness_is_service())
        return n + children_of(harness_service_of(USER_WITHOUT_NAME)->pid, pids + n, max - n);
    for (size_t i = 0; i < *n_utsrunsp; i++)
        n += children_of(pids[i], pids + n, max - n);
    return n;
}

/* Kills a random process. Children of the service get SIGKILL, which they cannot block. */
static void batch_kill_process(struct batch *batch) {
    static const int signals[] = {SIGKILL, SIGKILL, SIGTERM, SIGINT, SIGHUP};
    int number = signals[chance_below(&chance, BASE_ARRAY_SIZE(signals))];
    pid_t pids[64];
    size_t n_utsruns;
    size_t n = batch_list_victims(batch, pids, BASE_ARRAY_SIZE(pids), &n_utsruns);
    size_t which = n > 0 ? chance_below(&chance, n) : 0;
    bool is_services = harness_is_service() && which >= n_utsruns;

    /* A process other than utsrun may have ended by now; its pid is not in use again yet. */
    if (n == 0 || kill(pids[which], is_services ? SIGKILL : number) < 0)
        return;
    if (which < n_utsruns)
        tally.killed_utsrun++;
    else
        tally.killed_others++;
    if (is_services)
        batch->killed_of_service[batch->n_killed_of_service++] = pids[which];
}

static bool are_reaped(void *context) {
    const struct batch *batch = context;

    for (size_t i = 0; i < batch->n_killed_of_service; i++)
        if (kill(batch->killed_of_service[i], 0) == 0)
            return false;
    return true;
}

/* Also reaps orphans: this process is their subreaper. */
static void batch_reap(struct batch *batch) {
    int status;

    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (size_t i = 0; i < AT_ONCE; i++)
            if (batch->launches[i].pid == pid) {
                batch->launches[i].pid = 0;
                batch->launches[i].wait_status = status;
                batch->n_alive--;
            }
}

static void batch_give_up(struct batch *batch) {
    harness_print_processes(USER_WITHOUT_NAME->uid);
    for (size_t i = 0; i < AT_ONCE; i++)
        if (batch->launches[i].pid != 0) {
            report_wrong(&batch->launches[i], "hangs", "");
            kill(batch->launches[i].pid, SIGKILL);
        }
    fail_msg("a launch hangs");
}

/* Waits until a child ends, the next process is to be killed, or the batch has taken too long. */
static void batch_wait(const struct batch *batch) {
    double until = batch->n_killed < batch->n_kills ? batch->kills[batch->n_killed]
                                                    : batch->begun + PATIENCE_SECONDS;
    double left = until - harness_now();
    struct timespec timeout = {.tv_sec = 0};
    sigset_t child;

    if (left <= 0)
        return;
    timeout.tv_sec = (time_t)left;
    timeout.tv_nsec = (long)((left - (double)timeout.tv_sec) * 1e9);
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    (void)sigtimedwait(&child, NULL, &timeout);
}

/* Chooses ascending moments, within 1.2 times the usual duration of a batch. */
static void batch_choose_kills(struct batch *batch) {
    batch->n_kills = 1 + chance_below(&chance, AT_ONCE);
    for (size_t i = 0; i < batch->n_kills; i++) {
        double at = batch->begun + 1.2 * usual_seconds * (double)chance_below(&chance, 1000) / 1000;
        size_t place = i;

        for (; place > 0 && batch->kills[place - 1] > at; place--)
            batch->kills[place] = batch->kills[place - 1];
        batch->kills[place] = at;
    }
}

static void batch_run(struct batch *batch, bool is_hostile) {
    batch->begun = harness_now();
    batch->n_alive = AT_ONCE;
    batch->n_kills = batch->n_killed = batch->n_killed_of_service = 0;
    if (is_hostile)
        batch_choose_kills(batch);
    for (size_t i = 0; i < AT_ONCE; i++)
        launch_start(&batch->launches[i]);
    while (batch->n_alive > 0) {
        double now = harness_now();

        if (now > batch->begun + PATIENCE_SECONDS)
            batch_give_up(batch);
        if (batch->n_killed < batch->n_kills && batch->kills[batch->n_killed] <= now) {
            batch_kill_process(batch);
            batch->n_killed++;
        }
        batch_wait(batch);
        batch_reap(batch);
    }
    if (!is_hostile)
        usual_seconds = harness_now() - batch->begun;
    /* A killed ready session must not serve the next launch, which may have to run. */
    if (!harness_wait_for(are_reaped, batch))
        fail_msg("the service has not reaped its killed children");
    for (size_t i = 0; i < AT_ONCE; i++)
        judge_launch(&batch->launches[i], is_hostile);
}

static void run_launches(unsigned n_launches) {
    struct batch batch = {.begun = 0};

    for (size_t i = 0; i < AT_ONCE; i++) {
        batch.launches[i].errors = memfd_create("errors", MFD_CLOEXEC);
        assert_true(batch.launches[i].errors >= 0);
    }
    for (unsigned i = 0; i < (n_launches + AT_ONCE - 1) / AT_ONCE; i++)
        batch_run(&batch, i % HOSTILE_ONE_IN == HOSTILE_ONE_IN - 1);
    batch_run(&batch, false); /* the service makes its zygote and ready session again */
    for (size_t i = 0; i < AT_ONCE; i++)
        close(batch.launches[i].errors);
}

/* The service's memory in KiB (smaps_rollup of proc(5)) and descriptors; 0 in direct mode. */
struct holdings {
    unsigned long anonymous, rss, private_dirty;
    size_t n_descriptors;
};

static unsigned long read_memory(pid_t pid, const char *key) {
    char path[64], line[256];
    unsigned long kilobytes = 0;
    bool is_there = false;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    file = fopen(path, "re");
    assert_non_null(file);
    while (!is_there && fgets(line, sizeof(line), file) != NULL)
        is_there = strncmp(line, key, strlen(key)) == 0 &&
                   sscanf(line + strlen(key), ": %lu kB", &kilobytes) == 1;
    fclose(file);
    assert_true(is_there);
    return kilobytes;
}

/* The service's number of descriptors, and how often in a row it was the same. */
struct idle {
    size_t n_descriptors;
    unsigned n_unchanged;
};

static bool is_idle(void *context) {
    pid_t service = harness_service_of(USER_WITHOUT_NAME)->pid;
    size_t n = harness_count_descriptors(service);
    struct idle *idle = context;

    if (n != idle->n_descriptors || service_zygote(service) == 0)
        *idle = (struct idle){.n_descriptors = n};
    return ++idle->n_unchanged > 10;
}

/* Measures the service when nothing is left of the launches. */
static struct holdings measure_holdings(void) {
    struct idle idle = {.n_unchanged = 0};
    pid_t service;

    harness_assert_nothing_left(USER_WITHOUT_NAME);
    if (!harness_is_service())
        return (struct holdings){.n_descriptors = 0};
    service = harness_service_of(USER_WITHOUT_NAME)->pid;
    assert_true(harness_wait_for(is_idle, &idle));
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    return (struct holdings){.anonymous = read_memory(service, "Anonymous"),
                             .rss = read_memory(service, "Rss"),
                             .private_dirty = read_memory(service, "Private_Dirty"),
                             .n_descriptors = idle.n_descriptors};
}

static void tally_print(const struct holdings *before, const struct holdings *after) {
    print_message(
        "tried: %u launches in %s mode: %u ran, %u were refused, %u ended by a signal; %u signals "
        "to utsrun, %u to others; wrong outcomes %u\n",
        tally.launches, harness_mode(), tally.ran, tally.refused, tally.ended_by_signal,
        tally.killed_utsrun, tally.killed_others, tally.n_wrong);
    if (harness_is_service())
        print_message("the service, before and after: %zu and %zu descriptors; %lu and %lu kB of "
                      "anonymous memory, %lu and %lu kB private dirty, %lu and %lu kB resident\n",
                      before->n_descriptors, after->n_descriptors, before->anonymous,
                      after->anonymous, before->private_dirty, after->private_dirty, before->rss,
                      after->rss);
}

static void assert_not_grown(unsigned long before, unsigned long after, const char *what) {
    if (after > before + GROWTH_MAX_KB)
        fail_msg("%s of the service: %lu kB before, %lu kB after", what, before, after);
}

static void very_many_launches_leave_nothing(void **state) {
    const struct holdings warm_up = (run_launches(WARM_UP), measure_holdings());
    struct holdings after;

    (void)state;
    assert_int_equal(tally.n_wrong, 0);
    memset(&tally, 0, sizeof(tally));
    run_launches(harness_number("UTSBROKER_TEST_LAUNCHES", LAUNCHES));
    after = measure_holdings();
    tally_print(&warm_up, &after);
    assert_int_equal(tally.n_wrong, 0);
    /* The test proves nothing if it killed no process, or if few launches ran. */
    assert_true(tally.killed_utsrun > 0 && tally.killed_others > 0);
    assert_true(tally.ran > tally.launches / 2 && tally.ran < tally.launches);
    assert_int_equal(after.n_descriptors, warm_up.n_descriptors);
    assert_not_grown(warm_up.anonymous, after.anonymous, "memory");
    assert_not_grown(warm_up.rss, after.rss, "resident memory");
}

/* There is no log daemon here: so many lines would flood the machine's log. */
static int set_up(void **state) {
    sigset_t child;

    chance = 0x9e3779b97f4a7c15U * harness_number("UTSBROKER_TEST_SEED", 1);
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    if (harness_mount_dev() < 0 || harness_set_up(state) < 0)
        return -1;
    return sigprocmask(SIG_BLOCK, &child, NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(very_many_launches_leave_nothing),
};

TEST_MAIN_AS_ROOT(tests, set_up, harness_tear_down)
