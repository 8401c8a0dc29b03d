/*
 * The real broker with a policy that is untrusted, unreadable or changes while it is read: the
 * broker refuses all requests, with a message and a line in the log, quickly and with little
 * memory. As soon as the policy is fixed, the broker grants as before. unit/test-loader checks the
 * loader's message for each case.
 *
 * The policy folders are on file systems that only this test uses.
 */

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/integration/harness.h"

static int daemon_fd = -1;

/* The log's lines of the last request. */
static struct {
    unsigned n_grants, n_refusals;
    char text[1 << 16];
} logged;

static int listen_at_dev_log(void) {
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};

    daemon_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(daemon_fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -1;
    return chmod("/dev/log", 0666);
}

/* Mounts a tmpfs on the parent of the folder @path, so that the test changes no file of others. */
static int mount_parent(const char *path) {
    char parent[4096];

    (void)snprintf(parent, sizeof(parent), "%s", path);
    return mount("tmpfs", dirname(parent), "tmpfs", 0, "mode=0755");
}

static int set_up(void **state) {
    if (harness_mount_dev() < 0 || listen_at_dev_log() < 0 ||
        mount_parent(POLICY_FOLDER_ADMIN) < 0 || mount_parent(POLICY_FOLDER_VENDOR) < 0 ||
        setenv("ADMIN", POLICY_FOLDER_ADMIN, 1) < 0 ||
        setenv("VENDOR", POLICY_FOLDER_VENDOR, 1) < 0)
        return -1;
    return harness_set_up(state);
}

static void run_shell(const char *command) {
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

/* Writes a policy that permits "lab"; its vendor file permits all names that end in ".test". */
static void fix_policy(void) {
    run_shell("umask 022; chmod 755 $(dirname $ADMIN $VENDOR); rm -rf $ADMIN* $VENDOR*;"
              "mkdir $ADMIN $VENDOR; echo 'permit any hostname lab' > $ADMIN/10-test.conf;"
              "echo 'permit any hostname *.test' > $VENDOR/50-default.conf");
}

/* Reads the log's new lines. Does not wait for the line about a command's end, which may be late.
 */
static void read_log(void) {
    static char record[4096];
    ssize_t n;

    logged.n_grants = logged.n_refusals = 0;
    logged.text[0] = '\0';
    while ((n = recv(daemon_fd, record, sizeof(record) - 1, MSG_DONTWAIT)) > 0) {
        size_t length = strlen(logged.text);

        record[n] = '\0';
        logged.n_grants += strstr(record, "]: grant ") != NULL;
        logged.n_refusals += strstr(record, "]: refusal ") != NULL;
        (void)snprintf(logged.text + length, sizeof(logged.text) - length, "%s\n", record);
    }
}

/* Limits utsrun and its broker to the memory that they need; a large file would need more. */
static void limit_memory(void *context) {
    const struct rlimit limit = {40 << 20, 40 << 20};

    (void)context;
    (void)setrlimit(RLIMIT_AS, &limit);
}

static const struct result *request_hostname(char *hostname) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", hostname, "--", "uname", "-n"},
                            .set_up = limit_memory};
    double before = harness_now();

    harness_run(&run, &result);
    read_log();
    if (harness_now() - before > 10)
        fail_msg("the request took %.1f s", harness_now() - before);
    return &result;
}

static void assert_granted(const char *what) {
    const struct result *result = request_hostname("lab");

    if (result->status != 0 || strcmp(result->output, "lab\n") != 0 || logged.n_grants != 1)
        fail_msg("%s: wait status 0x%x, %s%s", what, result->status, result->errors, logged.text);
}

static void assert_refused(const char *what, const char *reason) {
    const struct result *result = request_hostname("lab");

    if (!WIFEXITED(result->status) || WEXITSTATUS(result->status) != 125 ||
        strcmp(result->output, "") != 0 ||
        strstr(result->errors, "utsrun: host name 'lab' refused: the policy in ") == NULL)
        fail_msg("%s: wait status 0x%x, %s", what, result->status, result->errors);
    if (logged.n_grants != 0 || logged.n_refusals != 1 || strstr(logged.text, reason) == NULL)
        fail_msg("%s: expected '%s' in the log, which has\n%s", what, reason, logged.text);
}

/* Returns the service's peak memory in KiB; 0 in direct mode, where limit_memory() limits it. */
static unsigned long service_peak_memory(void) {
    const struct test_service *service = harness_service_of(USER_WITHOUT_NAME);

    return service != NULL ? strtoul(harness_status_line(service->pid, "VmHWM"), NULL, 10) : 0;
}

#define NOT_OWNED_BY_ROOT "is not owned by root"
#define WRITABLE "is writable by others"
#define NOT_REGULAR "is not a regular file"
#define SYMBOLIC_LINK "is a link to "
#define PERMISSION_DENIED "could not be opened: Permission denied"
#define TOO_LARGE "is larger than 4 MiB"

static const struct {
    const char *make, *reason; /* NULL: unusual, but valid */
} cases[] = {
    {"chmod 664 $ADMIN/10-test.conf", WRITABLE},
    {"chmod 646 $ADMIN/10-test.conf", WRITABLE},
    {"chmod 4777 $ADMIN/10-test.conf", WRITABLE},
    {"chown 54321 $ADMIN/10-test.conf", NOT_OWNED_BY_ROOT},
    {"chown 65534 $VENDOR/50-default.conf", NOT_OWNED_BY_ROOT},
    {"chown 54321:54322 $ADMIN", NOT_OWNED_BY_ROOT},
    {"chmod 775 $ADMIN", WRITABLE},
    {"chmod 1777 $VENDOR", WRITABLE},
    {"chmod 600 $ADMIN/10-test.conf", PERMISSION_DENIED},
    {"chmod 0 $VENDOR/50-default.conf", PERMISSION_DENIED},
    {"chmod 700 $ADMIN", PERMISSION_DENIED},
    {"chmod 700 $VENDOR/..", PERMISSION_DENIED},
    {"ln -s 10-test.conf $ADMIN/20-link.conf", SYMBOLIC_LINK},
    {"ln -s /etc/passwd $ADMIN/20-link.conf", SYMBOLIC_LINK},
    {"ln -s nowhere $ADMIN/20-link.conf", SYMBOLIC_LINK},
    {"ln -s 20-link.conf $ADMIN/20-link.conf", SYMBOLIC_LINK},
    {"ln -s /dev/zero $ADMIN/20-link.conf", SYMBOLIC_LINK},
    {"ln -s /dev//null $ADMIN/20-link.conf", SYMBOLIC_LINK},
    {"ln -s /dev/null/x $ADMIN/20-link.conf", SYMBOLIC_LINK},
    {"ln -s /proc/self/fd/0 $ADMIN/20-link.conf", SYMBOLIC_LINK},
    {"mkfifo $ADMIN/20-fifo.conf", NOT_REGULAR},
    {"mkfifo -m 666 $VENDOR/20-fifo.conf", NOT_REGULAR},
    {"mkdir $ADMIN/20-folder.conf", NOT_REGULAR},
    {"mknod $ADMIN/20-null.conf c 1 3", NOT_REGULAR},
    {"mknod $ADMIN/20-zero.conf c 1 5", NOT_REGULAR},
    {"mknod $ADMIN/20-urandom.conf c 1 9", NOT_REGULAR},
    {"mknod $ADMIN/20-terminal.conf c 5 0", "20-terminal.conf: "},
    {"mknod $ADMIN/20-none.conf c 511 511", "20-none.conf: could not be opened: "},
    {"mknod $ADMIN/20-none.conf b 511 511", "20-none.conf: could not be opened: "},
    {"truncate -s 4194305 $ADMIN/10-test.conf", TOO_LARGE},
    {"truncate -s 64M $ADMIN/20-large.conf", TOO_LARGE},
    {"yes '# nothing' | head -c 64M > $ADMIN/20-large.conf", TOO_LARGE},
    {"truncate -s 1T $ADMIN/20-large.conf", TOO_LARGE},
    {"head -c 4M /dev/zero > $ADMIN/20-zeros.conf", "20-zeros.conf:1:"},
    {"head -c 4M /dev/urandom > $ADMIN/20-random.conf", "20-random.conf:1:"},
    {"head -c 4M /dev/zero | tr '\\0' 'a' > $ADMIN/20-word.conf", "20-word.conf:1:1: "},
    {"yes | head -n 2000000 > $ADMIN/20-errors.conf", "more errors"},
    {"printf 'permit any hostname lab\\0x\\n' > $ADMIN/20-nul.conf", "20-nul.conf:1:24: "},
    {"echo nonsense > \"$ADMIN/20-x\ngrant user=\\\"root\\\" .conf\"",
     "20-x\\x0agrant user=\\x22root"},
    {"rm -r $VENDOR; echo > $VENDOR", "could not be opened: Not a directory"},
    {"rm -r $VENDOR; mkfifo $VENDOR", "could not be opened: Not a directory"},
    {"rm -r $VENDOR; mknod $VENDOR c 1 5", "could not be opened: Not a directory"},
    {"rm -r $ADMIN; ln -s policy.d $ADMIN", "could not be opened: Too many levels"},
    {"mv $ADMIN $ADMIN.x; chown 54321 $ADMIN.x; ln -s $ADMIN.x $ADMIN", NOT_OWNED_BY_ROOT},
    {"rm -r $ADMIN $VENDOR", "holds no *.conf file"},
    {"rm $ADMIN/* $VENDOR/*", "holds no *.conf file"},
    {"chmod 555 $ADMIN; chmod 444 $ADMIN/10-test.conf", NULL},
    {"chgrp 54322 $ADMIN $ADMIN/10-test.conf", NULL},
    {"rm -r $VENDOR", NULL},
    {"mv $ADMIN $ADMIN.x; ln -s $ADMIN.x $ADMIN", NULL},
    {"mkfifo $VENDOR/20-fifo.conf; ln -s /dev/null $ADMIN/20-fifo.conf", NULL},
    {"mkfifo $ADMIN/20-fifo $ADMIN/.20-fifo.conf; mknod $ADMIN/20.conf~ c 1 5", NULL},
    {"yes '# no' | head -c 4194304 > $ADMIN/20-large.conf", NULL},
    {"for i in $(seq 2000); do echo > $ADMIN/20-$i.conf; done", NULL},
};

static void a_policy_that_is_untrusted_or_unreadable_refuses_and_is_logged(void **state) {
    unsigned n_refused = 0;
    unsigned long before;

    (void)state;
    fix_policy();
    assert_granted("before the first case");
    before = service_peak_memory();
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        run_shell(cases[i].make);
        if (cases[i].reason != NULL)
            assert_refused(cases[i].make, cases[i].reason);
        else
            assert_granted(cases[i].make);
        n_refused += cases[i].reason != NULL;
        fix_policy();
        assert_granted("after the fix");
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    print_message("tried: policies in %s mode: %zu cases, %u refused and logged, wrong outcomes 0; "
                  "the service's memory grew by %lu KiB\n",
                  harness_mode(), BASE_ARRAY_SIZE(cases), n_refused,
                  service_peak_memory() - before);
    assert_true(service_peak_memory() - before < 32 << 10);
}

static void a_socket_as_policy_file_refuses_and_is_logged(void **state) {
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "20-socket.conf"};
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    fix_policy();
    assert_int_equal(chdir(POLICY_FOLDER_ADMIN), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(chdir("/"), 0);
    assert_refused("a socket", "20-socket.conf: could not be opened: ");
    fix_policy();
    assert_granted("after the fix");
}

/*
 * Two policies of the same size. Both deny "neither", but the beginning of the second one with the
 * end of the first one would permit it, because the first rule that matches decides. Each is one
 * page: the scheduler may interrupt a longer write(2), and the file would mix both for an unlimited
 * time (policy/stable-read.c).
 */
enum { VERSION_SIZE = 4096 };
static char versions[2][VERSION_SIZE];

static void versions_init(void) {
    static const char *const heads[] = {"permit any hostname first\ndeny any hostname neither\n",
                                        "permit any hostname second\n# any hostname neither\n"};
    static const char *const tails[] = {"\npermit any hostname neither\n",
                                        "\ndeny   any hostname neither\n"};

    for (size_t i = 0; i < 2; i++) {
        for (size_t at = 0; at < VERSION_SIZE; at++)
            versions[i][at] = at % 64 == 0 ? '\n' : '#';
        memcpy(versions[i], heads[i], strlen(heads[i]));
        memcpy(versions[i] + VERSION_SIZE - strlen(tails[i]), tails[i], strlen(tails[i]));
    }
}

static void write_file(const char *name, const char *text, size_t size) {
    CLEANUP_FD int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    if (fd < 0 || write(fd, text, size) != (ssize_t)size)
        _exit(1);
}

/* Each of these functions changes the policy to its next state; @n counts the changes. */
static void replace_file(unsigned n) {
    write_file("next", versions[n % 2], VERSION_SIZE);
    (void)rename("next", "10-test.conf");
}

static void overwrite_file(unsigned n) {
    CLEANUP_FD int fd = open("10-test.conf", O_WRONLY | O_CLOEXEC);

    if (fd < 0 || pwrite(fd, versions[n % 2], VERSION_SIZE, 0) != VERSION_SIZE)
        _exit(1);
}

static void truncate_and_write_file(unsigned n) {
    write_file("10-test.conf", versions[n % 2], VERSION_SIZE);
}

static void extend_and_truncate_file(unsigned n) {
    static const char more[] = "permit any hostname second\n";
    CLEANUP_FD int fd = open("10-test.conf", O_WRONLY | O_APPEND | O_CLOEXEC);

    if (n % 2 == 0 ? ftruncate(fd, VERSION_SIZE) < 0
                   : write(fd, more, strlen(more)) != (ssize_t)strlen(more))
        _exit(1);
}

static void remove_and_create_file(unsigned n) {
    if (n % 2 == 0)
        replace_file(0);
    else
        (void)unlink("10-test.conf");
}

static void change_file_type(unsigned n) {
    (void)unlink("next");
    if ((n % 4 == 1 && mkfifo("next", 0644) < 0) ||
        (n % 4 == 3 && symlink("/etc/passwd", "next") < 0))
        _exit(1);
    if (n % 2 == 0)
        replace_file(n / 2);
    else
        (void)rename("next", "10-test.conf");
}

static void change_file_mode(unsigned n) {
    (void)chmod("10-test.conf", n % 2 == 0 ? 0644 : 0666);
}

static void change_file_owner(unsigned n) {
    (void)!chown("10-test.conf", n % 2 == 0 ? 0 : USER_WITHOUT_NAME->uid, 0);
}

static void rename_file(unsigned n) {
    static const char *const names[] = {"10-test.conf", "40-test.conf"};

    (void)rename(names[n % 2], names[(n + 1) % 2]);
}

static void rename_folder(unsigned n) {
    (void)rename(n % 2 == 0 ? POLICY_FOLDER_ADMIN : POLICY_FOLDER_ADMIN ".away",
                 n % 2 == 0 ? POLICY_FOLDER_ADMIN ".away" : POLICY_FOLDER_ADMIN);
}

/* If the file always exists, it always denies "neither", although a later file permits it. */
static const struct {
    const char *what;
    void (*change)(unsigned n);
    bool permits_second, is_always_there;
} changes[] = {
    {"replaced by another file", replace_file, true, true},
    {"overwritten in place", overwrite_file, true, true},
    {"truncated and written", truncate_and_write_file, true, false},
    {"extended and truncated", extend_and_truncate_file, true, true},
    {"removed and created again", remove_and_create_file, false, false},
    {"a FIFO, a symbolic link, a file in turn", change_file_type, true, true},
    {"its mode changes", change_file_mode, false, true},
    {"its owner changes", change_file_owner, false, true},
    {"its name changes", rename_file, false, true},
    {"its folder is renamed and renamed back", rename_folder, false, false},
};

static pid_t start_change(size_t i) {
    pid_t pid;

    fix_policy();
    if (changes[i].is_always_there)
        run_shell("echo 'permit any hostname neither' > $VENDOR/60-last.conf");
    assert_int_equal(chdir(POLICY_FOLDER_ADMIN), 0);
    replace_file(0);
    pid = fork();
    assert_true(pid >= 0);
    for (unsigned n = 0; pid == 0; n++) {
        /* Some changes in quick succession, then a pause after which the loader trusts the file. */
        const struct timespec pause = {.tv_nsec = n % 5 == 0 ? 50000000 : (n % 5) * 100000};

        changes[i].change(n);
        (void)nanosleep(&pause, NULL);
    }
    assert_int_equal(chdir("/"), 0);
    return pid;
}

static struct { unsigned n, granted, denied, invalid, changed; } tally;

/* Returns false for an outcome that neither version of the policy permits. */
static bool try_request(size_t i, unsigned n) {
    static char *const names[] = {"first", "second", "neither"};
    const struct result *result = request_hostname(names[n % 3]);
    bool may_be_granted = n % 3 == 0 || (n % 3 == 1 && changes[i].permits_second);

    tally.n++;
    tally.changed += strstr(logged.text, "changed meanwhile") != NULL;
    if (result->status == 0 && logged.n_grants == 1 && may_be_granted) {
        tally.granted++;
        return true;
    }
    if (WIFEXITED(result->status) && WEXITSTATUS(result->status) == 125 &&
        strcmp(result->output, "") == 0 && logged.n_grants == 0 && logged.n_refusals == 1) {
        tally.denied += strstr(result->errors, " denied: ") != NULL;
        tally.invalid += strstr(result->errors, " refused: the policy in ") != NULL;
        return true;
    }
    print_error("%s, '%s': wait status 0x%x, %s%s", changes[i].what, names[n % 3], result->status,
                result->errors, logged.text);
    return false;
}

static void a_changing_policy_decides_as_the_old_or_the_new_one_or_refuses(void **state) {
    const unsigned per_change = 21;
    unsigned n_wrong = 0;

    (void)state;
    memset(&tally, 0, sizeof(tally));
    versions_init();
    for (size_t i = 0; i < BASE_ARRAY_SIZE(changes); i++) {
        pid_t writer = start_change(i);
        int status;

        for (unsigned n = 0; n < per_change; n++)
            n_wrong += !try_request(i, n);
        assert_int_equal(kill(writer, SIGKILL), 0);
        assert_int_equal(waitpid(writer, &status, 0), writer);
        assert_true(WIFSIGNALED(status)); /* the writer had not failed */
    }
    fix_policy();
    assert_granted("after the fix");
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    print_message(
        "tried: changing policies in %s mode: %u requests, %u granted, %u denied, %u refused for "
        "an error (%u because it changed meanwhile), wrong outcomes %u\n",
        harness_mode(), tally.n, tally.granted, tally.denied, tally.invalid, tally.changed,
        n_wrong);
    assert_int_equal(n_wrong, 0);
    assert_true(tally.granted > 0 && tally.denied > 0 && tally.invalid > 0);
    assert_int_equal(tally.granted + tally.denied + tally.invalid, tally.n);
}

/* A process overwrites the file without a pause: after some attempts the broker refuses. */
static void a_policy_that_always_changes_never_mixes_two_versions(void **state) {
    unsigned n = 0, n_granted = 0, n_changed = 0;
    pid_t writer;
    int status;

    (void)state;
    versions_init();
    fix_policy();
    assert_int_equal(chdir(POLICY_FOLDER_ADMIN), 0);
    write_file("10-test.conf", versions[0], VERSION_SIZE);
    writer = fork();
    for (unsigned i = 0; writer == 0; i++)
        overwrite_file(i);
    assert_int_equal(chdir("/"), 0);
    /* On a busy machine the scheduler pauses the writer. */
    for (; n < 25 || (n_changed == 0 && n < 1000); n++) {
        const struct result *result = request_hostname("neither");

        n_granted += result->status == 0;
        n_changed += strstr(result->errors, " refused: the policy in ") != NULL;
    }
    assert_int_equal(kill(writer, SIGKILL), 0);
    assert_int_equal(waitpid(writer, &status, 0), writer);
    assert_true(WIFSIGNALED(status)); /* the writer had not failed */
    fix_policy();
    assert_granted("after the fix");
    print_message("tried: a policy that always changes in %s mode: %u requests for a name that no "
                  "version permits, %u refused because it changed meanwhile, wrong outcomes %u\n",
                  harness_mode(), n, n_changed, n_granted);
    assert_true(n_changed > 0);
    assert_int_equal(n_granted, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_policy_that_is_untrusted_or_unreadable_refuses_and_is_logged),
    cmocka_unit_test(a_socket_as_policy_file_refuses_and_is_logged),
    cmocka_unit_test(a_changing_policy_decides_as_the_old_or_the_new_one_or_refuses),
    cmocka_unit_test(a_policy_that_always_changes_never_mixes_two_versions),
};

TEST_MAIN_AS_ROOT(tests, set_up, harness_tear_down)
