/*
 * Very many launches, of which one third has some of its processes killed in moments of chance.
 * Each has an outcome that it may have, and at the end there are as many processes and descriptors,
 * and as much memory, as before.
 *
 * UTSBROKER_TEST_LAUNCHES says how many launches there are in each mode, UTSBROKER_TEST_SEED which
 * moments it are; tests/hostile/soak has it run for long.
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
    NAMED = 42, /* the probe's status where all is as it should be */
    GROWTH_MAX_KB = 64,
};

struct launch {
    char name[32];
    pid_t pid; /* of utsrun; 0: it has ended */
    int errors;
    int wait_status;
};

/* Some launches at the same time. Of a hostile batch any process may be killed, at so many moments.
 */
struct batch {
    struct launch launches[AT_ONCE];
    size_t n_alive;
    double begun, kills[AT_ONCE];
    size_t n_kills, n_killed;
    pid_t of_service[AT_ONCE]; /* that were killed */
    size_t n_of_service;
};

static struct {
    unsigned launches, ran, refused, ended_by_signal;
    unsigned killed_utsrun, killed_others; /* signals that were sent */
    unsigned wrong;
} tally;

static uint64_t chance;
static unsigned n_launched;
static double usual_seconds = 0.01; /* that a batch takes in which nobody is killed */

static void wrong(const struct launch *launch, const char *problem, const char *errors) {
    print_error("%s: %s; wait status 0x%x, errors: %s\n", launch->name, problem,
                (unsigned)launch->wait_status, errors);
    tally.wrong++;
}

static _Noreturn void be_utsrun(const struct launch *launch) {
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
        be_utsrun(launch);
}

/* A refusal is one line, which says who says it. */
static bool is_one_line(const char *errors) {
    const char *end = strchr(errors, '\n');

    return strncmp(errors, "utsrun: ", 8) == 0 && end != NULL && end[1] == '\0';
}

/* One in whose batch nobody was killed may only have run. */
static void launch_judge(const struct launch *launch, bool is_hostile) {
    char errors[1024] = "";
    int status = launch->wait_status;

    assert_true(pread(launch->errors, errors, sizeof(errors) - 1, 0) >= 0);
    tally.launches++;
    if (WIFEXITED(status) && WEXITSTATUS(status) == NAMED && errors[0] == '\0')
        tally.ran++;
    else if (!is_hostile)
        wrong(launch, "nobody was killed, and it did not run", errors);
    else if (WIFSIGNALED(status) && (errors[0] == '\0' || is_one_line(errors)))
        tally.ended_by_signal++; /* perhaps when it had said why it refuses */
    else if (WIFEXITED(status) && WEXITSTATUS(status) == 125 && is_one_line(errors))
        tally.refused++;
    else
        wrong(launch, "not an end that it may have", errors);
}

/* Fills @pids with the processes that launches in progress have, utsruns first; returns how many.
 */
static size_t victims_list(const struct batch *batch, pid_t *pids, size_t max, size_t *n_utsrunsp) {
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

/* Kills one process by chance; the service's own children by SIGKILL, which no mask of theirs holds
 * up. */
static void somebody_kill(struct batch *batch) {
    static const int signals[] = {SIGKILL, SIGKILL, SIGTERM, SIGINT, SIGHUP};
    int number = signals[chance_below(&chance, BASE_ARRAY_SIZE(signals))];
    pid_t pids[64];
    size_t n_utsruns;
    size_t n = victims_list(batch, pids, BASE_ARRAY_SIZE(pids), &n_utsruns);
    size_t which = n > 0 ? chance_below(&chance, n) : 0;
    bool is_services = harness_is_service() && which >= n_utsruns;

    /* What is no utsrun may have ended since, and its pid is nobody's yet. */
    if (n == 0 || kill(pids[which], is_services ? SIGKILL : number) < 0)
        return;
    if (which < n_utsruns)
        tally.killed_utsrun++;
    else
        tally.killed_others++;
    if (is_services)
        batch->of_service[batch->n_of_service++] = pids[which];
}

static bool have_been_reaped(void *context) {
    const struct batch *batch = context;

    for (size_t i = 0; i < batch->n_of_service; i++)
        if (kill(batch->of_service[i], 0) == 0)
            return false;
    return true;
}

/* Also reaps what has lost its parent: this process adopts it. */
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
            wrong(&batch->launches[i], "hangs", "");
            kill(batch->launches[i].pid, SIGKILL);
        }
    fail_msg("a launch hangs");
}

/* Returns at the end of a child, or when the next moment has come, or nobody has the patience. */
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

/* Ascending moments within a little more than what a batch usually takes. */
static void kills_choose(struct batch *batch) {
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
    batch->n_kills = batch->n_killed = batch->n_of_service = 0;
    if (is_hostile)
        kills_choose(batch);
    for (size_t i = 0; i < AT_ONCE; i++)
        launch_start(&batch->launches[i]);
    while (batch->n_alive > 0) {
        double now = harness_now();

        if (now > batch->begun + PATIENCE_SECONDS)
            batch_give_up(batch);
        if (batch->n_killed < batch->n_kills && batch->kills[batch->n_killed] <= now) {
            somebody_kill(batch);
            batch->n_killed++;
        }
        batch_wait(batch);
        batch_reap(batch);
    }
    if (!is_hostile)
        usual_seconds = harness_now() - batch->begun;
    /* The session that waits for the next launch, which shall run, may be one of them. */
    if (!harness_wait_for(have_been_reaped, batch))
        fail_msg("the service has not reaped what was killed");
    for (size_t i = 0; i < AT_ONCE; i++)
        launch_judge(&batch->launches[i], is_hostile);
}

static void soak(unsigned n_launches) {
    struct batch batch = {.begun = 0};

    for (size_t i = 0; i < AT_ONCE; i++) {
        batch.launches[i].errors = memfd_create("errors", MFD_CLOEXEC);
        assert_true(batch.launches[i].errors >= 0);
    }
    for (unsigned i = 0; i < (n_launches + AT_ONCE - 1) / AT_ONCE; i++)
        batch_run(&batch, i % HOSTILE_ONE_IN == HOSTILE_ONE_IN - 1);
    batch_run(&batch, false); /* the service has again what it had lost */
    for (size_t i = 0; i < AT_ONCE; i++)
        close(batch.launches[i].errors);
}

/* What the service has; nothing in direct mode. In kilobytes: smaps_rollup of proc(5). */
struct holdings {
    unsigned long anonymous, rss, private_dirty;
    size_t n_descriptors;
};

static unsigned long memory_of(pid_t pid, const char *key) {
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

/* What the service has of processes, and for a while of descriptors. */
struct rest {
    size_t n_descriptors;
    unsigned n_looks;
};

static bool is_at_rest(void *context) {
    pid_t service = harness_service_of(USER_WITHOUT_NAME)->pid;
    size_t n = harness_count_descriptors(service);
    struct rest *rest = context;

    if (n != rest->n_descriptors || service_zygote(service) == 0)
        *rest = (struct rest){.n_descriptors = n};
    return ++rest->n_looks > 10;
}

/* When nothing is left of the launches. */
static struct holdings holdings_now(void) {
    struct rest rest = {.n_looks = 0};
    pid_t service;

    harness_assert_nothing_left(USER_WITHOUT_NAME);
    if (!harness_is_service())
        return (struct holdings){.n_descriptors = 0};
    service = harness_service_of(USER_WITHOUT_NAME)->pid;
    assert_true(harness_wait_for(is_at_rest, &rest));
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    return (struct holdings){.anonymous = memory_of(service, "Anonymous"),
                             .rss = memory_of(service, "Rss"),
                             .private_dirty = memory_of(service, "Private_Dirty"),
                             .n_descriptors = rest.n_descriptors};
}

static void tally_print(const struct holdings *before, const struct holdings *after) {
    print_message(
        "tried: %u launches in %s mode: %u ran, %u were refused, %u ended by a signal; %u signals "
        "to utsrun, %u to others; wrong outcomes %u\n",
        tally.launches, harness_mode(), tally.ran, tally.refused, tally.ended_by_signal,
        tally.killed_utsrun, tally.killed_others, tally.wrong);
    if (harness_is_service())
        print_message("the service, before and after: %zu and %zu descriptors; %lu and %lu kB of "
                      "its own, %lu and %lu of them private, %lu and %lu kB in all\n",
                      before->n_descriptors, after->n_descriptors, before->anonymous,
                      after->anonymous, before->private_dirty, after->private_dirty, before->rss,
                      after->rss);
}

static void assert_not_grown(unsigned long before, unsigned long after, const char *what) {
    if (after > before + GROWTH_MAX_KB)
        fail_msg("%s of the service: %lu kB before, %lu kB after", what, before, after);
}

static void nothing_is_lost_in_very_many_launches(void **state) {
    const struct holdings warm_up = (soak(WARM_UP), holdings_now());
    struct holdings after;

    (void)state;
    assert_int_equal(tally.wrong, 0);
    memset(&tally, 0, sizeof(tally));
    soak(harness_number("UTSBROKER_TEST_LAUNCHES", LAUNCHES));
    after = holdings_now();
    tally_print(&warm_up, &after);
    assert_int_equal(tally.wrong, 0);
    /* It proves nothing if nobody was hit, or everybody. */
    assert_true(tally.killed_utsrun > 0 && tally.killed_others > 0);
    assert_true(tally.ran > tally.launches / 2 && tally.ran < tally.launches);
    assert_int_equal(after.n_descriptors, warm_up.n_descriptors);
    assert_not_grown(warm_up.anonymous, after.anonymous, "memory");
    assert_not_grown(warm_up.rss, after.rss, "resident memory");
}

/* Without a log daemon: nobody's is to be flooded. */
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
    cmocka_unit_test(nothing_is_lost_in_very_many_launches),
};

TEST_MAIN_AS_ROOT(tests, set_up, harness_tear_down)
