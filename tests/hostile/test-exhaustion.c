/*
 * Too little of something, for utsrun, its broker or the service: each is told in one line that
 * says what there is too little of and what to do, and as soon as there is more, the next request
 * is served. Both ways in one program, as each case has a service of its own.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/hostile/chance.h"
#include "tests/hostile/confine.h"
#include "tests/integration/harness.h"
#include "utsbroker/channel.h"

enum { NAMED = 42 /* the probe's status where all is as it should be */, REPEATS = 12 };

static char *const ways[] = {"direct", "service"};
#define USER USER_WITHOUT_NAME

static const char too_many_namespaces[] =
    "too many UTS namespaces exist: end some commands, or raise user.max_uts_namespaces";
static const char too_many_processes[] =
    "too many processes: end some, or raise the limit (ulimit -u";
/* Also where too many are on their way between processes. */
static const char too_many_files[] = "raise the limit (ulimit -n)";

static struct { unsigned tried, ran, refused, killed; } tally;

static struct test_service service;
static double policy_written;
static struct confine confine; /* what the case is tried in, if in anything */

/* Asks for a command by way of @way; @set_up makes utsrun the user. */
static const struct result *ask(char *way, void (*set_up)(void *context), void *context) {
    static struct result result;
    const struct run run = {
        .argv = {UTSRUN_PATH, "--via", way, "-n", "x.test", "--", PROBE_PATH, "be-named", "x.test"},
        .set_up = set_up,
        .context = context};

    harness_run(&run, &result);
    tally.tried++;
    return &result;
}

/* Where the service may be confined, but utsrun is not. */
static void become(void *context) {
    (void)context;
    harness_become(USER);
}

static bool has_run(const struct result *result) {
    return WIFEXITED(result->status) && WEXITSTATUS(result->status) == NAMED &&
           result->errors[0] == '\0';
}

/* One line of utsrun's, and its own exit status. */
static bool is_told(const struct result *result) {
    const char *end = strchr(result->errors, '\n');

    return WIFEXITED(result->status) && WEXITSTATUS(result->status) == 125 &&
           strncmp(result->errors, "utsrun: ", 8) == 0 && end != NULL && end[1] == '\0';
}

static void assert_ran(const struct result *result) {
    if (!has_run(result))
        fail_msg("wait status 0x%x, errors: %s", (unsigned)result->status, result->errors);
    tally.ran++;
}

/* @cure NULL: it ran. */
static void assert_outcome(const struct result *result, const char *cure) {
    if (cure == NULL) {
        assert_ran(result);
        return;
    }
    if (!is_told(result) || strstr(result->errors, cure) == NULL)
        fail_msg("not '%s', but wait status 0x%x, errors: %s", cure, (unsigned)result->status,
                 result->errors);
    tally.refused++;
}

static void tally_print(const char *what) {
    print_message(
        "tried: %s: %u requests: %u ran, %u were refused with a cure, %u killed by the kernel; "
        "wrong outcomes 0\n",
        what, tally.tried, tally.ran, tally.refused, tally.killed);
    memset(&tally, 0, sizeof(tally));
}

struct pids {
    pid_t pids[16];
    size_t n;
};

static bool are_gone(void *context) {
    const struct pids *pids = context;

    for (size_t i = 0; i < pids->n; i++)
        if (kill(pids->pids[i], 0) == 0)
            return false;
    return true;
}

/* What the service would hand to the next client. It is not made again in a hurry. */
static void drop_what_waits(void) {
    struct pids pids;

    pids.n = service_children(service.pid, pids.pids, BASE_ARRAY_SIZE(pids.pids));
    /* One that could not have what it needs may have ended by itself meanwhile. */
    for (size_t i = 0; i < pids.n; i++)
        assert_true(kill(pids.pids[i], SIGKILL) == 0 || errno == ESRCH);
    assert_true(harness_wait_for(are_gone, &pids));
}

static bool all_is_there(void *context) {
    (void)context;
    return harness_count_processes(USER->uid) == SERVICE_PROCESSES;
}

/* What the service says for its manager's log is not looked at. */
static void enter(void *context) {
    int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);

    confine_enter(context);
    if (dup2(nothing, 2) < 0)
        _exit(203);
}

/* At the place where utsrun looks for it; returns when it has a session that waits. */
static void start_service(void) {
    char *const options[] = {"--idle-exit", "0", NULL};
    char path[108];

    harness_assert_nothing_left(USER);
    snprintf(path, sizeof(path), "%s/%u.sock", RUN_FOLDER, (unsigned)USER->uid);
    service_start_in(&service, USER, path, options, enter, &confine);
    if (!harness_wait_for(all_is_there, NULL)) {
        harness_print_processes(USER->uid);
        fail_msg("the service has no session that waits");
    }
}

static void end_service(void) {
    service_stop(&service);
    harness_assert_nothing_left(USER);
}

/* So much as there is, and what comes of it; with the service, of which nothing waits. */
struct amount {
    unsigned long amount;
    const char *cure;
    bool may_run; /* all the same: without a nursery, which may just be made anew */
};

static void try_directly(const struct amount *amounts, size_t n) {
    for (size_t i = 0; i < n; i++) {
        assert_true(confine_allow(&confine, amounts[i].amount));
        assert_outcome(ask("direct", confine_become, &confine), amounts[i].cure);
        assert_true(confine_allow(&confine, 1000));
        assert_ran(ask("direct", confine_become, &confine));
        harness_assert_nothing_left(USER);
    }
}

/* Often: a client may come while the service tries to have a session before one is asked for. */
static void try_service(void (*set_up)(void *context), const struct amount *amounts, size_t n) {
    assert_true(confine_allow(&confine, 1000));
    start_service();
    for (size_t i = 0; i < n; i++) {
        assert_true(confine_allow(&confine, amounts[i].amount));
        drop_what_waits();
        for (unsigned j = 0; j < REPEATS; j++) {
            const struct result *result = ask("service", set_up, &confine);

            assert_outcome(result, amounts[i].may_run && has_run(result) ? NULL : amounts[i].cure);
        }
        assert_true(confine_allow(&confine, 1000));
        assert_ran(ask("service", set_up, &confine));
        assert_ran(ask("service", set_up, &confine));
    }
    end_service();
}

/* One lives, with the only namespace that there may be. */
static void try_while_one_lives(void) {
    const struct run run = {.argv = {UTSRUN_PATH, "--via", "direct", "-n", "x.test", "--", "sh",
                                     "-c", "echo ready; exec sleep 50"},
                            .set_up = confine_become,
                            .context = &confine};
    int output, errors;
    pid_t pid;

    assert_true(confine_allow(&confine, 1));
    pid = harness_start(&run, &output, &errors);
    assert_string_equal(harness_read_line(output), "ready");
    assert_outcome(ask("direct", confine_become, &confine), too_many_namespaces);
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(output);
    close(errors);
    assert_ran(ask("direct", confine_become, &confine));
}

static void too_few_uts_namespaces(void **state) {
    static const struct amount directly[] = {{0, too_many_namespaces, false}, {1, NULL, false}},
                               by_service[] = {{0, too_many_namespaces, false}};
    (void)state;
    confine_to_namespace(&confine);
    try_directly(directly, BASE_ARRAY_SIZE(directly));
    try_while_one_lives();
    try_service(confine_become, by_service, BASE_ARRAY_SIZE(by_service));
    tally_print("UTS namespaces");
}

static void not_tried(const char *controller) {
    print_message("not tried: no cgroup with %s can be made here\n", controller);
    assert_false(test_is_in_ci());
}

/* utsrun, its broker, the command; the service, its nursery, a session, the command. */
static void too_few_processes_in_a_cgroup(void **state) {
    static const struct amount directly[] = {{1, too_many_processes, false},
                                             {2, too_many_processes, false},
                                             {3, NULL, false}},
                               by_service[] = {
                                   {1, too_many_processes, false},
                                   {2, too_many_processes, false},
                                   {3, too_many_processes, true},
                               };
    (void)state;
    if (!confine_to_cgroup(&confine, "pids")) {
        not_tried("pids");
        return;
    }
    try_directly(directly, BASE_ARRAY_SIZE(directly));
    try_service(become, by_service, BASE_ARRAY_SIZE(by_service));
    tally_print("processes in a cgroup");
}

/* What utsrun begins with. */
struct caller {
    __rlimit_resource_t resource;
    rlim_t limit;
};

static void be_caller(void *context) {
    const struct caller *caller = context;
    struct rlimit limit;

    confine_become(&confine);
    if (getrlimit(caller->resource, &limit) < 0)
        _exit(203);
    limit.rlim_cur = caller->limit;
    if (setrlimit(caller->resource, &limit) < 0)
        _exit(203);
}

/* As the user, whose process it is: to do it as root takes more (prlimit(2)). */
static void limit_service(__rlimit_resource_t resource, rlim_t soft) {
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct rlimit limit;

        harness_become(USER);
        if (prlimit(service.pid, resource, NULL, &limit) < 0)
            _exit(1);
        limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
        _exit(prlimit(service.pid, resource, &limit, NULL) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* In a user namespace nobody else's processes of the same user count (Linux 5.14). */
static void too_few_processes_of_a_user(void **state) {
    static const struct amount directly[] = {
        {1, too_many_processes, false}, {2, too_many_processes, false}, {3, NULL, false}};
    struct caller caller = {.resource = RLIMIT_NPROC, .limit = 1};

    (void)state;
    confine_to_namespace(&confine);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(directly); i++) {
        caller.limit = directly[i].amount;
        assert_outcome(ask("direct", be_caller, &caller), directly[i].cure);
        harness_assert_nothing_left(USER);
    }
    confine_end(&confine);

    start_service();
    caller = (struct caller){.resource = RLIMIT_NPROC, .limit = 1};
    assert_outcome(ask("service", be_caller, &caller), too_many_processes);
    assert_ran(ask("service", become, NULL));
    limit_service(RLIMIT_NPROC, 1);
    drop_what_waits();
    for (unsigned i = 0; i < REPEATS; i++)
        assert_outcome(ask("service", become, NULL), too_many_processes);
    limit_service(RLIMIT_NPROC, RLIM_INFINITY);
    assert_ran(ask("service", become, NULL));
    end_service();
    tally_print("processes of a user");
}

/* The kernel kills where memory is short, and then nothing can be said by who was killed. */
static void assert_memory_outcome(const struct result *result) {
    if (WIFSIGNALED(result->status) && WTERMSIG(result->status) == SIGKILL &&
        result->errors[0] == '\0')
        tally.killed++;
    else if (is_told(result) && (strstr(result->errors, "with more memory") != NULL ||
                                 strstr(result->errors, "not enough memory") != NULL ||
                                 strstr(result->errors, "use --via direct") != NULL))
        tally.refused++;
    else
        assert_ran(result);
}

/* A cgroup of its own each time: one that has been used keeps some memory for itself. */
static bool try_memory_directly(void) {
    for (unsigned long kilobytes = 16; kilobytes <= 4096; kilobytes += kilobytes / 4) {
        if (!confine_to_cgroup(&confine, "memory"))
            return false;
        assert_true(confine_allow(&confine, kilobytes << 10));
        assert_memory_outcome(ask("direct", confine_become, &confine));
        assert_true(confine_allow(&confine, 64 << 20));
        assert_ran(ask("direct", confine_become, &confine));
        harness_assert_nothing_left(USER);
        confine_end(&confine);
    }
    return true;
}

/* The service may be what is killed: then the service manager, here this test, starts it again. Its
 * socket is nobody else's, so that nobody waits for a service that is gone. */
static void start_killable_service(void) {
    start_service();
    base_close_fd(&service.listen_fd);
}

static bool is_served_again(void *context) {
    (void)context;
    if (waitpid(service.pid, NULL, WNOHANG) == service.pid)
        start_killable_service();
    return has_run(ask("service", become, NULL));
}

static void try_memory_of_service(void) {
    /* What a service that was killed leaves, somebody reaps who does nothing else: utsrun waits for
     * that to know how its command has ended. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
    for (unsigned long kilobytes = 128; kilobytes <= 2048; kilobytes += kilobytes / 4) {
        assert_true(confine_to_cgroup(&confine, "memory"));
        start_killable_service();
        /* Less than is in use cannot be had. */
        if (confine_allow(&confine, kilobytes << 10)) {
            drop_what_waits();
            for (unsigned i = 0; i < 2; i++)
                assert_memory_outcome(ask("service", become, NULL));
            assert_true(confine_allow(&confine, 64 << 20));
        }
        assert_true(harness_wait_for(is_served_again, NULL));
        assert_ran(ask("service", become, NULL));
        end_service();
        confine_end(&confine);
    }
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
}

static void too_little_memory_in_a_cgroup(void **state) {
    (void)state;
    if (!try_memory_directly()) {
        not_tried("memory");
        return;
    }
    try_memory_of_service();
    tally_print("memory in a cgroup");
}

/* utsrun needs some to say anything at all: a loader of its own, if it has one, says it instead. */
static bool has_no_loader(const struct result *result) {
    return WIFEXITED(result->status) && WEXITSTATUS(result->status) == 127 &&
           strstr(result->errors, "error while loading shared libraries") != NULL;
}

static void too_few_descriptors_of_utsrun(void **state) {
    (void)state;
    start_service();
    for (size_t way = 0; way < BASE_ARRAY_SIZE(ways); way++) {
        unsigned n_ran = 0;

        for (rlim_t limit = 3; limit <= 16; limit++) {
            struct caller caller = {.resource = RLIMIT_NOFILE, .limit = limit};
            const struct result *result = ask(ways[way], be_caller, &caller);

            if (!has_no_loader(result))
                assert_outcome(result, has_run(result) ? NULL : too_many_files);
            n_ran += has_run(result);
        }
        assert_true(n_ran < 14);
        assert_ran(ask(ways[way], become, NULL));
    }
    end_service();
    tally_print("descriptors of utsrun");
}

/* A policy that is newer is read again for each client, with sessions of its own. */
static void policy_settle(void) {
    while (harness_now() < policy_written + 3.1)
        usleep(10000);
}

/* With none for a connection clients wait, as in any queue; with fewer than it takes they are told.
 */
static void too_few_descriptors_of_the_service(void **state) {
    bool has_refused = false;

    (void)state;
    policy_settle();
    for (rlim_t limit = 9; limit <= 20; limit++) {
        start_service();
        limit_service(RLIMIT_NOFILE, limit);
        for (unsigned i = 0; i < 3; i++) {
            const struct result *result;

            drop_what_waits();
            result = ask("service", become, NULL);
            assert_outcome(result, has_run(result) ? NULL : too_many_files);
            has_refused |= !has_run(result);
        }
        limit_service(RLIMIT_NOFILE, RLIM_INFINITY);
        drop_what_waits(); /* made with the limit, which it has for ever */
        assert_ran(ask("service", become, NULL));
        end_service();
    }
    assert_true(has_refused);
    tally_print("descriptors of the service");
}

/* Neither a byte nor a file more can be had in the folder of the sockets. */
static void run_folder_fill(void) {
    static const char zeros[4096];
    char path[256];
    int fd = -1;

    for (unsigned i = 0; i == 0 || fd >= 0; i++) {
        snprintf(path, sizeof(path), "%s/fill-%u", RUN_FOLDER, i);
        base_close_fd(&fd);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        while (fd >= 0 && write(fd, zeros, sizeof(zeros)) > 0)
            ;
    }
}

static void run_folder_empty(void) {
    assert_int_equal(system("rm -f " RUN_FOLDER "/fill-*"), 0);
}

static bool socket_is_there(void *path) {
    return access(path, F_OK) == 0;
}

/* A service that binds its own socket, as another service manager than systemd starts it. */
static void a_full_run_folder(void **state) {
    static char path[128], folder[108];
    static struct result result;
    const struct run listen = {.argv = {"/usr/bin/setpriv", "--reuid=54321", "--regid=54322",
                                        "--clear-groups", "--inh-caps=-all,+sys_admin",
                                        "--bounding-set=-all,+sys_admin",
                                        "--ambient-caps=-all,+sys_admin", "--no-new-privs",
                                        BROKER_PATH, "--listen", path}};
    int output, errors, status;
    pid_t pid;

    (void)state;
    snprintf(folder, sizeof(folder), "%s/%u", RUN_FOLDER, (unsigned)USER->uid);
    snprintf(path, sizeof(path), "%s/socket", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(chown(folder, USER->uid, USER->gid), 0);
    start_service();
    run_folder_fill();
    for (unsigned i = 0; i < REPEATS; i++)
        for (size_t way = 0; way < BASE_ARRAY_SIZE(ways); way++)
            assert_ran(ask(ways[way], become, NULL)); /* neither needs it */
    end_service();
    run_folder_fill(); /* also where that socket was */

    harness_run(&listen, &result);
    tally.tried++;
    harness_assert_exit(&result, 125);
    if (strstr(result.errors, "utsbroker: listening at ") != result.errors ||
        strstr(result.errors, path) == NULL ||
        strstr(result.errors, "No space left on device; make room there") == NULL ||
        strchr(result.errors, '\n')[1] != '\0')
        fail_msg("%s", result.errors);
    tally.refused++;

    run_folder_empty();
    pid = harness_start(&listen, &output, &errors);
    assert_true(harness_wait_for(socket_is_there, path));
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(output);
    close(errors);
    assert_int_equal(rmdir(folder), 0);
    tally_print("a full folder of the sockets");
}

/* Who looks for the group "held" waits until somebody writes to the fifo. */
static void groups_hold(void) {
    assert_int_equal(mkfifo(HELD_PATH, 0644), 0);
}

static void groups_are_there_again(void) {
    assert_int_equal(unlink(HELD_PATH), 0);
}

/* Whoever waits finds no group, until @ended can be read. */
static void groups_let_go(int ended) {
    struct pollfd ready = {.fd = ended, .events = POLLIN};

    for (int i = 0; poll(&ready, 1, 10) == 0 && i < 1000; i++) {
        int fd = open(HELD_PATH, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

        base_close_fd(&fd);
    }
}

static bool one_is_made(void *context) {
    pid_t pids[4];

    (void)context;
    return service_children(service.pid, pids, BASE_ARRAY_SIZE(pids)) == 1;
}

/*
 * A client comes while a session is made that nobody has asked for, which looks for a group then,
 * and will have no gate: it is told so, as any other.
 */
static void a_client_while_a_session_is_made(void **state) {
    const struct run run = {.argv = {UTSRUN_PATH, "--via", "service", "-n", "x.test", "true"},
                            .set_up = confine_become,
                            .context = &confine};

    (void)state;
    confine_to_namespace(&confine);
    assert_true(confine_allow(&confine, 1000));
    policy_settle();
    start_service();
    assert_true(confine_allow(&confine, 0));
    for (unsigned i = 0; i < 3; i++) {
        int output, errors, status;
        const char *line;
        pid_t pid;

        groups_hold();
        drop_what_waits();
        assert_true(harness_wait_for(one_is_made, NULL));
        usleep(20000); /* until it looks */
        pid = harness_start(&run, &output, &errors);
        usleep(100000); /* until it is the client of that session */
        groups_let_go(errors);
        line = harness_read_line(errors);
        if (strstr(line, too_many_namespaces) == NULL)
            fail_msg("%s", line);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 125 << 8);
        groups_are_there_again();
        close(output);
        close(errors);
        tally.tried++;
        tally.refused++;
    }
    end_service();
    tally_print("a client while a session is made");
}

static pid_t sender; /* 0: there is none */

/* As many descriptors are on their way as one record carries, and nobody takes them. */
static void send_many(void) {
    int fds[CHANNEL_FDS_MAX], ends[2], ready[2];
    char byte;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    sender = fork();
    assert_true(sender >= 0);
    if (sender == 0) {
        harness_become(USER);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
            socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
            _exit(203);
        for (size_t i = 0; i < BASE_ARRAY_SIZE(fds); i++)
            fds[i] = ends[0];
        if (channel_send(ends[0], "", 1, fds, BASE_ARRAY_SIZE(fds)) < 0 ||
            write(ready[1], "", 1) != 1)
            _exit(203);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
}

static void send_no_more(void) {
    if (sender <= 0)
        return;
    (void)kill(sender, SIGKILL);
    (void)waitpid(sender, NULL, 0);
    sender = 0;
}

/* The session that works for @utsrun, or is going to; 0: none is seen. */
static pid_t session_of(pid_t utsrun, bool is_direct) {
    pid_t pids[16];
    size_t n = 0;

    for (int i = 0; i < 1000 && n == 0; i++)
        n = is_direct ? children_of(utsrun, pids, BASE_ARRAY_SIZE(pids))
                      : service_children(service.pid, pids, BASE_ARRAY_SIZE(pids));
    return n > 0 ? pids[0] : 0;
}

/* So much later the session may have no more on their way than there are. It may be gone by then.
 */
static void limit_later(pid_t session, long nanoseconds) {
    const struct timespec pause = {.tv_nsec = nanoseconds};
    const struct rlimit few = {100, 1024};
    pid_t pid = fork();

    if (pid == 0) {
        harness_become(USER);
        (void)nanosleep(&pause, NULL);
        if (session != 0)
            (void)prlimit(session, RLIMIT_NOFILE, &few, NULL);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void ask_and_limit(char *way, uint64_t *chance) {
    static struct result result;
    const struct run run = {
        .argv = {UTSRUN_PATH, "--via", way, "-n", "x.test", "--", PROBE_PATH, "be-named", "x.test"},
        .set_up = become};
    int output, errors;
    pid_t pid = harness_start(&run, &output, &errors);

    limit_later(session_of(pid, strcmp(way, "direct") == 0), (long)chance_below(chance, 2000000));
    memset(&result, 0, sizeof(result));
    assert_int_equal(waitpid(pid, &result.status, 0), pid);
    assert_true(read(errors, result.errors, sizeof(result.errors) - 1) >= 0);
    close(output);
    close(errors);
    tally.tried++;
    assert_outcome(&result, has_run(&result) ? NULL : too_many_files);
}

/* A broker can be short of them when it has let the command go, and has yet to say so. */
static void too_many_descriptors_on_their_way(void **state) {
    uint64_t chance = 0x9e3779b97f4a7c15U;

    (void)state;
    start_service();
    send_many();
    for (size_t way = 0; way < BASE_ARRAY_SIZE(ways); way++)
        for (unsigned i = 0; i < 100; i++)
            ask_and_limit(ways[way], &chance);
    assert_true(tally.refused > 0 && tally.ran > 0);
    send_no_more();
    assert_ran(ask("service", become, NULL));
    end_service();
    tally_print("descriptors on their way");
}

/* A case that failed does not make the next one fail. */
static int tear_down_case(void **state) {
    (void)state;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    send_no_more();
    if (service.pid != 0) {
        (void)kill(service.pid, SIGKILL);
        (void)waitpid(service.pid, NULL, 0);
        service.pid = 0;
        base_close_fd(&service.listen_fd);
        harness_assert_nothing_left(USER);
    }
    confine_end(&confine);
    (void)unlink(HELD_PATH);
    run_folder_empty();
    memset(&tally, 0, sizeof(tally));
    return 0;
}

/* What is mounted here is seen by this program alone. */
static int set_up(void **state) {
    if (harness_mount_dev() < 0 || system("mkdir -p -m 755 " RUN_FOLDER) != 0 ||
        mount("tmpfs", RUN_FOLDER, "tmpfs", 0, "mode=0755,size=64k,nr_inodes=32") < 0)
        return -1;
    if (harness_mount_groups() < 0 || harness_set_up(state) < 0)
        return -1;
    policy_write("60-group.conf", "permit group held hostname a.example\n");
    policy_written = harness_now();
    return 0;
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(too_few_uts_namespaces, tear_down_case),
    cmocka_unit_test_teardown(too_few_processes_in_a_cgroup, tear_down_case),
    cmocka_unit_test_teardown(too_few_processes_of_a_user, tear_down_case),
    cmocka_unit_test_teardown(too_little_memory_in_a_cgroup, tear_down_case),
    cmocka_unit_test_teardown(too_few_descriptors_of_utsrun, tear_down_case),
    cmocka_unit_test_teardown(a_full_run_folder, tear_down_case),
    cmocka_unit_test_teardown(too_many_descriptors_on_their_way, tear_down_case),
    cmocka_unit_test_teardown(too_few_descriptors_of_the_service, tear_down_case),
    cmocka_unit_test_teardown(a_client_while_a_session_is_made, tear_down_case),
};

TEST_MAIN_AS_ROOT(tests, set_up, harness_tear_down)
