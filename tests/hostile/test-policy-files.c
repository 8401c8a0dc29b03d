/*
 * Policies that cannot be trusted, cannot be read, or change while they are read, to the real
 * broker: everybody is refused everything, with a message and a line in the log, in moments and
 * little memory; and as soon as it is mended, all is as before. unit/test-loader shows what the
 * loader says of each.
 *
 * The policy's folders are the test's own file systems here.
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

/* What the log took since it was last looked at. */
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

/* A tmpfs where the folder @path is to be, so that what is done there is nobody else's. */
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

/* A policy that gives "lab", and by the vendor's file what ends in .test. */
static void policy_mend(void) {
    run_shell("umask 022; chmod 755 $(dirname $ADMIN $VENDOR); rm -rf $ADMIN* $VENDOR*;"
              "mkdir $ADMIN $VENDOR; echo 'permit any hostname lab' > $ADMIN/10-test.conf;"
              "echo 'permit any hostname *.test' > $VENDOR/50-default.conf");
}

/* Takes what is in the log; the end of a command may come later, and is nothing to wait for. */
static void log_take(void) {
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

/* For utsrun and a broker of its own: what they need, and not what a large file needs. */
static void limit_memory(void *context) {
    const struct rlimit limit = {40 << 20, 40 << 20};

    (void)context;
    (void)setrlimit(RLIMIT_AS, &limit);
}

static const struct result *ask_for(char *hostname) {
    static struct result result;
    const struct run run = {.user = USER_WITHOUT_NAME,
                            .argv = {UTSRUN_PATH, "-n", hostname, "--", "uname", "-n"},
                            .set_up = limit_memory};
    double before = harness_now();

    harness_run(&run, &result);
    log_take();
    if (harness_now() - before > 10)
        fail_msg("it took %.1f s", harness_now() - before);
    return &result;
}

static void assert_granted(const char *what) {
    const struct result *result = ask_for("lab");

    if (result->status != 0 || strcmp(result->output, "lab\n") != 0 || logged.n_grants != 1)
        fail_msg("%s: wait status 0x%x, %s%s", what, result->status, result->errors, logged.text);
}

static void assert_refused(const char *what, const char *reason) {
    const struct result *result = ask_for("lab");

    if (!WIFEXITED(result->status) || WEXITSTATUS(result->status) != 125 ||
        strcmp(result->output, "") != 0 ||
        strstr(result->errors, "utsrun: host name 'lab' refused: the policy in ") == NULL)
        fail_msg("%s: wait status 0x%x, %s", what, result->status, result->errors);
    if (logged.n_grants != 0 || logged.n_refusals != 1 || strstr(logged.text, reason) == NULL)
        fail_msg("%s: not '%s', but\n%s", what, reason, logged.text);
}

/* Kilobytes that the service has had at the most; 0 in direct mode, where a limit shows it. */
static unsigned long service_peak(void) {
    const struct test_service *service = harness_service_of(USER_WITHOUT_NAME);

    return service != NULL ? strtoul(harness_status_line(service->pid, "VmHWM"), NULL, 10) : 0;
}

#define NOT_ROOTS "is not owned by root"
#define WRITABLE "is writable by others"
#define NOT_REGULAR "is not a regular file"
#define A_LINK "it is a link to something else"
#define NO_RIGHT "could not be opened: Permission denied"
#define TOO_LARGE "is larger than 4 MiB"

static const struct {
    const char *make, *reason; /* NULL: it is in order, though odd */
} cases[] = {
    {"chmod 664 $ADMIN/10-test.conf", WRITABLE},
    {"chmod 646 $ADMIN/10-test.conf", WRITABLE},
    {"chmod 4777 $ADMIN/10-test.conf", WRITABLE},
    {"chown 54321 $ADMIN/10-test.conf", NOT_ROOTS},
    {"chown 65534 $VENDOR/50-default.conf", NOT_ROOTS},
    {"chown 54321:54322 $ADMIN", NOT_ROOTS},
    {"chmod 775 $ADMIN", WRITABLE},
    {"chmod 1777 $VENDOR", WRITABLE},
    {"chmod 600 $ADMIN/10-test.conf", NO_RIGHT},
    {"chmod 0 $VENDOR/50-default.conf", NO_RIGHT},
    {"chmod 700 $ADMIN", NO_RIGHT},
    {"chmod 700 $VENDOR/..", NO_RIGHT},
    {"ln -s 10-test.conf $ADMIN/20-link.conf", A_LINK},
    {"ln -s /etc/passwd $ADMIN/20-link.conf", A_LINK},
    {"ln -s nowhere $ADMIN/20-link.conf", A_LINK},
    {"ln -s 20-link.conf $ADMIN/20-link.conf", A_LINK},
    {"ln -s /dev/zero $ADMIN/20-link.conf", A_LINK},
    {"ln -s /dev//null $ADMIN/20-link.conf", A_LINK},
    {"ln -s /dev/null/x $ADMIN/20-link.conf", A_LINK},
    {"ln -s /proc/self/fd/0 $ADMIN/20-link.conf", A_LINK},
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
    {"mv $ADMIN $ADMIN.x; chown 54321 $ADMIN.x; ln -s $ADMIN.x $ADMIN", NOT_ROOTS},
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

static void what_cannot_be_trusted_or_read_refuses_and_is_logged(void **state) {
    unsigned n_refused = 0;
    unsigned long before;

    (void)state;
    policy_mend();
    assert_granted("at first");
    before = service_peak();
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        run_shell(cases[i].make);
        if (cases[i].reason != NULL)
            assert_refused(cases[i].make, cases[i].reason);
        else
            assert_granted(cases[i].make);
        n_refused += cases[i].reason != NULL;
        policy_mend();
        assert_granted("mended");
    }
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    print_message("tried: policies in %s mode: %zu cases, %u refused and logged, wrong outcomes 0; "
                  "the service's "
                  "memory grew by %lu KiB\n",
                  harness_mode(), BASE_ARRAY_SIZE(cases), n_refused, service_peak() - before);
    assert_true(service_peak() - before < 32 << 10);
}

static void a_socket_refuses_and_is_logged(void **state) {
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "20-socket.conf"};
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    policy_mend();
    assert_int_equal(chdir(POLICY_FOLDER_ADMIN), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(chdir("/"), 0);
    assert_refused("a socket", "20-socket.conf: could not be opened: ");
    policy_mend();
    assert_granted("mended");
}

/*
 * Two policies of one size, in which what begins one and ends the other would give "neither": the
 * first rule that matches decides. One page each: of several, a write(2) that the scheduler stops
 * in the middle leaves a file that is of both, for as long as it likes (policy/stable-read.c).
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

/* Each changes the policy from one state to the next; the number counts up. */
static void rename_another_over_it(unsigned n) {
    write_file("next", versions[n % 2], VERSION_SIZE);
    (void)rename("next", "10-test.conf");
}

static void write_into_it(unsigned n) {
    CLEANUP_FD int fd = open("10-test.conf", O_WRONLY | O_CLOEXEC);

    if (fd < 0 || pwrite(fd, versions[n % 2], VERSION_SIZE, 0) != VERSION_SIZE)
        _exit(1);
}

static void empty_and_write_it(unsigned n) {
    write_file("10-test.conf", versions[n % 2], VERSION_SIZE);
}

static void extend_and_cut_it(unsigned n) {
    static const char more[] = "permit any hostname second\n";
    CLEANUP_FD int fd = open("10-test.conf", O_WRONLY | O_APPEND | O_CLOEXEC);

    if (n % 2 == 0 ? ftruncate(fd, VERSION_SIZE) < 0
                   : write(fd, more, strlen(more)) != (ssize_t)strlen(more))
        _exit(1);
}

static void remove_and_make_it(unsigned n) {
    if (n % 2 == 0)
        rename_another_over_it(0);
    else
        (void)unlink("10-test.conf");
}

static void change_its_kind(unsigned n) {
    (void)unlink("next");
    if ((n % 4 == 1 && mkfifo("next", 0644) < 0) ||
        (n % 4 == 3 && symlink("/etc/passwd", "next") < 0))
        _exit(1);
    if (n % 2 == 0)
        rename_another_over_it(n / 2);
    else
        (void)rename("next", "10-test.conf");
}

static void change_its_mode(unsigned n) {
    (void)chmod("10-test.conf", n % 2 == 0 ? 0644 : 0666);
}

static void change_its_owner(unsigned n) {
    (void)!chown("10-test.conf", n % 2 == 0 ? 0 : USER_WITHOUT_NAME->uid, 0);
}

static void change_its_name(unsigned n) {
    static const char *const names[] = {"10-test.conf", "40-test.conf"};

    (void)rename(names[n % 2], names[(n + 1) % 2]);
}

static void move_the_folder(unsigned n) {
    (void)rename(n % 2 == 0 ? POLICY_FOLDER_ADMIN : POLICY_FOLDER_ADMIN ".away",
                 n % 2 == 0 ? POLICY_FOLDER_ADMIN ".away" : POLICY_FOLDER_ADMIN);
}

/* Where the file is always there, so is its denial of "neither", whatever a later file gives. */
static const struct {
    const char *what;
    void (*change)(unsigned n);
    bool gives_second, is_always_there;
} changes[] = {
    {"another file is put in its place", rename_another_over_it, true, true},
    {"written in place", write_into_it, true, true},
    {"emptied and written", empty_and_write_it, true, false},
    {"extended and cut off", extend_and_cut_it, true, true},
    {"removed and made again", remove_and_make_it, false, false},
    {"a FIFO, a link, a file", change_its_kind, true, true},
    {"its mode changes", change_its_mode, false, true},
    {"its owner changes", change_its_owner, false, true},
    {"its name changes", change_its_name, false, true},
    {"its folder goes and comes", move_the_folder, false, false},
};

static pid_t change_begin(size_t i) {
    pid_t pid;

    policy_mend();
    if (changes[i].is_always_there)
        run_shell("echo 'permit any hostname neither' > $VENDOR/60-last.conf");
    assert_int_equal(chdir(POLICY_FOLDER_ADMIN), 0);
    rename_another_over_it(0);
    pid = fork();
    assert_true(pid >= 0);
    for (unsigned n = 0; pid == 0; n++) {
        /* Some at once, and then none for as long as a file takes to be taken for still. */
        const struct timespec pause = {.tv_nsec = n % 5 == 0 ? 50000000 : (n % 5) * 100000};

        changes[i].change(n);
        (void)nanosleep(&pause, NULL);
    }
    assert_int_equal(chdir("/"), 0);
    return pid;
}

static struct { unsigned n, granted, denied, invalid, changed; } tally;

/* Returns false for an outcome that neither policy gives. */
static bool request_try(size_t i, unsigned n) {
    static char *const names[] = {"first", "second", "neither"};
    const struct result *result = ask_for(names[n % 3]);
    bool may_be_granted = n % 3 == 0 || (n % 3 == 1 && changes[i].gives_second);

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

static void a_policy_that_changes_is_the_old_one_or_the_new_one_or_refuses(void **state) {
    const unsigned per_change = 21;
    unsigned n_wrong = 0;

    (void)state;
    memset(&tally, 0, sizeof(tally));
    versions_init();
    for (size_t i = 0; i < BASE_ARRAY_SIZE(changes); i++) {
        pid_t writer = change_begin(i);
        int status;

        for (unsigned n = 0; n < per_change; n++)
            n_wrong += !request_try(i, n);
        assert_int_equal(kill(writer, SIGKILL), 0);
        assert_int_equal(waitpid(writer, &status, 0), writer);
        assert_true(WIFSIGNALED(status)); /* it has not failed by itself */
    }
    policy_mend();
    assert_granted("mended");
    harness_assert_nothing_left(USER_WITHOUT_NAME);
    print_message(
        "tried: changing policies in %s mode: %u requests, %u granted, %u denied, %u refused for "
        "an error (%u: it changed meanwhile), wrong outcomes %u\n",
        harness_mode(), tally.n, tally.granted, tally.denied, tally.invalid, tally.changed,
        n_wrong);
    assert_int_equal(n_wrong, 0);
    assert_true(tally.granted > 0 && tally.denied > 0 && tally.invalid > 0);
    assert_int_equal(tally.granted + tally.denied + tally.invalid, tally.n);
}

/* Somebody writes into the file without a pause: after a while of that it is refused. */
static void a_policy_that_is_never_still_gives_nothing_of_its_parts(void **state) {
    unsigned n = 0, n_granted = 0, n_changed = 0;
    pid_t writer;
    int status;

    (void)state;
    versions_init();
    policy_mend();
    assert_int_equal(chdir(POLICY_FOLDER_ADMIN), 0);
    write_file("10-test.conf", versions[0], VERSION_SIZE);
    writer = fork();
    for (unsigned i = 0; writer == 0; i++)
        write_into_it(i);
    assert_int_equal(chdir("/"), 0);
    /* On a busy machine the writer has pauses after all. */
    for (; n < 25 || (n_changed == 0 && n < 1000); n++) {
        const struct result *result = ask_for("neither");

        n_granted += result->status == 0;
        n_changed += strstr(result->errors, " refused: the policy in ") != NULL;
    }
    assert_int_equal(kill(writer, SIGKILL), 0);
    assert_int_equal(waitpid(writer, &status, 0), writer);
    assert_true(WIFSIGNALED(status)); /* it has not failed by itself */
    policy_mend();
    assert_granted("mended");
    print_message("tried: a policy that is never still in %s mode: %u requests for what no policy "
                  "gives, %u refused as it changed meanwhile, wrong outcomes %u\n",
                  harness_mode(), n, n_changed, n_granted);
    assert_true(n_changed > 0);
    assert_int_equal(n_granted, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_cannot_be_trusted_or_read_refuses_and_is_logged),
    cmocka_unit_test(a_socket_refuses_and_is_logged),
    cmocka_unit_test(a_policy_that_changes_is_the_old_one_or_the_new_one_or_refuses),
    cmocka_unit_test(a_policy_that_is_never_still_gives_nothing_of_its_parts),
};

TEST_MAIN_AS_ROOT(tests, set_up, harness_tear_down)
