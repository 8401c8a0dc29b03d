/* The socket that the service listens on: passed by the service manager, or bound here. */

#include "broker/listener.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/test.h"

/* In a child, where cmocka's assertions do not reach. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            dprintf(2, "%s:%d: " #condition ": %m\n", __FILE__, __LINE__);                         \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static char root[] = "/tmp/test-listener-XXXXXX";

static int make_root(void **state) {
    (void)state;
    return mkdtemp(root) == NULL ? -1 : chdir(root);
}

static int remove_root(void **state) {
    char command[64];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -rf %s", root);
    return chdir("/") == 0 ? system(command) : -1;
}

static int n_open(void) {
    int n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static bool exists(const char *path) {
    struct stat status;

    return lstat(path, &status) == 0;
}

/* Removes @path and binds a socket of AF_UNIX there, which listens if its type can. */
static int socket_bind(const char *path, int type, bool is_listening) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    (void)unlink(path);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        (is_listening && listen(fd, 5) < 0))
        return -1;
    return fd;
}

/* Connects to @path. Returns a descriptor or a negative errno. */
static int socket_connect(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    (void)close(fd);
    return -errno;
}

static void assert_listening(const char *path) {
    int fd = socket_connect(path);

    assert_true(fd >= 0);
    close(fd);
}

/* What the manager passes as descriptor 3. */
enum passed {
    NOTHING,
    A_FILE,
    A_PIPE,
    STREAM_LISTENING,
    DATAGRAM,
    SEQPACKET_BOUND,
    SEQPACKET_CONNECTED,
    INTERNET_LISTENING,
    SEQPACKET_LISTENING,
};

static int passed_open(enum passed passed) {
    int ends[2] = {-1, -1};

    switch (passed) {
    case A_FILE:
        return open("/dev/null", O_RDWR);
    case A_PIPE:
        return pipe(ends) == 0 ? ends[0] : -1;
    case STREAM_LISTENING:
        return socket_bind("passed", SOCK_STREAM, true);
    case DATAGRAM:
        return socket_bind("passed", SOCK_DGRAM, false);
    case SEQPACKET_BOUND:
        return socket_bind("passed", SOCK_SEQPACKET, false);
    case SEQPACKET_LISTENING:
        return socket_bind("passed", SOCK_SEQPACKET, true);
    case SEQPACKET_CONNECTED:
        return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0 ? ends[0] : -1;
    case INTERNET_LISTENING:
        ends[0] = socket(AF_INET, SOCK_STREAM, 0);
        return listen(ends[0], 5) == 0 ? ends[0] : -1;
    default:
        return -1;
    }
}

struct passing {
    const char *pid; /* LISTEN_PID, in which @ stands for the right number; NULL: unset */
    const char *fds; /* LISTEN_FDS */
    enum passed passed;
    int result;
};

static void listen_pid_set(const char *text) {
    char value[64];
    const char *at = text != NULL ? strchr(text, '@') : NULL;

    if (text == NULL) {
        CHECK(unsetenv("LISTEN_PID") == 0);
        return;
    }
    if (at == NULL)
        (void)snprintf(value, sizeof(value), "%s", text);
    else
        (void)snprintf(value, sizeof(value), "%.*s%d%s", (int)(at - text), text, (int)getpid(),
                       at + 1);
    CHECK(setenv("LISTEN_PID", value, 1) == 0);
}

static _Noreturn void check_passing(const struct passing *passing) {
    struct listener listener = LISTENER_NULL;
    int fd = passed_open(passing->passed);

    CHECK(fd >= 0 || passing->passed == NOTHING);
    if (fd < 0)
        (void)close(3); /* the program that runs the tests may have left it open */
    CHECK(fd < 0 || fd == 3 || dup2(fd, 3) == 3);
    CHECK(fd < 0 || fcntl(3, F_SETFD, 0) == 0);
    listen_pid_set(passing->pid);
    CHECK((passing->fds != NULL ? setenv("LISTEN_FDS", passing->fds, 1) : unsetenv("LISTEN_FDS")) ==
          0);
    CHECK(setenv("NOTIFY_SOCKET", "/some/where", 1) == 0);

    CHECK(listener_take(&listener) == passing->result);
    CHECK(strcmp(listener.notify_socket, "/some/where") == 0);
    CHECK(listener.path == NULL && listener.is_managed == (passing->result == 0));
    CHECK(listener.fd == (passing->result == 0 ? 3 : -1));
    if (passing->result == 0) {
        CHECK(fcntl(3, F_GETFD) == FD_CLOEXEC && (fcntl(3, F_GETFL) & O_NONBLOCK) != 0);
        CHECK(accept(3, NULL, NULL) < 0 && errno == EAGAIN);
    } else if (fd >= 0) {
        CHECK(fcntl(3, F_GETFD) == 0); /* not passed to this process: it stays as it is */
    }
    listener_deinit(&listener);
    CHECK(listener.fd == -1);
    CHECK(passing->passed != SEQPACKET_LISTENING || exists("passed")); /* it is the manager's */
    _exit(0);
}

static void the_manager_must_pass_one_listening_socket(void **state) {
    static const struct passing cases[] = {
        {"@", "1", SEQPACKET_LISTENING, 0},
        {"@", "1", NOTHING, LISTENER_E_WRONG},
        {"@", "1", A_FILE, LISTENER_E_WRONG},
        {"@", "1", A_PIPE, LISTENER_E_WRONG},
        {"@", "1", STREAM_LISTENING, LISTENER_E_WRONG},
        {"@", "1", DATAGRAM, LISTENER_E_WRONG},
        {"@", "1", SEQPACKET_BOUND, LISTENER_E_WRONG},
        {"@", "1", SEQPACKET_CONNECTED, LISTENER_E_WRONG},
        {"@", "1", INTERNET_LISTENING, LISTENER_E_WRONG},
        {"@", "2", SEQPACKET_LISTENING, LISTENER_E_WRONG},
        {"@", "2147483647", SEQPACKET_LISTENING, LISTENER_E_WRONG},
        {"@", "0", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"@", NULL, SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"@", "", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"@", "-1", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"@", "+1", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"@", "1 ", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"@", " 1", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"@", "1x", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"@", "0x1", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"@", "one", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"@", "18446744073709551617", SEQPACKET_LISTENING, LISTENER_E_NONE}, /* 2^64 + 1 */
        {NULL, "1", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {NULL, NULL, SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"", "1", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"1", "1", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"0", "1", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"@0", "1", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"-@", "1", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"+@", "1", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {" @", "1", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"@ ", "1", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"@x", "1", SEQPACKET_LISTENING, LISTENER_E_NONE},
        {"99999999999999999999", "1", SEQPACKET_LISTENING, LISTENER_E_NONE},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
            check_passing(&cases[i]);
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status != 0)
            fail_msg("LISTEN_PID='%s' LISTEN_FDS='%s', passed: %d",
                     cases[i].pid != NULL ? cases[i].pid : "(unset)",
                     cases[i].fds != NULL ? cases[i].fds : "(unset)", (int)cases[i].passed);
    }
}

static void without_a_manager_readiness_is_not_reported(void **state) {
    struct listener listener = LISTENER_NULL;
    pid_t pid = fork();
    int status;

    (void)state;
    if (pid == 0) {
        CHECK(clearenv() == 0 && listener_take(&listener) == LISTENER_E_NONE);
        CHECK(listener.notify_socket == NULL && !listener.is_managed && listener.fd == -1);
        listener_tell_ready(&listener);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void the_bound_socket_has_mode_0600_whatever_the_umask(void **state) {
    static const mode_t masks[] = {0, 022, 027, 077, 0177, 0777};
    const mode_t before = umask(0);

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(masks); i++) {
        struct listener listener = LISTENER_NULL;
        struct stat status;

        /* Once where nothing is, once where a killed service left its socket. */
        for (int j = 0; j < 2; j++) {
            (void)umask(masks[i]);
            assert_int_equal(listener_bind(&listener, "own"), 0);
            assert_int_equal(umask(masks[i]), masks[i]);
            assert_int_equal(lstat("own", &status), 0);
            assert_true(S_ISSOCK(status.st_mode));
            assert_int_equal(status.st_mode & 07777, 0600);
            assert_int_equal(status.st_uid, geteuid());
            assert_listening("own");
            assert_int_equal(fcntl(listener.fd, F_GETFD), FD_CLOEXEC);
            assert_true((fcntl(listener.fd, F_GETFL) & O_NONBLOCK) != 0);
            assert_false(listener.is_managed);
            if (j == 0)
                base_close_fd(&listener.fd);
        }
        listener_deinit(&listener);
        assert_false(exists("own"));
        assert_int_equal(listener.fd, -1);
        assert_null(listener.path);
    }
    (void)umask(before);
}

/* The path has @length bytes: "./././own". */
static const char *path_of(char *path, size_t length) {
    size_t at = 0;

    if (length % 2 == 0)
        path[at++] = 'x';
    path[at++] = 'x';
    while (at < length) {
        memmove(path + 2, path, at);
        memcpy(path, "./", 2);
        at += 2;
    }
    path[at] = '\0';
    assert_int_equal(strlen(path), length);
    return path;
}

static void a_path_must_fit(void **state) {
    static const struct {
        size_t length;
        int result;
    } cases[] = {{1, 0},
                 {106, 0},
                 {107, 0},
                 {108, -ENAMETOOLONG},
                 {109, -ENAMETOOLONG},
                 {4000, -ENAMETOOLONG}};
    char path[4096];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct listener listener = LISTENER_NULL;
        int before = n_open();

        assert_int_equal(listener_bind(&listener, path_of(path, cases[i].length)), cases[i].result);
        assert_int_equal(exists(path), cases[i].result == 0);
        listener_deinit(&listener);
        assert_int_equal(n_open(), before);
        assert_false(exists(path));
    }
}

/* Nothing is removed, and nothing stays open. */
static void other_files_at_the_path_stay(void **state) {
    static const struct {
        const char *what, *set_up, *path;
        int result;
    } cases[] = {
        {"no folder", ":", "none/own", -ENOENT},
        {"a file for a folder", ": > x", "x/own", -ENOTDIR},
        {"a file", "echo content > own", "own", -EADDRINUSE},
        {"an empty file", ": > own", "own", -EADDRINUSE},
        {"a folder", "mkdir own", "own", -EADDRINUSE},
        {"a FIFO", "mkfifo own", "own", -EADDRINUSE},
        {"a link that leads nowhere", "ln -s nowhere own", "own", -EADDRINUSE},
        {"a link to a file", ": > x; ln -s x own", "own", -EADDRINUSE},
        {"a link to what a killed service has left", "ln -s stale own", "own", -EADDRINUSE},
        {"a stream's socket", "ln stream own", "own", -EADDRINUSE},
        {"a datagram's socket", "ln datagram own", "own", -EADDRINUSE},
        {"somebody who listens", "ln listening own", "own", LISTENER_E_IN_USE},
        {"a link to somebody who listens", "ln -s listening own", "own", LISTENER_E_IN_USE},
    };
    const mode_t mask = umask(022);
    int stream = socket_bind("stream", SOCK_STREAM, true);
    int datagram = socket_bind("datagram", SOCK_DGRAM, false);
    int listening = socket_bind("listening", SOCK_SEQPACKET, true);
    int before;

    (void)state;
    close(socket_bind("stale", SOCK_SEQPACKET, true));
    before = n_open();
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct listener listener = LISTENER_NULL;
        struct stat status, after;
        bool is_there;
        int r;

        assert_int_equal(system("rm -rf own x"), 0);
        assert_int_equal(system(cases[i].set_up), 0);
        is_there = lstat(cases[i].path, &status) == 0;
        r = listener_bind(&listener, cases[i].path);
        if (r != cases[i].result)
            fail_msg("%s: %d", cases[i].what, r);
        assert_int_equal(umask(022), 022);
        assert_int_equal(listener.fd, -1);
        listener_deinit(&listener);
        assert_int_equal(n_open(), before);
        if (is_there && (lstat(cases[i].path, &after) != 0 || after.st_ino != status.st_ino ||
                         after.st_size != status.st_size))
            fail_msg("%s: it is another now", cases[i].what);
    }
    assert_true(exists("stale"));
    assert_listening("listening");
    close(stream);
    close(datagram);
    close(listening);
    (void)umask(mask);
}

static void the_socket_of_another_user_stays(void **state) {
    struct listener listener = LISTENER_NULL;

    (void)state;
    if (geteuid() != 0 && !test_is_in_ci()) {
        print_message("skipped: to give a socket away needs root\n");
        skip();
    }
    assert_int_equal(system("rm -rf own"), 0);
    close(socket_bind("own", SOCK_SEQPACKET, true));
    assert_int_equal(chown("own", 12345, (gid_t)-1), 0);
    assert_int_equal(listener_bind(&listener, "own"), -EADDRINUSE);
    listener_deinit(&listener);
    assert_true(exists("own"));
    /* Only the owner matters. */
    assert_int_equal(chown("own", 0, 12345), 0);
    assert_int_equal(listener_bind(&listener, "own"), 0);
    listener_deinit(&listener);
}

/* A second service at the same path fails, and the first goes on. */
static void only_the_own_socket_is_removed(void **state) {
    struct listener first = LISTENER_NULL, second = LISTENER_NULL;

    (void)state;
    assert_int_equal(system("rm -rf own"), 0);
    listener_deinit(&first);
    assert_int_equal(listener_bind(&first, "own"), 0);
    assert_int_equal(listener_bind(&second, "own"), LISTENER_E_IN_USE);
    listener_deinit(&second);
    assert_listening("own");
    listener_deinit(&first);
    assert_false(exists("own"));
    listener_deinit(&first);
}

/* As after the folder was emptied and another service was started there. */
static void a_socket_that_replaced_the_own_one_stays(void **state) {
    struct listener first = LISTENER_NULL, second = LISTENER_NULL;

    (void)state;
    assert_int_equal(listener_bind(&first, "own"), 0);
    assert_int_equal(rename("own", "away"), 0);
    assert_int_equal(listener_bind(&second, "own"), 0);
    listener_deinit(&first);
    assert_listening("own");
    listener_deinit(&second);
    assert_false(exists("own"));
    assert_int_equal(unlink("away"), 0);
}

static size_t n_names(void) {
    DIR *folder = opendir(".");
    size_t n = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL)
        n++;
    (void)closedir(folder);
    return n - 2;
}

/* During the bind a lock file keeps other processes from binding at the same path. */
static void no_other_file_stays_in_the_folder(void **state) {
    static const struct {
        const char *what, *set_up, *path;
        int result;
        size_t n_names; /* after the bind */
    } cases[] = {
        {"a free place", ":", "own", 0, 1},
        {"a lock that was left behind", ": > own.lock", "own", 0, 1},
        {"no place", ":", "", -ENOENT, 0},
        {"a folder for a lock", "mkdir own.lock", "own", -EISDIR, 1},
        {"a link for a lock", "ln -s stale own.lock", "own", -ELOOP, 1},
    };

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        struct listener listener = LISTENER_NULL;
        int r;

        assert_int_equal(system("rm -rf *"), 0);
        close(socket_bind("stale", SOCK_SEQPACKET, true));
        assert_int_equal(system(cases[i].set_up), 0);
        r = listener_bind(&listener, cases[i].path);
        (void)unlink("stale");
        if (r != cases[i].result || n_names() != cases[i].n_names)
            fail_msg("%s: %d, %zu names", cases[i].what, r, n_names());
        if (r == 0)
            assert_listening(cases[i].path);
        listener_deinit(&listener);
        assert_int_equal(n_names(), r == 0 ? 0 : cases[i].n_names);
    }
}

static void a_failed_bind_leaves_no_file(void **state) {
    struct listener listener = LISTENER_NULL;

    (void)state;
    assert_int_equal(system("rm -rf *"), 0);
    assert_true(listener_bind(&listener, "own/") < 0);
    listener_deinit(&listener);
    assert_int_equal(n_names(), 0);
}

/* Two processes that bind at the same time; each writes its result here. */
struct together {
    _Atomic int n_ready, n_done;
    _Atomic bool may_begin;
    int results[2];
};

static _Noreturn void play_together(struct together *together, int which) {
    struct listener listener = LISTENER_NULL;

    (void)alarm(5);
    together->n_ready++;
    while (!together->may_begin)
        ;
    together->results[which] = listener_bind(&listener, "own");
    together->n_done++;
    if (together->results[which] == 0)
        (void)pause();
    listener_deinit(&listener);
    _exit(0);
}

static void of_two_at_the_same_time_one_listens(void **state) {
    struct together *together =
        mmap(NULL, sizeof(*together), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int n_both = 0, n_none = 0, n_deaf = 0;

    (void)state;
    assert_ptr_not_equal(together, MAP_FAILED);
    for (int i = 0; i < 300; i++) {
        pid_t pids[2];
        int connection, n_bound;

        assert_int_equal(system("rm -rf *"), 0);
        if (i % 2 == 0)
            close(socket_bind("own", SOCK_SEQPACKET, true));
        *together = (struct together){.n_ready = 0};
        for (int j = 0; j < 2; j++) {
            pids[j] = fork();
            if (pids[j] == 0)
                play_together(together, j);
            assert_true(pids[j] > 0);
        }
        while (together->n_ready < 2)
            (void)usleep(10);
        together->may_begin = true;
        while (together->n_done < 2)
            (void)usleep(10);
        n_bound = (together->results[0] == 0) + (together->results[1] == 0);
        n_both += n_bound == 2;
        n_none += n_bound == 0;
        connection = socket_connect("own");
        n_deaf += n_bound > 0 && connection < 0;
        base_close_fd(&connection);
        for (int j = 0; j < 2; j++) {
            (void)kill(pids[j], SIGKILL);
            assert_int_equal(waitpid(pids[j], NULL, 0), pids[j]);
        }
    }
    (void)munmap(together, sizeof(*together));
    if (n_both + n_none + n_deaf > 0)
        fail_msg("of 300 times both listened %d times, none %d times; no service answered %d times",
                 n_both, n_none, n_deaf);
}

/* The service manager's socket, SOCK_DGRAM, at @length bytes of @path, NULs included. */
static int manager_listen(const char *path, size_t length) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(length <= sizeof(address.sun_path));
    memcpy(address.sun_path, path, length);
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                     0);
    return fd;
}

static bool manager_has_heard(int fd) {
    char text[64];
    ssize_t n = recv(fd, text, sizeof(text), 0);

    if (n < 0)
        return false;
    assert_int_equal(n, strlen("READY=1"));
    assert_memory_equal(text, "READY=1", strlen("READY=1"));
    return true;
}

static bool is_told(const char *notify_socket, int manager) {
    struct listener listener = LISTENER_NULL;
    int before = n_open();

    listener.notify_socket = notify_socket;
    listener_tell_ready(&listener);
    assert_int_equal(n_open(), before);
    return manager_has_heard(manager);
}

/* An abstract name of @length bytes, @ included, unique to this run of the test. */
static void name_fill(char *name, size_t length) {
    const char *own = strrchr(root, '-') + 1;

    memset(name, 'n', length);
    name[0] = '@';
    memcpy(name + 1, own, strlen(own));
    name[length] = '\0';
}

static int manager_listen_abstract(char *name, size_t length) {
    int fd;

    name[0] = '\0';
    fd = manager_listen(name, length);
    name[0] = '@';
    return fd;
}

static void readiness_is_reported_at_a_path_or_an_abstract_name(void **state) {
    static const size_t lengths[] = {7, 20, 106, 107};
    char name[256], path[256];
    int fd;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/notify", root);
    fd = manager_listen(path, strlen(path));
    assert_true(is_told(path, fd));
    close(fd);

    for (size_t i = 0; i < BASE_ARRAY_SIZE(lengths); i++) {
        name_fill(name, lengths[i]);
        fd = manager_listen_abstract(name, lengths[i]);
        if (!is_told(name, fd))
            fail_msg("%zu bytes: %s", lengths[i], name);
        close(fd);
    }
}

/* There is no signal and no wait either. */
static void an_unusable_notify_socket_is_ignored(void **state) {
    static const char *const cases[] = {
        "", "/", "@", "x", "//", "/nonexistent/notify", "/dev/null", "@nobody-listens-here"};
    static const size_t lengths[] = {4095, 255, 109, 108};
    char too_long[4096], path[256];
    int abstract, longest, at_path;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/notify", root);
    (void)unlink(path);
    at_path = manager_listen(path, strlen(path));
    name_fill(too_long, sizeof(too_long) - 1);
    abstract = manager_listen_abstract(too_long, 108);
    longest = manager_listen_abstract(too_long, 107);
    assert_false(is_told(NULL, at_path));
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++)
        if (is_told(cases[i], at_path))
            fail_msg("%s", cases[i]);
    /* What a path that is cut off would be. */
    for (size_t i = 0; i < BASE_ARRAY_SIZE(lengths); i++) {
        too_long[lengths[i]] = '\0';
        assert_false(is_told(too_long, abstract));
        assert_false(is_told(too_long, longest));
    }
    close(abstract);
    close(longest);
    close(at_path);
}

/* sd_notify(3) knows only absolute paths and abstract names. */
static void a_relative_notify_path_is_ignored(void **state) {
    int fd;

    (void)state;
    (void)unlink("relative");
    fd = manager_listen("relative", strlen("relative"));
    assert_false(is_told("relative", fd));
    assert_false(is_told("./relative", fd));
    close(fd);
}

/* A stopped service (SIGSTOP) accepts no connection and its backlog fills up, but it still exists.
 */
static void a_service_with_a_full_backlog_is_in_use(void **state) {
    int fd, status;
    pid_t pid;

    (void)state;
    fd = socket_bind("own", SOCK_SEQPACKET, false);
    assert_int_equal(listen(fd, 0), 0);
    while (socket_connect("own") >= 0) /* they stay open until the end */
        ;
    pid = fork();
    if (pid == 0) {
        struct listener listener = LISTENER_NULL;

        (void)alarm(1);
        CHECK(listener_bind(&listener, "own") == LISTENER_E_IN_USE);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(exists("own"));
    close(fd);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        fail_msg("it waits for a service that does not answer");
    assert_int_equal(status, 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_manager_must_pass_one_listening_socket),
    cmocka_unit_test(without_a_manager_readiness_is_not_reported),
    cmocka_unit_test(the_bound_socket_has_mode_0600_whatever_the_umask),
    cmocka_unit_test(a_path_must_fit),
    cmocka_unit_test(other_files_at_the_path_stay),
    cmocka_unit_test(the_socket_of_another_user_stays),
    cmocka_unit_test(only_the_own_socket_is_removed),
    cmocka_unit_test(a_socket_that_replaced_the_own_one_stays),
    cmocka_unit_test(no_other_file_stays_in_the_folder),
    cmocka_unit_test(a_failed_bind_leaves_no_file),
    cmocka_unit_test(of_two_at_the_same_time_one_listens),
    cmocka_unit_test(readiness_is_reported_at_a_path_or_an_abstract_name),
    cmocka_unit_test(an_unusable_notify_socket_is_ignored),
    cmocka_unit_test(a_relative_notify_path_is_ignored),
    cmocka_unit_test(a_service_with_a_full_backlog_is_in_use),
};

int main(void) {
    return cmocka_run_group_tests_name(__FILE__, tests, make_root, remove_root);
}
