#include "tests/integration/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

struct user harness_users[2] = {
    {.what = "a uid that has no passwd entry",
     .uid = 54321,
     .gid = 54322,
     .groups = {54323, 54324},
     .n_groups = 2},
    {.what = "nobody, who has one", .uid = 65534, .gid = 65534},
};

static struct utsname host_before;

/* The names outside are the same after the last test as before the first. */
int harness_set_up(void **state) {
    const struct passwd *nobody = getpwnam("nobody");

    (void)state;
    (void)signal(SIGPIPE, SIG_DFL);
    /* Not every machine's first process reaps at once what has lost its parent. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return -1;
    if (nobody != NULL) {
        USER_NOBODY->uid = nobody->pw_uid;
        USER_NOBODY->gid = nobody->pw_gid;
    }
    assert_null(getpwuid(USER_WITHOUT_NAME->uid));
    policy_clear();
    return uname(&host_before);
}

int harness_tear_down(void **state) {
    struct utsname now;

    (void)state;
    policy_clear();
    if (uname(&now) < 0)
        return -1;
    if (strcmp(now.nodename, host_before.nodename) != 0 ||
        strcmp(now.domainname, host_before.domainname) != 0) {
        print_error("the host's own name has changed to %s\n", now.nodename);
        return -1;
    }
    return 0;
}

/* For ever: everything this process may lose, it loses. */
void harness_become(const struct user *user) {
    if (setgroups(user->n_groups, user->groups) < 0 ||
        setresgid(user->gid, user->gid, user->gid) < 0 ||
        setresuid(user->uid, user->uid, user->uid) < 0)
        _exit(200);
}

static void child(const struct run *run, int input, int output, int errors) {
    static char *default_environment[] = {"PATH=/usr/bin:/bin", NULL};
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0)
        _exit(201);
    for (int fd = 3; fd < 256; fd++)
        (void)close(fd);
    if (run->user != NULL)
        harness_become(run->user);
    if (run->set_up != NULL)
        run->set_up(run->context);
    (void)execve(run->argv[0], run->argv,
                 run->environment != NULL ? run->environment : default_environment);
    _exit(202);
}

static int input_open(const char *text) {
    int ends[2];

    if (text == NULL)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
    close(ends[1]);
    return ends[0];
}

/* Starts @run and returns its pid; the reading ends of its output and errors are the caller's. */
pid_t harness_start(const struct run *run, int *output_fdp, int *error_fdp) {
    int output[2], errors[2], input = input_open(run->input);
    pid_t pid;

    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    assert_int_equal(pipe2(errors, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        child(run, input, output[1], errors[1]);
    close(input);
    close(output[1]);
    close(errors[1]);
    *output_fdp = output[0];
    *error_fdp = errors[0];
    return pid;
}

static bool drain(int fd, char *text) {
    size_t length = strlen(text);
    ssize_t n = read(fd, text + length, HARNESS_OUTPUT_MAX - 1 - length);

    if (n > 0)
        text[length + (size_t)n] = '\0';
    return n > 0;
}

/* Runs @run to its end; fails the test if that takes a minute. */
void harness_run(const struct run *run, struct result *result) {
    int output, errors;
    pid_t pid = harness_start(run, &output, &errors);
    struct pollfd fds[] = {{.fd = output, .events = POLLIN}, {.fd = errors, .events = POLLIN}};

    memset(result, 0, sizeof(*result));
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, 2, 60000) <= 0) {
            kill(pid, SIGKILL);
            fail_msg("%s hangs", run->argv[0]);
        }
        if (fds[0].revents != 0 && !drain(output, result->output))
            fds[0].fd = -1;
        if (fds[1].revents != 0 && !drain(errors, result->errors))
            fds[1].fd = -1;
    }
    close(output);
    close(errors);
    assert_int_equal(waitpid(pid, &result->status, 0), pid);
}

void harness_assert_exit(const struct result *result, int code) {
    if (!WIFEXITED(result->status) || WEXITSTATUS(result->status) != code)
        fail_msg("wait status 0x%x, not exit %d; output: %s; errors: %s", result->status, code,
                 result->output, result->errors);
}

/* True as soon as @is_true is; false if it is not within ten seconds. */
bool harness_wait_for(bool (*is_true)(void *context), void *context) {
    for (int i = 0; i < 1000; i++) {
        const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

        if (is_true(context))
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

/* How many processes of @uid there are, zombies included. */
size_t harness_count_processes(uid_t uid) {
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    size_t n = 0;

    assert_non_null(proc);
    while ((entry = readdir(proc)) != NULL) {
        struct stat status;
        char path[300];

        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        /* Not the owner of /proc/PID: of a process that is not dumpable that is root. */
        snprintf(path, sizeof(path), "/proc/%s/status", entry->d_name);
        if (stat(path, &status) == 0) {
            FILE *file = fopen(path, "re");
            char line[256];
            unsigned ruid;

            while (file != NULL && fgets(line, sizeof(line), file) != NULL)
                if (sscanf(line, "Uid: %u", &ruid) == 1)
                    n += ruid == uid;
            if (file != NULL)
                fclose(file);
        }
    }
    closedir(proc);
    return n;
}

static bool nothing_is_left(void *context) {
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return harness_count_processes(*(const uid_t *)context) == 0;
}

/*
 * Only for USER_WITHOUT_NAME: nothing but these tests ever runs as that uid. Reaps what lost its
 * parent, so nothing that the caller still waits for may have ended.
 */
void harness_assert_nothing_left(const struct user *user) {
    uid_t uid = user->uid;

    if (!harness_wait_for(nothing_is_left, &uid))
        fail_msg("%zu processes of uid %u are left", harness_count_processes(uid), uid);
}

/* Reads one line, without its end, to a static buffer; fails the test after ten seconds. */
char *harness_read_line(int fd) {
    static char line[4096];
    size_t length = 0;

    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};

        if (poll(&ready, 1, 10000) <= 0)
            fail_msg("no line came");
        if (read(fd, line + length, 1) != 1 || length == sizeof(line) - 1)
            fail_msg("the output ended within a line");
        if (line[length] == '\n')
            break;
        length++;
    }
    line[length] = '\0';
    return line;
}

/* Puts a file into the administrator's folder of the stage. */
void policy_write(const char *name, const char *text) {
    char path[4096];
    FILE *file;

    snprintf(path, sizeof(path), "mkdir -p -m 755 %s", POLICY_FOLDER_ADMIN);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof(path), "%s/%s", POLICY_FOLDER_ADMIN, name);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

void policy_clear(void) {
    char command[4096];

    snprintf(command, sizeof(command), "rm -rf %s", POLICY_FOLDER_ADMIN);
    assert_int_equal(system(command), 0);
}
