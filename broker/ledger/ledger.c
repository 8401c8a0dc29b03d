#include "broker/ledger/ledger.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/ledger/account.h"
#include "broker/ledger/batch.h"
#include "broker/ledger/book.h"
#include "broker/ledger/connection.h"
#include "broker/ledger/entries.h"
#include "broker/ledger/filter.h"
#include "broker/ledger/identity.h"
#include "broker/listener.h"
#include "broker/loop.h"
#include "utsbroker/base.h"

enum {
    ACCEPT_PAUSE_MS = 200,
    END_MS = 200, /* a request that has been read has its event here in a moment */
};

/* The parts of the ledger. Only this file knows all of them. */
struct ledger {
    const struct ledger_setup *setup;
    struct loop loop;
    struct batch batch;
    struct book book;
    struct accounts accounts;
    struct entries entries;
    struct connections connections;
    struct loop_source listener, signals;
    struct loop_timer accept_again, end;
    bool is_ending, has_ended;
};

static _Noreturn void ledger_die(const char *step, const char *path, int error) {
    (void)fprintf(stderr, "utsbroker-ledger: %s%s%s: %s\n", step, path != NULL ? " " : "",
                  path != NULL ? path : "", strerror(-error));
    exit(EXIT_FAILURE);
}

static void ledger_handle_listener(void *argument, uint32_t events) {
    struct ledger *ledger = argument;
    int fd = accept4(ledger->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd >= 0) {
        (void)connection_new(&ledger->connections, fd);
        return;
    }
    /* Out of descriptors or memory: others wait for a moment, instead of the loop spinning. */
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        (void)loop_change_source(&ledger->loop, &ledger->listener, 0);
        loop_set_timer(&ledger->loop, &ledger->accept_again, loop_now() + ACCEPT_PAUSE_MS);
    }
}

static void ledger_handle_accept_again(void *argument) {
    struct ledger *ledger = argument;

    (void)loop_change_source(&ledger->loop, &ledger->listener, EPOLLIN);
}

static void ledger_handle_end(void *argument) {
    struct ledger *ledger = argument;

    ledger->has_ended = true;
}

/*
 * What sessions send that have read their request already is booked first: they cannot connect
 * again. Who comes now waits for the next ledger, if the service manager keeps the socket.
 */
static void ledger_begin_end(struct ledger *ledger) {
    ledger->has_ended = ledger->is_ending; /* told twice */
    ledger->is_ending = true;
    if (ledger->setup->is_kept) {
        loop_cancel_timer(&ledger->accept_again);
        (void)loop_change_source(&ledger->loop, &ledger->listener, 0);
    }
    connections_announce_end(&ledger->connections);
    loop_set_timer(&ledger->loop, &ledger->end, loop_now() + END_MS);
}

/* SIGHUP: the log was renamed. SIGTERM, SIGINT: the end; what lives is in its file. */
static void ledger_handle_signals(void *argument, uint32_t events) {
    struct ledger *ledger = argument;
    struct signalfd_siginfo info;
    int r;

    (void)events;
    if (read(ledger->signals.fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
        ledger_begin_end(ledger);
    if (info.ssi_signo != SIGHUP)
        return;
    r = book_reopen(&ledger->book);
    if (r < 0)
        (void)fprintf(stderr, "utsbroker-ledger: opening %s again: %s; the old file is in use\n",
                      ledger->book.path, strerror(-r));
}

static int ledger_setup_signals(struct ledger *ledger) {
    static const int wanted[] = {SIGHUP, SIGTERM, SIGINT, SIGPIPE};
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < BASE_ARRAY_SIZE(wanted); i++)
        (void)sigaddset(&set, wanted[i]);
    if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
        return -errno;
    ledger->signals = (struct loop_source){.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
                                           .function = ledger_handle_signals,
                                           .argument = ledger};
    if (ledger->signals.fd < 0)
        return -errno;
    return loop_add_source(&ledger->loop, &ledger->signals, EPOLLIN);
}

static void ledger_connect_parts(struct ledger *ledger, bool tells_status) {
    struct stat uts;

    entries_init(&ledger->entries, &ledger->loop, &ledger->batch, &ledger->accounts, &ledger->book);
    ledger->entries.wants_reports = !tells_status;
    ledger->connections = (struct connections){.loop = &ledger->loop,
                                               .batch = &ledger->batch,
                                               .accounts = &ledger->accounts,
                                               .entries = &ledger->entries,
                                               .book = &ledger->book,
                                               .wants_status = !tells_status};
    if (stat("/proc/self/ns/uts", &uts) == 0) {
        ledger->connections.uts_device = uts.st_dev;
        ledger->connections.uts_inode = uts.st_ino;
    }
    ledger->listener = (struct loop_source){
        .fd = ledger->setup->listener, .function = ledger_handle_listener, .argument = ledger};
    ledger->accept_again =
        (struct loop_timer){.function = ledger_handle_accept_again, .argument = ledger};
    ledger->end = (struct loop_timer){.function = ledger_handle_end, .argument = ledger};
}

/*
 * What other processes of this user could do to it: nothing, as to a broker. But before Linux 5.14
 * a process that is not dumpable cannot read its own fdinfo: then it stays dumpable, and it is the
 * only process of its user.
 */
static int ledger_confine(void) {
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (!identity_is_readable() && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
        return -errno;
    return ledger_filter_load();
}

/* A descriptor is needed for each live command. */
static int limit_raise(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    if (limit.rlim_cur == limit.rlim_max)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

static void ledger_set_up(struct ledger *ledger) {
    const struct ledger_setup *setup = ledger->setup;
    bool tells_status = false;
    int r = identity_init(&tells_status);

    if (r == IDENTITY_E_HIDDEN)
        ledger_die("reading /proc/1/status: /proc is mounted with hidepid=, and before Linux 6.13 "
                   "the ledger needs it; mount it without, or with a gid= of the ledger's",
                   NULL, -EACCES);
    if (r < 0)
        ledger_die("asking what pidfds tell", NULL, r);
    ledger_connect_parts(ledger, tells_status);
    r = limit_raise();
    if (r < 0)
        ledger_die("raising the limit of descriptors", NULL, r);
    r = loop_init(&ledger->loop);
    if (r == 0)
        r = batch_init(&ledger->batch, &ledger->loop);
    if (r == 0)
        r = ledger_setup_signals(ledger);
    if (r == 0)
        r = loop_add_source(&ledger->loop, &ledger->listener, EPOLLIN);
    if (r < 0)
        ledger_die("setting up the event loop", NULL, r);
    r = book_open(&ledger->book, setup->log_path);
    if (r < 0)
        ledger_die("opening the log", setup->log_path, r);
    r = entries_recover(&ledger->entries, setup->live_path);
    if (r == ENTRY_E_DAMAGED)
        (void)fprintf(stderr, "utsbroker-ledger: %s has malformed lines, which were left out\n",
                      setup->live_path);
    else if (r < 0)
        ledger_die("reading what lives from", setup->live_path, r);
}

/*
 * Serves until it gets SIGTERM or SIGINT. Returns the exit status: behind the filter nothing may
 * call a function that does not return, for which a sanitizer makes system calls of its own.
 */
int ledger_run(const struct ledger_setup *setup) {
    static struct ledger ledger; /* with its tables it is too large for a stack */
    struct listener notify = {.fd = -1, .notify_socket = setup->notify_socket};
    int r;

    ledger.setup = setup;
    ledger_set_up(&ledger);
    listener_tell_ready(&notify);
    r = ledger_confine();
    if (r < 0)
        ledger_die("loading the seccomp filter", NULL, r);
    while (r >= 0 && !ledger.has_ended && (!ledger.is_ending || ledger.connections.all.n > 0))
        r = loop_run_once(&ledger.loop, true);
    if (r >= 0)
        return EXIT_SUCCESS;
    (void)fprintf(stderr, "utsbroker-ledger: waiting: %s\n", strerror(-r));
    return EXIT_FAILURE;
}
