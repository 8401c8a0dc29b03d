#pragma once

/*
 * Has one system call fail that an installed program makes, as root, by ptrace(2): the programs are
 * those that are shipped, and a file capability counts, as the tracer has all of them. Processes
 * are told apart by what they are in a launch, wherever they come from.
 */

#include <stdbool.h>
#include <sys/types.h>

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
    FAULTER_NOBODY,   /* what comes before the program, such as setpriv(1) */
    FAULTER_LAUNCHER, /* utsrun, and its child until that has executed the broker */
    FAULTER_SERVICE,
    FAULTER_ZYGOTE,
    FAULTER_SESSION,
    FAULTER_GATE,
    FAULTER_COMMAND, /* and all that it makes */
    FAULTER_ROLES,
};

/* Instead of an errno: the call says that it succeeded, and has done nothing. */
enum { FAULTER_LIE = -1 };

/* The call that is to fail, the first time that somebody has the role. */
struct fault {
    enum faulter_role role;
    unsigned index;  /* of the role's calls; if that one cannot fail, the next that can */
    unsigned choice; /* which of the errors that fit, modulo their number */

    /* What came of it. */
    bool is_injected;
    long number;       /* of the system call */
    int error;         /* an errno, or FAULTER_LIE */
    unsigned n_errors; /* that fit this call */
};

enum { FAULTER_TRACEES_MAX = 64 };

struct tracee {
    pid_t pid;
    enum faulter_role role;
    enum faulter_role becomes; /* with the last of its @executions */
    unsigned executions;
    bool has_begun;    /* it has stopped for the first time */
    bool is_undecided; /* a child of the service's, that has not shown yet which one */
    bool is_victim;    /* its calls are counted */
    bool is_failing;
    bool is_held; /* a command, until faulter_release() */
    long number;  /* of the call that it is in */
    struct faulter_registers before;
};

struct faulter {
    struct fault *fault;
    void (*on_command)(pid_t pid,
                       void *context); /* of a command, which is held before its first step */
    void *context;
    bool is_armed; /* a call is to fail, once it comes to that */
    bool has_victim;
    unsigned n_calls;   /* the victim's */
    bool is_unexpected; /* somebody has executed something who never does */
    double deadline;
    struct tracee tracees[FAULTER_TRACEES_MAX];
    size_t n_tracees;
    void (*on_end)(pid_t pid, int status,
                   void *context); /* of any process that can be waited for */
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
