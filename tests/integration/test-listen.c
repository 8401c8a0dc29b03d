/*
 * The service itself: how and where it starts, when it ends, and what each of its processes holds.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/integration/harness.h"

#define FOLDER "/tmp/test-listen"
#define OWN_PATH FOLDER "/own.sock"

/* What a service manager passes; @make NULL: descriptor 3 is closed. */
struct passed {
    int (*make)(void);
    const char *n;  /* LISTEN_FDS */
    int pid_offset; /* LISTEN_PID minus the service's own pid */
    bool has_no_new_privs;
};

static char listen_pid[32], listen_fds[32], notify[128];
static char *manager_environment[] = {"PATH=/usr/bin:/bin", listen_pid, listen_fds, notify, NULL};

static int socket_of(int domain, int type, bool is_listening) {
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in internet = {.sin_family = AF_INET};
    int fd = socket(domain, type, 0);
    int r = domain == AF_UNIX ? bind(fd, (const struct sockaddr *)&local, sizeof(local.sun_family))
                              : bind(fd, (const struct sockaddr *)&internet, sizeof(internet));

    if (fd < 0 || r < 0 || (is_listening && listen(fd, 8) < 0))
        _exit(201);
    return fd;
}

static int good_socket(void) {
    return socket_of(AF_UNIX, SOCK_SEQPACKET, true);
}

static int stream_socket(void) {
    return socket_of(AF_UNIX, SOCK_STREAM, true);
}

static int internet_socket(void) {
    return socket_of(AF_INET, SOCK_STREAM, true);
}

static int deaf_socket(void) {
    return socket_of(AF_UNIX, SOCK_SEQPACKET, false);
}

static int one_end_of_a_pair(void) {
    int ends[2];

    return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0 ? ends[0] : -1;
}

static int no_socket(void) {
    return open("/etc/passwd", O_RDONLY);
}

/* In the child, which has no descriptor above 2 and its own copy of the environment. */
static void pass_socket(void *context) {
    const struct passed *passed = context;
    int fd = passed->make != NULL ? passed->make() : 3;

    if (fd != 3 || (passed->has_no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0))
        _exit(203);
    snprintf(listen_pid, sizeof(listen_pid), "LISTEN_PID=%d", (int)getpid() + passed->pid_offset);
    snprintf(listen_fds, sizeof(listen_fds), "LISTEN_FDS=%s", passed->n);
}

/* As a service manager starts it, with @options, ended by NULL, after "utsbroker". */
static struct run managed_run(struct passed *passed, char *const options[]) {
    static char ids[2][16], groups[64];
    struct run run = {.argv = {"/usr/bin/setpriv", "--reuid", ids[0], "--regid", ids[1], groups,
                               "--inh-caps=-all,+sys_admin", "--ambient-caps=-all,+sys_admin",
                               "--no-new-privs", BROKER_PATH},
                      .environment = manager_environment,
                      .set_up = pass_socket,
                      .context = passed};
    const struct user *user = USER_WITHOUT_NAME;

    snprintf(ids[0], sizeof(ids[0]), "%u", (unsigned)user->uid);
    snprintf(ids[1], sizeof(ids[1]), "%u", (unsigned)user->gid);
    snprintf(groups, sizeof(groups), "--groups=%u,%u", (unsigned)user->groups[0],
             (unsigned)user->groups[1]);
    for (size_t i = 0; options[i] != NULL; i++)
        run.argv[10 + i] = options[i];
    return run;
}

/* As the user starts it, without a capability. */
static struct run unprivileged_run(struct passed *passed, char *const options[]) {
    struct run run = {.user = USER_WITHOUT_NAME,
                      .argv = {BROKER_PATH},
                      .environment = manager_environment,
                      .set_up = pass_socket,
                      .context = passed};

    for (size_t i = 0; options[i] != NULL; i++)
        run.argv[1 + i] = options[i];
    return run;
}

static void assert_refused(const char *what, const struct run *run, int code, const char *message) {
    static struct result result;

    harness_run(run, &result);
    if (!WIFEXITED(result.status) || WEXITSTATUS(result.status) != code ||
        strstr(result.errors, message) == NULL)
        fail_msg("%s: wait status 0x%x, not exit %d: %s", what, result.status, code, result.errors);
}

#define NONE "takes its socket from the service manager (LISTEN_FDS), which has passed none"
#define WRONG "passed a socket that is not a listening SOCK_SEQPACKET socket of AF_UNIX"

static void descriptors_that_no_service_manager_passes_are_refused(void **state) {
    static struct {
        const char *what;
        struct passed passed;
        const char *message;
    } cases[] = {
        {"two sockets", {good_socket, "2", 0, false}, WRONG},
        {"none", {NULL, "0", 0, false}, NONE},
        {"nothing open", {NULL, "1", 0, false}, WRONG},
        {"no number", {good_socket, "", 0, false}, NONE},
        {"no decimal number", {good_socket, "0x1", 0, false}, NONE},
        {"a number and more", {good_socket, "1 ", 0, false}, NONE},
        {"a negative number", {good_socket, "-1", 0, false}, NONE},
        {"a number too high", {good_socket, "99999999999999999999", 0, false}, NONE},
        {"another process's", {good_socket, "1", 1, false}, NONE},
        {"a stream", {stream_socket, "1", 0, false}, WRONG},
        {"of the internet", {internet_socket, "1", 0, false}, WRONG},
        {"one that does not listen", {deaf_socket, "1", 0, false}, WRONG},
        {"one that is connected", {one_end_of_a_pair, "1", 0, false}, WRONG},
        {"a file", {no_socket, "1", 0, false}, WRONG},
    };
    char *const options[] = {"--listen", NULL};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct run run = managed_run(&cases[i].passed, options);

        assert_refused(cases[i].what, &run, 125, cases[i].message);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void a_wrong_option_is_refused(void **state) {
    static const struct {
        char *options[6];
        const char *message;
    } cases[] = {
        {{"--listen", "own.sock"}, "unknown option"},
        {{"--listen", "--idle-exit"}, "a value is missing"},
        {{"--listen", "--idle-exit", "-1"}, "--idle-exit takes seconds"},
        {{"--listen", "--idle-exit", "1s"}, "--idle-exit takes seconds"},
        {{"--listen", "--idle-exit", ""}, "--idle-exit takes seconds"},
        {{"--listen", "--idle-exit", "99999999999"}, "--idle-exit takes seconds"},
        {{"--listen", "--session-fd", "3"}, "say one of --session-fd and --listen"},
        {{"--idle-exit", "1"}, "say one of --session-fd and --listen"},
    };
    static struct passed good = {good_socket, "1", 0, false};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct run run = managed_run(&good, cases[i].options);

        assert_refused(cases[i].message, &run, 125, cases[i].message);
    }
}

/* And it leaves no socket. */
static void without_the_capability_it_says_what_it_needs(void **state) {
    static const char needs[] = "the service needs CAP_SYS_ADMIN, as an ambient capability",
                      disobeys[] = "only a caller that holds CAP_SYS_ADMIN may give this option";
    static const struct {
        bool has_no_new_privs;
        char *options[4];
        int code;
        const char *message;
    } cases[] = {
        {true, {"--listen"}, 1, needs},
        {true, {"--listen", OWN_PATH}, 1, needs},
        /* It got the capability from its file, so it obeys no option of its caller. */
        {false, {"--listen"}, 125, disobeys},
        {false, {"--listen", OWN_PATH}, 125, disobeys},
        {false, {"--idle-exit", "1"}, 125, disobeys},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct passed passed = {good_socket, "1", 0, cases[i].has_no_new_privs};
        const struct run run = unprivileged_run(&passed, cases[i].options);

        assert_refused(cases[i].options[0], &run, cases[i].code, cases[i].message);
        assert_int_equal(access(OWN_PATH, F_OK), -1);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* Binds a socket at @path as root; after @fd is closed the file stays, a stale socket. */
static int bind_at(const char *path, int type) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_true(type == SOCK_DGRAM || listen(fd, 8) == 0);
    assert_int_equal(chmod(path, 0666), 0);
    return fd;
}

static ino_t inode_of(const char *path) {
    struct stat status;

    return lstat(path, &status) == 0 ? status.st_ino : 0;
}

static void the_service_removes_no_file_of_others(void **state) {
    static char in_use[] = FOLDER "/in-use", other_type[] = FOLDER "/other-type",
                stale[] = FOLDER "/stale-of-root", file[] = FOLDER "/file", link[] = FOLDER "/link",
                folder[] = FOLDER "/folder", missing[] = FOLDER "/no/x",
                longest[] = FOLDER "/0123456789012345678901234567890123456789012345678901234567890"
                                   "12345678901234567890123456789012345678901234";
    static const struct {
        char *path;
        const char *message;
    } cases[] = {
        {in_use, "another process listens at this path already"},
        {other_type, " failed: Address already in use"},
        {stale, " failed: Address already in use"},
        {file, " failed: Address already in use"},
        {link, " failed: Address already in use"},
        {folder, " failed: Address already in use"},
        {missing, " failed: No such file or directory"},
        {longest, " failed: File name too long"},
    };
    static struct passed nothing = {NULL, "0", 0, false};
    CLEANUP_FD int used = bind_at(in_use, SOCK_SEQPACKET);
    CLEANUP_FD int other = bind_at(other_type, SOCK_STREAM);

    (void)state;
    close(bind_at(stale, SOCK_SEQPACKET));
    assert_int_equal(system("cd " FOLDER " && mkdir folder && touch file && ln -s nowhere link && "
                            "chown -h 0 file link folder"),
                     0);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        char *const options[] = {"--listen", cases[i].path, NULL};
        const struct run run = managed_run(&nothing, options);
        ino_t before = inode_of(cases[i].path);

        assert_refused(cases[i].path, &run, 125, cases[i].message);
        assert_int_equal(inode_of(cases[i].path), before);
    }
    assert_true(used >= 0 && other >= 0);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/*
 * Starts a service, and waits until it reports at @address, a path or '@' and a name, that it is
 * ready.
 */
static pid_t start_ready(char *const options[], const char *address, int *errorsp) {
    static struct passed nothing = {NULL, "0", 0, false};
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    struct run run;
    char text[16] = "";
    int output;
    pid_t pid;

    (void)unlink(address);
    memcpy(at.sun_path, address, strlen(address));
    if (address[0] == '@')
        at.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (const struct sockaddr *)&at,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address))),
                     0);
    if (address[0] == '/')
        assert_int_equal(chmod(address, 0666), 0);
    snprintf(notify, sizeof(notify), "NOTIFY_SOCKET=%s", address);
    run = managed_run(&nothing, options);
    pid = harness_start(&run, &output, errorsp);
    notify[0] = '\0';
    close(output);
    if (poll(&ready, 1, 10000) != 1 || recv(fd, text, sizeof(text) - 1, 0) <= 0)
        fail_msg("no service reported at %s that it is ready", address);
    assert_string_equal(text, "READY=1");
    return pid;
}

static int end_of(pid_t pid, int signal_number) {
    int status;

    assert_int_equal(kill(pid, signal_number), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void assert_serves(char *path) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {CLIENT_PATH, path, "run", "exit 5"}};

    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    assert_string_equal(result.output, "status 0 errno 0\nnotice 1280\nend\n");
}

static void its_own_socket_is_only_for_the_user_and_ends_with_it(void **state) {
    char *const options[] = {"--listen", OWN_PATH, NULL};
    static const char *const addresses[] = {FOLDER "/notify", "@utsbroker-test-listen"};
    static const int signals[] = {SIGTERM, SIGINT};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(addresses); i++) {
        struct stat status;
        int errors;
        pid_t pid = start_ready(options, addresses[i], &errors);

        assert_int_equal(lstat(OWN_PATH, &status), 0);
        assert_int_equal(status.st_mode, S_IFSOCK | 0600);
        assert_int_equal(status.st_uid, USER_WITHOUT_NAME->uid);
        assert_serves(OWN_PATH);
        /* A service that is killed leaves its socket; the next service replaces it. */
        assert_int_equal(end_of(pid, SIGKILL), SIGKILL);
        close(errors);
        assert_int_equal(access(OWN_PATH, F_OK), 0);
        pid = start_ready(options, addresses[i], &errors);
        assert_serves(OWN_PATH);
        assert_int_equal(end_of(pid, signals[i]), 0);
        close(errors);
        assert_int_equal(access(OWN_PATH, F_OK), -1);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* Starts a client of the service at @path: it has a command of @script and waits for its end. */
static pid_t client_start(char *path, char *script) {
    const struct run run = {.user = USER_WITHOUT_NAME, .argv = {CLIENT_PATH, path, "run", script}};
    int output, errors;
    pid_t pid = harness_start(&run, &output, &errors);

    assert_string_equal(harness_read_line(output), "status 0 errno 0");
    close(output); /* what utsrun prints then is a failed write(2), which utsrun ignores */
    close(errors);
    return pid;
}

/*
 * Limits the service, as its user may, so that it can make no new process; and kills its children,
 * so that it has no ready session.
 */
static void limit_processes(pid_t service) {
    const struct rlimit none = {0, 0};
    pid_t children[8], user = fork();
    size_t n;
    int status;

    if (user == 0) {
        harness_become(USER_WITHOUT_NAME);
        _exit(prlimit(service, RLIMIT_NPROC, &none, NULL) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(user, &status, 0), user);
    assert_int_equal(status, 0);
    n = children_of(service, children, 8);
    for (size_t i = 0; i < n; i++)
        (void)kill(children[i], SIGKILL);
}

/* All cases run at the same time, because each takes seconds. */
static void without_clients_and_commands_it_ends_by_itself(void **state) {
    static const struct {
        char *script; /* NULL: no client connects */
        double every; /* seconds between clients, for two and a half seconds */
        double earliest, latest;
    } cases[] = {
        {NULL, 9, 0.9, 2.2},
        {"exec sleep 2.5", 9, 3.3, 5},
        {"exec true", 0.5, 2.9, 5},
        /* The command ends at once, its background process does not. */
        {"sleep 2.5 & exit 0", 9, 2.4, 5},
        /* It can make no ready session, and tries again. */
        {NULL, 9, 0.9, 2.2},
    };
    enum { N = BASE_ARRAY_SIZE(cases) };
    char *const options[] = {"--idle-exit", "1", NULL};
    struct test_service services[N];
    double begins[N], asks[N];
    size_t n_left = N;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        char path[64];

        snprintf(path, sizeof(path), "%s/%zu.sock", FOLDER, i);
        service_start(&services[i], USER_WITHOUT_NAME, path, options);
        begins[i] = asks[i] = harness_now();
        if (i == N - 1)
            limit_processes(services[i].pid);
    }
    for (double begin = harness_now(); n_left > 0 && harness_now() < begin + 8; usleep(20000)) {
        for (size_t i = 0; i < N; i++) {
            double age = harness_now() - begins[i];
            pid_t client;
            int status;

            if (services[i].pid == 0)
                continue;
            if (waitpid(services[i].pid, &status, WNOHANG) == services[i].pid) {
                if (status != 0 || age < cases[i].earliest || age > cases[i].latest)
                    fail_msg("case %zu: ended after %.2f s, wait status 0x%x", i, age, status);
                services[i].pid = 0;
                n_left--;
            } else if (cases[i].script != NULL && asks[i] <= harness_now() && age < 2.5) {
                client = client_start(services[i].path, cases[i].script);
                asks[i] = harness_now() + cases[i].every;
                if (i != 1) /* its command is still alive */
                    assert_int_equal(waitpid(client, &status, 0), client);
            }
        }
    }
    assert_int_equal(n_left, 0);
    for (size_t i = 0; i < N; i++) {
        close(services[i].listen_fd);
        unlink(services[i].path);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static struct test_service service;

static void service_begin(void) {
    char *const options[] = {"--idle-exit", "0", NULL};
    char path[108];

    snprintf(path, sizeof(path), "%s/%u.sock", RUN_FOLDER, (unsigned)USER_WITHOUT_NAME->uid);
    service_start(&service, USER_WITHOUT_NAME, path, options);
}

/* Starts a command by the service; returns after the command has printed "ready" and its pid. */
static pid_t start_ready_command(char *script, void (*set_up)(void *context), pid_t *commandp) {
    const struct run run = {
        .user = USER_WITHOUT_NAME,
        .argv = {UTSRUN_PATH, "--via", "service", "-n", "x.test", "sh", "-c", script},
        .set_up = set_up};
    int output, errors;
    pid_t pid = harness_start(&run, &output, &errors);

    assert_int_equal(sscanf(harness_read_line(output), "ready %d", commandp), 1);
    close(output);
    close(errors);
    return pid;
}

/* It sends SIGTERM first; after ten seconds it kills the commands that are still alive. */
static void a_stopping_service_ends_every_command_first(void **state) {
    static const struct {
        char *script;
        int status; /* utsrun's */
    } cases[] = {
        {"echo ready $$; exec sleep 60", SIGTERM},
        {"exec 2>/dev/null; trap 'exit 3' TERM; echo ready $$; while :; do sleep 0.05; done",
         3 << 8},
        {"exec 2>/dev/null; echo ready $$; sleep 60 & sleep 60 & wait", SIGTERM},
        {"echo ready $$; kill -STOP $$", SIGTERM},
        {"exec 2>/dev/null; trap '' TERM; echo ready $$; while :; do sleep 1; done", SIGKILL},
    };
    enum { N = BASE_ARRAY_SIZE(cases) };
    pid_t pids[N], command;
    double begin;
    int status;

    (void)state;
    service_begin();
    for (size_t i = 0; i < N; i++)
        pids[i] = start_ready_command(cases[i].script, NULL, &command);
    usleep(200000); /* until the command that stops itself has done so */
    begin = harness_now();
    assert_int_equal(kill(service.pid, SIGTERM), 0);
    for (size_t i = 0; i < N; i++) {
        (void)kill(pids[i], SIGCONT); /* utsrun stopped when its command did */
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        if (status != cases[i].status)
            fail_msg("%s: wait status 0x%x, not 0x%x", cases[i].script, status, cases[i].status);
        if (i < N - 1)
            assert_true(harness_now() < begin + 3);
    }
    assert_int_equal(waitpid(service.pid, &status, 0), service.pid);
    service.pid = 0;
    assert_int_equal(status, 0);
    assert_true(harness_now() > begin + 9 && harness_now() < begin + 13);
    close(service.listen_fd);
    unlink(service.path);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/*
 * A command is running, and the ready session, with its filter and its gate, waits for the next
 * client.
 */
struct processes {
    pid_t service, zygote, session, gate, command;
};

static bool all_processes_exist(void *context) {
    struct processes *all = context;
    pid_t children[4];
    size_t n = service_children(all->service, children, 4);

    all->zygote = service_zygote(all->service);
    all->session = all->gate = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(harness_status_line(children[i], "Seccomp"), "2") == 0)
            all->session = children[i];
        else if (children[i] != all->command)
            all->gate = children[i];
    }
    return n == 3 && all->zygote != 0 && all->session != 0 && all->gate != 0;
}

/*
 * Whether an unprivileged process of the same user can look into @pid. Bit 0: its memory, bit 1:
 * its files.
 */
static int can_look_into(pid_t pid) {
    pid_t attacker = fork();
    int status;

    if (attacker == 0) {
        char memory[64], files[64];

        harness_become(USER_WITHOUT_NAME);
        snprintf(memory, sizeof(memory), "/proc/%d/mem", (int)pid);
        snprintf(files, sizeof(files), "/proc/%d/fd", (int)pid);
        _exit((open(memory, O_RDWR) >= 0) + 2 * (opendir(files) != NULL));
    }
    assert_int_equal(waitpid(attacker, &status, 0), attacker);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Writes the descriptors of @pid as lines "N target"; returns their number. */
static size_t descriptors_of(pid_t pid, char *text, size_t size) {
    char folder[64];
    DIR *open_folder;
    const struct dirent *entry;
    size_t n = 0, length = 0;

    snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)pid);
    open_folder = opendir(folder);
    assert_non_null(open_folder);
    text[0] = '\0';
    while ((entry = readdir(open_folder)) != NULL) {
        char path[400], target[256] = "";

        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (readlink(path, target, sizeof(target) - 1) < 0)
            continue;
        length += (size_t)snprintf(text + length, size - length, "%s %s\n", entry->d_name, target);
        n++;
    }
    closedir(open_folder);
    return n;
}

static void assert_shares_no_socket(const char *who, pid_t pid, const char *of_service) {
    static char theirs[8192];
    char *rest = theirs;

    (void)descriptors_of(pid, theirs, sizeof(theirs));
    for (const char *line; (line = strsep(&rest, "\n")) != NULL;)
        if (strstr(line, "socket:") != NULL && strstr(of_service, strchr(line, ' ')) != NULL)
            fail_msg("the %s has a socket of the service's: %s", who, line);
}

static void open_seven(void *context) {
    (void)context;
    (void)dup2(open("/etc/passwd", O_RDONLY | O_CLOEXEC), 7);
}

static void assert_table_holds(const struct processes *all) {
    static const char none[] = "0000000000000000", admin[] = "0000000000200000";
    char whole[32]; /* as this process has it, and as the commands of direct mode inherit it */
    const struct {
        const char *key, *service, *session, *gate, *command;
    } cases[] = {
        {"CapInh", none, none, none, none},     {"CapPrm", admin, none, admin, none},
        {"CapEff", none, none, admin, none},    {"CapAmb", none, none, none, none},
        {"CapBnd", whole, whole, whole, whole}, {"NoNewPrivs", "1", "1", "1", "1"},
        {"Seccomp", "0", "2", "0", "0"},
    };

    (void)snprintf(whole, sizeof(whole), "%s", harness_status_line(getpid(), "CapBnd"));
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        const struct {
            const char *who, *expected;
            pid_t pid;
        } each[] = {{"service", cases[i].service, all->service},
                    {"zygote", cases[i].service, all->zygote},
                    {"session", cases[i].session, all->session},
                    {"gate", cases[i].gate, all->gate},
                    {"command", cases[i].command, all->command}};

        for (size_t j = 0; j < BASE_ARRAY_SIZE(each); j++)
            if (strcmp(harness_status_line(each[j].pid, cases[i].key), each[j].expected) != 0)
                fail_msg("%s of the %s: %s", cases[i].key, each[j].who,
                         harness_status_line(each[j].pid, cases[i].key));
    }
}

static void each_process_holds_what_the_design_says(void **state) {
    static char of_service[8192], text[8192];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP_FD int silent = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct processes all = {0}, before;
    pid_t utsrun;
    int status;

    (void)state;
    service_begin();
    all.service = service.pid;
    /* A client is connected, so that the service has a descriptor more that a child could inherit
     * by mistake. */
    memcpy(address.sun_path, service.path, strlen(service.path));
    assert_int_equal(connect(silent, (const struct sockaddr *)&address, sizeof(address)), 0);
    utsrun = start_ready_command("echo ready $$; exec sleep 60", open_seven, &all.command);
    /* A session that ends or starts looks the same for a moment: try again until all five are
     * found. */
    do {
        before = all;
        usleep(100000);
        assert_true(harness_wait_for(all_processes_exist, &all));
    } while (all.session != before.session || all.gate != before.gate);
    assert_table_holds(&all);

    assert_int_equal(can_look_into(all.service), 0);
    assert_int_equal(can_look_into(all.zygote), 0);
    assert_int_equal(can_look_into(all.session), 0);
    assert_int_equal(can_look_into(all.gate), 0);
    assert_int_equal(can_look_into(all.command), 3);

    assert_true(descriptors_of(all.service, of_service, sizeof(of_service)) > 8);
    assert_shares_no_socket("zygote", all.zygote, of_service);
    assert_shares_no_socket("session", all.session, of_service);
    assert_shares_no_socket("gate", all.gate, of_service);
    assert_shares_no_socket("command", all.command, of_service);
    assert_int_equal(descriptors_of(all.zygote, text, sizeof(text)), 4);
    /* The gate has 0, 1, 2 and its channel. The command has what utsrun was given, and no more. */
    assert_int_equal(descriptors_of(all.gate, text, sizeof(text)), 4);
    assert_int_equal(descriptors_of(all.command, text, sizeof(text)), 4);
    assert_non_null(strstr(text, "0 /dev/null\n"));
    assert_non_null(strstr(text, "7 /etc/passwd\n"));
    assert_int_equal(kill(utsrun, SIGTERM), 0);
    assert_int_equal(waitpid(utsrun, &status, 0), utsrun);
    service_stop(&service);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* Ends the processes that a failed test left, so that the next tests do not fail too. */
static int forget(void **state) {
    (void)state;
    if (service.pid != 0) {
        (void)kill(service.pid, SIGTERM);
        (void)waitpid(service.pid, NULL, 0);
        service.pid = 0;
    }
    return system("rm -rf " FOLDER);
}

static int begin(void **state) {
    (void)state;
    if (system("rm -rf " FOLDER " && mkdir -m 755 " FOLDER) != 0)
        return -1;
    return chown(FOLDER, USER_WITHOUT_NAME->uid, USER_WITHOUT_NAME->gid);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(descriptors_that_no_service_manager_passes_are_refused, begin,
                                    forget),
    cmocka_unit_test_setup_teardown(a_wrong_option_is_refused, begin, forget),
    cmocka_unit_test_setup_teardown(without_the_capability_it_says_what_it_needs, begin, forget),
    cmocka_unit_test_setup_teardown(the_service_removes_no_file_of_others, begin, forget),
    cmocka_unit_test_setup_teardown(its_own_socket_is_only_for_the_user_and_ends_with_it, begin,
                                    forget),
    cmocka_unit_test_setup_teardown(without_clients_and_commands_it_ends_by_itself, begin, forget),
    cmocka_unit_test_setup_teardown(a_stopping_service_ends_every_command_first, begin, forget),
    cmocka_unit_test_setup_teardown(each_process_holds_what_the_design_says, begin, forget),
};

HARNESS_MAIN(tests)
