/*
 * A user starts utsrun in hostile surroundings: limits, signals, variables, namespaces, tracers.
 * Either the command runs correctly and in the same surroundings, or utsrun prints why it does not.
 * The command never gets another name or a capability, and utsrun never hangs.
 *
 * Other tests cover: no environment, each usual limit, mask and umask, a removed folder
 * (integration/test-command); no_new_privs, a nosuid mount, a bounding set without the capability,
 * a broker that is missing or has no file capability (integration/test-refusal); variables and
 * limits that disable a user database (integration/test-nss); a limit of descriptors that changes
 * at any moment (integration/test-log); namespaces and other roots of the service's clients
 * (integration/test-peer); argc 0 (test-cases).
 */

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "tests/hostile/speaker.h"
#include "tests/integration/harness.h"
#include "utsbroker/channel.h"
#include "utsbroker/resource.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65 /* Linux 6.3 */
#endif

enum { REPORT_FD = 60, UNSUPPORTED = 203, MANY = 10000 };

/* The ends of a run. */
enum { RAN = 1, REFUSED = 2, KILLED = 4 };

struct surroundings {
    const char *what;
    unsigned direct, service; /* the correct ends; 0: not tried in this mode */
    void (*set_up)(const struct surroundings *surroundings);
    char **environment;
    bool starts_as_root; /* set_up runs as root, and the child becomes the user after it */
    uint64_t number;     /* for set_up */
    int resource;
    bool keeps_hard;
};

static char folder[] = "/tmp/test-surroundings-XXXXXX";
static char mark[64], mark_variable[80], debug_variable[80], library_variable[80],
    gconv_variable[80];

/* The results of the cases of one test. */
static struct { unsigned n, ran, refused, killed, impossible, wrong; } tally;

static int set_up(void **state) {
    if (mkdtemp(folder) == NULL || chmod(folder, 01777) < 0 || chdir(folder) < 0)
        return -1;
    (void)snprintf(mark, sizeof(mark), "%s/mark", folder);
    (void)snprintf(mark_variable, sizeof(mark_variable), "TEST_MARK=%s", mark);
    (void)snprintf(debug_variable, sizeof(debug_variable), "LD_DEBUG_OUTPUT=%s/debug", folder);
    (void)snprintf(library_variable, sizeof(library_variable), "LD_LIBRARY_PATH=%s", folder);
    (void)snprintf(gconv_variable, sizeof(gconv_variable), "GCONV_PATH=%s", folder);
    return harness_mount_dev() == 0 ? harness_set_up(state) : -1;
}

static int tear_down(void **state) {
    char command[64];

    (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
    (void)unlink("/var/tmp/libc.so.6.profile"); /* made by the command, because of LD_PROFILE */
    return chdir("/") == 0 && system(command) == 0 ? harness_tear_down(state) : -1;
}

static void tally_print(const char *what) {
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    print_message(
        "tried: %s in %s mode: %u cases, %u ran, %u refused, %u killed by their own limits, "
        "%u unsupported here, wrong outcomes %u\n",
        what, harness_mode(), tally.n, tally.ran, tally.refused, tally.killed, tally.impossible,
        tally.wrong);
    assert_int_equal(tally.wrong, 0);
    memset(&tally, 0, sizeof(tally));
}

/* In the child. The witness reports on REPORT_FD, because 0, 1 and 2 may be closed. */
static void enter_surroundings(void *context) {
    const struct surroundings *surroundings = context;

    if (dup2(1, REPORT_FD) != REPORT_FD)
        _exit(204);
    if (surroundings->set_up != NULL)
        surroundings->set_up(surroundings);
    if (surroundings->starts_as_root)
        harness_become(USER_WITHOUT_NAME);
}

static char *with_utsrun[] = {UTSRUN_PATH, "-n", "x.test", "--", WITNESS_PATH, "a b", "", NULL};
static char **without_utsrun = with_utsrun + 4;
static char *utsrun_alone[] = {UTSRUN_PATH, "--version", NULL};

static void run_command(const struct surroundings *surroundings, char **argv,
                        struct result *result) {
    struct run run = {.user = surroundings->starts_as_root ? NULL : USER_WITHOUT_NAME,
                      .environment = surroundings->environment,
                      .set_up = enter_surroundings,
                      .context = (void *)(uintptr_t)surroundings};

    for (size_t i = 0; argv[i] != NULL; i++)
        run.argv[i] = argv[i];
    harness_run(&run, result);
}

/* With very little memory or CPU time utsrun cannot even print its version. */
static bool utsrun_cannot_start(const struct surroundings *surroundings) {
    static struct result result;

    run_command(surroundings, utsrun_alone, &result);
    return WIFSIGNALED(result.status);
}

/* Makes the expected first line of the report from @plain, the report without utsrun. */
static void format_first_line(const char *plain, char *expected, size_t size) {
    unsigned long long bounding;
    char domain[80];
    int filter;

    if (sscanf(plain, "name %*s domain %79s no_new_privs %*d filter %d bounding %llx", domain,
               &filter, &bounding) != 3)
        fail_msg("the witness printed no report: '%s'", plain);
    if (harness_is_service()) /* the service's, that is of this process */
        bounding = strtoull(harness_status_line(getpid(), "CapBnd"), NULL, 16);
    (void)snprintf(expected, size, "name x.test domain %s no_new_privs 1 filter %d bounding %llx\n",
                   domain, filter, bounding);
}

/*
 * Compares the report of the command with @plain, the one without utsrun. If that is empty, because
 * the witness ended early, compares only the name and the privileges.
 */
static bool is_report_right(const char *plain, const char *inside) {
    static const char none[] = "inheritable 0000000000000000 permitted 0000000000000000 effective "
                               "0000000000000000 ambient 0000000000000000\n";
    static char undisturbed[256];
    const char *first = plain[0] != '\0' ? plain : undisturbed;
    char expected[256];
    size_t length;

    if (undisturbed[0] == '\0')
        (void)snprintf(undisturbed, sizeof(undisturbed), "%s", plain);
    format_first_line(first, expected, sizeof(expected));
    length = strlen(expected) + strlen(none);
    if (strncmp(inside, expected, strlen(expected)) != 0 ||
        strncmp(inside + strlen(expected), none, strlen(none)) != 0)
        return false;
    /* Without utsrun a process may have capabilities, as root of a user namespace. */
    return plain[0] == '\0' ||
           strcmp(inside + length, strchr(strchr(plain, '\n') + 1, '\n') + 1) == 0;
}

/* The last line is utsrun's. Before it the broker's loader may report too little memory. */
static bool is_message(const char *errors) {
    size_t length = strlen(errors);
    const char *line = errors + length - (length > 0 ? 1 : 0);

    while (line > errors && line[-1] != '\n')
        line--;
    return length > 0 && errors[length - 1] == '\n' && strncmp(line, "utsrun: ", 8) == 0;
}

/* Returns 0 for an end that is never correct. A CPU limit may kill utsrun after the report. */
static unsigned find_end(const struct result *plain, const struct result *inside) {
    bool has_reported = inside->output[0] != '\0';

    if (WIFSIGNALED(inside->status) &&
        (!has_reported || is_report_right(plain->output, inside->output)))
        return KILLED;
    /* The C library ended it because of these surroundings, as it does without utsrun. */
    if (!has_reported && inside->status == plain->status && inside->status != 0)
        return KILLED;
    if (WIFEXITED(inside->status) && WEXITSTATUS(inside->status) == 0)
        return is_report_right(plain->output, inside->output) ? RAN : 0;
    if (WIFEXITED(inside->status) &&
        (WEXITSTATUS(inside->status) == 125 || WEXITSTATUS(inside->status) == 126))
        return inside->output[0] == '\0' && is_message(inside->errors) ? REFUSED : 0;
    return 0;
}

static void try_surroundings(const struct surroundings *surroundings) {
    unsigned right = harness_is_service() ? surroundings->service : surroundings->direct;
    static struct result plain, inside;
    unsigned end;

    if (right == 0)
        return;
    run_command(surroundings, without_utsrun, &plain);
    tally.n++;
    if (WIFEXITED(plain.status) && WEXITSTATUS(plain.status) == UNSUPPORTED) {
        print_message("%s: this kernel does not support it\n", surroundings->what);
        tally.impossible++;
        return;
    }
    run_command(surroundings, with_utsrun, &inside);
    end = find_end(&plain, &inside);
    if (end == KILLED && (plain.status != 0 || utsrun_cannot_start(surroundings)))
        right |= KILLED;
    tally.ran += end == RAN;
    tally.refused += end == REFUSED;
    tally.killed += end == KILLED;
    if ((end & right) != 0)
        return;
    tally.wrong++;
    print_error(
        "%s (%llu): wait status 0x%x, 0x%x without utsrun; it printed:\n%s%sexpected:\n%s\n",
        surroundings->what, (unsigned long long)surroundings->number, inside.status, plain.status,
        inside.output, inside.errors, plain.output);
}

static void require(bool is_done) {
    if (!is_done)
        _exit(UNSUPPORTED);
}

static void close_some(const struct surroundings *surroundings) {
    for (int fd = 0; fd < 3; fd++)
        if ((surroundings->number >> fd & 1) != 0)
            (void)close(fd);
}

/*
 * Returns the signals to set by system call, because the C library hides the two signals that it
 * reserves. The service's gate does not change those two (broker/session/caller-context.c).
 */
static uint64_t all_signals(void) {
    return harness_is_service() ? ~(UINT64_C(3) << 31) : ~UINT64_C(0);
}

static void ignore_all(const struct surroundings *surroundings) {
    (void)surroundings;
    for (int number = 1; number <= 64; number++) {
        const uintptr_t action[8] = {(uintptr_t)SIG_IGN};

        if ((all_signals() >> (number - 1) & 1) != 0)
            (void)syscall(SYS_rt_sigaction, number, action, NULL, sizeof(uint64_t));
    }
}

static void block_all(const struct surroundings *surroundings) {
    const uint64_t all = all_signals();

    (void)surroundings;
    require(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all)) == 0);
}

static void ignore_and_block_all(const struct surroundings *surroundings) {
    ignore_all(surroundings);
    block_all(surroundings);
}

static void shut_folder(const struct surroundings *surroundings) {
    (void)surroundings;
    (void)chmod("shut", 0700);
    require((mkdir("shut", 0700) == 0 || errno == EEXIST) && chdir("shut") == 0 &&
            chmod(".", 0) == 0);
}

static void set_odd_personality(const struct surroundings *surroundings) {
    (void)surroundings;
    require(personality(READ_IMPLIES_EXEC | ADDR_NO_RANDOMIZE | ADDR_LIMIT_3GB | STICKY_TIMEOUTS |
                        UNAME26) >= 0);
}

static void call_prctl(const struct surroundings *surroundings) {
    require(prctl(surroundings->resource, surroundings->number, 0, 0, 0) == 0);
}

/* The kernel counts descriptors in transit per user; above RLIMIT_NOFILE none is sent (unix(7)). */
static void send_descriptors(const struct surroundings *surroundings) {
    const struct rlimit limit = {64, 64};
    struct channel_fds fds = {.n_fds = surroundings->number};
    int ends[2];

    require(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0 &&
            channel_send(ends[0], "x", 1, fds.fds, fds.n_fds) == 0 &&
            setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* Combines many surroundings. */
static void set_everything(const struct surroundings *surroundings) {
    const struct rlimit none = {0, 0}, stack = {1 << 20, 1 << 20};

    require(mkdir("gone", 0700) == 0 && chdir("gone") == 0 && rmdir("../gone") == 0);
    require(setrlimit(RLIMIT_CORE, &none) == 0 && setrlimit(RLIMIT_MSGQUEUE, &none) == 0 &&
            setrlimit(RLIMIT_SIGPENDING, &none) == 0 && setrlimit(RLIMIT_STACK, &stack) == 0);
    require(nice(19) >= 0);
    (void)umask(0777);
    ignore_and_block_all(surroundings);
    (void)close(0);
    (void)close(1);
    (void)close(2);
}

/* Root installs a filter that permits all calls, without no_new_privs. */
static void install_filter(const struct surroundings *surroundings) {
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = {.len = 1, .filter = &allow};

    (void)surroundings;
    require(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0);
}

static void enter_own_mounts(void) {
    require(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
}

static void cover_proc(const struct surroundings *surroundings) {
    (void)surroundings;
    enter_own_mounts();
    require(mount("tmpfs", "/proc", "tmpfs", 0, "mode=0") == 0);
}

static void hide_pids(const struct surroundings *surroundings) {
    enter_own_mounts();
    require(mount("proc", "/proc", "proc", 0,
                  surroundings->number == 0 ? "hidepid=2" : "hidepid=4,subset=pid") == 0);
}

static void write_map(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    require(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
}

/* 0: no user is mapped; 1: the user is mapped to root; 2: to itself. */
static void enter_user_namespace(const struct surroundings *surroundings) {
    const unsigned inside[] = {0, 0, USER_WITHOUT_NAME->uid};
    char map[64];

    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    require(unshare(CLONE_NEWUSER) == 0);
    if (surroundings->number == 0)
        return;
    (void)snprintf(map, sizeof(map), "%u %u 1", inside[surroundings->number],
                   (unsigned)USER_WITHOUT_NAME->uid);
    write_map("/proc/self/uid_map", map);
    (void)snprintf(map, sizeof(map), "%u %u 1", inside[surroundings->number],
                   (unsigned)USER_WITHOUT_NAME->gid);
    write_map("/proc/self/setgroups", "deny");
    write_map("/proc/self/gid_map", map);
}

/*
 * As root of a user namespace the user can mount a policy of their own. It grants a name inside
 * that namespace only, and no capability there (SECURITY.md, "What is not a vulnerability").
 */
static void enter_user_namespace_with_policy(const struct surroundings *surroundings) {
    static const char rule[] = "permit any hostname *\n";
    char admin[] = POLICY_FOLDER_ADMIN, vendor[] = POLICY_FOLDER_VENDOR;
    int fd;

    enter_user_namespace(surroundings);
    enter_own_mounts();
    require(mount("tmpfs", dirname(admin), "tmpfs", 0, "mode=0755") == 0 &&
            mount("tmpfs", dirname(vendor), "tmpfs", 0, "mode=0755") == 0 &&
            mkdir(POLICY_FOLDER_ADMIN, 0755) == 0);
    fd = open(POLICY_FOLDER_ADMIN "/10-own.conf", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    require(fd >= 0 && write(fd, rule, strlen(rule)) == (ssize_t)strlen(rule));
    (void)close(fd);
}

/* An unprivileged tracer of the launch. Ends with 99 if a tracee ever holds a capability. */
static _Noreturn void run_tracer(pid_t first, unsigned long options) {
    pid_t stopped;
    int status;

    while ((stopped = waitpid(-1, &status, __WALL)) > 0) {
        int number = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;

        if (WIFEXITED(status) && stopped == first)
            _exit(WEXITSTATUS(status));
        if (!WIFSTOPPED(status))
            continue;
        if (access("/proc/self/status", R_OK) == 0 &&
            strtoull(harness_status_line(stopped, "CapPrm"), NULL, 16) != 0)
            _exit(99);
        if (number == SIGTRAP || number == SIGSTOP)
            number = 0;
        (void)ptrace(PTRACE_SETOPTIONS, stopped, 0, options);
        (void)ptrace(PTRACE_CONT, stopped, 0, number);
    }
    _exit(98);
}

static void start_tracer(const struct surroundings *surroundings) {
    pid_t pid = fork();

    if (pid != 0)
        run_tracer(pid, surroundings->number);
    (void)ptrace(PTRACE_TRACEME, 0, 0, 0);
}

static void the_command_runs_in_the_callers_surroundings_or_is_refused(void **state) {
    static char *odd[] = {"", "=", "=x", "WITHOUT", "A=1", "A=2", "a=b", "B= ", "\xff=\n", NULL};
    static char *many[MANY + 1], names[MANY][24];
    const struct surroundings cases[] = {
        {"all signals ignored", RAN, RAN, .set_up = ignore_all},
        {"all signals blocked", RAN, RAN, .set_up = block_all},
        {"all signals ignored and blocked", RAN, RAN, .set_up = ignore_and_block_all},
        {"10,000 variables", RAN, RAN, .environment = many},
        {"malformed variables", RAN, RAN, .environment = odd},
        {"a working folder without any permission", RAN, REFUSED, .set_up = shut_folder},
        {"an odd personality", RAN, RAN, .set_up = set_odd_personality},
        {"no memory that is writable and executable", RAN, RAN, .set_up = call_prctl,
         .resource = PR_SET_MDWE, .number = 1},
        {"no huge pages", RAN, RAN, .set_up = call_prctl, .resource = PR_SET_THP_DISABLE,
         .number = 1},
        {"timers ten seconds late", RAN, RAN, .set_up = call_prctl, .resource = PR_SET_TIMERSLACK,
         .number = 10000000000},
        {"no time stamp counter", RAN | REFUSED, RAN | REFUSED, .set_up = call_prctl,
         .resource = PR_SET_TSC, .number = PR_TSC_SIGSEGV},
        {"a subreaper", RAN, RAN, .set_up = call_prctl, .resource = PR_SET_CHILD_SUBREAPER,
         .number = 1},
        {"too many descriptors in transit", REFUSED, REFUSED, .set_up = send_descriptors,
         .number = 100},
        {"descriptors in transit", RAN, RAN, .set_up = send_descriptors, .number = 40},
        {"everything at once", RAN, RAN, .set_up = set_everything},
        {"a system call filter of root", RAN, REFUSED, .set_up = install_filter,
         .starts_as_root = true},
        {"an empty /proc", RAN, REFUSED, .set_up = cover_proc, .starts_as_root = true},
        {"a /proc that hides processes", RAN, REFUSED, .set_up = hide_pids, .starts_as_root = true},
        {"a /proc with processes only", RAN, REFUSED, .set_up = hide_pids, .starts_as_root = true,
         .number = 1},
        {"a user namespace without users", REFUSED, REFUSED, .set_up = enter_user_namespace},
        {"a user namespace as root", REFUSED, REFUSED, .set_up = enter_user_namespace, .number = 1},
        {"a user namespace as the user", REFUSED, REFUSED, .set_up = enter_user_namespace,
         .number = 2},
        /* utsrun as root does not use a service. */
        {"a user namespace with its own policy", RAN, 0, .set_up = enter_user_namespace_with_policy,
         .number = 1},
        {"utsrun traced", RAN, RAN, .set_up = start_tracer},
        {"utsrun and its children traced", REFUSED, RAN, .set_up = start_tracer,
         .number =
             PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC},
    };

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "VARIABLE_%u=%u", i, i * i);
        many[i] = names[i];
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        try_surroundings(&cases[i]);
    for (uint64_t closed = 1; closed < 8; closed++)
        try_surroundings(&(const struct surroundings){"closed descriptors", RAN, RAN,
                                                      .set_up = close_some, .number = closed});
    tally_print("surroundings");
}

static void set_limit(const struct surroundings *surroundings) {
    const resource_limit resource = (resource_limit)surroundings->resource;
    struct rlimit limit;

    require(getrlimit(resource, &limit) == 0);
    limit.rlim_cur = surroundings->number;
    if (!surroundings->keeps_hard)
        limit.rlim_max = surroundings->number;
    require(setrlimit(resource, &limit) == 0);
}

static void the_command_has_the_callers_limits_or_is_refused(void **state) {
    enum { RAN_OR_REFUSED = RAN | REFUSED };
    static const struct {
        const char *what;
        int resource;
        unsigned right;
        uint64_t step, n, from;
    } limits[] = {
        {"RLIMIT_CPU", RLIMIT_CPU, RAN_OR_REFUSED | KILLED, 1, 2, 0}, /* this limit kills */
        {"RLIMIT_FSIZE", RLIMIT_FSIZE, RAN_OR_REFUSED, 64, 16, 0},
        {"RLIMIT_DATA", RLIMIT_DATA, RAN_OR_REFUSED, 16 << 10, 24, 0},
        /* With a stack of some pages utsrun starts, but the kernel may kill it soon. */
        {"RLIMIT_STACK", RLIMIT_STACK, RAN_OR_REFUSED | KILLED, 8 << 10, 16, 0},
        {"RLIMIT_STACK", RLIMIT_STACK, RAN_OR_REFUSED, 16 << 10, 8, 128 << 10},
        {"RLIMIT_CORE", RLIMIT_CORE, RAN, 1, 1, 0},
        {"RLIMIT_RSS", RLIMIT_RSS, RAN, 1, 1, 0},
        {"RLIMIT_NPROC", RLIMIT_NPROC, RAN_OR_REFUSED, 1, 8, 0},
        {"RLIMIT_NOFILE", RLIMIT_NOFILE, RAN_OR_REFUSED, 1, 16, 0},
        {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK, RAN, 1, 1, 0},
        {"RLIMIT_AS", RLIMIT_AS, RAN_OR_REFUSED, 64 << 10, 100, 0},
        {"RLIMIT_LOCKS", RLIMIT_LOCKS, RAN, 1, 1, 0},
        {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING, RAN, 1, 2, 0},
        {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE, RAN, 1, 1, 0},
        {"RLIMIT_NICE", RLIMIT_NICE, RAN, 1, 1, 0},
        {"RLIMIT_RTPRIO", RLIMIT_RTPRIO, RAN, 1, 1, 0},
        {"RLIMIT_RTTIME", RLIMIT_RTTIME, RAN, 1, 1, 0},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(limits); i++)
        for (uint64_t at = 0; at < 2 * limits[i].n; at++)
            try_surroundings(&(const struct surroundings){
                limits[i].what, limits[i].right, limits[i].right, .set_up = set_limit,
                .resource = limits[i].resource, .number = limits[i].from + at / 2 * limits[i].step,
                .keeps_hard = at % 2 != 0});
    tally_print("limits");
}

static void set_alarm(void *context) {
    const struct itimerval alarm_at = {.it_value = {.tv_usec = *(const suseconds_t *)context}};

    (void)setitimer(ITIMER_REAL, &alarm_at, NULL);
}

/*
 * A child does not inherit a timer (fork(2)): the alarm reaches utsrun alone, which ends the
 * command by the same signal.
 */
static void an_alarm_of_utsrun_ends_the_command(void **state) {
    const unsigned n = 120;
    unsigned n_wrong = 0;

    (void)state;
    for (unsigned i = 0; i < n; i++) {
        static struct result result;
        suseconds_t moment = 20 + 67 * (suseconds_t)i;
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "sleep", "30"},
                                .set_up = set_alarm,
                                .context = &moment};

        harness_run(&run, &result);
        if (WIFSIGNALED(result.status) && WTERMSIG(result.status) == SIGALRM)
            continue;
        n_wrong++;
        print_error("after %ld us: wait status 0x%x %s\n", (long)moment, result.status,
                    result.errors);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    print_message("tried: alarms in %s mode: %u cases, %u killed by the alarm, wrong outcomes %u\n",
                  harness_mode(), n, n - n_wrong, n_wrong);
    assert_int_equal(n_wrong, 0);
}

/* The signal is blocked, so it stays pending until the command looks at it. */
static void make_alarm_pending(void *context) {
    suseconds_t at_once = 1;
    sigset_t set;

    (void)context;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGALRM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    set_alarm(&at_once);
    while (sigpending(&set) == 0 && sigismember(&set, SIGALRM) == 0)
        (void)usleep(1000);
}

static void a_pending_alarm_stays_pending_in_the_command(void **state) {
    static char number[8];
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", WITNESS_PATH, "pending", number},
                            .set_up = make_alarm_pending};

    (void)state;
    (void)snprintf(number, sizeof(number), "%d", SIGALRM);
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
}

static char **hostile_environment(void) {
    static char *environment[] = {"PATH=/usr/bin:/bin",
                                  "LD_PRELOAD=" MARK_PATH,
                                  "LD_AUDIT=" MARK_PATH,
                                  "LD_BIND_NOT=1",
                                  "LD_DEBUG=all",
                                  "LD_DYNAMIC_WEAK=1",
                                  "LD_SHOW_AUXV=1",
                                  "LD_PROFILE=libc.so.6",
                                  "LD_ORIGIN_PATH=/tmp",
                                  "GLIBC_TUNABLES=glibc.malloc.check=3:glibc.rtld.nns=999",
                                  "MALLOC_CHECK_=3",
                                  "MALLOC_PERTURB_=165",
                                  "MALLOC_TRACE=/tmp/trace",
                                  "MALLOC_ARENA_TEST=1",
                                  "LOCALDOMAIN=x.test",
                                  "HOSTALIASES=/dev/full",
                                  "RESOLV_HOST_CONF=/etc/shadow",
                                  "RES_OPTIONS=debug",
                                  "NSS_WRAPPER_PASSWD=/dev/null",
                                  "NIS_PATH=/tmp",
                                  "_SSS_LOOPS=NO",
                                  "_NO_WINBINDD=1",
                                  "GETCONF_DIR=/tmp",
                                  "LOCPATH=/tmp",
                                  "NLSPATH=/tmp/%N",
                                  "LANGUAGE=../../../../tmp",
                                  "TZ=:/dev/full",
                                  "TZDIR=/tmp",
                                  "TMPDIR=/tmp",
                                  "IFS=/",
                                  mark_variable,
                                  debug_variable,
                                  library_variable,
                                  gconv_variable,
                                  NULL};

    return environment;
}

/* Installs the mark under names that loader and C library load for a lookup of a user or group. */
static void install_libraries(void) {
    char command[512];

    (void)snprintf(command, sizeof(command),
                   "rm -f %s %s/debug*; for name in libcap-ng.so.0 libnss_files.so.2 "
                   "libnss_compat.so.2 libnss_systemd.so.2 UTF-16.so; do "
                   "install -m 755 " MARK_PATH " %s/$name; done; "
                   "echo 'module INTERNAL UTF-8// UTF-16 1' > %s/gconv-modules",
                   mark, folder, folder, folder);
    assert_int_equal(system(command), 0);
}

/* Returns the names of the processes that loaded the mark, in a static buffer. */
static const char *read_marks(void) {
    static char text[4096];
    FILE *file = fopen(mark, "re");

    text[0] = '\0';
    if (file != NULL) {
        text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
        (void)fclose(file);
    }
    return text;
}

static void only_the_command_loads_libraries_of_the_caller(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "lab", "true"},
                            .environment = hostile_environment()};

    (void)state;
    policy_write("10-test.conf", "permit user nobody group nogroup hostname other\n"
                                 "permit any hostname lab x.test\n");
    try_surroundings(&(const struct surroundings){"variables that load libraries", RAN, RAN,
                                                  .environment = hostile_environment()});
    tally_print("variables");
    install_libraries();
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    /* The command's loader obeys the variables, so they reached it. */
    assert_non_null(strstr(read_marks(), "true permitted 0\n"));
    assert_null(strstr(read_marks(), "utsb"));
    policy_clear();
}

/* A broker that the user executes directly, from another file or with another environment. */
struct own_broker {
    char *path, *hostname, **environment;
};

/* In a process of the user. Ends with the status of the reply; the command prints its report. */
static void run_own_launcher(void *context) {
    static char *const command[] = {WITNESS_PATH, NULL};
    const struct own_broker *broker = context;
    const struct protocol_request request = speaker_request(broker->hostname);
    char *argv[] = {"utsrun", "--session-fd", "3", NULL}, *nothing[] = {NULL};
    struct speaker speaker = {.channel = -1};
    int ends[2], description = speaker_describe(command);

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        _exit(205);
    speaker.channel = fcntl(ends[0], F_DUPFD_CLOEXEC, 10);
    speaker.broker = fork();
    if (speaker.broker == 0) {
        (void)dup2(ends[1], 3);
        (void)execve(broker->path, argv,
                     broker->environment != NULL ? broker->environment : nothing);
        _exit(206);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    (void)channel_send(speaker.channel, &request, sizeof(request), &description, 1);
    ends[0] = (int)speaker_hear(&speaker);
    _exit(speaker_close(&speaker) ? ends[0] : 207);
}

static void assert_reply(const struct own_broker *broker, enum protocol_status status) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {"/no/such/file"},
                            .set_up = run_own_launcher,
                            .context = (void *)(uintptr_t)broker};

    harness_run(&run, &result);
    if (!WIFEXITED(result.status) || WEXITSTATUS(result.status) != (int)status)
        fail_msg("%s, '%s': wait status 0x%x, expected reply %u; %s", broker->path,
                 broker->hostname, result.status, (unsigned)status, result.errors);
    if (status != PROTOCOL_GRANTED) {
        assert_string_equal(result.output, "");
        return;
    }
    assert_non_null(strstr(result.output, "no_new_privs 1 filter 0"));
    assert_non_null(strstr(result.output, "permitted 0000000000000000 effective 0000000000000000"));
}

/* A copy has no capability, so its loader obeys LD_PRELOAD: that proves that the library works. */
static void a_broker_with_a_capability_loads_no_library_of_the_caller(void **state) {
    char *preload[] = {"LD_PRELOAD=" MARK_PATH, mark_variable, NULL};
    char copy[80], command[4200];

    (void)state;
    policy_write("10-test.conf", "permit user nobody group nogroup hostname other\n"
                                 "permit any hostname lab\n");
    install_libraries();
    assert_reply(&(const struct own_broker){BROKER_PATH, "lab", hostile_environment()},
                 PROTOCOL_GRANTED);
    assert_string_equal(read_marks(), "");
    (void)snprintf(command, sizeof(command), "! ls %s | grep debug", folder);
    assert_int_equal(system(command), 0);

    (void)snprintf(copy, sizeof(copy), "%s/utsbroker", folder);
    (void)snprintf(command, sizeof(command), "install -m 755 " BROKER_PATH " %s", copy);
    assert_int_equal(system(command), 0);
    assert_reply(&(const struct own_broker){copy, "lab", preload}, PROTOCOL_NO_CAPABILITY);
    assert_non_null(strstr(read_marks(), "utsbroker permitted 0\n"));
    policy_clear();
}

/*
 * CVE-2021-44730 (snap-confine looked for its helper in its own folder): a broker at another path
 * uses the same policy, the one that it was built for, and a copy of the broker has no capability.
 */
static void cve_2021_44730_a_broker_at_another_path_grants_no_more(void **state) {
    static const struct {
        const char *make;
        bool has_capability;
    } cases[] = {
        {"ln " BROKER_PATH, true}, {"ln -s " BROKER_PATH, true}, {"cp " BROKER_PATH, false}};
    /* On the broker's file system, because a hard link cannot cross file systems. */
    static char place[] = BROKER_PATH ".elsewhere", path[] = BROKER_PATH ".elsewhere/bin/utsbroker";
    char command[8192];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        (void)snprintf(command, sizeof(command),
                       "rm -rf %s; umask 022; mkdir -p %s/bin %s/etc/utsbroker/policy.d "
                       "%s/bin/policy.d; echo 'permit any hostname *' | "
                       "tee %s/etc/utsbroker/policy.d/0.conf > %s/bin/policy.d/0.conf; %s %s",
                       place, place, place, place, place, place, cases[i].make, path);
        assert_int_equal(system(command), 0);
        assert_reply(&(const struct own_broker){path, "x.test", NULL},
                     cases[i].has_capability ? PROTOCOL_GRANTED : PROTOCOL_NO_CAPABILITY);
        assert_reply(&(const struct own_broker){path, "lab", NULL},
                     cases[i].has_capability ? PROTOCOL_DENIED : PROTOCOL_NO_CAPABILITY);
    }
    (void)snprintf(command, sizeof(command), "rm -rf %s", place);
    assert_int_equal(system(command), 0);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* Without /proc the service cannot check its client, so it refuses requests until it can. */
static void a_service_without_proc_refuses_requests(void **state) {
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", WITNESS_PATH}};
    static struct result result;

    (void)state;
    assert_int_equal(mount("tmpfs", "/proc", "tmpfs", 0, "mode=0"),
                     0); /* in the service's mount namespace too */
    harness_run(&run, &result);
    assert_int_equal(umount("/proc"), 0);
    harness_assert_exit(&result, 125);
    assert_string_equal(result.output, "");
    assert_true(is_message(result.errors));
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_command_runs_in_the_callers_surroundings_or_is_refused),
    cmocka_unit_test(the_command_has_the_callers_limits_or_is_refused),
    cmocka_unit_test(an_alarm_of_utsrun_ends_the_command),
    cmocka_unit_test(a_pending_alarm_stays_pending_in_the_command),
    cmocka_unit_test(only_the_command_loads_libraries_of_the_caller),
};

static const struct CMUnitTest direct_tests[] = {
    cmocka_unit_test(a_broker_with_a_capability_loads_no_library_of_the_caller),
    cmocka_unit_test(cve_2021_44730_a_broker_at_another_path_grants_no_more),
};

static const struct CMUnitTest service_tests[] = {
    cmocka_unit_test(a_service_without_proc_refuses_requests),
};

HARNESS_MAIN_OF_BOTH(tests, direct_tests, service_tests, set_up, tear_down)
