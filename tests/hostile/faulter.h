#pragma once

/*
 * Makes one system call of an installed program fail, as root, by ptrace(2). The programs are the
 * shipped ones, and a file capability counts, because the tracer has all capabilities. A process is
 * identified by its role in a launch, not by its origin.
 */

#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/types.h>

/* On 32-bit machines the C library uses the one whose offset is in pages; armhf has no other. */
#ifdef SYS_mmap2
#define FAULTER_MMAP SYS_mmap2
#else
#define FAULTER_MMAP SYS_mmap
#endif

#if defined(__x86_64__) || defined(__aarch64__)
enum { FAULTER_IS_SUPPORTED = 1 };
#else
enum { FAULTER_IS_SUPPORTED = 0 };
#endif

/* The general ones, in the kernel's order (ptrace(2), NT_PRSTATUS). */
struct faulter_registers {
    unsigned long words[64];
};

enum faulter_role {
    FAULTER_NOBODY,   /* the process before it executes the program, such as setpriv(1) */
    FAULTER_LAUNCHER, /* utsrun, and its child until that has executed the broker */
    FAULTER_SERVICE,
    FAULTER_ZYGOTE,
    FAULTER_SESSION,
    FAULTER_GATE,
    FAULTER_COMMAND, /* and its children */
    FAULTER_LEDGER,
    FAULTER_ROLES,
};

/* Instead of an errno: the call reports success and does nothing. */
enum { FAULTER_LIE = -1 };

/* The call to fail, in the first process that has the role. */
struct fault {
    enum faulter_role role;
    unsigned index;  /* of the role's calls; if that call cannot fail, the next one that can */
    unsigned choice; /* which of the possible errors, modulo their number */

    /* The result. */
    bool is_injected;
    long number;       /* of the system call */
    int error;         /* an errno, or FAULTER_LIE */
    unsigned n_errors; /* possible for this call */
    bool is_in_new;    /* the service had executed its program anew by then */
};

enum { FAULTER_TRACEES_MAX = 64 };

struct tracee {
    pid_t pid;
    enum faulter_role role;
    enum faulter_role becomes; /* after the last of its @executions */
    unsigned executions;
    bool has_begun;    /* it has stopped for the first time */
    bool is_undecided; /* a child of the service whose role is not known yet */
    bool may_execute;  /* such a child that checks a new program before a reload */
    bool is_victim;    /* its calls are counted */
    bool is_failing;
    bool is_held; /* a command, until faulter_release() */
    long number;  /* the current call */
    struct faulter_registers before;
};

struct faulter {
    struct fault *fault;
    void (*on_command)(
        pid_t pid, void *context); /* called for a command, which is held before its first step */
    void *context;
    bool is_armed; /* a call will fail */
    bool has_victim;
    unsigned n_calls;   /* the victim's */
    bool is_unexpected; /* a process has executed a program that it never executes */
    bool may_reload;    /* the service may do so, and a child of it that checks this before */
    unsigned n_reloads; /* how often the service has */
    double deadline;
    struct tracee tracees[FAULTER_TRACEES_MAX];
    size_t n_tracees;
    void (*on_end)(pid_t pid, int status,
                   void *context); /* called for any process that can be waited for */
};

void faulter_init(struct faulter *faulter, struct fault *fault);
void faulter_take(struct faulter *faulter, pid_t pid, enum faulter_role role, unsigned executions);
void faulter_arm(struct faulter *faulter);
void faulter_set_patience(struct faulter *faulter, unsigned seconds);
bool faulter_next(struct faulter *faulter, bool waits);
bool faulter_settle(struct faulter *faulter);
bool faulter_is_holding(const struct faulter *faulter);
void faulter_release(struct faulter *faulter);
bool faulter_has(const struct faulter *faulter, pid_t pid);
void faulter_kill(struct faulter *faulter);
