/*
 * Each system call that starts a command fails once: those of utsrun, session and gate, and those
 * of the service and its zygote. A call that drops a privilege also does nothing and reports
 * success. After each single fault the command runs correctly, or the request is refused with a
 * reason. Then the service serves the next request, or it has ended with a message and its manager
 * starts another one. The ledger has each grant in its log, and in the end counts nothing.
 *
 * A reload (UTSBROKER_TEST_OF=reload): while a command runs, each system call of the service fails
 * once, from SIGHUP until it serves again. In the old program that changes nothing for the command.
 * The new one has nothing to go back to: it may have to give the command up, but never ends it.
 *
 * In service mode this program tries one error for each call; UTSBROKER_TEST_SEED selects it.
 * UTSBROKER_TEST_FAULTS=all tries all possible errors. UTSBROKER_TEST_VERBOSE prints each fault and
 * its outcome.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/hostile/faulter.h"
#include "tests/integration/ledger.h"

#define HOSTNAME "only.test"
#define DENIED "denied.test"
#define DOMAINNAME "lab.example"
#define POLICY_NAME "10-faults.conf"
#define POLICY_PATH POLICY_FOLDER_ADMIN "/" POLICY_NAME

enum { PATIENCE_SECONDS = 10, STATUS_FD = 7, WRONGS_MAX = 20, HUNG_MAX = 2 };

static const char *const role_names[FAULTER_ROLES] = {
    [FAULTER_LAUNCHER] = "utsrun", [FAULTER_SERVICE] = "service", [FAULTER_ZYGOTE] = "zygote",
    [FAULTER_SESSION] = "session", [FAULTER_GATE] = "gate",       [FAULTER_COMMAND] = "command"};

/*
 * The command ran correctly; it was refused; it ran, and utsrun killed it because utsrun could not
 * supervise it. The last two must not occur.
 */
enum outcome { RAN, REFUSED, KILLED, WRONG, HUNG, OUTCOMES };
static const char *const outcome_names[OUTCOMES] = {"ran", "refused", "killed with a message",
                                                    "wrong", "hung"};

struct launch {
    pid_t pid;
    int status, output_fd, error_fd;
    bool has_ended;
    unsigned n_commands; /* that were started */
    bool is_released;    /* the command has made its first step */
    char output[HARNESS_OUTPUT_MAX], errors[HARNESS_OUTPUT_MAX];
};

struct service {
    pid_t pid;
    int status, error_fd;
    bool has_ended;
};

/* One fault and its result. */
struct trial {
    struct fault fault;
    struct faulter faulter;
    struct launch launch;
    struct service service;
    unsigned n_restarts;
    char service_errors[HARNESS_OUTPUT_MAX]; /* of the service that ended */
    char problem[512];                       /* the first one; "": none */
};

static struct {
    struct utsname host;
    struct stat host_namespace;
    int host_namespace_fd, listen_fd;
    int syslog_fd; /* a log daemon that takes each line */
    int log_fd;    /* the ledger's log, read up to now; -1: there is no ledger */
    struct test_ledger ledger;
    char output[HARNESS_OUTPUT_MAX]; /* of a command that runs correctly */
    const struct user *user;
    const char *hostname; /* the requested one */
    bool has_options;     /* utsrun gets options besides the names */
    bool is_policy_new;   /* the policy changes after the service has made its ready session */
    bool is_reloading;    /* the service reloads while the command runs */
} stage;

static struct {
    unsigned of_outcome[OUTCOMES], of_role[FAULTER_ROLES];
    unsigned n_faults, n_restarts;
    double longest;
} tally;

__attribute__((format(printf, 2, 3))) static void problem(struct trial *trial, const char *format,
                                                          ...) {
    va_list arguments;

    va_start(arguments, format);
    if (trial->problem[0] == '\0')
        (void)vsnprintf(trial->problem, sizeof(trial->problem), format, arguments);
    va_end(arguments);
}

/* Returns the rest of the line of @path that starts with @key; "": there is no such line. */
static const char *file_find_value(const char *path, const char *key) {
    static char line[256];
    FILE *file = fopen(path, "re");
    const char *found = "";

    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0) {
            line[strcspn(line, "\n")] = '\0';
            found = line + strlen(key);
            break;
        }
    if (file != NULL)
        fclose(file);
    return found;
}

/* Reads the names in the namespace of @fd: this process enters it and returns to the host's. */
static void read_names(int fd, struct utsname *names) {
    assert_int_equal(setns(fd, CLONE_NEWUTS), 0);
    assert_int_equal(uname(names), 0);
    assert_int_equal(setns(stage.host_namespace_fd, CLONE_NEWUTS), 0);
}

/* The command is about to make its first step, or has been killed by now. */
static void check_command(pid_t pid, void *context) {
    static const char *const expected[][2] = {{"CapInh:", "\t0000000000000000"},
                                              {"CapPrm:", "\t0000000000000000"},
                                              {"CapEff:", "\t0000000000000000"},
                                              {"CapAmb:", "\t0000000000000000"},
                                              {"NoNewPrivs:", "\t1"},
                                              {"Seccomp:", "\t0"}};
    struct trial *trial = context;
    struct utsname names;
    struct stat status;
    char path[64];
    int fd;

    trial->launch.n_commands++;
    snprintf(path, sizeof(path), "/proc/%d/ns/uts", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    read_names(fd, &names);
    assert_int_equal(fstat(fd, &status), 0);
    close(fd);
    if (status.st_ino == stage.host_namespace.st_ino)
        problem(trial, "a command is in the host's UTS namespace");
    if (strcmp(names.nodename, HOSTNAME) != 0 || strcmp(names.domainname, DOMAINNAME) != 0)
        problem(trial, "a command has the names %s and %s", names.nodename, names.domainname);
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(expected); i++) {
        const char *value = file_find_value(path, expected[i][0]);

        if (value[0] != '\0' && strcmp(value, expected[i][1]) != 0)
            problem(trial, "a command has %s%s", expected[i][0], value);
    }
}

static void handle_end(pid_t pid, int status, void *context) {
    struct trial *trial = context;

    if (pid == trial->launch.pid) {
        trial->launch.status = status;
        trial->launch.has_ended = true;
    }
    if (pid == trial->service.pid) {
        trial->service.status = status;
        trial->service.has_ended = true;
    }
}

/* Attributes that a faulty launch could lose; the probe reports them. */
static void set_up_surroundings(void *context) {
    const struct rlimit descriptors = {.rlim_cur = 2000, .rlim_max = 3000};
    const struct rlimit core = {.rlim_cur = 0, .rlim_max = 4096};
    cpu_set_t processors, one;
    struct rlimit stack;
    sigset_t set;

    (void)context;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR2);
    (void)umask(027);
    (void)signal(SIGUSR1, SIG_IGN);
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof(processors), &processors) < 0)
        _exit(203);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &processors))
            CPU_SET(i, &one);
    if (sched_setaffinity(0, sizeof(one), &one) < 0 || getrlimit(RLIMIT_STACK, &stack) < 0 ||
        nice(3) < 0)
        _exit(203);
    stack.rlim_cur = 4 << 20;
    if (setrlimit(RLIMIT_NOFILE, &descriptors) < 0 || setrlimit(RLIMIT_CORE, &core) < 0 ||
        setrlimit(RLIMIT_STACK, &stack) < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
        personality(ADDR_NO_RANDOMIZE) < 0 || chdir("/usr") < 0 ||
        dup2(open("/dev/null", O_RDWR), 5) < 0 || dup2(open("/dev/null", O_RDWR), STATUS_FD) < 0)
        _exit(203);
    (void)raise(SIGSTOP); /* for faulter_take() */
}

/* Reads the available text, without waiting, and closes *@fdp. */
static void read_text(int *fdp, char *text) {
    ssize_t n;

    text[0] = '\0';
    assert_true(fcntl(*fdp, F_SETFL, O_NONBLOCK) == 0);
    n = read(*fdp, text, HARNESS_OUTPUT_MAX - 1);
    text[n > 0 ? n : 0] = '\0';
    base_close_fd(fdp);
}

static void trial_start_launch(struct trial *trial) {
    static char *const options[] = {"--die-with-parent", "--status-fd", "7"};
    char *const arguments[] = {
        "-n", (char *)(uintptr_t)stage.hostname, "-d", DOMAINNAME, "--", PROBE_PATH, "-"};
    struct run run = {.user = stage.user, .argv = {UTSRUN_PATH}, .set_up = set_up_surroundings};
    struct launch *launch = &trial->launch;
    size_t n = 1;

    for (size_t i = 0; stage.has_options && i < BASE_ARRAY_SIZE(options); i++)
        run.argv[n++] = options[i];
    memcpy(run.argv + n, arguments, sizeof(arguments));
    launch->has_ended = launch->is_released = false;
    launch->n_commands = 0;
    launch->pid = harness_start(&run, &launch->output_fd, &launch->error_fd);
    faulter_take(&trial->faulter, launch->pid, FAULTER_LAUNCHER, 1);
}

static void trial_start_service(struct trial *trial) {
    char *const options[] = {"--idle-exit", "0", NULL};
    struct service *service = &trial->service;
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    *service = (struct service){.error_fd = ends[0], .pid = fork()};
    assert_true(service->pid >= 0);
    if (service->pid == 0) {
        if (dup2(ends[1], 2) < 0)
            _exit(201);
        (void)raise(SIGSTOP); /* for faulter_take() */
        service_execute(USER_WITHOUT_NAME, stage.listen_fd, "@utsbroker-test-faults", options);
    }
    close(ends[1]);
    faulter_take(&trial->faulter, service->pid, FAULTER_SERVICE, 2); /* setpriv, utsbroker */
}

/* Without one of its pages the C library's dynamic loader crashes, without a message. */
static bool is_killed_in_loader(const struct trial *trial, int status) {
    return trial->fault.number == FAULTER_MMAP && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGSEGV;
}

/* Does what a service manager does: starts a service that has ended again, for waiting clients. */
static void trial_restart_service(struct trial *trial) {
    struct service *service = &trial->service;

    if (service->pid == 0 || !service->has_ended)
        return;
    read_text(&service->error_fd, trial->service_errors);
    if (is_killed_in_loader(trial, service->status))
        strcpy(trial->service_errors, "(the manager reports it)");
    if (WIFSIGNALED(service->status) && !is_killed_in_loader(trial, service->status))
        problem(trial, "signal %d killed the service", WTERMSIG(service->status));
    if (trial->service_errors[0] == '\0' || service->status == 0)
        problem(trial, "the service ends with wait status 0x%x and without a message",
                (unsigned)service->status);
    if (trial->n_restarts++ > 0)
        problem(trial, "the service ends again: %s", trial->service_errors);
    trial_start_service(trial);
}

/* Waits for the next event. Returns false if there is none before the deadline. */
static bool trial_wait(struct trial *trial) {
    bool has_happened = faulter_next(&trial->faulter, true);

    trial_restart_service(trial);
    return has_happened;
}

/* Releases the command when all other processes wait. Returns false if a process hangs. */
static bool trial_run_launch(struct trial *trial) {
    struct faulter *faulter = &trial->faulter;
    struct launch *launch = &trial->launch;

    faulter_set_patience(faulter, PATIENCE_SECONDS);
    while (!launch->has_ended && launch->n_commands == 0 && trial_wait(trial))
        ;
    if (!faulter_settle(faulter))
        return false;
    if (!launch->has_ended)
        launch->is_released = launch->n_commands > 0;
    else if (faulter_is_holding(faulter))
        problem(trial, "utsrun has ended, but the command still runs");
    faulter_release(faulter);
    while (!launch->has_ended && trial_wait(trial))
        ;
    return launch->has_ended;
}

/* Removes from the probe's output what differs between any two launches. */
static void normalise_output(char *output) {
    static char all[HARNESS_OUTPUT_MAX];
    char *to = output;

    strcpy(all, output);
    for (char *rest = all, *line; (line = strsep(&rest, "\n")) != NULL;) {
        char *inode = strncmp(line, "fd.", 3) == 0 ? strchr(line, ':') : NULL;

        /* Not every kernel permits to set the login uid (broker/service/setup.c). */
        if (strncmp(line, "ns.uts=", 7) == 0 || strncmp(line, "group=", 6) == 0 ||
            strncmp(line, "loginuid=", 9) == 0)
            continue;
        if (inode != NULL)
            memmove(inode, inode + strcspn(inode, " "), strlen(inode + strcspn(inode, " ")) + 1);
        to = stpcpy(stpcpy(to, line), "\n");
    }
}

/*
 * Reads the new lines of the ledger's log and of syslog, and counts the grants of the one that
 * decides. If nobody read the other, it would be full.
 */
static unsigned log_count_grants(void) {
    static char text[1 << 16];
    unsigned n_sent = 0, n_written = 0;
    char *rest;
    ssize_t n;

    while ((n = recv(stage.syslog_fd, text, sizeof(text) - 1, MSG_DONTWAIT)) > 0) {
        text[n] = '\0';
        n_sent += strstr(text, ": grant ") != NULL;
    }
    if (stage.log_fd < 0)
        return n_sent;
    n = read(stage.log_fd, text, sizeof(text) - 1);
    assert_true(n >= 0 && n < (ssize_t)sizeof(text) - 1);
    text[n] = '\0';
    /* The ledger may be writing the end of a command: the next time that line is whole. */
    rest = strrchr(text, '\n') != NULL ? strrchr(text, '\n') + 1 : text;
    assert_true(lseek(stage.log_fd, rest - text - n, SEEK_CUR) >= 0);
    *rest = '\0';
    for (const char *at = text; (at = strstr(at, "Z grant ")) != NULL; at++)
        n_written++;
    return n_written;
}

static void trial_end_launch(struct trial *trial) {
    struct launch *launch = &trial->launch;
    unsigned n_grants = log_count_grants();
    struct utsname now;

    read_text(&launch->output_fd, launch->output);
    read_text(&launch->error_fd, launch->errors);
    normalise_output(launch->output);
    assert_int_equal(uname(&now), 0);
    if (strcmp(now.nodename, stage.host.nodename) != 0 ||
        strcmp(now.domainname, stage.host.domainname) != 0)
        problem(trial, "the host's names are now %s and %s", now.nodename, now.domainname);
    if (launch->n_commands > n_grants)
        problem(trial, "a command runs, but its grant is not in the log");
    if (launch->n_commands > 1)
        problem(trial, "%u commands run", launch->n_commands);
    if (trial->faulter.is_unexpected)
        problem(trial, "a process executes a program that it never executes");
}

/* A command that utsrun killed must also have been correct until then. */
static enum outcome trial_judge_launch(struct trial *trial) {
    const struct launch *launch = &trial->launch;
    int code = WIFEXITED(launch->status) ? WEXITSTATUS(launch->status) : -1;

    if (!launch->has_ended) {
        problem(trial, "utsrun hangs");
        return HUNG;
    }
    if (launch->n_commands > 0 && strcmp(stage.hostname, HOSTNAME) != 0)
        problem(trial, "a denied command runs");
    if (code == 0 && launch->n_commands == 1) {
        if (strcmp(launch->output, stage.output) != 0)
            problem(trial, "the command differs from one without a fault");
        if (launch->errors[0] != '\0')
            problem(trial, "the command runs, but there is a message");
        return trial->problem[0] == '\0' ? RAN : WRONG;
    }
    if (code < 125 || code > 127)
        problem(trial, "the wait status is 0x%x", (unsigned)launch->status);
    if (launch->errors[0] == '\0')
        problem(trial, "no message");
    if (strstr(launch->errors, "use different protocols") != NULL)
        problem(trial, "the message wrongly names different versions");
    if (trial->problem[0] != '\0')
        return WRONG;
    return launch->is_released ? KILLED : REFUSED;
}

static void print_difference(const char *is, const char *expected) {
    while (*is != '\0' && *is == *expected) {
        is++;
        expected++;
    }
    print_error("  output from the first difference: %.60s\n  expected: %.60s\n", is, expected);
}

static const char *error_name(const struct fault *fault) {
    return fault->error == FAULTER_LIE ? "a false success" : strerrorname_np(fault->error);
}

static void trial_print(const struct trial *trial) {
    char *call = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)trial->fault.number);

    print_error(
        "%s: call %u, %s, fails with %s: %s\n  utsrun printed: %s  the service printed: %s\n",
        role_names[trial->fault.role], trial->fault.index, call != NULL ? call : "?",
        error_name(&trial->fault), trial->problem, trial->launch.errors, trial->service_errors);
    if (strcmp(trial->launch.output, stage.output) != 0 && trial->launch.output[0] != '\0')
        print_difference(trial->launch.output, stage.output);
    free(call);
}

static void trial_count(const struct trial *trial, enum outcome outcome, double seconds) {
    if (trial->fault.is_injected) {
        tally.n_faults++;
        tally.of_role[trial->fault.role]++;
        tally.of_outcome[outcome]++;
        tally.n_restarts += trial->n_restarts;
    }
    if (seconds > tally.longest)
        tally.longest = seconds;
    if (getenv("UTSBROKER_TEST_VERBOSE") != NULL) {
        char *call = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)trial->fault.number);

        print_message("%s %u %s %s: %s %.3f s: %s", role_names[trial->fault.role],
                      trial->fault.index, call, error_name(&trial->fault), outcome_names[outcome],
                      seconds, trial->launch.errors[0] != '\0' ? trial->launch.errors : "\n");
        free(call);
    }
    if (outcome >= WRONG && tally.of_outcome[WRONG] + tally.of_outcome[HUNG] <= WRONGS_MAX)
        trial_print(trial);
}

static void trial_init(struct trial *trial, const struct fault *fault) {
    memset(trial, 0, sizeof(*trial));
    trial->fault = *fault;
    faulter_init(&trial->faulter, &trial->fault);
    trial->faulter.on_command = check_command;
    trial->faulter.on_end = handle_end;
    trial->faulter.context = trial;
    (void)log_count_grants();
}

/* Waits for the end of all processes, and kills those that are left. */
static void trial_end_processes(struct trial *trial, bool is_hanging) {
    faulter_set_patience(&trial->faulter, is_hanging ? 1 : PATIENCE_SECONDS);
    while (trial->faulter.n_tracees > 0 && faulter_next(&trial->faulter, true))
        ;
    if (trial->faulter.n_tracees > 0)
        problem(trial, "%zu processes are left", trial->faulter.n_tracees);
    faulter_kill(&trial->faulter);
    faulter_set_patience(&trial->faulter, 0);
}

static enum outcome trial_run_direct(struct trial *trial) {
    bool is_hanging;

    trial_start_launch(trial);
    is_hanging = !trial_run_launch(trial);
    trial_end_processes(trial, is_hanging);
    trial_end_launch(trial);
    return is_hanging ? HUNG : trial_judge_launch(trial);
}

static bool trial_settle(struct trial *trial) {
    faulter_set_patience(&trial->faulter, PATIENCE_SECONDS);
    if (!faulter_settle(&trial->faulter)) {
        problem(trial, "the service does not become idle");
        return false;
    }
    trial_restart_service(trial);
    return true;
}

/*
 * The service must serve the next request, which has no fault. If a gate has a tracer, the service
 * learns of its end some milliseconds later, and counts it against the limit until then.
 */
static void trial_run_next(struct trial *trial) {
    const struct timespec pause = {.tv_nsec = 12 * 1000 * 1000};
    static struct launch faulted;

    if (!trial->launch.is_released)
        (void)nanosleep(&pause, NULL);
    (void)trial_settle(trial);
    faulted = trial->launch;
    trial->faulter.is_armed = false;
    trial_start_launch(trial);
    if (!trial_run_launch(trial))
        problem(trial, "the next utsrun hangs");
    trial_end_launch(trial);
    if (trial_judge_launch(trial) != RAN)
        problem(trial, "the next request is not served: %s", trial->launch.errors);
    trial->launch = faulted;
}

static enum outcome trial_ask_service(struct trial *trial) {
    enum outcome outcome;
    bool is_hanging;

    trial_start_launch(trial);
    is_hanging = !trial_run_launch(trial) || !trial_settle(trial);
    trial_end_launch(trial);
    if (is_hanging)
        return HUNG;
    outcome = trial_judge_launch(trial);
    trial_run_next(trial);
    return outcome;
}

/* The command is there, and stands still, while the service reloads. */
static enum outcome trial_reload_service(struct trial *trial) {
    const struct timespec pause = {.tv_nsec =
                                       30 * 1000 * 1000}; /* of the service before a reload */
    enum outcome outcome;

    trial_start_launch(trial);
    faulter_set_patience(&trial->faulter, PATIENCE_SECONDS);
    while (!trial->launch.has_ended && trial->launch.n_commands == 0 && trial_wait(trial))
        ;
    if (!trial_settle(trial) || trial->launch.n_commands != 1)
        fail_msg("no command for a reload: %s", trial->problem);
    (void)nanosleep(&pause, NULL);
    trial->faulter.may_reload = true;
    faulter_arm(&trial->faulter);
    assert_int_equal(kill(trial->service.pid, SIGHUP), 0);
    if (!trial_settle(trial) || !trial_run_launch(trial))
        return HUNG;
    trial_end_launch(trial);
    outcome = trial_judge_launch(trial);
    if (!trial->fault.is_in_new && (outcome != RAN || trial->n_restarts > 0))
        problem(trial, "a failure of the old program ends service or command");
    if (trial->n_restarts > 0 && trial->faulter.n_reloads == 0)
        problem(trial, "the service ends before it executes the new program");
    trial_run_next(trial);
    return outcome;
}

/* If the service goes on as it was, it has said so. */
static void trial_check_message(struct trial *trial) {
    char text[HARNESS_OUTPUT_MAX];

    read_text(&trial->service.error_fd, text);
    if (trial->fault.role == FAULTER_NOBODY && trial->faulter.n_reloads == 0)
        fail_msg("without a fault there is no reload: %s", text);
    if (trial->n_restarts == 0 && trial->faulter.n_reloads == 0 &&
        strstr(text, "utsbroker: reload: ") == NULL)
        problem(trial, "there is no reload, and the service does not say so: %s", text);
}

static enum outcome trial_run_service(struct trial *trial) {
    enum outcome outcome = HUNG;

    trial->faulter.is_armed = !stage.is_policy_new && !stage.is_reloading;
    trial_start_service(trial);
    if (trial_settle(trial)) {
        if (stage.is_policy_new) {
            assert_int_equal(utimensat(AT_FDCWD, POLICY_PATH, NULL, 0), 0);
            faulter_arm(&trial->faulter);
        }
        outcome = stage.is_reloading ? trial_reload_service(trial) : trial_ask_service(trial);
    }
    if (stage.is_reloading)
        trial_check_message(trial);
    (void)kill(trial->service.pid, SIGTERM);
    trial_end_processes(trial, outcome == HUNG);
    base_close_fd(&trial->service.error_fd);
    if (trial->service.status != 0)
        problem(trial, "the service ends with wait status 0x%x", (unsigned)trial->service.status);
    return trial->problem[0] == '\0' || outcome == HUNG ? outcome : WRONG;
}

static enum outcome trial_run(struct trial *trial) {
    return harness_is_service() ? trial_run_service(trial) : trial_run_direct(trial);
}

/* Tries one fault. Returns false if the role makes no such call. */
static bool try_fault(const struct fault *fault, struct fault *donep) {
    static struct trial trial;
    double begin = harness_now();
    enum outcome outcome;

    trial_init(&trial, fault);
    outcome = trial_run(&trial);
    trial_count(&trial, outcome, harness_now() - begin);
    *donep = trial.fault;
    return trial.fault.is_injected;
}

/* In service mode a trial takes ten times as long, so all errors are optional there. */
static bool has_all_errors(void) {
    const char *text = getenv("UTSBROKER_TEST_FAULTS");

    return !harness_is_service() || (text != NULL && strcmp(text, "all") == 0);
}

/*
 * Tries each call of @role in turn. Stops when two trials in a row find no further call, because
 * the number of calls differs between launches.
 */
static void try_role(enum faulter_role role) {
    for (unsigned index = 0, n_absent = 0; n_absent < 2 && tally.of_outcome[HUNG] < HUNG_MAX;) {
        struct fault fault = {.role = role, .index = index}, done;

        if (!has_all_errors())
            fault.choice = index + harness_number("UTSBROKER_TEST_SEED", 0);
        if (!try_fault(&fault, &done)) {
            n_absent++;
            continue;
        }
        n_absent = 0;
        index = done.index + 1;
        fault.index = done.index;
        for (fault.choice = 1; has_all_errors() && fault.choice < done.n_errors; fault.choice++)
            (void)try_fault(&fault, &done);
    }
}

/* Stores the output to compare with later. */
static void run_without_fault(void) {
    static struct trial trial;
    const struct fault none = {.role = FAULTER_NOBODY};

    trial_init(&trial, &none);
    (void)trial_run(&trial);
    if (trial.problem[0] == '\0' || strstr(trial.problem, "without a fault") != NULL)
        strcpy(stage.output, trial.launch.output);
    trial.problem[0] = '\0';
    if (trial_judge_launch(&trial) != RAN)
        fail_msg("without a fault: %s; %s", trial.problem, trial.launch.errors);
    assert_non_null(strstr(stage.output, "hostname=" HOSTNAME "\ndomainname=" DOMAINNAME "\n"));
}

static void tally_print(void) {
    print_message("tried: faults in %s mode: %u in", harness_mode(), tally.n_faults);
    for (size_t i = 0; i < FAULTER_ROLES; i++)
        if (tally.of_role[i] > 0)
            print_message(" %s %u", role_names[i], tally.of_role[i]);
    for (size_t i = 0; i < OUTCOMES; i++)
        print_message("%s %s %u", i == 0 ? ":" : ",", outcome_names[i], tally.of_outcome[i]);
    if (harness_is_service())
        print_message("; the service was restarted %u times", tally.n_restarts);
    print_message("; the longest trial took %.1f s\n", tally.longest);
}

static void try_roles(const enum faulter_role *roles, size_t n) {
    run_without_fault();
    for (size_t i = 0; i < n; i++)
        try_role(roles[i]);
}

static void assert_roles(const enum faulter_role *roles, size_t n) {
    tally_print();
    assert_int_equal(tally.of_outcome[WRONG] + tally.of_outcome[HUNG], 0);
    for (size_t i = 0; i < n; i++)
        assert_true(tally.of_role[roles[i]] > 5);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void each_failing_call_in_direct_mode(void **state) {
    static const enum faulter_role roles[] = {FAULTER_LAUNCHER, FAULTER_SESSION, FAULTER_GATE};

    (void)state;
    for (int i = 0; i < 2; i++) {
        stage.has_options = i == 1;
        try_roles(roles, BASE_ARRAY_SIZE(roles));
    }
    assert_roles(roles, BASE_ARRAY_SIZE(roles));
}

/* The deny rule names a group, which must be looked up; a later file permits the same name. */
static void a_denied_name_is_refused_whatever_call_fails(void **state) {
    const struct group *group = getgrgid(USER_NOBODY->gid);
    static struct trial trial;
    const struct fault none = {.role = FAULTER_NOBODY};
    char text[256];

    (void)state;
    assert_non_null(group);
    snprintf(text, sizeof(text), "deny group %s hostname " DENIED "\n", group->gr_name);
    policy_write("05-faults.conf", text);
    memset(&tally, 0, sizeof(tally));
    stage.user = USER_NOBODY;
    stage.hostname = DENIED;
    stage.has_options = false;
    trial_init(&trial, &none);
    assert_int_equal(trial_run(&trial), REFUSED);
    if (strstr(trial.launch.errors, "05-faults.conf:1 denies it") == NULL)
        fail_msg("without a fault: %s", trial.launch.errors);
    try_role(FAULTER_SESSION);
    tally_print();
    assert_int_equal(tally.of_outcome[REFUSED], tally.n_faults);
    assert_true(tally.n_faults > 10);
}

/* Without a ledger the session logs to syslog, and counts nothing. */
static void each_failing_call_of_a_session_without_a_ledger(void **state) {
    static const enum faulter_role roles[] = {FAULTER_SESSION};

    (void)state;
    assert_int_equal(umount(LEDGER_NAMESPACE_PATH), 0);
    assert_int_equal(unlink(LEDGER_NAMESPACE_PATH), 0);
    base_close_fd(&stage.log_fd);
    policy_clear();
    policy_write(POLICY_NAME, "deny user daemon hostname forbidden.test\n"
                              "permit any hostname " HOSTNAME " domainname " DOMAINNAME "\n");
    memset(&tally, 0, sizeof(tally));
    stage.user = USER_WITHOUT_NAME;
    stage.hostname = HOSTNAME;
    try_roles(roles, BASE_ARRAY_SIZE(roles));
    assert_roles(roles, BASE_ARRAY_SIZE(roles));
}

/* Covers the service from its start to the end of a launch. */
static void each_failing_call_in_service_mode(void **state) {
    static const enum faulter_role roles[] = {FAULTER_SERVICE, FAULTER_ZYGOTE, FAULTER_SESSION,
                                              FAULTER_GATE, FAULTER_LAUNCHER};

    (void)state;
    sleep(4); /* while the policy is new, the service reads it for each request */
    stage.has_options = true;
    try_roles(roles, BASE_ARRAY_SIZE(roles));
    assert_roles(roles, BASE_ARRAY_SIZE(roles));
}

/* Without the options the command does not end with utsrun. */
static void each_failing_call_of_a_launch_without_options(void **state) {
    static const enum faulter_role roles[] = {FAULTER_SESSION, FAULTER_LAUNCHER};

    (void)state;
    memset(&tally, 0, sizeof(tally));
    stage.has_options = false;
    try_roles(roles, BASE_ARRAY_SIZE(roles));
    assert_roles(roles, BASE_ARRAY_SIZE(roles));
}

/* The ready session has the old policy: the service discards it and makes another one itself. */
static void each_failing_call_with_a_new_policy(void **state) {
    static const enum faulter_role roles[] = {FAULTER_SERVICE, FAULTER_SESSION, FAULTER_GATE};

    (void)state;
    memset(&tally, 0, sizeof(tally));
    stage.has_options = true;
    stage.is_policy_new = true;
    try_roles(roles, BASE_ARRAY_SIZE(roles));
    assert_roles(roles, BASE_ARRAY_SIZE(roles));
}

static void each_failing_call_of_a_reload(void **state) {
    static const enum faulter_role roles[] = {FAULTER_SERVICE};

    (void)state;
    sleep(4); /* while the policy is new, the service reads it for each request */
    stage.has_options = true;
    stage.is_reloading = true;
    try_roles(roles, BASE_ARRAY_SIZE(roles));
    assert_roles(roles, BASE_ARRAY_SIZE(roles));
}

static int open_syslog(void) {
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};

    stage.syslog_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (stage.syslog_fd < 0 ||
        bind(stage.syslog_fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -1;
    return chmod("/dev/log", 0666);
}

/* Each trial starts its own service; all use the socket path of the harness's service. */
static void replace_service(void) {
    struct test_service *service = harness_service_of(USER_WITHOUT_NAME);
    char path[sizeof(service->path)];

    memcpy(path, service->path, sizeof(path));
    service_stop(service);
    stage.listen_fd = service_listen(path, USER_WITHOUT_NAME);
}

static bool is_log_there(void *context) {
    (void)context;
    stage.log_fd = open(LEDGER_TEST_LOG, O_RDONLY | O_CLOEXEC);
    return stage.log_fd >= 0 && access(LEDGER_LIVE_PATH, F_OK) == 0;
}

static int set_up(void **state) {
    if (harness_mount_dev() < 0 || open_syslog() < 0 || ledger_set_up() < 0)
        return -1;
    ledger_start(&stage.ledger);
    if (!harness_wait_for(is_log_there, NULL) || harness_set_up(state) < 0)
        return -1;
    stage.host_namespace_fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
    if (stage.host_namespace_fd < 0 || fstat(stage.host_namespace_fd, &stage.host_namespace) < 0 ||
        uname(&stage.host) < 0)
        return -1;
    /* The first rule needs a user database. The second has a limit of more than one command,
     * because the ledger learns of an end some milliseconds later. */
    policy_write(POLICY_NAME,
                 "deny user daemon hostname forbidden.test\n"
                 "permit any hostname " HOSTNAME " domainname " DOMAINNAME " limit 3\n");
    stage.user = USER_WITHOUT_NAME;
    stage.hostname = HOSTNAME;
    if (harness_is_service())
        replace_service();
    return 0;
}

static bool is_nothing_alive(void *context) {
    static struct live_command live[8];

    (void)context;
    return ledger_read_live(live, BASE_ARRAY_SIZE(live)) == 0;
}

/* Whatever call fails, the ledger counts only what lives. */
static int tear_down(void **state) {
    int r = harness_tear_down(state);

    if (stage.log_fd >= 0 && !harness_wait_for(is_nothing_alive, NULL)) {
        print_error("the ledger counts commands that have ended\n");
        r = -1;
    }
    ledger_kill(&stage.ledger, SIGTERM);
    return r;
}

int main(void) {
    static const struct CMUnitTest direct[] = {
        cmocka_unit_test(each_failing_call_in_direct_mode),
        cmocka_unit_test(a_denied_name_is_refused_whatever_call_fails),
        cmocka_unit_test(each_failing_call_of_a_session_without_a_ledger)};
    static const struct CMUnitTest service[] = {
        cmocka_unit_test(each_failing_call_in_service_mode),
        cmocka_unit_test(each_failing_call_of_a_launch_without_options),
        cmocka_unit_test(each_failing_call_with_a_new_policy)};
    static const struct CMUnitTest reload[] = {cmocka_unit_test(each_failing_call_of_a_reload)};
    bool is_reload = getenv("UTSBROKER_TEST_OF") != NULL;
    int status;

    if (!test_has_root(is_reload              ? BASE_ARRAY_SIZE(reload)
                       : harness_is_service() ? BASE_ARRAY_SIZE(service)
                                              : BASE_ARRAY_SIZE(direct),
                       &status))
        return status;
    if (!FAULTER_IS_SUPPORTED) {
        printf("skipped: the test cannot replace system calls on this architecture yet\n");
        return TEST_SKIPPED;
    }
    cmocka_set_test_filter(getenv("UTSBROKER_TEST_FILTER"));
    if (is_reload)
        return cmocka_run_group_tests(reload, set_up, tear_down);
    return harness_is_service() ? cmocka_run_group_tests(service, set_up, tear_down)
                                : cmocka_run_group_tests(direct, set_up, tear_down);
}
