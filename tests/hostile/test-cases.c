/*
 * Known faults of programs that give privileges to others; these faults cannot happen here. Each
 * test bears the name of its case. Another test may show more of it. The cases:
 *
 * CVE-2016-8659 (bubblewrap): a helper was traced, and set the host's own name (all its moments:
 *     test-moments)
 * CVE-2026-41163 (bubblewrap): the same by another operation of the helper
 * CVE-2026-87766 (Flatcar): links of the caller's were followed with privilege
 * CVE-2017-5226 (bubblewrap): TIOCSTI to a terminal that was shared
 * CVE-2020-5291 (bubblewrap): an effective uid decided whether there was a privilege to drop
 * CVE-2020-17367, CVE-2020-17368 (firejail): options after "--", and a shell
 * CVE-2021-4034 (polkit): argc 0
 * CVE-2025-32462 (sudo): another host's rules held for this one
 * CVE-2018-7169 (shadow): a group that denies could be dropped
 * CVE-2017-5985 (lxc): something was done in a namespace of somebody else's
 * CVE-2022-47952 (lxc): errors told which files exist
 * CVE-2019-5736 (runc): the program was overwritten through /proc/self/exe
 * CVE-2024-21626 (runc): a descriptor led out
 * CVE-2021-44730 (snapd): a helper was looked for beside a hard link (test-surroundings)
 * seatd 907b75d: a helper was looked for in the caller's PATH
 * seatd 32d0648: a path was removed that could be anybody's (integration/test-listen:
 *     the_service_removes_no_file_of_others)
 * CVE-2019-7304 (snapd): a uid was parsed out of a text in which the peer's own was
 * CVE-2013-4288, CVE-2019-6133 (polkit): a pid was another process's by then
 * CVE-2014-3215 (seunshare), libcap-ng#21: no_new_privs was left out, sets were not applied
 * CVE-2022-27650 (crun): inheritable capabilities leaked
 *
 * Not tested, because utsbroker has no such operation: CVE-2022-31214 (firejail: a forged sandbox
 * was joined; nothing can be joined), CVE-2021-26910 (firejail: overlayfs) and CVE-2021-44731
 * (snapd: a race while mounting; nothing is mounted).
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pty.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/hostile/attacker.h"
#include "tests/hostile/speaker.h"
#include "tests/integration/harness.h"
#include "utsbroker/channel.h"

#define FOLDER "/tmp/utsbroker-test-cases"

static void run_shell(const char *command) {
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

/* Makes the user's folder, and in it a folder of root that the user can neither list nor enter. */
static int set_up(void **state) {
    run_shell("rm -rf " FOLDER "; umask 022; mkdir -m 1777 " FOLDER "; mkdir " FOLDER "/shut;"
              "install -m 755 /bin/true " FOLDER "/shut/prog; chmod 700 " FOLDER "/shut;"
              "ln -s shut/prog " FOLDER "/link; ln -s shut " FOLDER "/folder");
    return harness_set_up(state);
}

static int tear_down(void **state) {
    run_shell("rm -rf " FOLDER);
    return harness_tear_down(state);
}

/* Runs a script as the user, in FOLDER, and returns its output. */
static const struct result *script(const char *text) {
    static char *environment[] = {"PATH=" UTSRUN_FOLDER ":/usr/bin:/bin", "BROKER=" BROKER_PATH,
                                  NULL};
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {"/bin/sh", "-c", (char *)(uintptr_t)text},
                            .environment = environment};

    assert_int_equal(chdir(FOLDER), 0);
    harness_run(&run, &result);
    assert_int_equal(chdir("/"), 0);
    return &result;
}

static void assert_says(const char *text, const char *output) {
    const struct result *result = script(text);

    if (strcmp(result->output, output) != 0)
        fail_msg("%s: not '%s' but '%s' %s", text, output, result->output, result->errors);
}

/* Runs @act in a new process of the user; fails the test unless the process ends with 0. */
static void as_user(void (*act)(void)) {
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        speaker_become(USER_WITHOUT_NAME, 60);
        act();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void or_exit(bool is_so, int code) {
    if (!is_so)
        _exit(code);
}

static void speaker_ask(const struct speaker *speaker, const char *hostname, char *const *command) {
    const struct protocol_request request = speaker_request(hostname);
    const int fds[] = {speaker_describe(command), open("/", O_PATH | O_CLOEXEC)};

    or_exit(channel_send(speaker->channel, &request, sizeof(request), fds, speaker_fds_needed()) ==
                0,
            10);
}

/* A client that has connected and requests nothing: its session and gate wait. */
static pid_t waiting_client(int *endp) {
    int ends[2];
    pid_t pid;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    pid = fork();
    if (pid == 0) {
        struct speaker speaker;
        char byte;

        speaker_become(USER_WITHOUT_NAME, 60);
        or_exit(speaker_open(&speaker, USER_WITHOUT_NAME), 11);
        (void)close(ends[0]);
        _exit(read(ends[1], &byte, 1) == 0 && speaker_close(&speaker) ? 0 : 12);
    }
    (void)close(ends[1]);
    *endp = ends[0];
    return pid;
}

/* In direct mode the broker and its gate are the client's children. */
static bool has_two_children(void *context) {
    pid_t *pids = context;

    return children_of(pids[0], pids + 1, 2) == 2;
}

static void cve_2016_8659_the_hosts_name_cannot_be_set_through_a_traced_child(void **state) {
    struct test_service *service = harness_service_of(USER_WITHOUT_NAME);
    struct attacker attacker;
    pid_t pids[8] = {0};
    size_t n = 3;
    int end;

    (void)state;
    pids[0] = waiting_client(&end);
    if (service != NULL) {
        n = 1 + service_children(service->pid, pids + 1, 4);
        pids[n++] = service->pid;
        pids[n++] = service_zygote(service->pid);
    } else {
        assert_true(harness_wait_for(has_two_children, pids));
    }
    attacker_start(&attacker, USER_WITHOUT_NAME);
    attacker_assert_is_able(&attacker, USER_WITHOUT_NAME);
    for (size_t i = 1; i < n; i++)
        if (pids[i] != 0)
            attacker_assert_fails(&attacker, pids[i], "a process that waits with its capability");
    print_message(
        "tried: %u attempts in %s mode on what waits with a capability; wrong outcomes 0\n",
        attacker.n_tried, harness_mode());
    attacker_end(&attacker);
    (void)close(end);
    assert_int_equal(waitpid(pids[0], NULL, 0), pids[0]);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

static void ask_twice(void) {
    static char *const command[] = {"sh", "-c", "sleep 0.3; uname -n > " FOLDER "/name", NULL};
    const struct protocol_request second = speaker_request("second.test");
    struct speaker speaker;
    int fd;

    or_exit(speaker_open(&speaker, USER_WITHOUT_NAME), 11);
    speaker_ask(&speaker, "first.test", command);
    or_exit(speaker_hear(&speaker) == PROTOCOL_GRANTED, 12);
    fd = speaker_describe(command);
    (void)channel_send(speaker.channel, &second, sizeof(second), &fd, 1);
    or_exit(speaker_hear(&speaker) == PROTOCOL_STATUS_COUNT, 13);
    (void)speaker_close(&speaker);
}

/* After the one request has been served, no process is left that could set a name. */
static void cve_2026_41163_nothing_is_done_after_the_one_request(void **state) {
    (void)state;
    as_user(ask_twice);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    assert_says("cat name; rm name", "first.test\n");
}

static void cve_2026_87766_what_a_caller_names_is_opened_as_the_caller(void **state) {
    (void)state;
    assert_says("for path in ./shut/prog ./link folder/prog ./shut/../shut/prog; do "
                "utsrun -n x.test -- $path; echo $?; done",
                "126\n126\n126\n126\n");
    assert_says("cd folder || utsrun -n x.test -- ls shut folder/.; echo $?", "2\n");
}

/*
 * In service mode a command has a terminal of its own: what it types with TIOCSTI, it types to
 * itself.
 */
static void cve_2017_5226_the_callers_terminal_is_not_the_commands(void **state) {
    char text[4096] = "";
    size_t length = 0;
    ssize_t n;
    int fd, status;
    pid_t pid = forkpty(&fd, NULL, NULL, NULL);

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        harness_become(USER_WITHOUT_NAME);
        (void)execl("/bin/sh", "sh", "-c",
                    "PATH=" UTSRUN_FOLDER ":$PATH; outer=$(tty); inner=$(utsrun -n x.test -- tty);"
                    "test -n \"$outer\" && test \"$outer\" != \"$inner\" && echo another $inner",
                    NULL);
        _exit(202);
    }
    while ((n = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
        length += (size_t)n;
    text[length] = '\0';
    (void)close(fd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (strstr(text, "another /dev/pts/") == NULL)
        fail_msg("%s", text);
}

static void other_effective_uid(void *context) {
    (void)context;
    or_exit(setresuid(USER_WITHOUT_NAME->uid, USER_NOBODY->uid, USER_NOBODY->uid) == 0, 203);
}

static void other_real_uid(void *context) {
    (void)context;
    or_exit(setresuid(USER_WITHOUT_NAME->uid, 0, 0) == 0, 203);
}

static void other_effective_gid(void *context) {
    (void)context;
    or_exit(setresgid(USER_WITHOUT_NAME->gid, USER_NOBODY->gid, USER_NOBODY->gid) == 0, 203);
    or_exit(setresuid(USER_WITHOUT_NAME->uid, USER_WITHOUT_NAME->uid, USER_WITHOUT_NAME->uid) == 0,
            203);
}

static void cve_2020_5291_who_is_two_users_is_refused(void **state) {
    static void (*const cases[])(void *context) = {other_effective_uid, other_real_uid,
                                                   other_effective_gid};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        static struct result result;
        const struct run run = {.argv = {UTSRUN_PATH, "-n", "x.test", "true"}, .set_up = cases[i]};

        harness_run(&run, &result);
        harness_assert_exit(&result, 125);
        assert_non_null(strstr(result.errors, "real and effective ids differ"));
    }
}

static void cve_2020_17367_nothing_of_the_command_is_an_option_or_a_shells(void **state) {
    (void)state;
    assert_says("utsrun -n x.test -- printf '%s|' -n evil --via=none -- --help -v",
                "-n|evil|--via=none|--|--help|-v|");
    assert_says("utsrun -n x.test printf '%s|' -d evil --status-fd 1", "-d|evil|--status-fd|1|");
    assert_says("utsrun -n x.test -- 'touch mark; true'; echo $?; ls mark 2>&1 | wc -l; cat mark",
                "127\n1\n");
    assert_says("utsrun -n 'x.test;touch mark' -- true; echo $?; cat mark", "125\n");
    assert_says("utsrun -n '$(touch mark).test' -- true; echo $?; cat mark", "125\n");
}

static void execute_without_arguments(void *context) {
    char *nothing[] = {NULL};

    (void)execve(context, nothing, nothing);
    _exit(202);
}

static void ask_without_arguments(void) {
    static char *const nothing[] = {NULL};
    struct speaker speaker;

    or_exit(speaker_open(&speaker, USER_WITHOUT_NAME), 11);
    speaker_ask(&speaker, "x.test", nothing);
    or_exit(speaker_hear(&speaker) == PROTOCOL_BAD_REQUEST, 12);
    or_exit(speaker_close(&speaker), 13);
}

static void cve_2021_4034_no_argument_at_all_is_refused(void **state) {
    static char *programs[] = {UTSRUN_PATH, BROKER_PATH};

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(programs); i++) {
        static struct result result;
        const struct run run = {.user = USER_WITHOUT_NAME,
                                .argv = {"/no/such/file"},
                                .set_up = execute_without_arguments,
                                .context = programs[i]};

        harness_run(&run, &result);
        harness_assert_exit(&result, 125);
        assert_memory_equal(result.errors, i == 0 ? "utsrun: " : "utsbroker: ", i == 0 ? 8 : 11);
    }
    as_user(ask_without_arguments);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

/* A rule names the requested host name; it never depends on the host on which it is evaluated. */
static void cve_2025_32462_under_no_name_is_there_another_policy(void **state) {
    (void)state;
    policy_write("10-test.conf",
                 "permit any hostname a.lab b.lab setuid\npermit any hostname x.test\ndeny any");
    if (!harness_is_service()) {
        assert_says("utsrun -n a.lab -- utsrun -n b.lab -- uname -n", "b.lab\n");
        assert_says("utsrun -n a.lab -- utsrun -n c.lab -- true; echo $?", "125\n");
    }
    /* Without setuid only the service can start a command from a command. */
    assert_says("utsrun -n x.test -- utsrun -n x.test -- true; echo $?",
                harness_is_service() ? "0\n" : "125\n");
    assert_says("utsrun -n x.test -- utsrun -n c.lab -- true; echo $?", "125\n");
    assert_says("utsrun -n $(uname -n) -- true; echo $?", "125\n");
    policy_clear();
}

static void drop_groups(void *context) {
    static const char map[] = "0 54322 1";
    int fd;

    (void)context;
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    or_exit(unshare(CLONE_NEWUSER) == 0, 203);
    fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
    or_exit(fd >= 0 && write(fd, "deny", 4) == 4, 204);
    fd = open("/proc/self/gid_map", O_WRONLY | O_CLOEXEC);
    or_exit(fd >= 0 && write(fd, map, strlen(map)) == (ssize_t)strlen(map), 205);
    or_exit(syscall(SYS_setgroups, 0, NULL) < 0, 206);
}

static void cve_2018_7169_a_group_that_denies_cannot_be_dropped(void **state) {
    struct user with_fewer = *USER_WITHOUT_NAME;
    struct run run = {.user = USER_WITHOUT_NAME, .argv = {UTSRUN_PATH, "-n", "lab", "true"}};
    static struct result result;

    (void)state;
    policy_write("10-test.conf", "deny group 54323 hostname lab\npermit any hostname *");
    harness_run(&run, &result);
    harness_assert_exit(&result, 125);
    assert_non_null(strstr(result.errors, "10-test.conf:1 denies it"));
    run.set_up = drop_groups;
    harness_run(&run, &result);
    if (WIFEXITED(result.status) && WEXITSTATUS(result.status) == 203)
        print_message("a user namespace: this kernel does not let it be made\n");
    else
        harness_assert_exit(&result, 125);
    if (harness_is_service()) { /* one that never had it asks one that has it */
        with_fewer.n_groups = 0;
        run.user = &with_fewer;
        run.set_up = NULL;
        harness_run(&run, &result);
        harness_assert_exit(&result, 125);
        assert_non_null(strstr(result.errors, "which utsrun lacks here"));
    }
    policy_clear();
}

static int connect_to_service(int fd) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s",
                   harness_service_of(USER_WITHOUT_NAME)->path);
    return connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

static void cve_2017_5985_nobody_asks_for_another_user(void **state) {
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) {
        harness_become(USER_NOBODY);
        _exit(connect_to_service(socket(AF_UNIX, SOCK_SEQPACKET, 0)) == -EACCES ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/*
 * A file that exists and one that does not, where the caller may not look; and a policy with a
 * secret name.
 */
static void cve_2022_47952_a_refusal_tells_of_no_file(void **state) {
    static const char both[] = "utsrun: './shut/prog' could not be executed: Permission denied\n"
                               "utsrun: './shut/none' could not be executed: Permission denied\n";
    static char first[HARNESS_OUTPUT_MAX];

    (void)state;
    assert_says("for name in prog none; do utsrun -n x.test -- ./shut/$name; done 2>&1", both);
    policy_write("10-secret.conf", "nonsense");
    assert_int_equal(chmod(POLICY_FOLDER_ADMIN "/10-secret.conf", 0600), 0);
    (void)snprintf(first, sizeof(first), "%s", script("utsrun -n x.test -- true 2>&1")->output);
    assert_non_null(strstr(first, "is missing or has an error"));
    assert_null(strstr(first, "secret"));
    policy_write("10-secret.conf", "nonsense");
    assert_says("utsrun -n x.test -- true 2>&1", first);
    policy_clear();
}

/* In the gate /proc/self/exe is the broker: it can be executed, and then has no capability. */
static void cve_2019_5736_the_broker_cannot_be_overwritten_through_proc(void **state) {
    (void)state;
    run_shell("cksum < " BROKER_PATH " > " FOLDER "/before");
    assert_says("utsrun -n x.test -- /proc/self/exe --session-fd 3 2>&1 | head -n 1",
                "utsbroker: --session-fd is not a SOCK_SEQPACKET socket of AF_UNIX\n");
    assert_says("printf '#!/proc/self/exe\\n' > script; chmod 755 script; "
                "utsrun -n x.test -- ./script 2>/dev/null; echo $?",
                "125\n");
    assert_says("utsrun -n x.test -- sh -c ': >> $BROKER' 2>/dev/null || echo no", "no\n");
    run_shell("cksum < " BROKER_PATH " | cmp - " FOLDER "/before");
}

static void cve_2024_21626_no_descriptor_leads_out(void **state) {
    (void)state;
    assert_says("ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 "); /* 3 is the one of ls */
    assert_says("utsrun -n x.test -- ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 ");
    /* In the gate, before they are closed. */
    assert_says("for fd in $(seq 3 40); do for behind in '' /. /../bin/true /usr/bin/true; do "
                "utsrun -n x.test -- /proc/self/fd/$fd$behind && echo fd $fd$behind; "
                "done; done 2>/dev/null",
                "");
}

/* The first helper is found by PATH: it shows that a search would find it. */
static void seatd_907b75d_no_helper_is_searched_for_in_path(void **state) {
    (void)state;
    assert_says(
        "mkdir -p bin; for name in utsbroker utspolicy hostname sethostname unshare logger; do "
        "printf '#!/bin/sh\\necho $0 >> " FOLDER "/mark\\n' > bin/$name; done; "
        "chmod 755 bin/*; run=$(command -v utsrun); PATH=" FOLDER "/bin:$PATH; cd bin; "
        "utsbroker; cat ../mark; rm ../mark; $run -n x.test -- true; $run -n evil -- true; "
        "$run -l > /dev/null; cat ../mark",
        FOLDER "/bin/utsbroker\n");
}

static void ask_under_a_name_like_a_uid(void) {
    static char *const command[] = {"true", NULL};
    const struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "\0x;uid=0;pid=1;uid=0;"};
    struct speaker speaker = {.channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};

    or_exit(bind(speaker.channel, (const struct sockaddr *)&name, sizeof(name)) == 0, 11);
    or_exit(connect_to_service(speaker.channel) == 0, 12);
    speaker_ask(&speaker, "rootonly", command);
    or_exit(speaker_hear(&speaker) == PROTOCOL_DENIED, 13);
}

static void cve_2019_7304_no_text_of_the_peers_is_its_id(void **state) {
    (void)state;
    policy_write("10-test.conf", "permit user 0 hostname rootonly");
    as_user(ask_under_a_name_like_a_uid);
    policy_clear();
}

static void ask_when_the_peer_is_gone(void) {
    static char *const command[] = {"true", NULL};
    struct speaker speaker = {.channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    pid_t pid = fork();
    int status = -1;

    if (pid == 0)
        _exit(connect_to_service(speaker.channel) == 0 ? 0 : 1);
    or_exit(waitpid(pid, &status, 0) == pid && status == 0, 11);
    speaker_ask(&speaker, "x.test", command);
    or_exit(speaker_hear(&speaker) == PROTOCOL_CALLER_CONFINED, 12);
}

static void cve_2019_6133_one_whose_pid_may_be_anothers_is_refused(void **state) {
    (void)state;
    as_user(ask_when_the_peer_is_gone);
    harness_assert_nothing_left(USER_WITHOUT_NAME);
}

#define NO_CAPABILITY                                                                              \
    "inheritable 0000000000000000 permitted 0000000000000000 effective 0000000000000000 "          \
    "ambient 0000000000000000\n"

static void cve_2014_3215_no_new_privs_is_set_and_every_set_is_empty(void **state) {
    const struct result *result = script("utsrun -n x.test -- " WITNESS_PATH);

    (void)state;
    harness_assert_exit(result, 0);
    assert_non_null(strstr(result->output, " no_new_privs 1 filter 0 "));
    assert_non_null(strstr(result->output, NO_CAPABILITY));
    if (harness_is_service())
        return;
    policy_write("10-test.conf", "permit any hostname x.test setuid");
    result = script("utsrun -n x.test -- " WITNESS_PATH);
    harness_assert_exit(result, 0);
    assert_non_null(strstr(result->output, " no_new_privs 0 filter 0 "));
    assert_non_null(strstr(result->output, NO_CAPABILITY));
    policy_clear();
}

/* As root, who then becomes the user: the inheritable set stays (capabilities(7)). */
static void inherit_everything(void *context) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

    (void)context;
    or_exit(syscall(SYS_capget, &header, data) == 0, 203);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(data); i++)
        data[i].inheritable = data[i].permitted;
    or_exit(syscall(SYS_capset, &header, data) == 0, 204);
    harness_become(USER_WITHOUT_NAME);
}

static void cve_2022_27650_inheritable_capabilities_end_here(void **state) {
    static struct result result;
    struct run run = {.argv = {WITNESS_PATH}, .set_up = inherit_everything};

    (void)state;
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    assert_null(strstr(result.output, NO_CAPABILITY)); /* without utsrun the command has them */
    run = (struct run){.argv = {UTSRUN_PATH, "-n", "x.test", WITNESS_PATH},
                       .set_up = inherit_everything};
    harness_run(&run, &result);
    harness_assert_exit(&result, 0);
    assert_non_null(strstr(result.output, NO_CAPABILITY));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(cve_2016_8659_the_hosts_name_cannot_be_set_through_a_traced_child),
    cmocka_unit_test(cve_2026_41163_nothing_is_done_after_the_one_request),
    cmocka_unit_test(cve_2026_87766_what_a_caller_names_is_opened_as_the_caller),
    cmocka_unit_test(cve_2020_5291_who_is_two_users_is_refused),
    cmocka_unit_test(cve_2020_17367_nothing_of_the_command_is_an_option_or_a_shells),
    cmocka_unit_test(cve_2021_4034_no_argument_at_all_is_refused),
    cmocka_unit_test(cve_2025_32462_under_no_name_is_there_another_policy),
    cmocka_unit_test(cve_2018_7169_a_group_that_denies_cannot_be_dropped),
    cmocka_unit_test(cve_2022_47952_a_refusal_tells_of_no_file),
    cmocka_unit_test(cve_2019_5736_the_broker_cannot_be_overwritten_through_proc),
    cmocka_unit_test(cve_2024_21626_no_descriptor_leads_out),
    cmocka_unit_test(seatd_907b75d_no_helper_is_searched_for_in_path),
    cmocka_unit_test(cve_2014_3215_no_new_privs_is_set_and_every_set_is_empty),
    cmocka_unit_test(cve_2022_27650_inheritable_capabilities_end_here),
};

static const struct CMUnitTest direct_tests[] = {HARNESS_NO_TEST};

static const struct CMUnitTest service_tests[] = {
    cmocka_unit_test(cve_2017_5226_the_callers_terminal_is_not_the_commands),
    cmocka_unit_test(cve_2017_5985_nobody_asks_for_another_user),
    cmocka_unit_test(cve_2019_7304_no_text_of_the_peers_is_its_id),
    cmocka_unit_test(cve_2019_6133_one_whose_pid_may_be_anothers_is_refused),
};

HARNESS_MAIN_OF_BOTH(tests, direct_tests, service_tests, set_up, tear_down)
