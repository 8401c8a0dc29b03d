/*
 * Too little of a resource, for utsrun, its broker or the service: each reports it in one line that
 * says which resource is short and what to do. As soon as there is more, the next request is
 * served. One program tests both modes, because each case has a service of its own.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/hostile/chance.h"
#include "tests/hostile/confine.h"
#include "tests/integration/harness.h"
#include "utsbroker/channel.h"
#include "utsbroker/resource.h"

enum { NAMED = 42 /* the probe's status if everything is right */, REPEATS = 12 };

static char *const modes[] = {"direct", "service"};
#define USER USER_WITHOUT_NAME

static const char too_many_namespaces[] =
    "too many UTS namespaces exist: end some commands, or raise user.max_uts_namespaces";
static const char too_many_processes[] =
    "too many processes: end some, or raise the limit (ulimit -u";
/* The message also for too many descriptors in transit between processes. */
static const char too_many_files[] = "raise the limit (ulimit -n)";

static struct { unsigned tried, ran, refused, killed; } tally;

static struct test_service service;
static double policy_written;
static struct confine confine; /* the confinement of the case, if it has one */

/* Requests a command in the mode @mode; @set_up makes utsrun the user. */
static const struct result *ask(char *mode, void (*set_up)(void *context), void *context) {
    static struct result result;
    const struct run run = {.argv = {UTSRUN_PATH, "--via", mode, "-n", "x.test", "--", PROBE_PATH,
                                     "be-named", "x.test"},
                            .set_up = set_up,
                            .context = context};

    harness_run(&run, &result);
    tally.tried++;
    return &result;
}

/* The service may be confined, but utsrun is not. */
static void become(void *context) {
    (void)context;
    harness_become(USER);
}

static bool has_run(const struct result *result) {
    return WIFEXITED(result->status) && WEXITSTATUS(result->status) == NAMED &&
           result->errors[0] == '\0';
}

/* One line by utsrun, and utsrun's own exit status. */
static bool is_message(const struct result *result) {
    const char *end = strchr(result->errors, '\n');

    return WIFEXITED(result->status) && WEXITSTATUS(result->status) == 125 &&
           strncmp(result->errors, "utsrun: ", 8) == 0 && end != NULL && end[1] == '\0';
}

static void assert_ran(const struct result *result) {
    if (!has_run(result))
        fail_msg("wait status 0x%x, errors: %s", (unsigned)result->status, result->errors);
    tally.ran++;
}

/* @fix NULL: the command must have run. */
static void assert_outcome(const struct result *result, const char *fix) {
    if (fix == NULL) {
        assert_ran(result);
        return;
    }
    if (!is_message(result) || strstr(result->errors, fix) == NULL)
        fail_msg("not '%s', but wait status 0x%x, errors: %s", fix, (unsigned)result->status,
                 result->errors);
    tally.refused++;
}

static void tally_print(const char *what) {
    print_message(
        "tried: %s: %u requests: %u ran, %u were refused with a fix, %u killed by the kernel; "
        "wrong outcomes 0\n",
        what, tally.tried, tally.ran, tally.refused, tally.killed);
    memset(&tally, 0, sizeof(tally));
}

struct pids {
    pid_t pids[16];
    size_t n;
};

static bool have_ended(void *context) {
    const struct pids *pids = context;

    for (size_t i = 0; i < pids->n; i++)
        if (kill(pids->pids[i], 0) == 0)
            return false;
    return true;
}

/* Kills the ready session. The service does not make a new one at once. */
static void drop_ready_session(void) {
    struct pids pids;

    pids.n = service_children(service.pid, pids.pids, BASE_ARRAY_SIZE(pids.pids));
    /* A session that lacked a resource may have ended by itself. */
    for (size_t i = 0; i < pids.n; i++)
        assert_true(kill(pids.pids[i], SIGKILL) == 0 || errno == ESRCH);
    assert_true(harness_wait_for(have_ended, &pids));
}

static bool has_ready_session(void *context) {
    (void)context;
    return harness_count_processes(USER->uid) == SERVICE_PROCESSES;
}

/* The service's messages to its manager are not checked. */
static void enter(void *context) {
    int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);

    confine_enter(context);
    if (dup2(nothing, 2) < 0)
        _exit(203);
}

/* Starts the service where utsrun looks for it; returns when it has a ready session. */
static void start_service(void) {
    char *const options[] = {"--idle-exit", "0", NULL};
    char path[108];

    harness_assert_nothing_left(USER);
    snprintf(path, sizeof(path), "%s/%u.sock", RUN_FOLDER, (unsigned)USER->uid);
    service_start_in(&service, USER, path, options, enter, &confine);
    if (!harness_wait_for(has_ready_session, NULL)) {
        harness_print_processes(USER->uid);
        fail_msg("the service has no session that waits");
    }
}

static void end_service(void) {
    service_stop(&service);
    harness_assert_nothing_left(USER);
}

/* The amount of the resource, and the outcome; in service mode, when there is no ready session. */
struct amount {
    unsigned long amount;
    const char *fix;
    bool may_run; /* it may also run: without a zygote, which may have just been made again */
};

static void try_directly(const struct amount *amounts, size_t n) {
    for (size_t i = 0; i < n; i++) {
        assert_true(confine_allow(&confine, amounts[i].amount));
        assert_outcome(ask("direct", confine_become, &confine), amounts[i].fix);
        assert_true(confine_allow(&confine, 1000));
        assert_ran(ask("direct", confine_become, &confine));
        harness_assert_nothing_left(USER);
    }
}

/* Many times: a client may connect while the service tries to make its ready session. */
static void try_service(void (*set_up)(void *context), const struct amount *amounts, size_t n) {
    assert_true(confine_allow(&confine, 1000));
    start_service();
    for (size_t i = 0; i < n; i++) {
        assert_true(confine_allow(&confine, amounts[i].amount));
        drop_ready_session();
        for (unsigned j = 0; j < REPEATS; j++) {
            const struct result *result = ask("service", set_up, &confine);

            assert_outcome(result, amounts[i].may_run && has_run(result) ? NULL : amounts[i].fix);
        }
        assert_true(confine_allow(&confine, 1000));
        assert_ran(ask("service", set_up, &confine));
        assert_ran(ask("service", set_up, &confine));
    }
    end_service();
}

/* A command lives, with the only permitted namespace. */
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

/*
 * Direct: utsrun, its broker, the command. Service: the service, its zygote, a session, the
 * command.
 */
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

/* The limits that utsrun starts with. */
struct caller {
    resource_limit resource;
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

/* As the user, who owns the process: root would need another capability (prlimit(2)). */
static void limit_service(resource_limit resource, rlim_t soft) {
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

/* In a user namespace the user's processes outside do not count (Linux 5.14). */
static void too_few_processes_of_a_user(void **state) {
    static const struct amount directly[] = {
        {1, too_many_processes, false}, {2, too_many_processes, false}, {3, NULL, false}};
    struct caller caller = {.resource = RLIMIT_NPROC, .limit = 1};

    (void)state;
    confine_to_namespace(&confine);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(directly); i++) {
        caller.limit = directly[i].amount;
        assert_outcome(ask("direct", be_caller, &caller), directly[i].fix);
        harness_assert_nothing_left(USER);
    }
    confine_end(&confine);

    start_service();
    caller = (struct caller){.resource = RLIMIT_NPROC, .limit = 1};
    assert_outcome(ask("service", be_caller, &caller), too_many_processes);
    assert_ran(ask("service", become, NULL));
    limit_service(RLIMIT_NPROC, 1);
    drop_ready_session();
    for (unsigned i = 0; i < REPEATS; i++)
        assert_outcome(ask("service", become, NULL), too_many_processes);
    limit_service(RLIMIT_NPROC, RLIM_INFINITY);
    assert_ran(ask("service", become, NULL));
    end_service();
    tally_print("processes of a user");
}

/* Without memory the kernel kills a process, which then can print nothing. */
static void assert_memory_outcome(const struct result *result) {
    if (WIFSIGNALED(result->status) && WTERMSIG(result->status) == SIGKILL &&
        result->errors[0] == '\0')
        tally.killed++;
    else if (is_message(result) && (strstr(result->errors, "with more memory") != NULL ||
                                    strstr(result->errors, "not enough memory") != NULL ||
                                    strstr(result->errors, "use --via direct") != NULL))
        tally.refused++;
    else
        assert_ran(result);
}

/* A new cgroup each time: a used one keeps some memory for itself. */
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

/*
 * The kernel may kill the service: then the service manager, here this test, starts it again. Only
 * this test has the socket open, so no client waits for a service that is gone.
 */
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
    /* An idle process must reap the orphans of a killed service: utsrun waits for that to learn how
     * its command ended. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
    for (unsigned long kilobytes = 128; kilobytes <= 2048; kilobytes += kilobytes / 4) {
        assert_true(confine_to_cgroup(&confine, "memory"));
        start_killable_service();
        /* The limit cannot be less than what is in use. */
        if (confine_allow(&confine, kilobytes << 10)) {
            drop_ready_session();
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

/*
 * utsrun needs some descriptors to print anything: with a dynamic loader, the loader prints the
 * error.
 */
static bool has_no_loader(const struct result *result) {
    return WIFEXITED(result->status) && WEXITSTATUS(result->status) == 127 &&
           strstr(result->errors, "error while loading shared libraries") != NULL;
}

static void too_few_descriptors_of_utsrun(void **state) {
    (void)state;
    start_service();
    for (size_t mode = 0; mode < BASE_ARRAY_SIZE(modes); mode++) {
        unsigned n_ran = 0;

        for (rlim_t limit = 3; limit <= 16; limit++) {
            struct caller caller = {.resource = RLIMIT_NOFILE, .limit = limit};
            const struct result *result = ask(modes[mode], be_caller, &caller);

            if (!has_no_loader(result))
                assert_outcome(result, has_run(result) ? NULL : too_many_files);
            n_ran += has_run(result);
        }
        assert_true(n_ran < 14);
        assert_ran(ask(modes[mode], become, NULL));
    }
    end_service();
    tally_print("descriptors of utsrun");
}

/* A newer policy is read again for each client, with a new session each time. */
static void policy_settle(void) {
    while (harness_now() < policy_written + 3.1)
        usleep(10000);
}

/*
 * Without a descriptor for a connection, clients wait as in any queue; with too few for a request,
 * they get a message.
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

            drop_ready_session();
            result = ask("service", become, NULL);
            assert_outcome(result, has_run(result) ? NULL : too_many_files);
            has_refused |= !has_run(result);
        }
        limit_service(RLIMIT_NOFILE, RLIM_INFINITY);
        drop_ready_session(); /* it was made under the limit, which it keeps */
        assert_ran(ask("service", become, NULL));
        end_service();
    }
    assert_true(has_refused);
    tally_print("descriptors of the service");
}

/* The folder of the sockets has no room for a byte or a file more. */
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

/* A service that binds its own socket, as a service manager other than systemd starts it. */
static void a_full_run_folder(void **state) {
    static char path[128], folder[108];
    static struct result result;
    const struct run listen = {.argv = {"/usr/bin/setpriv", "--reuid=54321", "--regid=54322",
                                        "--clear-groups", "--inh-caps=-all,+sys_admin",
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
        for (size_t mode = 0; mode < BASE_ARRAY_SIZE(modes); mode++)
            assert_ran(ask(modes[mode], become, NULL)); /* neither mode needs the folder */
    end_service();
    run_folder_fill(); /* also the room that the socket had */

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

/* A lookup of the group "held" waits until a process writes to the fifo. */
static void hold_group_lookups(void) {
    assert_int_equal(mkfifo(HELD_PATH, 0644), 0);
}

static void restore_group_lookups(void) {
    assert_int_equal(unlink(HELD_PATH), 0);
}

/* All waiting lookups find no group, until @ended is readable. */
static void release_group_lookups(int ended) {
    struct pollfd ready = {.fd = ended, .events = POLLIN};

    for (int i = 0; poll(&ready, 1, 10) == 0 && i < 1000; i++) {
        int fd = open(HELD_PATH, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

        base_close_fd(&fd);
    }
}

static bool is_session_being_made(void *context) {
    pid_t pids[4];

    (void)context;
    return service_children(service.pid, pids, BASE_ARRAY_SIZE(pids)) == 1;
}

/*
 * A client connects while the service makes its ready session, which looks up a group at that
 * moment and will get no gate: this client gets the message as any other.
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

        hold_group_lookups();
        drop_ready_session();
        assert_true(harness_wait_for(is_session_being_made, NULL));
        usleep(20000); /* until the session looks up the group */
        pid = harness_start(&run, &output, &errors);
        usleep(100000); /* until the session has this client */
        release_group_lookups(errors);
        line = harness_read_line(errors);
        if (strstr(line, too_many_namespaces) == NULL)
            fail_msg("%s", line);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 125 << 8);
        restore_group_lookups();
        close(output);
        close(errors);
        tally.tried++;
        tally.refused++;
    }
    end_service();
    tally_print("a client while a session is made");
}

static pid_t sender; /* 0: none */

/* As many descriptors as one record carries are in transit, and no process receives them. */
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

/* The session that serves @utsrun or will serve it; 0: none is visible. */
static pid_t session_of(pid_t utsrun, bool is_direct) {
    pid_t pids[16];
    size_t n = 0;

    for (int i = 0; i < 1000 && n == 0; i++)
        n = is_direct ? children_of(utsrun, pids, BASE_ARRAY_SIZE(pids))
                      : service_children(service.pid, pids, BASE_ARRAY_SIZE(pids));
    return n > 0 ? pids[0] : 0;
}

/*
 * After that time, limits the descriptors that the session may have in transit to the present
 * number. The session may have ended by then.
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

static void ask_and_limit(char *mode, uint64_t *chance) {
    static struct result result;
    const struct run run = {.argv = {UTSRUN_PATH, "--via", mode, "-n", "x.test", "--", PROBE_PATH,
                                     "be-named", "x.test"},
                            .set_up = become};
    int output, errors;
    pid_t pid = harness_start(&run, &output, &errors);

    limit_later(session_of(pid, strcmp(mode, "direct") == 0), (long)chance_below(chance, 2000000));
    memset(&result, 0, sizeof(result));
    assert_int_equal(waitpid(pid, &result.status, 0), pid);
    assert_true(read(errors, result.errors, sizeof(result.errors) - 1) >= 0);
    close(output);
    close(errors);
    tally.tried++;
    assert_outcome(&result, has_run(&result) ? NULL : too_many_files);
}

/* The broker may lack descriptors when it has released the command and not yet replied. */
static void too_many_descriptors_in_transit(void **state) {
    uint64_t chance = 0x9e3779b97f4a7c15U;

    (void)state;
    start_service();
    send_many();
    for (size_t mode = 0; mode < BASE_ARRAY_SIZE(modes); mode++)
        for (unsigned i = 0; i < 100; i++)
            ask_and_limit(modes[mode], &chance);
    assert_true(tally.refused > 0 && tally.ran > 0);
    send_no_more();
    assert_ran(ask("service", become, NULL));
    end_service();
    tally_print("descriptors in transit");
}

/* A failed case must not make the next one fail. */
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

/* Only this program sees these mounts. */
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
    cmocka_unit_test_teardown(too_many_descriptors_in_transit, tear_down_case),
    cmocka_unit_test_teardown(too_few_descriptors_of_the_service, tear_down_case),
    cmocka_unit_test_teardown(a_client_while_a_session_is_made, tear_down_case),
};

TEST_MAIN_AS_ROOT(tests, set_up, harness_tear_down)
