/* utsrun --ps: whom it shows, how, and what it says of a file that is none. */

#include "launcher/live-list.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "launcher/program.h"
#include "tests/test.h"
#include "utsbroker/live.h"

enum { NOBODY = 1000, OTHER = 1001 };

static int pidfd_error; /* of pidfd_open(2), in place of the system call (ld's --wrap); 0: none */

long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f) {
    if (number == SYS_pidfd_open && pidfd_error != 0) {
        errno = pidfd_error;
        return -1;
    }
    return __real_syscall(number, a, b, c, d, e, f);
}

/* A process that lives until it is killed. Its name makes /proc/PID/stat hard to read. */
static pid_t process_start(void) {
    static const char name[] = ") 1 (2 3";
    int ready[2];
    pid_t pid;
    char c;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open("/proc/self/comm", O_WRONLY);

        _exit(write(fd, name, strlen(name)) < 0 || write(ready[1], "", 1) != 1 || pause());
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    (void)close(ready[0]);
    (void)close(ready[1]);
    return pid;
}

/* Kills it; it is a zombie then, until process_reap(). */
static void process_kill(pid_t pid) {
    siginfo_t info;

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static void process_reap(pid_t pid) {
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void process_end(pid_t pid) {
    process_kill(pid);
    process_reap(pid);
}

/* Reads field 22 in another way than the program: the name of these processes is known. */
static uint64_t start_time(pid_t pid) {
    char path[64], line[1024] = "";
    uint64_t start = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof(line), file));
    (void)fclose(file);
    assert_int_equal(sscanf(line,
                            "%*d () 1 (2 3) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u "
                            "%*d %*d %*d %*d %*d %*d %" SCNu64,
                            &start),
                     1);
    return start;
}

static uint64_t inode(pid_t pid) {
    CLEANUP_FD int pidfd = (int)__real_syscall(SYS_pidfd_open, pid, 0);
    struct stat status;

    assert_true(pidfd >= 0 && fstat(pidfd, &status) == 0);
    return status.st_ino;
}

static char path[] = "/tmp/test-live-list.XXXXXX";

static void file_write(const char *text, size_t size) {
    CLEANUP_FD int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    assert_true(fd >= 0 && write(fd, text, size) == (ssize_t)size);
}

__attribute__((format(printf, 2, 3))) static void text_add(char text[8192], const char *format,
                                                           ...) {
    size_t length = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text + length, 8192 - length, format, arguments);
    va_end(arguments);
}

static void line_add(char text[8192], pid_t pid, uint64_t start, const char *rest) {
    text_add(text, "+ %d t%" PRIu64 " %s\n", (int)pid, start, rest);
}

/* Returns what is printed for @uid, and sets *@statusp; the caller frees it. */
static char *list(uid_t uid, bool is_json, int *statusp) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    *statusp = live_list_print(path, uid, is_json, out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void assert_list(uid_t uid, bool is_json, const char *expected) {
    int status;
    CLEANUP_FREE char *text = list(uid, is_json, &status);

    assert_int_equal(status, 0);
    assert_string_equal(text, expected);
}

/* What the listing says on standard error, of which it must print nothing on standard output. */
static void assert_error(const char *expected, const char *printed) {
    CLEANUP_FD int saved = fcntl(2, F_DUPFD_CLOEXEC, 3);
    CLEANUP_FREE char *text = NULL;
    char errors[1024] = "";
    int ends[2], status;

    assert_true(saved >= 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], 2), 2);
    text = list(NOBODY, false, &status);
    assert_int_equal(dup2(saved, 2), 2);
    (void)close(ends[1]);
    assert_true(read(ends[0], errors, sizeof(errors) - 1) >= 0);
    (void)close(ends[0]);
    assert_int_equal(status, EXIT_UTSRUN_FAILED);
    assert_string_equal(text, printed);
    if (strstr(errors, expected) == NULL)
        fail_msg("not '%s', but: %s", expected, errors);
    assert_ptr_equal(strchr(errors, '\n'), errors + strlen(errors) - 1);
}

#define TITLES "NAME  NIS DOMAIN  MODE  RULE  SINCE  COMMAND\n"

static void columns_are_as_wide_as_needed(void **state) {
    pid_t a = process_start(), b = process_start();
    char text[8192] = LIVE_HEADER, expected[8192] = "";
    int width = snprintf(NULL, 0, "PID");

    /* In a small machine or a container pids have fewer digits than the title has letters. */
    if (width < snprintf(NULL, 0, "%d", a > b ? a : b))
        width = snprintf(NULL, 0, "%d", a > b ? a : b);
    (void)state;
    line_add(text, a, start_time(a),
             "1000 s 1795946651 f3c 7 \"/etc/a b.conf\" \"In Namespace\" \"lab\" \"alice\" "
             "\"\\xc3\\xa4\\x1b[m\\x5c\\x22'\"");
    line_add(text, b, start_time(b), "1001 d 1795860251 0 0 \"\" \"\" \"\" \"\" \"\"");
    file_write(text, strlen(text));
    assert_int_equal(setenv("TZ", "XXX-3", 1), 0);

    text_add(expected,
             "%*s  NAME          NIS DOMAIN  MODE     RULE             SINCE              ", width,
             "PID");
    text_add(expected,
             "  COMMAND\n%*d  In Namespace  lab         service  /etc/a b.conf:7  2026-11-29 ",
             width, (int)a);
    text_add(expected, "13:04:11  \\xc3\\xa4\\x1b[m\\x5c\"'\n");
    assert_list(NOBODY, false, expected);

    expected[0] = '\0';
    text_add(expected,
             "%*s  USER   NAME          NIS DOMAIN  MODE     RULE             SINCE              ",
             width, "PID");
    text_add(expected, "  COMMAND\n%*d  1001   -             -           direct   -              ",
             width, (int)b);
    text_add(expected, "  2026-11-28 13:04:11  -\n%*d  alice  In Namespace  lab         service  ",
             width, (int)a);
    text_add(expected, "/etc/a b.conf:7  2026-11-29 13:04:11  \\xc3\\xa4\\x1b[m\\x5c\"'\n");
    assert_list(0, false, expected);

    expected[0] = '\0';
    text_add(expected, "[\n  {\"pid\":%d,\"uid\":1001,\"user\":null,\"hostname\":null,", (int)b);
    text_add(expected, "\"nis_domain\":null,\"mode\":\"direct\",\"rule\":null,\"since\":\"2026-11-"
                       "28T10:04:11Z\",\"command\":null},\n");
    text_add(expected, "  {\"pid\":%d,\"uid\":1000,\"user\":\"alice\",\"hostname\":", (int)a);
    text_add(expected, "\"In Namespace\",\"nis_domain\":\"lab\",\"mode\":\"service\",\"rule\":"
                       "{\"file\":\"/etc/a b.conf\",\"line\":7},\"since\":\"2026-11-29T10:04:11Z\","
                       "\"command\":\"\\u00c3\\u00a4\\u001b[m\\u005c\\u0022'\"}\n]\n");
    assert_list(0, true, expected);
    process_end(a);
    process_end(b);
}

static void the_longest_values_and_times_without_a_calendar_are_printed(void **state) {
    pid_t pid = process_start();
    char text[8192] = LIVE_HEADER, value[4 * 255 + 1] = "";
    CLEANUP_FREE char *table = NULL, *json = NULL;
    int status;

    (void)state;
    for (size_t i = 0; i < 255; i++)
        memcpy(value + 4 * i, "\\xff", 5);
    text_add(text,
             "+ %d t%" PRIu64 " 1000 s %" PRId64 " 1 4294967295 \"%s\" \"%.256s\" \"%.256s\" ",
             (int)pid, start_time(pid), INT64_MAX, value, value, value);
    text_add(text, "\"%s\\xff\" \"%s\"\n", value, value);
    file_write(text, strlen(text));
    table = list(0, false, &status);
    assert_int_equal(status, 0);
    assert_non_null(strstr(table, "\\xff:4294967295  -      "));
    json = list(0, true, &status);
    assert_int_equal(status, 0);
    assert_non_null(strstr(json, ",\"since\":null,"));
    process_end(pid);
}

static void they_are_sorted_by_time_then_by_pid(void **state) {
    enum { N = 40 };
    pid_t pids[N];
    char text[8192] = LIVE_HEADER, *at;
    CLEANUP_FREE char *json = NULL;
    long last_since = 0, last_pid = 0;
    int status, n = 0;

    (void)state;
    for (int i = 0; i < N; i++) {
        pids[i] = process_start();
        /* Times of eight seconds, out of order. */
        text_add(text, "+ %d t%" PRIu64 " 1000 d %d 1 1 \"f\" \"h\" \"\" \"\" \"%d\"\n",
                 (int)pids[i], start_time(pids[i]), i * 7 % 8, i * 7 % 8);
    }
    file_write(text, strlen(text));
    json = list(NOBODY, true, &status);
    for (at = json; (at = strstr(at, "{\"pid\":")) != NULL; n++) {
        long pid = strtol(at + 7, &at, 10), since;

        at = strstr(at, "\"command\":\"");
        assert_non_null(at);
        since = strtol(at + 11, &at, 10);
        assert_true(since > last_since || (since == last_since && pid > last_pid));
        last_since = since;
        last_pid = pid;
    }
    assert_int_equal(n, N);
    for (int i = 0; i < N; i++)
        process_end(pids[i]);
}

/* True if the listing shows a command whose process has this pid and start. */
static bool is_shown(char state, pid_t pid, char kind, uint64_t start) {
    CLEANUP_FREE char *text = NULL;
    char line[512];
    int status;

    (void)snprintf(line, sizeof(line),
                   LIVE_HEADER "%c %d %c%" PRIu64 " 1000 d 4 5 6 \"f\" \"h\" \"\" \"\" \"shown\"\n",
                   state, (int)pid, kind, start);
    file_write(line, strlen(line));
    text = list(NOBODY, false, &status);
    assert_int_equal(status, 0);
    return strstr(text, "shown") != NULL;
}

static void only_what_lives_is_shown(void **state) {
    pid_t pid = process_start();
    uint64_t start = start_time(pid), number = inode(pid);

    (void)state;
    assert_true(is_shown('+', pid, 't', start));
    assert_true(is_shown('+', pid, 'i', number));
    assert_false(is_shown('.', pid, 't', start));
    assert_false(is_shown('-', pid, 't', start));
    /* The pid is another process's now. */
    assert_false(is_shown('+', pid, 't', start - 1));
    assert_false(is_shown('+', pid, 'i', number + 1));
    /* Without pidfd_open(2) the start time is still there, and the inode is not. */
    pidfd_error = ENOSYS;
    assert_true(is_shown('+', pid, 't', start));
    assert_false(is_shown('+', pid, 't', start - 1));
    assert_true(is_shown('+', pid, 'i', number));
    assert_true(is_shown('+', pid, 'i', number + 1));
    pidfd_error = 0;
    process_kill(pid);
    assert_false(is_shown('+', pid, 't', start));
    assert_false(is_shown('+', pid, 'i', number));
    process_reap(pid);
    assert_false(is_shown('+', pid, 't', start));
    assert_false(is_shown('+', pid, 'i', number));
    pidfd_error = EPERM; /* neither is known */
    assert_true(is_shown('+', pid, 't', start));
    pidfd_error = 0;
}

static void nobody_sees_others_but_root(void **state) {
    pid_t pid = process_start();
    char text[8192] = LIVE_HEADER;

    (void)state;
    line_add(text, pid, start_time(pid), "1001 d 4 5 6 \"f\" \"h\" \"\" \"\" \"c\"");
    file_write(text, strlen(text));
    assert_list(NOBODY, false, "PID  " TITLES);
    assert_list(NOBODY, true, "[]\n");
    for (uid_t uid = 0; uid <= OTHER; uid += OTHER) {
        int status;
        CLEANUP_FREE char *table = list(uid, false, &status);

        assert_non_null(strstr(table, "  c\n"));
        assert_true((strstr(table, "USER") != NULL) == (uid == 0));
    }
    process_end(pid);
}

static void a_list_without_commands_has_titles_only(void **state) {
    (void)state;
    file_write(LIVE_HEADER, sizeof(LIVE_HEADER) - 1);
    assert_list(NOBODY, false, "PID  " TITLES);
    assert_list(0, false, "PID  USER  " TITLES);
    assert_list(0, true, "[]\n");
}

/* Whatever part of the last line is there: it is being written. */
static void a_part_of_the_last_line_is_not_an_error(void **state) {
    static const char text[] = LIVE_HEADER "+ 1 t2 1000 d 4 5 6 \"f\" \"h\" \"\" \"\" \"c\"\n";

    (void)state;
    for (size_t size = sizeof(LIVE_HEADER) - 1; size < sizeof(text) - 1; size++) {
        file_write(text, size);
        assert_list(NOBODY, true, "[]\n");
    }
}

static void a_damaged_line_is_told(void **state) {
    static const struct {
        const char *text;
        size_t size;
        const char *error;
    } cases[] = {
#define CASE(text, error) {LIVE_HEADER text, sizeof(LIVE_HEADER text) - 1, error}
        CASE("+ 1 x2\n", "line 2 of /tmp/"),
        CASE("- 1 t2 3 d 4 5 6 \"\" \"\" \"\" \"\" \"\"\n\n+", "line 3 of /tmp/"),
        CASE("\0\n", "line 2 of /tmp/"),
        CASE("+ 1 t2\0 3\n", "line 2 of /tmp/"),
    };
    char text[2 * LIVE_LINE_SIZE];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        file_write(cases[i].text, cases[i].size);
        assert_error(cases[i].error, "PID  " TITLES);
    }
    memset(text, 'a', sizeof(text));
    memcpy(text, LIVE_HEADER, sizeof(LIVE_HEADER) - 1);
    file_write(text, sizeof(text));
    assert_error("line 2 of /tmp/", "PID  " TITLES);
}

static void a_file_that_is_none_is_told(void **state) {
    static const char *const texts[] = {
        "", "u", "utsbroker-live 1", "utsbroker-live 2\n", "utsbroker-live 1 \n", "root:x:0:0\n"};
    char loop[128];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(texts); i++) {
        file_write(texts[i], strlen(texts[i]));
        assert_error("is no list of live commands of this version; install", "");
    }
    assert_int_equal(unlink(path), 0);
    assert_error(
        "utsrun: no list of live commands: the ledger (utsbroker-ledger) does not run; ask", "");
    assert_int_equal(symlink("/proc/self/status", path), 0);
    (void)snprintf(loop, sizeof(loop), "cannot be read: %s; ask your administrator",
                   strerror(ELOOP));
    assert_error(loop, "");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* is not waited for */
    assert_error("is no list of live commands of this version", "");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_error("is no list of live commands of this version", "");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0, 0);
}

static void a_list_that_cannot_be_written_is_told(void **state) {
    FILE *full = fopen("/dev/full", "we");

    (void)state;
    assert_non_null(full);
    file_write(LIVE_HEADER, sizeof(LIVE_HEADER) - 1);
    assert_int_equal(live_list_print(path, NOBODY, false, full), EXIT_UTSRUN_FAILED);
    (void)fclose(full);
}

static int file_make(void **state) {
    CLEANUP_FD int fd = mkstemp(path);

    (void)state;
    return fd < 0;
}

static int file_remove(void **state) {
    (void)state;
    return unlink(path);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(columns_are_as_wide_as_needed),
    cmocka_unit_test(the_longest_values_and_times_without_a_calendar_are_printed),
    cmocka_unit_test(they_are_sorted_by_time_then_by_pid),
    cmocka_unit_test(only_what_lives_is_shown),
    cmocka_unit_test(nobody_sees_others_but_root),
    cmocka_unit_test(a_list_without_commands_has_titles_only),
    cmocka_unit_test(a_part_of_the_last_line_is_not_an_error),
    cmocka_unit_test(a_damaged_line_is_told),
    cmocka_unit_test(a_file_that_is_none_is_told),
    cmocka_unit_test(a_list_that_cannot_be_written_is_told),
};

int main(void) {
    return cmocka_run_group_tests_name(__FILE__, tests, file_make, file_remove);
}
