#pragma once

/*
 * The launch description: the command, and what it inherits. The launcher writes it into a sealed
 * memfd. The gate reads it after it has dropped every capability, so a malformed one harms only its
 * author.
 *
 * It carries what an execution of the broker would lose. To execute a program with file
 * capabilities is a "secure execution" (ld.so(8), AT_SECURE), which changes more than the
 * environment:
 *    - the loader removes LD_LIBRARY_PATH and its like; so arguments and environment are here;
 *    - the C library opens /dev/null or /dev/full for each of 0, 1 and 2 that is closed;
 *    - the kernel clears personality(2) flags such as ADDR_NO_RANDOMIZE (PER_CLEAR_ON_SETID);
 *    - the kernel lowers a soft RLIMIT_STACK above 8 MiB to 8 MiB (begin_new_exec()).
 *
 * The service's gate does not descend from the caller. For the service the launch description also
 * carries what execve(2) keeps: umask, signals, processors, timer slack, memory policy, the numbers
 * of descriptors. What can restrict the caller, such as limits and nice value, the service asks the
 * kernel for instead. It tells timer slack and memory policy only to the process itself.
 *
 * Layout: the header, then n_descriptors int32_t, then n_arguments + n_environment strings, each
 * with its NUL, and nothing after.
 */

#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    LAUNCH_VERSION = 3,
    /* execve(2) takes less for arguments and environment together (6 MiB, Linux 4.13). */
    LAUNCH_SIZE_MAX = 16 << 20,
    LAUNCH_DESCRIPTOR_MAX = 1 << 20, /* the kernel's default of fs.nr_open */
    LAUNCH_PROCESSORS_MAX = 1024,
    LAUNCH_MEMORY_NODES_MAX = 1024,    /* more than any kernel has */
    LAUNCH_MEMORY_POLICY_UNKNOWN = -1, /* the kernel has none, or does not tell */
};

/*
 * Variables with the number of the process that they are for (sd_listen_fds(3),
 * sd_watchdog_enabled(3)), pid or inode of its pidfd. Where they name the launcher they are for the
 * command, and only the gate knows the command's numbers.
 */
enum launch_variable {
    LAUNCH_LISTEN_PID,
    LAUNCH_WATCHDOG_PID,
    LAUNCH_LISTEN_PIDFDID, /* Linux 6.9; the others are pids */
    LAUNCH_VARIABLE_COUNT
};

/* "NAME=" of @variable. */
static inline const char *launch_variable_name(enum launch_variable variable) {
    static const char *const names[LAUNCH_VARIABLE_COUNT] = {
        [LAUNCH_LISTEN_PID] = "LISTEN_PID=",
        [LAUNCH_WATCHDOG_PID] = "WATCHDOG_PID=",
        [LAUNCH_LISTEN_PIDFDID] = "LISTEN_PIDFDID="};

    return names[variable];
}

/* The number of this process for @variable; 0: this kernel has none. */
static inline uint64_t launch_variable_number(enum launch_variable variable) {
    int pidfd = -1;
    struct stat status = {.st_ino = 0};

    if (variable != LAUNCH_LISTEN_PIDFDID)
        return (uint64_t)getpid();
    pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (pidfd < 0)
        return 0;
    if (fstat(pidfd, &status) < 0)
        status.st_ino = 0;
    (void)close(pidfd);
    return status.st_ino;
}

struct launch_header {
    uint32_t version;
    uint32_t n_arguments; /* at least 1; the first is the program, searched in PATH */
    uint32_t n_environment;
    uint32_t closed_stdio; /* bit N: descriptor N (0, 1, 2) is closed */
    uint32_t personality;  /* personality(2) */
    uint32_t umask;        /* for the service only */
    uint64_t stack_limit;  /* soft RLIMIT_STACK in bytes, or RLIM_INFINITY */
    uint32_t variables;    /* bit N: enum launch_variable N of the environment names the launcher */
    uint32_t is_login;     /* 1: a login shell, whose argv[0] is "-" and the program's name */

    /* For the service only, else 0. The numbers of the inherited descriptors are in the order of
     * the request's. */
    uint32_t n_descriptors;   /* how many the command inherits */
    uint32_t n_processors;    /* how many bits of @processors are valid; 0: change nothing */
    uint64_t blocked_signals; /* bit N - 1: signal N */
    uint64_t ignored_signals;
    uint64_t processors[LAUNCH_PROCESSORS_MAX / 64]; /* bit N % 64 of N / 64: may run on N */
    uint64_t timer_slack;                            /* in ns, prctl(2); 0: change nothing */
    int64_t memory_policy;                           /* of set_mempolicy(2), as are its nodes */
    uint64_t memory_nodes[LAUNCH_MEMORY_NODES_MAX / 64];
};
_Static_assert(sizeof(struct launch_header) == 336, "the launch header has no holes");
