/*
 * A command that reports everything about itself that utsrun could have changed: "key=value" lines
 * to the file that its first argument names, or to standard output for "-". Run it with and without
 * utsrun and compare.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "utsbroker/resource.h"

static void print_file(FILE *out, const char *key, const char *path) {
    FILE *file = fopen(path, "re");
    char line[256] = "";

    if (file != NULL) {
        (void)!fgets(line, sizeof(line), file);
        fclose(file);
    }
    line[strcspn(line, "\n")] = '\0';
    fprintf(out, "%s=%s\n", key, line);
}

static void print_status(FILE *out) {
    static const char *const keys[] = {"Uid:",         "Gid:",     "Groups:",           "Cap",
                                       "NoNewPrivs:",  "Seccomp",  "SigBlk:",           "SigIgn:",
                                       "SigCgt:",      "SigPnd:",  "ShdPnd:",           "Umask:",
                                       "CoreDumping:", "Threads:", "Cpus_allowed_list:"};
    FILE *status = fopen("/proc/self/status", "re");
    char line[8192];

    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
            if (strncmp(line, keys[i], strlen(keys[i])) == 0)
                fprintf(out, "status.%s", line);
    if (status != NULL)
        fclose(status);
}

static void print_descriptors(FILE *out) {
    for (int fd = 0; fd < 1024; fd++) {
        struct stat status;
        int flags = fcntl(fd, F_GETFL);

        if (fd != fileno(out) && fstat(fd, &status) == 0)
            fprintf(out, "fd.%d=%lx:%lx %o %x\n", fd, (long)status.st_dev, (long)status.st_ino,
                    status.st_mode, flags);
    }
}

static void print_namespaces(FILE *out) {
    static const char *const kinds[] = {"user", "mnt",    "pid",  "net",
                                        "ipc",  "cgroup", "time", "uts"};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        char path[64], target[64] = "";

        snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
        (void)!readlink(path, target, sizeof(target) - 1);
        fprintf(out, "ns.%s=%s\n", kinds[i], target);
    }
}

static void print_limits(FILE *out) {
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit;

        getrlimit((resource_limit)i, &limit);
        fprintf(out, "limit.%d=%lx:%lx\n", i, (long)limit.rlim_cur, (long)limit.rlim_max);
    }
}

static void print_memory_policy(FILE *out) {
    unsigned long nodes[1024 / (8 * sizeof(unsigned long))] = {0};
    int policy = -1;

    (void)syscall(SYS_get_mempolicy, &policy, nodes, 1024 + 1, NULL, 0);
    fprintf(out, "memory-policy=%x:%lx\n", (unsigned)policy, nodes[0]);
}

static volatile sig_atomic_t n_signals;

static void count_signal(int number) {
    (void)number;
    n_signals++;
}

/*
 * Makes its parent its tracer, and stops at each signal until the parent continues it (ptrace(2)).
 */
static int run_traced_by_parent(void) {
    (void)signal(SIGUSR1, count_signal);
    (void)alarm(10);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        return 1;
    for (int i = 0; i < 3; i++)
        (void)raise(SIGUSR1);
    return n_signals == 3 ? 0 : 2;
}

/* At SIGUSR1 it makes a child that makes a child and ends first. Ends at the next SIGUSR1. */
static int make_orphan(void) {
    sigset_t set;
    int number;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)printf("ready %d\n", (int)getpid());
    (void)fflush(stdout);
    (void)sigwait(&set, &number);
    if (fork() == 0) {
        if (fork() == 0)
            (void)usleep(100000);
        _exit(0);
    }
    (void)wait(NULL);
    (void)sigwait(&set, &number);
    return 0;
}

/*
 * Returns 42 if it has that host name, has no_new_privs, and cannot set another host name. Prints
 * nothing and ends at once.
 */
static int check_name(const char *name) {
    struct utsname names;

    if (uname(&names) < 0 || strcmp(names.nodename, name) != 0)
        return 1;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 2;
    return sethostname("other", 5) < 0 && errno == EPERM ? 42 : 3;
}

int main(int argc, char **argv, char **environment) {
    struct utsname names;
    char cwd[4096] = "";
    FILE *out;

    if (argc < 2)
        return 99;
    if (strcmp(argv[1], "sethostname") == 0)
        return sethostname("other", 5) == 0 ? 0 : 1;
    if (strcmp(argv[1], "setdomainname") == 0)
        return setdomainname("other", 5) == 0 ? 0 : 1;
    if (argc == 3 && strcmp(argv[1], "be-named") == 0)
        return check_name(argv[2]);
    if (strcmp(argv[1], "have-me-traced") == 0)
        return run_traced_by_parent();
    if (strcmp(argv[1], "leave-an-orphan") == 0)
        return make_orphan();
    out = strcmp(argv[1], "-") == 0 ? stdout : fopen(argv[1], "we");
    if (out == NULL)
        return 98;
    print_descriptors(out);
    print_status(out);
    print_namespaces(out);
    print_limits(out);
    uname(&names);
    fprintf(out, "hostname=%s\ndomainname=%s\n", names.nodename, names.domainname);
    fprintf(out, "session=%d\ngroup=%d\n", getsid(0), getpgrp());
    fprintf(out, "personality=%x\n", personality(0xffffffff));
    fprintf(out, "nice=%d\nscheduler=%d\n", getpriority(PRIO_PROCESS, 0),
            (int)syscall(SYS_sched_getscheduler, 0));
    fprintf(out, "dumpable=%d\n", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
    fprintf(out, "pdeathsig-and-securebits=%d\n", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
    fprintf(out, "io-priority=%lx\n", syscall(SYS_ioprio_get, 1, 0));
    fprintf(out, "timer-slack=%d\n", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
    print_memory_policy(out);
    print_file(out, "coredump-filter", "/proc/self/coredump_filter");
    print_file(out, "oom", "/proc/self/oom_score_adj");
    print_file(out, "loginuid", "/proc/self/loginuid");
    print_file(out, "cgroup", "/proc/self/cgroup");
    fprintf(out, "cwd=%s\n", getcwd(cwd, sizeof(cwd)) != NULL ? cwd : "(gone)");
    for (int i = 0; i < argc; i++)
        fprintf(out, "argv.%d=%s\n", i, argv[i]);
    for (char **entry = environment; *entry != NULL; entry++)
        fprintf(out, "env.%s\n", *entry);
    return fclose(out) == 0 ? 0 : 97;
}
