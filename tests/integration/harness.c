#include "tests/integration/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
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

static struct test_service services[2];

/* The mode that this program was started in. */
const char *harness_mode(void) {
    const char *mode = getenv("UTSBROKER_TEST_MODE");

    return mode != NULL && strcmp(mode, "service") == 0 ? "service" : "direct";
}

bool harness_is_service(void) {
    return strcmp(harness_mode(), "service") == 0;
}

#ifdef __has_feature /* of clang; gcc has a macro */
#if __has_feature(address_sanitizer)
#define HAS_SANITIZER
#endif
#endif
#if defined(HAS_SANITIZER) || defined(__SANITIZE_ADDRESS__)
enum { SLOWNESS = 4 };
#else
enum { SLOWNESS = 1 };
#endif

/*
 * The number of attempts of a test that tries random moments: fewer in service mode, where each
 * attempt waits for a service, and with a sanitizer, which makes each program slow to start.
 */
int harness_repeats(int n) {
    return (harness_is_service() ? n / 4 : n) / SLOWNESS;
}

/* In service mode: has the kernel ignore the broker's file capability, in this mount namespace. */
void harness_prevent_direct(void) {
    if (!harness_is_service())
        return;
    assert_int_equal(mount(BROKER_PATH, BROKER_PATH, NULL, MS_BIND, NULL), 0);
    assert_int_equal(mount(NULL, BROKER_PATH, NULL, MS_BIND | MS_REMOUNT | MS_NOSUID, NULL), 0);
}

/* Undoes harness_prevent_direct(), for a test that needs direct mode as well. */
void harness_permit_direct(void) {
    if (!harness_is_service())
        return;
    assert_int_equal(umount2(BROKER_PATH, MNT_DETACH), 0);
}

static void services_stop(void) {
    for (size_t i = 0; i < BASE_ARRAY_SIZE(services); i++)
        if (services[i].pid != 0)
            service_stop(&services[i]);
}

static void services_start(void) {
    char *const options[] = {"--idle-exit", "0", NULL};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(services); i++) {
        char path[108];

        snprintf(path, sizeof(path), "%s/%u.sock", RUN_FOLDER, (unsigned)harness_users[i].uid);
        (void)unlink(path);
        if (harness_is_service())
            service_start(&services[i], &harness_users[i], path, options);
    }
}

/*
 * Gives this process a private /dev without a log daemon, until it ends: a test with many refusals
 * does not flood the real log. Call it before harness_set_up(). Returns 0, or -1 with errno.
 */
int harness_mount_dev(void) {
    static const struct {
        const char *path;
        unsigned major, minor;
    } nodes[] = {
        {"/dev/null", 1, 3}, {"/dev/zero", 1, 5}, {"/dev/full", 1, 7}, {"/dev/urandom", 1, 9}};
    mode_t mask = umask(0);

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/dev", "tmpfs", 0, "mode=0755") < 0)
        return -1;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(nodes); i++)
        if (mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)) < 0)
            return -1;
    (void)umask(mask);
    return 0;
}

/*
 * Mounts an nsswitch.conf and a group database of the tests (nss-module.c) over the real ones. The
 * caller must be in a mount namespace of its own. Returns 0 or -1.
 */
int harness_mount_groups(void) {
    char nsswitch[] = "/tmp/test-nss-XXXXXX";
    int fd = mkstemp(nsswitch);
    glob_t modules;
    int n_mounted = 0;

    if (fd < 0 || write(fd, "group: files compat\n", 20) != 20 || fchmod(fd, 0644) < 0 ||
        mount(nsswitch, "/etc/nsswitch.conf", NULL, MS_BIND, NULL) < 0)
        return -1;
    close(fd);
    if (glob("/usr/lib/*/libnss_compat.so.2", 0, NULL, &modules) != 0 &&
        glob("/usr/lib*/libnss_compat.so.2", 0, NULL, &modules) != 0)
        return -1;
    for (size_t i = 0; i < modules.gl_pathc; i++)
        n_mounted += mount(NSS_MODULE_PATH, modules.gl_pathv[i], NULL, MS_BIND, NULL) == 0;
    globfree(&modules);
    unlink(nsswitch);
    return n_mounted > 0 ? 0 : -1;
}

/* harness_tear_down() checks that the host's own names have not changed since harness_set_up(). */
int harness_set_up(void **state) {
    const struct passwd *nobody = getpwnam("nobody");

    (void)state;
    (void)signal(SIGPIPE, SIG_DFL);
    /* In some containers the first process does not reap orphans at once: this process does. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return -1;
    if (nobody != NULL) {
        USER_NOBODY->uid = nobody->pw_uid;
        USER_NOBODY->gid = nobody->pw_gid;
    }
    assert_null(getpwuid(USER_WITHOUT_NAME->uid));
    policy_clear();
    if (harness_is_service() &&
        (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
        return -1;
    harness_prevent_direct();
    services_start();
    return uname(&host_before);
}

int harness_tear_down(void **state) {
    struct utsname now;

    (void)state;
    services_stop();
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

/* Makes this process the user @user, permanently: it loses all privilege. */
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

/* Starts @run and returns its pid. The caller owns the read ends of its output and errors. */
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

/* Runs @run and waits until it ends; fails the test after a minute. */
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

/* Seconds of CLOCK_MONOTONIC. */
double harness_now(void) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Returns true as soon as @is_true does; false after ten seconds. */
bool harness_wait_for(bool (*is_true)(void *context), void *context) {
    for (int i = 0; i < 1000; i++) {
        const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

        if (is_true(context))
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

/*
 * The state letter of @pid (proc(5)): "T" is stopped, "Z" a zombie; '-' if there is no such
 * process.
 */
char harness_process_state(pid_t pid) {
    char path[64], text[512] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file != NULL) {
        (void)!fgets(text, sizeof(text), file);
        fclose(file);
    }
    return strrchr(text, ')') != NULL ? strrchr(text, ')')[2] : '-';
}

struct state_wanted {
    pid_t pid;
    const char *states;
};

static bool has_state(void *context) {
    const struct state_wanted *wanted = context;

    return strchr(wanted->states, harness_process_state(wanted->pid)) != NULL;
}

/* Waits until @pid is in one of @states, letters of harness_process_state(). */
bool harness_wait_for_state(pid_t pid, const char *states) {
    struct state_wanted wanted = {pid, states};

    return harness_wait_for(has_state, &wanted);
}

/* The number in the environment variable @variable; @otherwise if it is not above 0. */
unsigned harness_number(const char *variable, unsigned otherwise) {
    const char *text = getenv(variable);

    return text != NULL && atoi(text) > 0 ? (unsigned)atoi(text) : otherwise;
}

/* The value of @key in /proc/PID/status (proc(5)), in a static buffer; "" if there is none. */
const char *harness_status_line(pid_t pid, const char *key) {
    static char line[256];
    char path[64];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, key, strlen(key)) == 0) {
            fclose(file);
            return line + strlen(key) + 2;
        }
    }
    fclose(file);
    return "";
}

/* Counts the processes of @uid, zombies included. */
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
        /* The owner of /proc/PID does not say it: root owns that of a process that is not
         * dumpable. */
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

/* Counts the open descriptors of @pid; 0 if they cannot be read. */
size_t harness_count_descriptors(pid_t pid) {
    char path[64];
    DIR *folder;
    size_t n = 0;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    folder = opendir(path);
    for (const struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        n += entry->d_name[0] != '.';
    if (folder != NULL)
        closedir(folder);
    return n;
}

/*
 * Writes the pids of the children of @pid to @pids, in the order of their creation; returns their
 * number.
 */
size_t children_of(pid_t pid, pid_t *pids, size_t max) {
    char path[64];
    FILE *file;
    size_t n = 0;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    file = fopen(path, "re");
    while (file != NULL && n < max && fscanf(file, "%d", &pids[n]) == 1)
        n++;
    if (file != NULL)
        fclose(file);
    return n;
}

static bool is_zygote(pid_t pid) {
    char path[64], name[32] = "";
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    file = fopen(path, "re");
    if (file != NULL && fgets(name, sizeof(name), file) == NULL)
        name[0] = '\0';
    if (file != NULL)
        fclose(file);
    return strcmp(name, "utsb-zygote\n") == 0;
}

/*
 * Returns the pid of the zygote, 0 if there is none. A new session has the zygote's process name
 * for a moment; it comes later in the list, so the first match is the zygote.
 */
pid_t service_zygote(pid_t service) {
    pid_t all[16];
    size_t n = children_of(service, all, BASE_ARRAY_SIZE(all));

    for (size_t i = 0; i < n; i++)
        if (is_zygote(all[i]))
            return all[i];
    return 0;
}

/* The children of the service except its zygote, which stays the same. */
size_t service_children(pid_t service, pid_t *pids, size_t max) {
    const pid_t zygote = service_zygote(service);
    pid_t all[16];
    size_t n_all = children_of(service, all, BASE_ARRAY_SIZE(all)), n = 0;

    for (size_t i = 0; i < n_all && n < max; i++)
        if (all[i] != zygote)
            pids[n++] = all[i];
    return n;
}

/*
 * The number of processes of the service of @uid. A zygote that was killed is replaced when the
 * service next needs it.
 */
static size_t service_processes(uid_t uid) {
    if (services[0].pid == 0 || services[0].user->uid != uid)
        return 0;
    return service_zygote(services[0].pid) != 0 ? SERVICE_PROCESSES : SERVICE_PROCESSES - 1;
}

static bool nothing_is_left(void *context) {
    const uid_t uid = *(const uid_t *)context;

    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return harness_count_processes(uid) == service_processes(uid);
}

/* Prints the processes of @uid, for a test that found too many or too few. */
void harness_print_processes(uid_t uid) {
    char command[128];

    snprintf(command, sizeof(command), "ps -o pid,ppid,stat,wchan,etimes,comm,args -u %u >&2",
             (unsigned)uid);
    if (system(command) != 0)
        print_error("ps could not be run\n");
}

/*
 * Fails the test if a process of @user is left, except the service and its ready session. Only for
 * USER_WITHOUT_NAME: only these tests run processes of that uid. Reaps orphans, so the caller must
 * not wait for a child that may have ended already.
 */
void harness_assert_nothing_left(const struct user *user) {
    uid_t uid = user->uid;

    if (harness_wait_for(nothing_is_left, &uid))
        return;
    harness_print_processes(uid);
    fail_msg("%zu processes of uid %u are left", harness_count_processes(uid), uid);
}

/* Reads one line, without the newline, into a static buffer; fails the test after ten seconds. */
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

/* Makes the socket that a service manager makes for the service of @user. */
int service_listen(const char *path, const struct user *user) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    char command[256];

    snprintf(command, sizeof(command), "mkdir -p -m 755 \"$(dirname %s)\"", path);
    assert_int_equal(system(command), 0);
    assert_true(strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    (void)unlink(path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 4096), 0);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(chown(path, user->uid, user->gid), 0);
    return fd;
}

/*
 * Makes the socket on which the service reports that it is ready: an abstract address, which needs
 * no access to a folder. The kernel chooses it (unix(7)), because pids are not unique: tests run in
 * pid namespaces.
 */
static int notify_listen(char *name, size_t size) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof(address);

    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    snprintf(name, size, "@%.*s", (int)(length - offsetof(struct sockaddr_un, sun_path) - 1),
             address.sun_path + 1);
    return fd;
}

/*
 * Executes the service as systemd does by the unit: with the one capability, and the socket
 * as descriptor 3.
 */
_Noreturn void service_execute(const struct user *user, int listen_fd, const char *notify,
                               char *const options[]) {
    char uid[16], gid[16], groups[64] = "--clear-groups", number[16];
    const char *argv[32] = {"setpriv",
                            "--reuid",
                            uid,
                            "--regid",
                            gid,
                            groups,
                            "--inh-caps=-all,+sys_admin",
                            "--ambient-caps=-all,+sys_admin",
                            "--no-new-privs",
                            BROKER_PATH,
                            "--listen"};
    size_t n = 11;
    sigset_t none;

    snprintf(uid, sizeof(uid), "%u", (unsigned)user->uid);
    snprintf(gid, sizeof(gid), "%u", (unsigned)user->gid);
    for (size_t i = 0; i < user->n_groups; i++)
        snprintf(i == 0 ? groups : groups + strlen(groups),
                 sizeof(groups) - (i == 0 ? 0 : strlen(groups)), "%s%u", i == 0 ? "--groups=" : ",",
                 (unsigned)user->groups[i]);
    for (size_t i = 0; options != NULL && options[i] != NULL; i++)
        argv[n++] = options[i];
    snprintf(number, sizeof(number), "%d", (int)getpid());
    setenv("LISTEN_PID", number, 1);
    setenv("LISTEN_FDS", "1", 1);
    setenv("NOTIFY_SOCKET", notify, 1);
    setenv("LD_BIND_NOW", "1", 1);
    if (listen_fd == 3 ? fcntl(3, F_SETFD, 0) < 0 : dup2(listen_fd, 3) < 0)
        _exit(201);
    for (int fd = 4; fd < 256; fd++)
        (void)close(fd);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(202);
}

/*
 * Starts a service for @user at @path, as systemd does by the units in packaging/, and waits until
 * it reports that it is ready. @options, ended by NULL, are added; NULL: none. The new process
 * calls @enter first, as root, unless @enter is NULL.
 */
void service_start_in(struct test_service *service, const struct user *user, const char *path,
                      char *const options[], void (*enter)(void *context), void *context) {
    char notify[64], text[16] = "";
    CLEANUP_FD int notify_fd = notify_listen(notify, sizeof(notify));
    struct pollfd ready = {.fd = notify_fd, .events = POLLIN};

    *service = (struct test_service){.user = user, .listen_fd = service_listen(path, user)};
    snprintf(service->path, sizeof(service->path), "%s", path);
    service->pid = fork();
    if (service->pid == 0 && enter != NULL)
        enter(context);
    if (service->pid == 0)
        service_execute(user, service->listen_fd, notify, options);
    if (poll(&ready, 1, 20000) != 1 || recv(notify_fd, text, sizeof(text) - 1, 0) <= 0)
        fail_msg("the service of uid %u does not start", (unsigned)user->uid);
    assert_string_equal(text, "READY=1");
}

void service_start(struct test_service *service, const struct user *user, const char *path,
                   char *const options[]) {
    service_start_in(service, user, path, options, NULL, NULL);
}

/* Stops the service, and checks that it ends with status 0. */
void service_stop(struct test_service *service) {
    int status;

    close(service->listen_fd);
    (void)unlink(service->path);
    assert_int_equal(kill(service->pid, SIGTERM), 0);
    assert_int_equal(waitpid(service->pid, &status, 0), service->pid);
    service->pid = 0;
    assert_int_equal(status, 0);
}

/*
 * True if the service @context, a struct test_service, has reloaded: the new program has another
 * command line. For harness_wait_for().
 */
bool service_is_resumed(void *context) {
    const struct test_service *service = context;
    char path[64], text[128] = "";
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)service->pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
        text[0] = '\0';
    base_close_fd(&fd);
    return strcmp(text + strlen(text) + 1, "--resume") == 0;
}

/* The service of a user, in service mode; NULL in direct mode. */
struct test_service *harness_service_of(const struct user *user) {
    for (size_t i = 0; i < BASE_ARRAY_SIZE(services); i++)
        if (services[i].pid != 0 && services[i].user == user)
            return &services[i];
    return NULL;
}

/* Writes a file in the administrator's policy folder of the stage. */
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
