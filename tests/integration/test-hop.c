/*
 * From host to host: utsrun in a command of the service. The caller has no_new_privs, and is served
 * if it proves that nothing else confines it (broker/service/witness.h).
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <dirent.h>

#include "tests/integration/by-hand.h"
#include "tests/integration/harness.h"

static void exit_on_error(long r) {
    if (r < 0)
        _exit(200);
}

static void set_no_new_privs(void *context) {
    (void)context;
    exit_on_error(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* A domain that forbids nothing that matters here: it shows in no file of /proc. */
static void enter_landlock(void *context) {
    const struct landlock_ruleset_attr attributes = {.handled_access_fs =
                                                         LANDLOCK_ACCESS_FS_MAKE_BLOCK};
    long fd =
        syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes.handled_access_fs), 0);

    exit_on_error(fd);
    set_no_new_privs(context);
    exit_on_error(syscall(SYS_landlock_restrict_self, fd, 0));
    exit_on_error(close((int)fd));
}

static void set_filter(void *context) {
    struct sock_filter allow = {.code = BPF_RET | BPF_K, .k = SECCOMP_RET_ALLOW};
    const struct sock_fprog program = {.len = 1, .filter = &allow};

    set_no_new_privs(context);
    exit_on_error(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

static void ignore_children(void *context) {
    set_no_new_privs(context);
    exit_on_error(signal(SIGCHLD, SIG_IGN) == SIG_ERR ? -1 : 0);
}

/* Makes a cgroup in a hierarchy of this machine, and has this process, or no process, in it. */
static void cgroup_enter(const char *procs) {
    FILE *file = fopen(procs, "we");

    if (file == NULL || fprintf(file, "%d", (int)getpid()) < 0 || fclose(file) != 0)
        fail_msg("%s: %s", procs, strerror(errno));
}

static char own_procs[256], other_folder[256], other_procs[300];

/* Finds a hierarchy in which a cgroup can be made. Returns false if there is none. */
static bool cgroup_make(void) {
    static const char *const hierarchies[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
                                              "/sys/fs/cgroup/pids", "/sys/fs/cgroup/freezer"};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(hierarchies); i++) {
        snprintf(own_procs, sizeof(own_procs), "%s/cgroup.procs", hierarchies[i]);
        snprintf(other_folder, sizeof(other_folder), "%s/utsbroker-test-hop", hierarchies[i]);
        snprintf(other_procs, sizeof(other_procs), "%s/cgroup.procs", other_folder);
        if (access(own_procs, W_OK) == 0 && (mkdir(other_folder, 0755) == 0 || errno == EEXIST))
            return true;
    }
    return false;
}

/* utsrun in a command, and in a command of that: each has its own name, and ends as it should. */
static void a_command_starts_commands_under_other_names(void **state) {
    static const struct {
        char *script, *output;
        int code;
    } cases[] = {
        {"utsrun -n b.test -- uname -n; uname -n", "b.test\na.test\n", 0},
        {"utsrun -n b.test -- sh -c 'exit 7'", "", 7},
        {"utsrun -n b.test -- utsrun -n c.test -- utsrun -n d.test -- uname -n", "d.test\n", 0},
        {"for i in 1 2 3 4 5 6 7 8; do utsrun -n h$i.test -- uname -n & done | sort; wait",
         "h1.test\nh2.test\nh3.test\nh4.test\nh5.test\nh6.test\nh7.test\nh8.test\n", 0},
        {"echo x | utsrun -n b.test -- cat", "x\n", 0},
        {"trap '' CHLD; exec utsrun -n b.test -- sh -c 'exit 3'", "", 3},
        {"(exec 2>/dev/null; utsrun -n b.test -- sh -c 'kill -TERM $$'; echo $?)", "143\n", 0},
        {"utsrun --via direct -n b.test -- true 2>&1 | grep -c 'the service can'", "1\n", 0},
        {"utsrun -n denied -- true 2>&1 | grep -c 'no rule permits it'", "1\n", 0},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        static char *environment[] = {"PATH=" UTSRUN_FOLDER ":/usr/bin:/bin", NULL};
        const struct run run = {
            .user = USER_WITHOUT_NAME,
            .argv = {UTSRUN_PATH, "-n", "a.test", "--", "bash", "-c", cases[i].script},
            .environment = environment};

        harness_run(&run, &result);
        if (strcmp(result.output, cases[i].output) != 0 || result.errors[0] != '\0')
            fail_msg("%s: got '%s' %s", cases[i].script, result.output, result.errors);
        harness_assert_exit(&result, cases[i].code);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void no_new_privs_alone_is_served_and_a_sandbox_is_not(void **state) {
    static const struct {
        const char *what;
        void (*set_up)(void *context);
        const char *message; /* NULL: it is served */
    } cases[] = {
        {"no_new_privs", set_no_new_privs, NULL},
        {"SIGCHLD ignored", ignore_children, NULL},
        {"Landlock", enter_landlock, "may not attach to another of yours"},
        {"a filter", set_filter, "a seccomp filter is set here"},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "uname", "-n"},
                                .set_up = cases[i].set_up};

        harness_run(&run, &result);
        if (cases[i].message != NULL ? strstr(result.errors, cases[i].message) == NULL
                                     : strcmp(result.output, "x.test\n") != 0)
            fail_msg("%s: got '%s' %s", cases[i].what, result.output, result.errors);
        harness_assert_exit(&result, cases[i].message != NULL ? 125 : 0);
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* hidepid=ptraceable (proc(5)): who may not attach to a process does not see it. */
static void a_proc_that_hides_processes_is_no_obstacle(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", "uname", "-n"},
                            .set_up = set_no_new_privs};

    (void)state;
    if (mount(NULL, "/proc", NULL, MS_REMOUNT, "hidepid=4") < 0) { /* Linux 5.8 */
        print_message("skipped: /proc cannot hide processes here\n");
        skip();
    }
    for (int i = 0; i < 10; i++) {
        harness_run(&run, &result);
        if (result.status != 0)
            break;
    }
    assert_int_equal(mount(NULL, "/proc", NULL, MS_REMOUNT, "hidepid=0"), 0);
    if (strcmp(result.output, "x.test\n") != 0)
        fail_msg("got '%s' %s", result.output, result.errors);
    harness_assert_exit(&result, 0);
}

static void bubblewrap_is_refused(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {"/usr/bin/bwrap", "--dev-bind", "/", "/", "--", UTSRUN_PATH,
                                     "-n", "x.test", "true"}};

    (void)state;
    if (access("/usr/bin/bwrap", X_OK) != 0) {
        print_message("skipped: there is no bwrap\n");
        skip();
    }
    harness_run(&run, &result);
    harness_assert_exit(&result, 125);
    if (strstr(result.errors, "namespace than the service") == NULL)
        fail_msg("got: %s", result.errors);
}

/* A unit of the administrator's that confines a process has a cgroup of its own. */
static void another_cgroup_is_refused(void **state) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", "x.test", "true"},
                            .set_up = set_no_new_privs};
    const struct run without = {.user = USER_WITHOUT_NAME,
                                .argv = {UTSRUN_PATH, "-n", "x.test", "true"}};

    (void)state;
    if (!cgroup_make()) {
        print_message("skipped: no cgroup can be made here\n");
        skip();
    }
    cgroup_enter(other_procs);
    harness_run(&run, &result);
    harness_assert_exit(&result, 125);
    if (strstr(result.errors, "in a command that was started with --via service") == NULL)
        fail_msg("got: %s", result.errors);
    harness_run(&without, &result); /* it is for no_new_privs only */
    harness_assert_exit(&result, 0);
    cgroup_enter(own_procs);
    assert_int_equal(rmdir(other_folder), 0);
}

/* How a caller answers when it is asked for the proof. */
enum answer {
    ATTACHES,         /* as utsrun does */
    SAYS_NOTHING,     /* until the service gives up */
    ONLY_KILLS,       /* the witness is dead, and nobody has attached */
    ONLY_ATTACHES,    /* the witness stays alive */
    ANOTHER_ATTACHES, /* an accomplice, made before the caller entered its sandbox */
    HANGS_UP,         /* ends, and nobody is served */
    LOOKS,            /* at the witness, then attaches */
};

#define POLICY_MARK "marked-in-the-policy"
#define MEMORY_MAX (1UL << 30)

/* True if memory of the process @pid that can be read and written has @text. */
static bool memory_has(pid_t pid, const char *text) {
    static char bytes[1 << 16];
    char path[64], line[512];
    bool is_found = false;
    FILE *maps;
    int memory;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    maps = fopen(path, "re");
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
    memory = open(path, O_RDONLY | O_CLOEXEC);
    if (maps == NULL || memory < 0)
        _exit(224);
    while (!is_found && fgets(line, sizeof(line), maps) != NULL) {
        unsigned long from, to;

        /* What is larger is the shadow memory of a sanitizer, which has no text. */
        if (sscanf(line, "%lx-%lx rw", &from, &to) != 2 || to - from > MEMORY_MAX)
            continue;
        for (unsigned long at = from; at < to && !is_found; at += sizeof(bytes) - 64) {
            ssize_t n = pread(memory, bytes, sizeof(bytes), (off_t)at);

            is_found = n > 0 && memmem(bytes, (size_t)n, text, strlen(text)) != NULL;
        }
    }
    (void)fclose(maps);
    (void)close(memory);
    return is_found;
}

struct accomplice {
    int orders[2], done[2];
    pid_t pid;
};

/* Attaches to what it is told, and kills that. */
static void accomplice_start(struct accomplice *accomplice) {
    pid_t witness;

    exit_on_error(pipe(accomplice->orders));
    exit_on_error(pipe(accomplice->done));
    accomplice->pid = fork();
    exit_on_error(accomplice->pid);
    if (accomplice->pid > 0)
        return;
    exit_on_error(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
    if (read(accomplice->orders[0], &witness, sizeof(witness)) != sizeof(witness))
        _exit(1);
    /* It may: without Yama every unconfined process of this user may. */
    exit_on_error(ptrace(PTRACE_SEIZE, witness, NULL, NULL));
    exit_on_error(kill(witness, SIGKILL));
    exit_on_error(write(accomplice->done[1], "x", 1));
    pause();
}

static void answer_by_accomplice(const struct accomplice *accomplice, pid_t witness) {
    char byte;

    exit_on_error(write(accomplice->orders[1], &witness, sizeof(witness)));
    if (read(accomplice->done[0], &byte, 1) != 1)
        _exit(204);
}

/* Ends this process unless the witness has nothing: no capability, filter, descriptor, variable. */
static void look_at_witness(pid_t witness) {
    static const char *const lines[] = {"CapInh", "CapPrm", "CapEff", "CapAmb", "Seccomp"};
    char path[64];
    DIR *fds;
    FILE *file;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(lines); i++)
        if (strtoul(harness_status_line(witness, lines[i]), NULL, 16) != 0)
            _exit(210 + (int)i);
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)witness);
    fds = opendir(path);
    if (fds == NULL)
        _exit(220);
    for (struct dirent *entry; (entry = readdir(fds)) != NULL;)
        if (entry->d_name[0] != '.')
            _exit(221);
    closedir(fds);
    snprintf(path, sizeof(path), "/proc/%d/environ", (int)witness);
    file = fopen(path, "re");
    if (file == NULL || fgetc(file) != EOF)
        _exit(222);
    (void)fclose(file);
    if (memory_has(witness, POLICY_MARK))
        _exit(223);
}

static void answer_give(enum answer answer, pid_t witness) {
    if (answer == LOOKS)
        look_at_witness(witness);
    if (answer == ATTACHES || answer == ONLY_ATTACHES || answer == LOOKS)
        exit_on_error(ptrace(PTRACE_SEIZE, witness, NULL, NULL));
    if (answer == ATTACHES || answer == ONLY_KILLS || answer == LOOKS)
        exit_on_error(kill(witness, SIGKILL));
    if (answer == HANGS_UP)
        _exit(PROTOCOL_GONE);
}

/* Ends with 0 if it is served, else with the confinement. */
static _Noreturn void be_caller(enum answer answer, const char *path) {
    struct accomplice accomplice = {.pid = 0};
    struct protocol_reply reply;
    int channel;

    harness_become(USER_WITHOUT_NAME);
    exit_on_error(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
    set_no_new_privs(NULL);
    if (answer == ANOTHER_ATTACHES) {
        accomplice_start(&accomplice);
        enter_landlock(NULL);
    }
    channel = hand_connect(path);
    if (channel < 0)
        _exit(202);
    hand_send_request(channel);
    reply = hand_receive_reply(channel);
    if (reply.status != PROTOCOL_PROVE)
        _exit(203);
    if (answer == ANOTHER_ATTACHES)
        answer_by_accomplice(&accomplice, reply.pid);
    else
        answer_give(answer, reply.pid);
    reply = hand_receive_reply(channel);
    _exit(reply.status == PROTOCOL_GRANTED           ? 0
          : reply.status == PROTOCOL_CALLER_CONFINED ? (int)reply.confinement
                                                     : 205);
}

static void only_the_caller_itself_can_prove_it(void **state) {
    static const struct {
        const char *what;
        enum answer answer;
        enum protocol_confinement confinement;
    } cases[] = {
        {"attaches", ATTACHES, PROTOCOL_UNCONFINED},
        {"says nothing", SAYS_NOTHING, PROTOCOL_UNPROVED},
        {"only kills", ONLY_KILLS, PROTOCOL_UNPROVED},
        {"only attaches", ONLY_ATTACHES, PROTOCOL_UNPROVED},
        {"an accomplice", ANOTHER_ATTACHES, PROTOCOL_UNPROVED},
        {"hangs up", HANGS_UP, PROTOCOL_GONE},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        int status;
        pid_t pid = fork();

        if (pid == 0)
            be_caller(cases[i].answer, harness_service_of(USER_WITHOUT_NAME)->path);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status != (int)cases[i].confinement << 8)
            fail_msg("%s: wait status 0x%x", cases[i].what, (unsigned)status);
        harness_assert_nothing_left(USER_WITHOUT_NAME);
    }
}

static void the_witness_has_nothing_of_the_service(void **state) {
    const struct test_service *service = harness_service_of(USER_WITHOUT_NAME);
    pid_t pid;
    int status;

    (void)state;
    policy_write("10-test.conf", "permit any hostname " POLICY_MARK "\npermit any hostname x.test");
    pid = fork();
    if (pid == 0)
        be_caller(LOOKS, service->path);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("wait status 0x%x", (unsigned)status);
    assert_true(memory_has(service->pid, POLICY_MARK)); /* so it would be found */
    policy_clear();
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_command_starts_commands_under_other_names),
    cmocka_unit_test(no_new_privs_alone_is_served_and_a_sandbox_is_not),
    cmocka_unit_test(a_proc_that_hides_processes_is_no_obstacle),
    cmocka_unit_test(bubblewrap_is_refused),
    cmocka_unit_test(another_cgroup_is_refused),
    cmocka_unit_test(only_the_caller_itself_can_prove_it),
    cmocka_unit_test(the_witness_has_nothing_of_the_service),
};

HARNESS_MAIN(tests)
