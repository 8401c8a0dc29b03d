/*
 * filter-table session|ledger ARCHITECTURE little|big: compiles the seccomp filter of
 * this program for this architecture (target-architecture.c), and prints it as a C table. Runs when
 * utsbroker is built, without privilege, on the machine that builds it: its own architecture and
 * kernel must not matter.
 *
 * The broker does not do it itself: a library that the privileged process does not link cannot fail
 * in it, and libseccomp's start-up and compilation take a tenth of a whole launch.
 */

#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "utsbroker/base.h"

/*
 * Every system call that a session makes after its filter is loaded, and why. It allocates no
 * memory then. The kernel also permits uretprobe and uprobe, whatever the filter says; they do
 * nothing outside of its own probes.
 */
static const int session_calls[] = {
    SCMP_SYS(recvmsg),    /* the request; the gate's report; the ledger's reply */
    SCMP_SYS(sendmsg),    /* the verdict, the reply, the ledger's event or the log line */
    SCMP_SYS(close),      /* the channels to the service and the gate; surplus descriptors */
    SCMP_SYS(exit_group), /* the end */
    /* The age of the policy. A system call only if the vDSO has no clock (vdso(7)). */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_gettime64),
};

/* Every system call that the ledger makes when it serves, and why. */
static const int ledger_calls[] = {
    /* the event loop and its sources */
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_gettime64),
    SCMP_SYS(time),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(restart_syscall),
    /* connections */
    SCMP_SYS(accept4),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(send),
    SCMP_SYS(shutdown),
    SCMP_SYS(close),
    SCMP_SYS(uname),
    /* pidfds; whether their processes live */
    SCMP_SYS(waitid),
    SCMP_SYS(fcntl),
    SCMP_SYS(fcntl64),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(ppoll_time64),
    /* files: the log, what lives, /proc */
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(pwrite64),
    SCMP_SYS(fstat),
    SCMP_SYS(fstat64),
    SCMP_SYS(stat),
    SCMP_SYS(stat64),
    SCMP_SYS(newfstatat),
    SCMP_SYS(fstatat64),
    SCMP_SYS(statx),
    SCMP_SYS(ftruncate),
    SCMP_SYS(ftruncate64),
    SCMP_SYS(fchmod),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    /* syslog's socket */
    SCMP_SYS(connect),
    SCMP_SYS(getpid),
    /* memory */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    /* the end */
    SCMP_SYS(exit_group),
};

struct argument_rule {
    int call;
    struct scmp_arg_cmp argument;
};

static const struct argument_rule session_arguments[] = {
    /* filter_load() checks with it that the filter is loaded. No other prctl(2) is permitted. */
    {SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_GET_SECCOMP, 0)},
};

static const struct argument_rule ledger_arguments[] = {
    {SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_GET_SECCOMP, 0)},
    {SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0)}, /* syslog's */
    /* memory, of which nothing can be executed */
    {SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
    {SCMP_SYS(mmap2), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
    {SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
    /* PIDFD_GET_INFO (<linux/pidfd.h>, Linux 6.13): _IOWR() is the same number on each architecture
     */
    {SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, _IOWR(0xFF, 11, char[64]))},
};

struct program {
    const char *name;
    const int *calls;
    size_t n_calls;
    const struct argument_rule *arguments;
    size_t n_arguments;
};

/* What the program runs on. */
struct target {
    uint32_t architecture; /* SCMP_ARCH_* */
    bool is_swapped;       /* its byte order is not this machine's */
};

static const struct program programs[] = {
    {"session", session_calls, BASE_ARRAY_SIZE(session_calls), session_arguments,
     BASE_ARRAY_SIZE(session_arguments)},
    {"ledger", ledger_calls, BASE_ARRAY_SIZE(ledger_calls), ledger_arguments,
     BASE_ARRAY_SIZE(ledger_arguments)},
};

static const struct program *program_find(const char *name) {
    for (size_t i = 0; i < BASE_ARRAY_SIZE(programs); i++)
        if (strcmp(programs[i].name, name) == 0)
            return &programs[i];
    return NULL;
}

/* Returns 0, or -EINVAL if libseccomp does not know the architecture, or the words make no sense.
 */
static int target_parse(char **words, struct target *targetp) {
    bool is_big = strcmp(words[1], "big") == 0;

    if (!is_big && strcmp(words[1], "little") != 0)
        return -EINVAL;
    targetp->architecture = seccomp_arch_resolve_name(words[0]);
    targetp->is_swapped = is_big != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
    return targetp->architecture == 0 ? -EINVAL : 0;
}

/* The filter has only the target's architecture afterwards. A call by the table of another one
 * (x32, i386 on x86-64) ends the process, too. */
static int set_target(scmp_filter_ctx filter, const struct target *target) {
    int r = 0;

    if (target->architecture != seccomp_arch_native())
        r = seccomp_arch_remove(filter, seccomp_arch_native());
    if (r == 0 && target->architecture != seccomp_arch_native())
        r = seccomp_arch_add(filter, target->architecture);
    return r != 0 ? r : seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
}

static int add_rules(scmp_filter_ctx filter, const struct program *program) {
    int r = 0;

    for (size_t i = 0; i < program->n_calls && r == 0; i++)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, program->calls[i], 0);
    for (size_t i = 0; i < program->n_arguments && r == 0; i++)
        r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, program->arguments[i].call, 1,
                                   &program->arguments[i].argument);
    return r;
}

/* libseccomp writes numbers in the target's byte order; the table's are read by a compiler. */
static int print_table(FILE *program, const struct target *target) {
    struct sock_filter step;

    puts("/* Made by filter-table.c. */\n\nstatic const struct sock_filter filter_table[] = {");
    for (size_t n = 0; fread(&step, sizeof(step), 1, program) == 1; n++) {
        if (target->is_swapped) {
            step.code = __builtin_bswap16(step.code);
            step.k = __builtin_bswap32(step.k);
        }
        /* The first step of each filter: it loads the architecture. Else the byte order is wrong.
         */
        if (n == 0 && step.code != (BPF_LD | BPF_W | BPF_ABS))
            return -EINVAL;
        printf("    {0x%04x, %u, %u, 0x%08x},\n", step.code, step.jt, step.jf, step.k);
    }
    puts("};");
    return ferror(program) || fflush(stdout) != 0 ? -EIO : 0;
}

int main(int argc, char **argv) {
    const struct program *which = argc == 4 ? program_find(argv[1]) : NULL;
    FILE *program = tmpfile();
    struct target target = {0};
    scmp_filter_ctx filter;
    int r = which == NULL ? -EINVAL : target_parse(argv + 2, &target);

    /* What the kernel here can do does not count: an old one, or an emulator, knows no
     * KILL_PROCESS. */
    (void)seccomp_api_set(3);
    filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (r == 0 && (filter == NULL || program == NULL))
        r = -ENOMEM;
    if (r == 0)
        r = set_target(filter, &target);
    if (r == 0)
        r = add_rules(filter, which);
    if (r == 0)
        r = seccomp_export_bpf(filter, fileno(program));
    if (r == 0) {
        rewind(program);
        r = print_table(program, &target);
    }
    if (r < 0)
        fprintf(stderr, "filter-table: %s\n", strerror(-r));
    seccomp_release(filter);
    return r < 0 ? 1 : 0;
}
