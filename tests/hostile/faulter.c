#include "tests/hostile/faulter.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#ifdef __x86_64__
#include <sys/reg.h>
#endif
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/integration/harness.h"

/*
 * The possible errors of a call, of those that occur on a machine in trouble. A call that is not
 * listed fails with EPERM, as by a security module, or with ENOMEM.
 */
enum { ERRORS_MAX = 3 };
static const struct {
    long number;
    int errors[ERRORS_MAX];
} kinds[] = {
    /* By their manual pages these calls cannot fail with these arguments. */
    {SYS_exit, {0}},
    {SYS_exit_group, {0}},
    {SYS_rt_sigreturn, {0}},
    {SYS_restart_syscall, {0}},
    {SYS_set_tid_address, {0}},
    {SYS_getpid, {0}},
    {SYS_gettid, {0}},
    {SYS_getppid, {0}},
    {SYS_getuid, {0}},
    {SYS_geteuid, {0}},
    {SYS_getgid, {0}},
    {SYS_getegid, {0}},
    {SYS_umask, {0}},
#ifdef SYS_getpgrp
    {SYS_getpgrp, {0}},
#endif
#ifdef SYS_arch_prctl
    {SYS_arch_prctl, {0}}, /* a C library without a thread pointer cannot report it */
#endif

    {SYS_brk, {ENOMEM}},
    {FAULTER_MMAP, {ENOMEM, EPERM}},
    {SYS_mprotect, {ENOMEM}},
    {SYS_munmap, {ENOMEM}},

    {SYS_close, {EINTR}},
    {SYS_openat, {EMFILE, ENOMEM, EPERM}},
    {SYS_setns, {ENOMEM, EPERM}},
    {SYS_socket, {EMFILE, ENOMEM, EPERM}},
    {SYS_socketpair, {EMFILE, ENOMEM, EPERM}},
    {SYS_accept4, {EMFILE, EINTR, ENOMEM}},
    {SYS_dup3, {EMFILE, EINTR}},
    {SYS_fcntl, {EMFILE, EPERM}},
    {SYS_epoll_create1, {EMFILE, ENOMEM}},
    {SYS_signalfd4, {EMFILE, ENOMEM}},
    {SYS_memfd_create, {EMFILE, ENOMEM, EPERM}},
    {SYS_pidfd_open, {EMFILE, ENOMEM, EPERM}},
    {SYS_clone3, {ENOMEM, EPERM, EMFILE}},
    {SYS_clone, {ENOMEM, EPERM}},
    {SYS_execve, {ENOMEM, EPERM, EMFILE}},

    {SYS_read, {EINTR, ENOMEM, EPERM}},
    {SYS_pread64, {EINTR, ENOMEM, EPERM}},
    {SYS_write, {EINTR, EPERM}},
    {SYS_pwrite64, {EINTR, EPERM}},
    {SYS_recvmsg, {EINTR, ENOMEM, EPERM}},
    {SYS_recvfrom, {EINTR, ENOMEM, EPERM}},
    {SYS_sendmsg, {EINTR, ENOMEM, EPERM}},
    {SYS_sendto, {EINTR, ENOMEM, EPERM}},
    {SYS_connect, {EINTR, EPERM}},
    {SYS_ppoll, {EINTR, ENOMEM}},
    {SYS_epoll_pwait, {EINTR}},
    {SYS_wait4, {EINTR}},
    {SYS_waitid, {EINTR}},
#ifdef SYS_open
    {SYS_open, {EMFILE, ENOMEM, EPERM}},
    {SYS_dup2, {EMFILE, EINTR}},
    {SYS_fork, {ENOMEM, EPERM}},
    {SYS_vfork, {ENOMEM, EPERM}},
    {SYS_poll, {EINTR, ENOMEM}},
    {SYS_epoll_wait, {EINTR}},
#endif
};
static const int other_errors[ERRORS_MAX] = {EPERM, ENOMEM};

/* A call that does not wait is not interrupted (wait4(2), poll(2)). */
static bool waits_for_nothing(const struct __ptrace_syscall_info *info) {
#ifdef SYS_poll
    if (info->entry.nr == SYS_poll)
        return info->entry.args[2] == 0;
#endif
    return (info->entry.nr == SYS_wait4 && (info->entry.args[2] & WNOHANG) != 0) ||
           (info->entry.nr == SYS_waitid && (info->entry.args[3] & WNOHANG) != 0);
}

/* The broker reads back the effect of these calls (CONTRIBUTING). */
static bool is_read_back(const struct __ptrace_syscall_info *info) {
    switch (info->entry.nr) {
    case SYS_capset:
    case SYS_seccomp:
    case SYS_sethostname:
    case SYS_setdomainname:
        return true;
    case SYS_prctl:
        return info->entry.args[0] == PR_SET_NO_NEW_PRIVS || info->entry.args[0] == PR_SET_DUMPABLE;
    default:
        return false;
    }
}

/* Fills @errors with the possible errors of the call; returns their number. */
static unsigned errors_find(const struct __ptrace_syscall_info *info, int errors[ERRORS_MAX]) {
    const int *all = other_errors;
    unsigned n = 0;

    for (size_t i = 0; i < BASE_ARRAY_SIZE(kinds); i++)
        if (kinds[i].number == (long)info->entry.nr)
            all = kinds[i].errors;
    for (size_t i = 0; i < ERRORS_MAX && all[i] != 0; i++)
        if (all[i] != EINTR || !waits_for_nothing(info))
            errors[n++] = all[i];
    if (n < ERRORS_MAX && is_read_back(info))
        errors[n++] = FAULTER_LIE;
    return n;
}

/*
 * A call is not skipped but replaced by a close(2) of no descriptor: the session's filter permits
 * that, and checks the call that the tracer put in. brk(2) reports failure by returning the current
 * end, as it does for an argument of 0.
 */
static long replacement_of(long number) {
    return number == SYS_brk ? SYS_brk : SYS_close;
}

static unsigned long argument_of(long number) {
    return number == SYS_brk ? 0 : ~0UL;
}

#if defined(__x86_64__)
enum { RESULT = RAX, FIRST_ARGUMENT = RDI };

static void number_set(pid_t pid, struct faulter_registers *now, long number) {
    (void)pid;
    now->words[ORIG_RAX] = (unsigned long)number;
}
#elif defined(__aarch64__)
enum { RESULT = 0, FIRST_ARGUMENT = 0 };

static void number_set(pid_t pid, struct faulter_registers *now, long number) {
    int instead = (int)number;
    struct iovec vector = {.iov_base = &instead, .iov_len = sizeof(instead)};

    (void)now;
    (void)ptrace(PTRACE_SETREGSET, pid, (void *)NT_ARM_SYSTEM_CALL, &vector);
}
#else
enum { RESULT = 0, FIRST_ARGUMENT = 0 };

static void number_set(pid_t pid, struct faulter_registers *now, long number) {
    (void)pid;
    (void)now;
    (void)number;
}
#endif

static void call_replace(pid_t pid, struct faulter_registers *now, long number) {
    number_set(pid, now, replacement_of(number));
    now->words[FIRST_ARGUMENT] = argument_of(number);
}

/*
 * With PTRACE_GETREGSET or PTRACE_SETREGSET; a process that was killed meanwhile has no registers.
 */
static bool registers_move(enum __ptrace_request request, pid_t pid,
                           struct faulter_registers *all) {
    struct iovec vector = {.iov_base = all, .iov_len = sizeof(*all)};

    return ptrace(request, pid, (void *)NT_PRSTATUS, &vector) == 0;
}

static void call_enter(struct faulter *faulter, struct tracee *tracee,
                       const struct __ptrace_syscall_info *info) {
    struct fault *fault = faulter->fault;
    struct faulter_registers now;
    int errors[ERRORS_MAX];
    unsigned n_errors = errors_find(info, errors);

    if (faulter->n_calls++ < fault->index || fault->is_injected || !faulter->is_armed ||
        n_errors == 0)
        return;
    fault->n_errors = n_errors;
    fault->index = faulter->n_calls - 1;
    fault->number = tracee->number;
    fault->error = errors[fault->choice % n_errors];
    fault->is_in_new = faulter->n_reloads > 0;
    fault->is_injected = true;
    if (!registers_move(PTRACE_GETREGSET, tracee->pid, &now))
        return;
    tracee->is_failing = true;
    tracee->before = now;
    /* close(2) closes the descriptor also when it fails. */
    if (tracee->number == SYS_close)
        return;
    call_replace(tracee->pid, &now, tracee->number);
    (void)registers_move(PTRACE_SETREGSET, tracee->pid, &now);
}

/* Restores the program's registers, except the result. */
static void call_leave(const struct faulter *faulter, struct tracee *tracee) {
    const int error = faulter->fault->error;
    struct faulter_registers now;

    if (!tracee->is_failing || !registers_move(PTRACE_GETREGSET, tracee->pid, &now))
        return;
    if (tracee->number == SYS_brk)
        tracee->before.words[RESULT] = now.words[RESULT];
    else
        tracee->before.words[RESULT] = error == FAULTER_LIE ? 0 : (unsigned long)-(long)error;
    tracee->is_failing = false;
    (void)registers_move(PTRACE_SETREGSET, tracee->pid, &tracee->before);
}

static struct tracee *tracee_find(const struct faulter *faulter, pid_t pid) {
    for (size_t i = 0; i < faulter->n_tracees; i++)
        if (faulter->tracees[i].pid == pid)
            return (struct tracee *)(uintptr_t)&faulter->tracees[i];
    return NULL;
}

static struct tracee *tracee_add(struct faulter *faulter, pid_t pid) {
    assert_true(faulter->n_tracees < FAULTER_TRACEES_MAX);
    faulter->tracees[faulter->n_tracees] = (struct tracee){.pid = pid};
    return &faulter->tracees[faulter->n_tracees++];
}

static void tracee_remove(struct faulter *faulter, struct tracee *tracee) {
    *tracee = faulter->tracees[--faulter->n_tracees];
}

/* The call fails in the first process of each role; the launcher has two processes. */
static void role_set(struct faulter *faulter, struct tracee *tracee, enum faulter_role role) {
    tracee->role = role;
    tracee->is_undecided = false;
    tracee->is_victim = faulter->is_armed && role == faulter->fault->role && !faulter->has_victim;
    faulter->has_victim |= tracee->is_victim;
}

/* Stops only at the calls of a victim, and of a process that may become one. */
static bool is_watched(const struct faulter *faulter, const struct tracee *tracee) {
    return tracee->is_undecided || tracee->is_failing ||
           (tracee->is_victim && faulter->is_armed && !faulter->fault->is_injected);
}

/* Continues the process, which may have been killed. */
static void tracee_continue(const struct faulter *faulter, const struct tracee *tracee,
                            int signal_number) {
    (void)ptrace(is_watched(faulter, tracee) ? PTRACE_SYSCALL : PTRACE_CONT, tracee->pid, NULL,
                 (void *)(intptr_t)signal_number);
}

static bool is_in_our_namespace(pid_t pid) {
    struct stat ours, theirs;
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/ns/uts", (int)pid);
    return stat("/proc/self/ns/uts", &ours) < 0 || stat(path, &theirs) < 0 ||
           ours.st_ino == theirs.st_ino;
}

/*
 * Finds the role of a new process by its properties: its parent may have been killed before it
 * could report it (PTRACE_GETEVENTMSG).
 */
static void process_begins(struct faulter *faulter, struct tracee *tracee) {
    char path[64], name[32] = "";
    FILE *file;

    tracee->has_begun = true;
    snprintf(path, sizeof(path), "/proc/%d/comm", (int)tracee->pid);
    file = fopen(path, "re");
    if (file != NULL && fgets(name, sizeof(name), file) == NULL)
        name[0] = '\0';
    if (file != NULL)
        fclose(file);
    if (!is_in_our_namespace(tracee->pid)) {
        role_set(faulter, tracee, FAULTER_GATE);
    } else if (strcmp(name, "utsb-zygote\n") == 0) {
        role_set(faulter, tracee, FAULTER_SESSION);
    } else if (strcmp(name, "utsrun\n") == 0) { /* the broker, once it has been executed */
        tracee->role = FAULTER_LAUNCHER;
        tracee->is_victim = faulter->fault->role == FAULTER_LAUNCHER && faulter->is_armed;
        tracee->becomes = FAULTER_SESSION;
        tracee->executions = 1;
    } else {
        tracee->is_undecided = true;
    }
    tracee_continue(faulter, tracee, 0);
}

/* The zygote's first call is prctl(2); a session of the service starts with descriptor 2, and the
 * child that checks before a reload with all others. */
static void child_is_decided(struct faulter *faulter, struct tracee *tracee) {
    if (tracee->number == SYS_prctl)
        role_set(faulter, tracee, FAULTER_ZYGOTE);
    if (tracee->number == SYS_close_range) {
        tracee->is_undecided = false;
        tracee->may_execute = faulter->may_reload;
    }
    if (tracee->number == SYS_dup3)
        role_set(faulter, tracee, FAULTER_SESSION);
#ifdef SYS_dup2
    if (tracee->number == SYS_dup2)
        role_set(faulter, tracee, FAULTER_SESSION);
#endif
}

static void call_look(struct faulter *faulter, struct tracee *tracee) {
    struct __ptrace_syscall_info info = {.op = PTRACE_SYSCALL_INFO_NONE};

    if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->pid, (void *)sizeof(info), &info) <= 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT)
        call_leave(faulter, tracee);
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return;
    tracee->number = (long)info.entry.nr;
    if (tracee->is_undecided)
        child_is_decided(faulter, tracee);
    if (tracee->is_victim)
        call_enter(faulter, tracee, &info);
}

static void program_begins(struct faulter *faulter, struct tracee *tracee) {
    if (tracee->executions > 0) {
        if (--tracee->executions == 0)
            role_set(faulter, tracee, tracee->becomes);
    } else if (tracee->role == FAULTER_GATE) {
        role_set(faulter, tracee, FAULTER_COMMAND);
        tracee->is_held = true;
        faulter->on_command(tracee->pid, faulter->context);
    } else if (faulter->may_reload && tracee->role == FAULTER_SERVICE) {
        faulter->n_reloads++;
    } else if (tracee->may_execute) {
        tracee->may_execute = false;
    } else if (tracee->role != FAULTER_COMMAND) {
        faulter->is_unexpected = true;
    }
}

/* faulter_settle() must not miss a child that was made and has not run yet. */
static void child_expect(struct faulter *faulter, const struct tracee *parent) {
    unsigned long pid = 0;

    if (ptrace(PTRACE_GETEVENTMSG, parent->pid, NULL, &pid) == 0 &&
        tracee_find(faulter, (pid_t)pid) == NULL &&
        strchr("-ZX", harness_process_state((pid_t)pid)) == NULL)
        (void)tracee_add(faulter, (pid_t)pid);
}

static void tracee_has_stopped(struct faulter *faulter, struct tracee *tracee, int status) {
    int number = WSTOPSIG(status), event = status >> 16;
    bool is_call = number == (SIGTRAP | 0x80);

    if (event == PTRACE_EVENT_STOP && number != SIGTRAP) {
        /* Stopped by a signal, until it is continued by one. */
        (void)ptrace(PTRACE_LISTEN, tracee->pid, NULL, NULL);
        return;
    }
    if (is_call)
        call_look(faulter, tracee);
    else if (event == PTRACE_EVENT_EXEC)
        program_begins(faulter, tracee);
    else if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK ||
             event == PTRACE_EVENT_VFORK)
        child_expect(faulter, tracee);
    if (!tracee->is_held)
        tracee_continue(faulter, tracee, is_call || event != 0 ? 0 : number);
}

/*
 * Handles one event of a child or tracee. Returns false if there is none and it must not wait, if
 * no process is left, or if the time is up.
 */
bool faulter_next(struct faulter *faulter, bool waits) {
    struct tracee *tracee;
    int status;
    pid_t pid;

    do {
        pid = waitpid(-1, &status, __WALL | (waits ? 0 : WNOHANG));
    } while (pid < 0 && errno == EINTR && harness_now() < faulter->deadline);
    if (pid <= 0)
        return false;
    tracee = tracee_find(faulter, pid);
    if (!WIFSTOPPED(status)) {
        if (tracee != NULL)
            tracee_remove(faulter, tracee);
        faulter->on_end(pid, status, faulter->context);
    } else if (tracee != NULL && tracee->has_begun) {
        tracee_has_stopped(faulter, tracee, status);
    } else {
        process_begins(faulter, tracee != NULL ? tracee : tracee_add(faulter, pid));
    }
    return true;
}

static bool all_sleep(const struct faulter *faulter) {
    for (size_t i = 0; i < faulter->n_tracees; i++)
        if (!faulter->tracees[i].is_held && harness_process_state(faulter->tracees[i].pid) != 'S')
            return false;
    return true;
}

/* Waits until every process sleeps, except a held command. Returns false if the time is up. */
bool faulter_settle(struct faulter *faulter) {
    const struct timespec pause = {.tv_nsec = 300 * 1000};

    for (unsigned n_calm = 0; n_calm < 2; n_calm++) {
        while (faulter_next(faulter, false))
            n_calm = 0;
        if (harness_now() >= faulter->deadline)
            return false;
        if (!all_sleep(faulter))
            n_calm = 0;
        (void)nanosleep(&pause, NULL);
    }
    return true;
}

/* Returns true if a command is held before its first step. */
bool faulter_is_holding(const struct faulter *faulter) {
    for (size_t i = 0; i < faulter->n_tracees; i++)
        if (faulter->tracees[i].is_held)
            return true;
    return false;
}

/* Lets the command start, and detaches from it. */
void faulter_release(struct faulter *faulter) {
    for (size_t i = faulter->n_tracees; i-- > 0;) {
        struct tracee *tracee = &faulter->tracees[i];

        if (!tracee->is_held)
            continue;
        (void)ptrace(PTRACE_DETACH, tracee->pid, NULL, NULL);
        tracee_remove(faulter, tracee);
    }
}

static void interrupt(int number) {
    (void)number;
}

/* Sets the time limit, from now on; 0: none. */
void faulter_set_patience(struct faulter *faulter, unsigned seconds) {
    const struct itimerval timer = {.it_value.tv_sec = seconds, .it_interval.tv_usec = 100000};
    const struct sigaction action = {.sa_handler = interrupt}; /* waitpid(2) is not restarted */

    faulter->deadline = harness_now() + seconds;
    assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
}

void faulter_init(struct faulter *faulter, struct fault *fault) {
    fault->is_injected = false;
    fault->n_errors = 0;
    *faulter = (struct faulter){.fault = fault, .is_armed = true};
}

/*
 * Seizes @pid, a child of this process that has stopped itself, and continues it. It gets @role
 * after it has executed @executions programs.
 */
void faulter_take(struct faulter *faulter, pid_t pid, enum faulter_role role, unsigned executions) {
    struct tracee *tracee = tracee_add(faulter, pid);
    int status;

    tracee->has_begun = true;
    tracee->becomes = role;
    tracee->executions = executions;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    if (!WIFSTOPPED(status))
        fail_msg("the process did not stop: wait status 0x%x", (unsigned)status);
    assert_int_equal(
        ptrace(PTRACE_SEIZE, pid, NULL,
               (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACECLONE |
                        PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL)),
        0);
    assert_int_equal(kill(pid, SIGCONT), 0);
}

/* Makes a call fail also in processes that already have their role. */
void faulter_arm(struct faulter *faulter) {
    faulter->is_armed = true;
    for (size_t i = 0; i < faulter->n_tracees; i++) {
        struct tracee *tracee = &faulter->tracees[i];

        if (tracee->role != faulter->fault->role || tracee->role != FAULTER_SERVICE)
            continue;
        role_set(faulter, tracee, tracee->role);
        (void)ptrace(PTRACE_INTERRUPT, tracee->pid, NULL, NULL);
    }
}

bool faulter_has(const struct faulter *faulter, pid_t pid) {
    return tracee_find(faulter, pid) != NULL;
}

/* Kills all tracees. */
void faulter_kill(struct faulter *faulter) {
    faulter_set_patience(faulter, 10);
    while (faulter->n_tracees > 0) {
        for (size_t i = 0; i < faulter->n_tracees; i++)
            (void)kill(faulter->tracees[i].pid, SIGKILL);
        if (!faulter_next(faulter, true))
            fail_msg("a process that was killed does not end");
    }
}
