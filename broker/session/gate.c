/*
 * The gate: the process that becomes the command (gate.h), and what its session does with it.
 *
 * The gate runs as the user, in a new UTS namespace, without a seccomp filter, and not dumpable. It
 * holds CAP_SYS_ADMIN until its names are set, and reads only records of the session until then:
 * the caller's limits and the verdict. It reads what the user sent when it has no privilege left.
 * What others could notice it does when it is released, and not before: the working directory, the
 * descriptors, the terminal, the command.
 */

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

#include "broker/privilege.h"
#include "broker/session/launch.h"
#include "broker/session/monitor.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"

/*
 * Sets the names of the verdict in this process's UTS namespace and reads them back.
 *
 * Safe: only gate_run() leads here, and only the child of clone3(CLONE_NEWUTS) runs that. So this
 * process is never in the host's own UTS namespace, and no verdict can change the host's name.
 */
static int gate_set_names(const struct gate_verdict *verdict) {
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

/* Receives the caller's limits. The service's session sends them before it reads a request. */
static int gate_receive_limits(int channel, struct limits *limitsp) {
    struct channel_fds fds;
    size_t size;
    int r = channel_receive(channel, limitsp, sizeof(*limitsp), &size, &fds);

    if (r < 0)
        return r;
    channel_fds_deinit(&fds);
    return size == 0 ? -EPIPE : size == sizeof(*limitsp) ? 0 : -EBADMSG;
}

/* Waits until it is released. Returns -EPIPE if the session ended before, which is a refusal. */
static int gate_await_release(int channel) {
    struct channel_fds fds;
    uint32_t release;
    size_t size;
    int r = channel_receive(channel, &release, sizeof(release), &size, &fds);

    if (r < 0)
        return r;
    channel_fds_deinit(&fds);
    return size == 0 ? -EPIPE : size == sizeof(release) ? 0 : -EPROTO;
}

/* Waits for the verdict. Returns -EPIPE if the session ended without one, which is a refusal. */
static int gate_receive_verdict(int channel, bool is_service, struct gate_verdict *verdictp,
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

/*
 * Does all that needs the capability, then drops it. @setup was fixed before the session read a
 * request: a session that is taken over cannot leave no_new_privs out unless a rule with setuid is
 * for this user.
 */
static int gate_set_names_and_drop(const struct gate_setup *setup,
                                   const struct gate_verdict *verdict) {
    int r = gate_set_names(verdict);

    if (r == 0)
        r = privilege_drop_all();
    if (r == 0 && !(verdict->is_setuid != 0 && setup->may_setuid))
        r = privilege_forbid_new();
    return r;
}

/*
 * Reports the inode of the UTS namespace (namespaces(7)) to the session. The launcher could read it
 * only while the command lives.
 */
static void gate_report_namespace(int channel) {
    struct gate_report report = {.status = PROTOCOL_GRANTED};
    struct stat status;

    if (stat("/proc/self/ns/uts", &status) < 0)
        return;
    report.uts_namespace = status.st_ino;
    (void)channel_send(channel, &report, sizeof(report), NULL, 0);
}

/*
 * Has the kernel send the command a signal when the launcher ends. Only for direct mode, where the
 * command is the launcher's child; the service ends its commands itself.
 */
static int gate_end_with_launcher(const struct gate_setup *setup, int signal_number) {
    if (prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) < 0)
        return -errno;
    return getppid() == setup->launcher ? 0 : -ESRCH; /* it has ended already */
}

/* Does what the request's flags ask for. This process has no privilege any more. */
static int gate_apply_flags(const struct gate_setup *setup, uint32_t flags, int channel) {
    if ((flags & PROTOCOL_ASKS_FOR_NAMESPACE) != 0)
        gate_report_namespace(channel);
    if ((flags & PROTOCOL_DIES_WITH_LAUNCHER) != 0 && !setup->is_service)
        return gate_end_with_launcher(setup, SIGKILL);
    if ((flags & PROTOCOL_HANGS_UP) != 0 && !setup->is_service)
        return gate_end_with_launcher(setup, SIGHUP);
    return 0;
}

/* Takes the caller's context. With a terminal, what follows happens in a child of this process. */
static int gate_take_context(const struct launch *launch, const struct channel_fds *fds,
                             uint32_t flags, const struct limits *limits,
                             struct caller_channels *channels) {
    int r = caller_context_apply(launch, fds, flags, limits, channels);

    return r == 0 && channels->terminal >= 0 ? monitor_start(channels->terminal, channels->monitor)
                                             : r;
}

/*
 * Does everything between the clone and the command. Returns only on failure, with the reason in
 * *@reportp. channels->session may become another number.
 */
static void gate_become_command(const struct gate_setup *setup, struct caller_channels *channels,
                                struct gate_report *reportp) {
    struct gate_verdict verdict;
    struct channel_fds fds;
    struct launch launch = LAUNCH_NULL;
    struct limits limits;
    int r = setup->is_service ? gate_receive_limits(channels->session, &limits) : 0;

    if (r == 0 && setup->is_service)
        r = caller_context_open_files(&limits, channels);
    reportp->status = PROTOCOL_KERNEL_REFUSED;
    if (r == 0)
        r = gate_receive_verdict(channels->session, setup->is_service, &verdict, &fds);
    if (r == 0)
        r = gate_set_names_and_drop(setup, &verdict);
    if (r == 0)
        r = gate_apply_flags(setup, verdict.flags, channels->session);
    /* Now this process has no privilege: it may read what the user sent. */
    if (r == 0) {
        r = launch_read(&launch, fds.fds[PROTOCOL_LAUNCH_FD]);
        if (r == 0)
            r = gate_await_release(channels->session);
        if (r == 0 && setup->is_service)
            r = gate_take_context(&launch, &fds, verdict.flags, &limits, channels);
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
    struct caller_channels channels = CALLER_CHANNELS_NULL;
    struct gate_report report = {.status = 0};

    channels.session = channel;
    gate_become_command(setup, &channels, &report);
    /* If the session has ended, nobody needs the report. */
    (void)channel_send(channels.session, &report, sizeof(report), NULL, 0);
    _exit(1);
}

/*
 * Checks whether this user may have one process more (RLIMIT_NPROC), so that this limit means the
 * same with utsrun as without. The kernel does not check it for a process with CAP_SYS_ADMIN, as in
 * gate_open(); so this must be called before the capability is effective.
 *
 * Returns 0; -EAGAIN at the limit; another negative errno, -ENOSYS before Linux 5.3.
 */
int gate_check_limit(void) {
    /* Shared instead of copied: to copy a large table of descriptors takes long. */
    struct clone_args arguments = {.flags = CLONE_NEWUTS | CLONE_VM | CLONE_VFORK | CLONE_FILES |
                                            CLONE_FS | CLONE_SIGHAND};
    /*
     * Safe: without an effective CAP_SYS_ADMIN a new UTS namespace fails with EPERM. The kernel
     * checks the limit first (copy_process()), so EPERM means that the limit has room. If the call
     * succeeds, both processes share one stack and nothing can be relied on: both end.
     */
    long pid = syscall(SYS_clone3, &arguments, sizeof(arguments));

    if (pid >= 0)
        _exit(1);
    return errno == EPERM ? 0 : -errno;
}

/*
 * Makes the gate: a process in a new UTS namespace, the child of this process's parent
 * (CLONE_PARENT), so that the launcher, or the service, can wait for the command. CAP_SYS_ADMIN
 * must be effective. The gate closes its copies of the session's channels: else the processes at
 * their other ends would not see the session end.
 *
 * Returns 0 with @gate filled, or a negative errno: -ENOSPC at user.max_uts_namespaces, -EAGAIN at
 * a limit of the cgroup, -EPERM without the capability.
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
     * but the policy, is not dumpable, and does nothing until it has the session's verdict.
     */
    pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
    if (pid < 0) {
        int error = errno;

        base_close_fd(&ends[0]);
        base_close_fd(&ends[1]);
        return -error;
    }
    if (pid == 0) {
        /* The gate must see the session end, so it must not hold the session's end open. */
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

/* True if the gate was killed. If it had something unread, the connection is reset (unix(7)). */
static bool is_gate_end(int error) {
    return error == -EPIPE || error == -ECONNRESET;
}

/*
 * Sends the caller's limits, as the kernel reports them, to the gate of a service's session. Must
 * be called once, before gate_release() and before the session reads the request. Returns 0, also
 * if the gate was killed; a negative errno.
 */
int gate_send_limits(const struct gate *gate, const struct limits *limits) {
    int r = channel_send(gate->channel, limits, sizeof(*limits), NULL, 0);

    return is_gate_end(r) ? 0 : r;
}

/*
 * Sends @verdict to the gate, with the request's @fds, which stay the caller's: the gate sets its
 * names, drops every privilege, and waits for gate_release(). To refuse, end instead: the gate ends
 * when its session ends. Returns 0, also if the gate was killed, which gate_wait() handles; a
 * negative errno.
 */
int gate_prepare(const struct gate *gate, const struct gate_verdict *verdict,
                 const struct channel_fds *fds) {
    int r = channel_send(gate->channel, verdict, sizeof(*verdict), fds->fds, fds->n_fds);

    return is_gate_end(r) ? 0 : r;
}

/* Has the gate, which has its verdict, become the command. Returns as gate_prepare(). */
int gate_release(const struct gate *gate) {
    const uint32_t release = 1;
    int r = channel_send(gate->channel, &release, sizeof(release), NULL, 0);

    return is_gate_end(r) ? 0 : r;
}

/*
 * Waits until the gate is the command, which closes the gate's end of the channel (close-on-exec),
 * or has failed.
 *
 * Returns 0 if the gate is the command now, or was killed before (its parent sees that), with the
 * namespace in *@reportp if the request asks for it; a positive enum protocol_status if the gate
 * failed, with *@reportp; a negative errno.
 */
int gate_wait(const struct gate *gate, struct gate_report *reportp) {
    struct gate_report report = {.status = PROTOCOL_GRANTED};

    while (report.status == PROTOCOL_GRANTED) {
        struct channel_fds fds;
        size_t size;
        int r = channel_receive_surely(gate->channel, &report, sizeof(report), &size, &fds);

        if (r < 0)
            return is_gate_end(r) ? 0 : r;
        if (size == 0)
            return 0;
        channel_fds_deinit(&fds);
        if (size != sizeof(report) || report.status < 0 || report.status >= PROTOCOL_STATUS_COUNT)
            return -EBADMSG;
        *reportp = report;
    }
    return report.status;
}
