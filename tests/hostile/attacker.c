#include "tests/hostile/attacker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "utsbroker/base.h"

/*
 * An address in the attacker's own memory; after a fork it is valid in the child too, which must be
 * open to the attacker.
 */
static char own_memory[16];

static bool proc_opens(pid_t pid, const char *file, int flags) {
    char path[64];
    CLEANUP_FD int fd = -1;

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
    return fd >= 0;
}

/* An attempt returns true if it succeeded; it leaves the process unchanged. */
static bool attach(pid_t pid) {
    if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0)
        return false;
    (void)waitpid(pid, NULL, __WALL);
    (void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
    return true;
}

static bool seize(pid_t pid) {
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
        return false;
    (void)ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
    (void)waitpid(pid, NULL, __WALL);
    (void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
    return true;
}

static bool open_mem_to_write(pid_t pid) {
    return proc_opens(pid, "mem", O_RDWR);
}

static bool open_mem_to_read(pid_t pid) {
    return proc_opens(pid, "mem", O_RDONLY);
}

static bool read_environment(pid_t pid) {
    return proc_opens(pid, "environ", O_RDONLY);
}

static bool read_maps(pid_t pid) {
    return proc_opens(pid, "maps", O_RDONLY);
}

static bool open_namespace(pid_t pid) {
    return proc_opens(pid, "ns/uts", O_RDONLY);
}

static bool list_descriptors(pid_t pid) {
    return proc_opens(pid, "fd", O_RDONLY | O_DIRECTORY);
}

static bool open_program(pid_t pid) {
    return proc_opens(pid, "exe", O_RDONLY);
}

static bool enter_root(pid_t pid) {
    return proc_opens(pid, "root/etc", O_RDONLY | O_DIRECTORY);
}

static bool read_memory(pid_t pid) {
    char here[16];
    struct iovec local = {here, sizeof(here)}, remote = {own_memory, sizeof(here)};

    /* Without permission the error is EPERM at any address; EFAULT, a wrong address, means that
     * there is permission. */
    return process_vm_readv(pid, &local, 1, &remote, 1, 0) > 0 || errno == EFAULT;
}

static bool write_memory(pid_t pid) {
    char here[16] = "";
    struct iovec local = {here, sizeof(here)}, remote = {own_memory, sizeof(here)};

    return process_vm_writev(pid, &local, 1, &remote, 1, 0) > 0 || errno == EFAULT;
}

static bool take_descriptor(pid_t pid) {
    bool has_one = false;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    for (int number = 0; pidfd >= 0 && number < 16; number++) {
        int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

        has_one |= fd >= 0;
        base_close_fd(&fd);
    }
    base_close_fd(&pidfd);
    return has_one;
}

static bool compare_descriptors(pid_t pid) {
    return syscall(SYS_kcmp, getpid(), pid, KCMP_FILE, 0, 0) >= 0;
}

/*
 * An unprivileged process may do these to no other process: they show that the attacker is
 * unprivileged.
 */
static bool join_namespace(pid_t pid) {
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    bool has_joined = pidfd >= 0 && setns(pidfd, CLONE_NEWUTS) == 0;

    base_close_fd(&pidfd);
    return has_joined;
}

static bool take_capability(pid_t pid) {
    (void)pid;
    return sethostname("taken", 5) == 0 || unshare(CLONE_NEWUTS) == 0;
}

static const struct {
    const char *what;
    bool (*attempt)(pid_t pid);
    bool works_elsewhere; /* it succeeds on a process that is not protected */
} attempts[] = {
    {"ptrace(PTRACE_ATTACH)", attach, true},
    {"ptrace(PTRACE_SEIZE)", seize, true},
    {"/proc/PID/mem to write", open_mem_to_write, true},
    {"/proc/PID/mem to read", open_mem_to_read, true},
    {"/proc/PID/environ", read_environment, true},
    {"/proc/PID/maps", read_maps, true},
    {"/proc/PID/ns/uts", open_namespace, true},
    {"/proc/PID/fd", list_descriptors, true},
    {"/proc/PID/exe", open_program, true},
    {"/proc/PID/root", enter_root, true},
    {"process_vm_readv", read_memory, true},
    {"process_vm_writev", write_memory, true},
    {"pidfd_getfd", take_descriptor, true},
    {"kcmp", compare_descriptors, true},
    {"setns", join_namespace, false},
    {"sethostname", take_capability, false},
};

/* An order to the attacker: attack, or send the given signal. */
struct order {
    pid_t pid;
    int signal_number;
};

/* Replies to each order with one bit for each attempt that succeeded. */
static _Noreturn void attacker_run(int channel) {
    struct order order;

    while (read(channel, &order, sizeof(order)) == sizeof(order)) {
        unsigned succeeded = 0;

        if (order.signal_number != 0)
            succeeded = kill(order.pid, order.signal_number) == 0;
        for (size_t i = 0; order.signal_number == 0 && i < BASE_ARRAY_SIZE(attempts); i++)
            succeeded |= attempts[i].attempt(order.pid) ? 1U << i : 0;
        if (write(channel, &succeeded, sizeof(succeeded)) != sizeof(succeeded))
            break;
    }
    _exit(0);
}

/* Starts the attacker, a process of @user's; the caller ends it with attacker_end(). */
void attacker_start(struct attacker *attacker, const struct user *user) {
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    attacker->n_tried = 0;
    attacker->pid = fork();
    assert_true(attacker->pid >= 0);
    if (attacker->pid == 0) {
        close(ends[0]);
        harness_become(user);
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        attacker_run(ends[1]);
    }
    close(ends[1]);
    attacker->channel = ends[0];
}

void attacker_end(struct attacker *attacker) {
    close(attacker->channel);
    assert_int_equal(waitpid(attacker->pid, NULL, 0), attacker->pid);
}

static unsigned order(struct attacker *attacker, pid_t pid, int signal_number) {
    const struct order order = {pid, signal_number};
    unsigned succeeded;

    assert_int_equal(write(attacker->channel, &order, sizeof(order)), sizeof(order));
    assert_int_equal(read(attacker->channel, &succeeded, sizeof(succeeded)), sizeof(succeeded));
    return succeeded;
}

static unsigned attack(struct attacker *attacker, pid_t pid) {
    attacker->n_tried += BASE_ARRAY_SIZE(attempts);
    return order(attacker, pid, 0);
}

/* Sends a signal as the user; the kernel permits it for each process of the user. */
void attacker_signal(struct attacker *attacker, pid_t pid, int signal_number) {
    assert_int_equal(order(attacker, pid, signal_number), 1);
}

/*
 * Checks the attacker: each attempt that can succeed does so on an ordinary process of the same
 * user. Otherwise a failed attack proves nothing.
 */
void attacker_assert_is_able(struct attacker *attacker, const struct user *user) {
    pid_t victim = fork();
    unsigned succeeded, expected = 0;

    assert_true(victim >= 0);
    if (victim == 0) {
        harness_become(user);
        (void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* where Yama requires it */
        (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
        for (;;)
            pause();
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(attempts); i++)
        expected |= attempts[i].works_elsewhere ? 1U << i : 0;
    for (int i = 0; i < 1000; i++) { /* until it has become the user */
        succeeded = attack(attacker, victim);
        if (succeeded == expected)
            break;
        usleep(10000);
    }
    for (size_t i = 0; i < BASE_ARRAY_SIZE(attempts); i++)
        if (((succeeded >> i) & 1) != attempts[i].works_elsewhere)
            fail_msg("%s %s on an ordinary process", attempts[i].what,
                     attempts[i].works_elsewhere ? "fails" : "succeeds");
    kill(victim, SIGKILL);
    assert_int_equal(waitpid(victim, NULL, 0), victim);
}

static void assert_fails(struct attacker *attacker, pid_t pid, const char *what, bool may_count) {
    unsigned succeeded = attack(attacker, pid);

    for (size_t i = 0; i < BASE_ARRAY_SIZE(attempts); i++)
        if (((succeeded >> i) & 1) != 0 && !(may_count && attempts[i].attempt == list_descriptors))
            fail_msg("%s succeeds on %s", attempts[i].what, what);
}

/* @what says in messages who @pid is, and at which moment. */
void attacker_assert_fails(struct attacker *attacker, pid_t pid, const char *what) {
    assert_fails(attacker, pid, what, false);
}

/* The same, but the attacker may learn the numbers of the descriptors of @pid, as of a process that
 * is dumpable and has a capability. */
void attacker_assert_only_counts(struct attacker *attacker, pid_t pid, const char *what) {
    assert_fails(attacker, pid, what, true);
}
