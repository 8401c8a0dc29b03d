/*
 * The seccomp filters that are compiled here for other architectures, read as their kernels would:
 * this file executes the tables. tests/architectures compares them with those that a native build
 * makes, and loads them into the kernel of each architecture.
 */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/test.h"

static const struct target {
    const char *name, *order;
    uint32_t architecture;
    /* Of <asm/unistd.h>, where there is socketcall(2), too: libseccomp means that one by these
     * names. */
    int recvmsg, sendmsg, socket, accept4;
} targets[] = {
    {"x86_64", "little", SCMP_ARCH_X86_64, -1, -1, -1, -1},
    {"x86", "little", SCMP_ARCH_X86, 372, 370, 359, 364},
    {"aarch64", "little", SCMP_ARCH_AARCH64, -1, -1, -1, -1},
    {"arm", "little", SCMP_ARCH_ARM, -1, -1, -1, -1},
    {"riscv64", "little", SCMP_ARCH_RISCV64, -1, -1, -1, -1},
    {"s390x", "big", SCMP_ARCH_S390X, 372, 370, 359, 364},
    {"ppc64le", "little", SCMP_ARCH_PPC64LE, 342, 341, 326, 344},
};

struct table {
    struct sock_filter steps[BPF_MAXINSNS];
    size_t n;
};

/* Like struct seccomp_data, of which a filter loads words of 32 bits in the machine's byte order.
 */
struct call {
    uint32_t architecture;
    int number;
    uint64_t arguments[6];
};

static void table_make(struct table *table, const char *program, const struct target *target) {
    char command[512], line[128];
    unsigned code, jt, jf, k;
    FILE *out;

    (void)snprintf(command, sizeof(command), "'%s' %s %s %s", FILTER_TABLE, program, target->name,
                   target->order);
    out = popen(command, "r");
    assert_non_null(out);
    table->n = 0;
    while (fgets(line, sizeof(line), out) != NULL) {
        if (sscanf(line, " {0x%x, %u, %u, 0x%x},", &code, &jt, &jf, &k) != 4)
            continue;
        assert_true(table->n < BPF_MAXINSNS);
        table->steps[table->n++] = (struct sock_filter){
            .code = (unsigned short)code, .jt = (unsigned char)jt, .jf = (unsigned char)jf, .k = k};
    }
    assert_int_equal(pclose(out), 0);
    assert_true(table->n > 1);
}

/* The word at @offset of struct seccomp_data: nr, arch, instruction_pointer, args[6]. */
static uint32_t call_word(const struct call *call, uint32_t offset, bool is_big) {
    uint64_t argument;

    if (offset == offsetof(struct seccomp_data, nr))
        return (uint32_t)call->number;
    if (offset == offsetof(struct seccomp_data, arch))
        return call->architecture;
    assert_true(offset % 4 == 0 && offset >= offsetof(struct seccomp_data, args) &&
                offset < sizeof(struct seccomp_data));
    offset -= (uint32_t)offsetof(struct seccomp_data, args);
    argument = call->arguments[offset / 8];
    return (uint32_t)((offset % 8 == 0) == is_big ? argument >> 32 : argument);
}

/* What the filter says to @call: a SECCOMP_RET_* value. Fails at a step that libseccomp never
 * makes. */
static uint32_t table_execute(const struct table *table, const struct call *call, bool is_big) {
    uint32_t a = 0;

    for (size_t i = 0; i < table->n; i++) {
        const struct sock_filter *step = &table->steps[i];
        bool is_true = false;

        switch (step->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            a = call_word(call, step->k, is_big);
            continue;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= step->k;
            continue;
        case BPF_RET | BPF_K:
            return step->k;
        case BPF_JMP | BPF_JA:
            i += step->k;
            continue;
        case BPF_JMP | BPF_JEQ | BPF_K:
            is_true = a == step->k;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            is_true = a > step->k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            is_true = a >= step->k;
            break;
        default:
            fail_msg("step %zu has the code 0x%x", i, step->code);
        }
        i += is_true ? step->jt : step->jf;
    }
    fail_msg("the filter has no end");
    return SECCOMP_RET_KILL_PROCESS;
}

static bool is_permitted(const struct table *table, const struct target *target, struct call call) {
    uint32_t said = table_execute(table, &call, target->order[0] == 'b');

    if (said != SECCOMP_RET_ALLOW && said != SECCOMP_RET_KILL_PROCESS)
        fail_msg("%s: system call %d: 0x%x", target->name, call.number, said);
    return said == SECCOMP_RET_ALLOW;
}

/* The number of a system call; negative if the architecture does not have it. */
static int number_of(const struct target *target, const char *name) {
    const struct {
        const char *name;
        int number;
    } numbers[] = {{"recvmsg", target->recvmsg},
                   {"sendmsg", target->sendmsg},
                   {"socket", target->socket},
                   {"accept4", target->accept4}};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(numbers); i++)
        if (strcmp(numbers[i].name, name) == 0 && numbers[i].number >= 0)
            return numbers[i].number;
    return seccomp_syscall_resolve_name_arch(target->architecture, name);
}

/* @names ends with NULL. */
static bool is_one_of(const char *const *names, int number, const struct target *target) {
    for (; *names != NULL; names++)
        if (number_of(target, *names) == number)
            return true;
    return false;
}

static void a_session_has_its_calls_and_no_other_one(void **state) {
    static const char *const names[] = {"recvmsg",       "sendmsg",         "close", "exit_group",
                                        "clock_gettime", "clock_gettime64", NULL};
    static struct table table;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(targets); i++) {
        const struct target *target = &targets[i];
        unsigned n = 0;

        table_make(&table, "session", target);
        for (int number = 0; number < 2048; number++) {
            bool is_prctl = number == number_of(target, "prctl");
            bool is_socketcall = number == number_of(target, "socketcall");
            bool is_named = is_one_of(names, number, target);
            const struct {
                uint64_t argument;
                bool is_permitted;
            } cases[] = {
                {0, is_named},
                {PR_GET_SECCOMP, is_named || is_prctl},
                {PR_SET_SECCOMP, is_named},
                {UINT64_C(1) << 32 | PR_SET_SECCOMP, is_named},
                {16, is_named || is_socketcall}, /* SYS_SENDMSG of <linux/net.h> */
                {17, is_named || is_socketcall}, /* SYS_RECVMSG */
                {18, is_named},                  /* SYS_ACCEPT4 */
            };

            n += is_named;
            for (size_t k = 0; k < BASE_ARRAY_SIZE(cases); k++)
                if (is_permitted(
                        &table, target,
                        (struct call){target->architecture, number, {cases[k].argument}}) !=
                    cases[k].is_permitted)
                    fail_msg("%s: system call %d (0x%jx)", target->name, number,
                             (uintmax_t)cases[k].argument);
        }
        assert_true(n >= 5);
    }
}

static void another_architectures_call_ends_the_process(void **state) {
    static const char *const programs[] = {"session", "ledger"};
    static struct table table;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(targets) * 2; i++) {
        const struct target *target = &targets[i / 2];

        table_make(&table, programs[i % 2], target);
        for (size_t k = 0; k < BASE_ARRAY_SIZE(targets); k++)
            for (int number = 0; number < 512 && targets[k].architecture != target->architecture;
                 number++)
                if (is_permitted(&table, target,
                                 (struct call){targets[k].architecture, number, {0}}))
                    fail_msg("%s: system call %d of %s", target->name, number, targets[k].name);
    }
}

/* A call of the ledger with two arguments; the others are 0. */
static bool ledger_may(const struct table *table, const struct target *target, const char *name,
                       uint64_t at, uint64_t value) {
    int number = number_of(target, name);
    struct call call = {target->architecture, number, {0}};

    call.arguments[at] = value;
    return number >= 0 && is_permitted(table, target, call);
}

static void the_ledgers_arguments_are_those_of_the_architecture(void **state) {
    static const char *const forbidden[] = {
        "execve", "execveat", "ptrace", "clone", "clone3", "fork",  "kill",  "bind",
        "setns",  "unshare",  "prctl",  "mount", "bpf",    "ioctl", "tkill", "pidfd_getfd",
    };
    static struct table table;

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(targets); i++) {
        const struct target *target = &targets[i];
        const uint64_t info = 0xc040ff0b; /* PIDFD_GET_INFO */
        bool has_mmap2 = number_of(target, "mmap2") >= 0;
        const char *map = has_mmap2 ? "mmap2" : "mmap";

        table_make(&table, "ledger", target);
        for (size_t k = 0; k < BASE_ARRAY_SIZE(forbidden); k++)
            if (ledger_may(&table, target, forbidden[k], 0, 0))
                fail_msg("%s: %s", target->name, forbidden[k]);
        if (!ledger_may(&table, target, "ioctl", 1, info) ||
            !ledger_may(&table, target, "ioctl", 1, info | UINT64_C(1) << 32) ||
            ledger_may(&table, target, "ioctl", 1, info + 1) ||
            ledger_may(&table, target, "ioctl", 0, info))
            fail_msg("%s: ioctl", target->name);
        if (!ledger_may(&table, target, map, 2, PROT_READ | PROT_WRITE) ||
            ledger_may(&table, target, map, 2, PROT_READ | PROT_EXEC) ||
            ledger_may(&table, target, "mprotect", 2, PROT_EXEC))
            fail_msg("%s: %s", target->name, map);
        if (!ledger_may(&table, target, "socket", 0, AF_UNIX) ||
            ledger_may(&table, target, "socket", 0, AF_INET))
            fail_msg("%s: socket", target->name);
        /* 1 is SYS_SOCKET, of any family: a filter does not see its arguments (SECURITY.md). */
        if (ledger_may(&table, target, "socketcall", 0, 1) !=
                (number_of(target, "socketcall") >= 0) ||
            ledger_may(&table, target, "socketcall", 0, 2)) /* SYS_BIND */
            fail_msg("%s: socketcall", target->name);
        if (!ledger_may(&table, target, "accept4", 0, 0) ||
            !ledger_may(&table, target, "epoll_ctl", 0, 0) ||
            !ledger_may(&table, target, "write", 0, 0))
            fail_msg("%s: a call that it needs", target->name);
    }
}

/* As under qemu-user, or on an old kernel: there is no seccomp(2) that could be asked. */
static void forbid_seccomp(void) {
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = BASE_ARRAY_SIZE(steps), .filter = steps};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ||
        syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, NULL) != -1 || errno != ENOSYS)
        _exit(101);
}

static void the_kernel_of_the_builder_does_not_matter(void **state) {
    static const char script[] = "for program in session ledger; do\n"
                                 "    '" FILTER_TABLE "' $program aarch64 little || exit 1\n"
                                 "done | cksum";
    char said[2][64] = {"", ""};

    (void)state;
    for (int i = 0; i < 2; i++) {
        int ends[2], status;
        pid_t pid;

        assert_int_equal(pipe(ends), 0);
        pid = fork();
        if (pid == 0) {
            (void)dup2(ends[1], STDOUT_FILENO);
            if (i == 1)
                forbid_seccomp();
            (void)execl("/bin/sh", "sh", "-c", script, NULL);
            _exit(102);
        }
        close(ends[1]);
        assert_true(read(ends[0], said[i], sizeof(said[i]) - 1) > 0);
        close(ends[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    assert_string_equal(said[0], said[1]);
}

static void words_that_make_no_sense_are_refused(void **state) {
    static const char *const cases[] = {
        "",
        "session",
        "session x86_64",
        "session x86_64 middle",
        "session vax little",
        "other x86_64 little",
        "session x86_64 little more",
        /* the byte order is not this architecture's */
        "session x86_64 big",
        "session s390x little",
    };
    char command[512];

    (void)state;
    for (size_t i = 0; i < BASE_ARRAY_SIZE(cases); i++) {
        (void)snprintf(command, sizeof(command), "'%s' %s >/dev/null 2>&1", FILTER_TABLE, cases[i]);
        if (system(command) == 0)
            fail_msg("'%s'", cases[i]);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_session_has_its_calls_and_no_other_one),
    cmocka_unit_test(another_architectures_call_ends_the_process),
    cmocka_unit_test(the_ledgers_arguments_are_those_of_the_architecture),
    cmocka_unit_test(the_kernel_of_the_builder_does_not_matter),
    cmocka_unit_test(words_that_make_no_sense_are_refused),
};

int main(void) {
    return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
