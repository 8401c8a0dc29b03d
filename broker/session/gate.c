#include "broker/session/gate.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "broker/session/launch.h"
#include "broker/privilege.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"

/*
 * Sets the names of the verdict in this process's UTS namespace and reads them back.
 *
 * Safe: the only caller is gate_run(), which only the child of clone3(CLONE_NEWUTS) ever enters. So
 * this process cannot exist in the host's UTS namespace, and whatever the verdict says, the host's
 * own name is out of reach.
 */
static int names_set(const struct gate_verdict *verdict) {
    const char *hostname = verdict->hostname;
    const char *domainname = verdict->domainname;
    bool sets_hostname = (verdict->names & PROTOCOL_HOSTNAME) != 0;
    bool sets_domainname = (verdict->names & PROTOCOL_DOMAINNAME) != 0;
    struct utsname now;

    if (!protocol_name_is_consistent(hostname, sets_hostname) ||
        !protocol_name_is_consistent(domainname, sets_domainname))
        return -EBADMSG;
    if (sets_hostname && sethostname(hostname, strlen(hostname)) < 0)
        return -errno;
    if (sets_domainname && setdomainname(domainname, strlen(domainname)) < 0)
        return -errno;
    if (uname(&now) < 0)
        return -errno;
    if ((sets_hostname && strcmp(now.nodename, hostname) != 0) ||
        (sets_domainname && strcmp(now.domainname, domainname) != 0))
        return -EPERM;
    return 0;
}

/* The service's session says this before it reads a stranger's byte. */
static int limits_receive(int channel, struct limits *limitsp) {
    struct channel_fds fds;
    size_t size;
    int r = channel_receive(channel, limitsp, sizeof(*limitsp), &size, &fds);

    if (r < 0)
        return r;
    channel_fds_deinit(&fds);
    return size == 0 ? -EPIPE : size == sizeof(*limitsp) ? 0 : -EBADMSG;
}

/* Waits for the verdict. Returns -EPIPE if the session ended without one: it was a refusal. */
static int verdict_receive(int channel, bool is_service, struct gate_verdict *verdictp,
                           struct channel_fds *fdsp) {
    size_t size;
    int r = channel_receive(channel, verdictp, sizeof(*verdictp), &size, fdsp);

    if (r < 0)
        return r;
    if (size == 0)
        return -EPIPE;
    if (size != sizeof(*verdictp) || !protocol_fds_are_consistent(verdictp->flags, fdsp->n_fds) ||
        ((verdictp->flags & PROTOCOL_TO_SERVICE) != 0) != is_service)
        return -EBADMSG;
    return 0;
}

/* All that needs the capability, and its end. @setup was settled before a stranger's byte was read:
 * a session that is taken over cannot have no_new_privs left out for a user whom no rule gives
 * that.
 */
static int gate_take_names(const struct gate_setup *setup, const struct gate_verdict *verdict) {
    int r = names_set(verdict);

    if (r == 0)
        r = privilege_drop_all();
    if (r == 0 && !(verdict->is_setuid != 0 && setup->may_setuid))
        r = privilege_forbid_new();
    return r;
}

/* For who has asked (namespaces(7)): the launcher could only look while the command lives. */
static void namespace_tell(int channel) {
    struct gate_report report = {.status = PROTOCOL_GRANTED};
    struct stat status;

    if (stat("/proc/self/ns/uts", &status) < 0)
        return;
    report.uts_namespace = status.st_ino;
    (void)channel_send(channel, &report, sizeof(report), NULL, 0);
}

/* The command is the launcher's child. It is the service itself who ends its own. */
static int launcher_outlive_not(const struct gate_setup *setup) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return -errno;
    return getppid() == setup->launcher ? 0 : -ESRCH; /* it had ended before */
}

/* What was asked for besides the names; this process is the user's own by now. */
static int wishes_fulfil(const struct gate_setup *setup, uint32_t flags, int channel) {
    if ((flags & PROTOCOL_ASKS_FOR_NAMESPACE) != 0)
        namespace_tell(channel);
    if ((flags & PROTOCOL_DIES_WITH_LAUNCHER) != 0 && !setup->is_service)
        return launcher_outlive_not(setup);
    return 0;
}

/*
 * Everything between the clone and the command. Returns only on failure, with *@reportp saying what
 * failed. The channel may get another number on the way.
 */
static void gate_become_command(const struct gate_setup *setup, int *channelp,
                                struct gate_report *reportp) {
    struct gate_verdict verdict;
    struct channel_fds fds;
    struct launch launch = LAUNCH_NULL;
    struct limits limits;
    int r = setup->is_service ? limits_receive(*channelp, &limits) : 0;

    reportp->status = PROTOCOL_KERNEL_REFUSED;
    if (r == 0)
        r = verdict_receive(*channelp, setup->is_service, &verdict, &fds);
    if (r == 0)
        r = gate_take_names(setup, &verdict);
    if (r == 0)
        r = wishes_fulfil(setup, verdict.flags, *channelp);
    /* From here on this process is the user's own and no more: now it may read what they sent. */
    if (r == 0) {
        r = launch_read(&launch, fds.fds[PROTOCOL_LAUNCH_FD]);
        if (r == 0 && setup->is_service)
            r = caller_context_apply(&launch, &fds, verdict.flags, &limits, channelp);
        if (r == -EBADMSG)
            reportp->status = PROTOCOL_BAD_REQUEST;
    }
    if (r == 0)
        r = launch_restore(&launch);
    if (r == 0) {
        reportp->status = PROTOCOL_EXEC_FAILED;
        r = launch_execute(&launch);
    }
    reportp->error = -r;
}

static _Noreturn void gate_run(const struct gate_setup *setup, int channel) {
    struct gate_report report = {.status = 0};

    gate_become_command(setup, &channel, &report);
    /* If the session is gone, nobody is left to be told. */
    (void)channel_send(channel, &report, sizeof(report), NULL, 0);
    _exit(1);
}

/*
 * Asks the kernel whether this user may have one process more (RLIMIT_NPROC). It does not ask that
 * of who makes a process with CAP_SYS_ADMIN, as gate_open() does; so this must be called before the
 * capability is effective, and a limit means what it means without utsrun.
 *
 * Returns 0; -EAGAIN at the limit; another negative errno, -ENOSYS before Linux 5.3.
 */
int gate_check_limit(void) {
    /* What is shared is not copied, which takes its time for a large table of descriptors. */
    struct clone_args arguments = {.flags = CLONE_NEWUTS | CLONE_VM | CLONE_VFORK | CLONE_FILES |
                                            CLONE_FS | CLONE_SIGHAND};
    /*
     * Safe: without an effective CAP_SYS_ADMIN this fails with EPERM, for want of a right to a new
     * UTS namespace, but only behind the check of the limit (copy_process() of the kernel). Were it
     * to succeed, nothing could be relied on, not even the stack, which both would share: both end.
     */
    long pid = syscall(SYS_clone3, &arguments, sizeof(arguments));

    if (pid >= 0)
        _exit(1);
    return errno == EPERM ? 0 : -errno;
}

/*
 * Makes the gate: a process in a new UTS namespace that is the child of this process's parent
 * (CLONE_PARENT), so that the launcher, or the service, can wait for the command. Needs
 * CAP_SYS_ADMIN to be effective. The gate closes its copies of the session's channels: if the
 * session dies, whoever is at their other end must see it.
 *
 * Returns 0 with @gate filled, or a negative errno: -ENOSPC at user.max_uts_namespaces, -EAGAIN at
 * a limit of the cgroup's, -EPERM without the capability.
 */
int gate_open(struct gate *gate, const struct gate_setup *setup) {
    int ends[2];
    int pidfd = -1;
    /* With CLONE_PARENT the exit signal must be 0: the child takes this process's own (SIGCHLD). */
    struct clone_args arguments = {.flags = CLONE_NEWUTS | CLONE_PARENT | CLONE_PIDFD,
                                   .pidfd = (uint64_t)(uintptr_t)&pidfd};
    long pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    /*
     * Safe: the child runs gate_run() and nothing else, in memory of its own. It has read nothing
     * but the policy, is not dumpable, and does nothing until the session's verdict is there.
     */
    pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid < 0) {
        int error = errno;

        base_close_fd(&ends[0]);
        base_close_fd(&ends[1]);
        return -error;
    }
    if (pid == 0) {
        /* The gate must see the end of the session, so it may not hold the session's end open. */
        base_close_fd(&ends[0]);
        for (size_t i = 0; i < BASE_ARRAY_SIZE(setup->session_fds); i++)
            if (setup->session_fds[i] >= 0)
                (void)close(setup->session_fds[i]);
        gate_run(setup, ends[1]);
    }
    base_close_fd(&ends[1]);
    *gate = (struct gate){.pid = (pid_t)pid, .pidfd = pidfd, .channel = ends[0]};
    return 0;
}

/* The gate was killed; with something unread it is a reset connection (unix(7)). */
static bool is_end_of_gate(int error) {
    return error == -EPIPE || error == -ECONNRESET;
}

/*
 * Tells the service's gate what holds for the caller by the kernel's word; once, before
 * gate_release(), and before a stranger's byte was read. Returns 0, also if the gate was killed; a
 * negative errno.
 */
int gate_limit(const struct gate *gate, const struct limits *limits) {
    int r = channel_send(gate->channel, limits, sizeof(*limits), NULL, 0);

    return is_end_of_gate(r) ? 0 : r;
}

/*
 * Lets the gate go on as @verdict says, with the request's @fds, which stay the caller's. To
 * refuse, end instead: a gate whose session is gone ends too. Returns 0, also if the gate was
 * killed, which gate_wait() is asked for; a negative errno.
 */
int gate_release(const struct gate *gate, const struct gate_verdict *verdict,
                 const struct channel_fds *fds) {
    int r = channel_send(gate->channel, verdict, sizeof(*verdict), fds->fds, fds->n_fds);

    return is_end_of_gate(r) ? 0 : r;
}

/*
 * Waits until the gate has become the command, which closes its end of the channel (close-on-exec),
 * or could not.
 *
 * Returns 0 if it is the command now, or was killed on the way (whoever waits for it sees that),
 * with its namespace in *@reportp if that was asked for; a positive enum protocol_status if it
 * could not, with *@reportp; a negative errno.
 */
int gate_wait(const struct gate *gate, struct gate_report *reportp) {
    struct gate_report report = {.status = PROTOCOL_GRANTED};

    while (report.status == PROTOCOL_GRANTED) {
        struct channel_fds fds;
        size_t size;
        int r = channel_receive_surely(gate->channel, &report, sizeof(report), &size, &fds);

        if (r < 0)
            return is_end_of_gate(r) ? 0 : r;
        if (size == 0)
            return 0;
        channel_fds_deinit(&fds);
        if (size != sizeof(report) || report.status < 0 || report.status >= PROTOCOL_STATUS_COUNT)
            return -EBADMSG;
        *reportp = report;
    }
    return report.status;
}
