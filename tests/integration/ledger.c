#include "tests/integration/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

/* Makes the run folder with a pinned network namespace, and the folders of the ledger. */
int ledger_set_up(void) {
    static const char *const folders[] = {RUN_FOLDER "/ledger", RUN_FOLDER "/log"};
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        system("mkdir -p -m 755 " RUN_FOLDER) != 0 ||
        mount("tmpfs", RUN_FOLDER, "tmpfs", 0, "mode=0755") < 0)
        return -1;
    fd = open(LEDGER_NAMESPACE_PATH, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);
    if (fd < 0 || unshare(CLONE_NEWNET) < 0 ||
        mount("/proc/self/ns/net", LEDGER_NAMESPACE_PATH, NULL, MS_BIND, NULL) < 0 ||
        setns(home, CLONE_NEWNET) < 0)
        return -1;
    close(fd);
    close(home);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(folders); i++)
        if (mkdir(folders[i], 0755) < 0 || chown(folders[i], LEDGER_UID, LEDGER_UID) < 0)
            return -1;
    return 0;
}

/* Enters the ledger's network namespace, as only root can. */
void ledger_enter_namespace(void) {
    int fd = open(LEDGER_NAMESPACE_PATH, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(setns(fd, CLONE_NEWNET), 0);
    close(fd);
}

/* Connects to the ledger; this process must be in its namespace. Returns the socket, or -1. */
int ledger_connect(void) {
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct sockaddr_un address;
    const socklen_t size = ledger_address(&address);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, size) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Makes the socket, as the service manager does. */
int ledger_listen(void) {
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd;
    struct sockaddr_un address;
    const socklen_t size = ledger_address(&address);

    ledger_enter_namespace();
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 4096), 0);
    assert_int_equal(setns(home, CLONE_NEWNET), 0);
    close(home);
    return fd;
}

/* Starts a ledger, with the socket of the one before if @ledger has it. */
void ledger_start(struct test_ledger *ledger) {
    if (ledger->listen_fd <= 0)
        ledger->listen_fd = ledger_listen();
    ledger->pid = fork();
    if (ledger->pid == 0) {
        char number[16];
        sigset_t none;

        snprintf(number, sizeof(number), "%d", (int)getpid());
        setenv("LISTEN_PID", number, 1);
        setenv("LISTEN_FDS", "1", 1);
        if (ledger->listen_fd == 3 ? fcntl(3, F_SETFD, 0) < 0 : dup2(ledger->listen_fd, 3) < 0)
            _exit(201);
        for (int fd = 4; fd < 256; fd++)
            (void)close(fd);
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        if (setgroups(0, NULL) < 0 || setresgid(LEDGER_UID, LEDGER_UID, LEDGER_UID) < 0 ||
            setresuid(LEDGER_UID, LEDGER_UID, LEDGER_UID) < 0)
            _exit(202);
        if (ledger->stops_first)
            (void)raise(SIGSTOP);
        (void)execl(LEDGER_PATH, LEDGER_PATH, "--log", LEDGER_TEST_LOG, NULL);
        _exit(203);
    }
    assert_true(ledger->pid > 0);
}

/* Ends the ledger; its socket stays, as with systemd. */
void ledger_kill(struct test_ledger *ledger, int signal_number) {
    int status;

    assert_int_equal(kill(ledger->pid, signal_number), 0);
    assert_int_equal(waitpid(ledger->pid, &status, 0), ledger->pid);
    if (signal_number == SIGTERM)
        assert_int_equal(status, 0);
    ledger->pid = 0;
}

/* The whole log, in a static buffer. */
char *ledger_read_log(void) {
    static char text[1 << 20];
    int fd = open(LEDGER_TEST_LOG, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0, more;

    while (fd >= 0 && (more = read(fd, text + n, sizeof(text) - 1 - (size_t)n)) > 0)
        n += more;
    text[n] = '\0';
    if (fd >= 0)
        close(fd);
    return text;
}

void ledger_clear_log(void) {
    if (truncate(LEDGER_TEST_LOG, 0) < 0 && errno != ENOENT)
        fail_msg("the log cannot be cleared: %s", strerror(errno));
}

/* How many lines have @word, such as " grant ". */
size_t ledger_count_lines(const char *word) {
    const char *at = ledger_read_log();
    size_t n = 0;

    for (; (at = strstr(at, word)) != NULL; at = strchr(at, '\n'))
        n++;
    return n;
}

struct wanted {
    const char *a, *b;
};

static bool has_line(void *context) {
    const struct wanted *wanted = context;

    for (char *line = ledger_read_log(), *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        if (strstr(line, wanted->a) != NULL && strstr(line, wanted->b) != NULL)
            return true;
    }
    return false;
}

/* True as soon as the log has a line with both texts. */
bool ledger_wait_for_line(const char *a, const char *b) {
    struct wanted wanted = {a, b};

    return harness_wait_for(has_line, &wanted);
}

/* Reads the file of what lives: what is not gone. */
size_t ledger_read_live(struct live_command *commands, size_t max) {
    static char line[8192];
    FILE *file = fopen(LEDGER_LIVE_PATH, "re");
    size_t n = 0;

    assert_non_null(file);
    assert_non_null(fgets(line, sizeof(line), file));
    assert_string_equal(line, LIVE_HEADER);
    while (n < max && fgets(line, sizeof(line), file) != NULL) {
        assert_true(live_parse(line, &commands[n]));
        n += commands[n].state != LIVE_GONE;
    }
    fclose(file);
    return n;
}

/*
 * Connects to the ledger as a session of @user does: with the user's ids. Returns the connection,
 * on which the hello has been received; -1 if it was closed.
 */
int ledger_enter(const struct user *user) {
    int ends[2], fd = -1, status;
    struct ledger_hello hello;
    char byte = 0;
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    pid_t pid;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    pid = fork();
    if (pid == 0) {
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);

        ledger_enter_namespace();
        harness_become(user);
        fd = ledger_connect();
        if (fd < 0)
            _exit(1);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof(fd));
        _exit(sendmsg(ends[1], &message, 0) == 1 ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(recvmsg(ends[0], &message, MSG_CMSG_CLOEXEC), 1);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
    close(ends[0]);
    close(ends[1]);
    if (recv(fd, &hello, sizeof(hello), 0) == sizeof(hello))
        return fd;
    close(fd);
    return -1;
}

/* harness_set_up() for a program with a ledger, which it starts first. */
int ledger_begin(struct test_ledger *ledger, void **state) {
    if (ledger_set_up() < 0)
        return -1;
    ledger_start(ledger);
    return harness_set_up(state);
}

/* harness_tear_down() for such a program. The ledger must run, and ends without an error. */
int ledger_end(struct test_ledger *ledger, void **state) {
    int r = harness_tear_down(state);

    ledger_kill(ledger, SIGTERM);
    return r;
}
