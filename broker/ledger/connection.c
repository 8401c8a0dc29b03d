#include "broker/ledger/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "broker/ledger/discard.h"
#include "utsbroker/base.h"
#include "utsbroker/channel.h"

static void connection_free(struct connection *connection) {
    struct account *account = connection->account;

    if (connection->entry != NULL)
        entry_leave(connection->entry);
    loop_remove_source(connection->loop, &connection->source);
    list_remove(&connection->link);
    discard_connection(account, connection->source.fd);
    account->n_connections--;
    account_give_back(account);
    free(connection);
}

/* What the ledger tells about itself. The names of its UTS namespace may change meanwhile. */
static void hello_fill(struct ledger_hello *hello, const struct connections *connections) {
    struct utsname names;

    *hello = (struct ledger_hello){.version = LEDGER_VERSION,
                                   .wants_status = connections->wants_status,
                                   .uts_device = connections->uts_device,
                                   .uts_inode = connections->uts_inode};
    if (uname(&names) < 0)
        return;
    (void)snprintf(hello->hostname, sizeof(hello->hostname), "%s", names.nodename);
    (void)snprintf(hello->domainname, sizeof(hello->domainname), "%s", names.domainname);
}

/* A reply that is lost ends the connection, so that the session does not wait for it. If the
 * session has ended, its gate ends, too. */
static void connection_reply(const struct connection *connection,
                             const struct ledger_reply *reply) {
    struct ledger_reply record = *reply;

    record.version = LEDGER_VERSION;
    if (send(connection->source.fd, &record, sizeof(record), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        (void)shutdown(connection->source.fd, SHUT_RDWR);
}

/* Refuses an enter that would be one too many. Returns true if it was refused. */
static bool connection_check_bounds(const struct connection *connection,
                                    const struct ledger_event *event, struct ledger_reply *reply) {
    const struct account *account = connection->account;
    unsigned bound = account_limit(account, ACCOUNT_ENTRIES_MAX);
    unsigned n_live = counter_n_live(account, event->rule_key);

    if (account->n_entries >= bound || (event->limit != 0 && n_live >= event->limit)) {
        batch_take(connection->connections->batch);
        n_live = counter_n_live(account, event->rule_key);
    }
    if (account->n_entries >= bound)
        *reply = (struct ledger_reply){
            .status = LEDGER_TOO_MANY, .n_live = account->n_entries, .limit = bound};
    else if (event->limit != 0 && n_live >= event->limit)
        *reply = (struct ledger_reply){
            .status = LEDGER_LIMIT_REACHED, .n_live = n_live, .limit = event->limit};
    else
        return false;
    return true;
}

/* The reply to an event that could not be booked, because of @r. */
static void reply_set_failure(struct ledger_reply *reply, int r) {
    *reply = (struct ledger_reply){.status = r < 0 ? LEDGER_NOT_LOGGED : LEDGER_BAD_EVENT,
                                   .error = r < 0                   ? -r
                                            : r == IDENTITY_E_ENDED ? ESRCH
                                                                    : 0};
}

/* Writes a line for @event, of the process @pid, to the file; to syslog when the session has its
 * reply, so that it does not wait. Returns 0 or a negative errno, with @reply changed. */
static int connection_book(const struct connection *connection, const struct ledger_event *event,
                           pid_t pid, struct ledger_reply *reply) {
    struct log_line line;
    int r;

    log_line_from_event(&line, event, connection->account->uid);
    if (pid != 0)
        line.pid = pid;
    r = book_write(connection->connections->book, &line);
    if (r < 0)
        reply_set_failure(reply, r);
    connection_reply(connection, reply);
    book_copy(connection->connections->book, &line);
    return r;
}

/* Writes to @text why an enter is refused by @reply. */
static void refusal_describe(char *text, size_t size, const struct ledger_reply *reply) {
    switch (reply->status) {
    case LEDGER_LIMIT_REACHED:
        (void)snprintf(text, size, "limit reached: %u of %u commands are running under this rule",
                       reply->n_live, reply->limit);
        break;
    case LEDGER_TOO_MANY:
        (void)snprintf(text, size,
                       "limit reached: the user has %u of %u commands that the ledger "
                       "keeps",
                       reply->n_live, reply->limit);
        break;
    case LEDGER_NOT_LOGGED:
        (void)snprintf(text, size, "the ledger cannot keep it: %s", strerror(reply->error));
        break;
    default:
        (void)snprintf(text, size,
                       "the gate is no process of the user, has ended, or was entered before");
    }
}

/* Refuses the enter @event by @reply, and logs that. */
static void connection_refuse(const struct connection *connection, const struct ledger_event *event,
                              struct ledger_reply *reply) {
    struct ledger_event refusal = *event;

    refusal.kind = LEDGER_REFUSAL;
    memset(refusal.reason, 0, sizeof(refusal.reason));
    refusal_describe(refusal.reason, sizeof(refusal.reason), reply);
    (void)connection_book(connection, &refusal, 0, reply);
}

/* A grant: counts it, then logs it, then replies. */
static void connection_enter(struct connection *connection, const struct ledger_event *event,
                             int *pidfdp) {
    struct ledger_reply reply = {.status = LEDGER_ENTERED};
    struct identity identity;
    struct entry *entry = NULL;
    int r = identity_read(&identity, *pidfdp, connection->account->uid);

    if (r == 0 && connection_check_bounds(connection, event, &reply)) {
        connection_refuse(connection, event, &reply);
        return;
    }
    if (r == 0)
        r = entries_add(connection->connections->entries, connection->account, &identity, pidfdp,
                        event, &entry);
    if (r != 0) {
        reply_set_failure(&reply, r);
        connection_refuse(connection, event, &reply);
    } else if (connection_book(connection, event, identity.pid, &reply) < 0) {
        entry_drop(entry);
    } else {
        connection->entry = entry;
        connection->has_entered = true;
        entry_attend(entry, &connection->entry);
    }
}

/* The service says how a command of its user ended. */
static void connection_note_end(const struct connection *connection,
                                const struct ledger_event *event) {
    struct entry *entry = entries_find(connection->connections->entries, event->pid);

    if (entry != NULL && entry->account == connection->account && entry->mode == LEDGER_SERVICE)
        entry_note_status(entry, event->wait_status);
}

/*
 * Handles @event, which is valid in itself. Returns true if another may follow: a failure, after an
 * enter.
 */
static bool connection_handle_event(struct connection *connection, const struct ledger_event *event,
                                    int *pidfdp) {
    static const struct ledger_reply bad = {.status = LEDGER_BAD_EVENT};
    struct ledger_reply reply = {.status = LEDGER_ENTERED};

    if (connection->has_entered != (event->kind == LEDGER_FAILURE)) {
        connection_reply(connection, &bad);
        return false;
    }
    switch ((enum ledger_kind)event->kind) {
    case LEDGER_ENTER:
        connection_enter(connection, event, pidfdp);
        return connection->has_entered;
    case LEDGER_FAILURE:
        (void)connection_book(connection, event, 0, &reply);
        if (connection->entry != NULL)
            entry_fail(connection->entry, event->may_run != 0);
        return false;
    case LEDGER_END:
        connection_note_end(connection, event);
        return false;
    case LEDGER_REFUSAL:
    case LEDGER_KIND_COUNT:
    default:
        (void)connection_book(connection, event, 0, &reply);
        return false;
    }
}

/* An enter was handled. The end of the session, or its failure, can wait for others. */
static int connection_be_heard_later(struct connection *connection) {
    if (connection->loop == &connection->connections->batch->loop)
        return 0;
    loop_remove_source(connection->loop, &connection->source);
    connection->loop = &connection->connections->batch->loop;
    return loop_add_source(connection->loop, &connection->source, EPOLLIN);
}

/* Receives a record and handles it. The connection is closed after all but an enter. */
static void connection_handle(void *argument, uint32_t events) {
    static const struct ledger_reply bad = {.status = LEDGER_BAD_EVENT};
    struct connection *connection = argument;
    struct ledger_event record, event;
    struct channel_fds fds;
    size_t size;
    bool may_follow = false;
    int r;

    (void)events;
    if (discard_is_barred(connection->account)) {
        connection_free(connection);
        return;
    }
    r = channel_receive_all(connection->source.fd, &record, sizeof(record), &size, &fds);
    if (r == -ECONNRESET) /* reported once, before what the peer had sent (unix(7)) */
        r = channel_receive_all(connection->source.fd, &record, sizeof(record), &size, &fds);
    if (r == -EAGAIN)
        return;
    if (r == 0 && size > 0) {
        if (ledger_decode_event(&record, size, fds.n_fds, &event))
            may_follow =
                connection_handle_event(connection, &event, fds.n_fds > 0 ? &fds.fds[0] : NULL);
        else
            connection_reply(connection, &bad);
    }
    if (fds.n_fds == 1 && fds.fds[0] < 0)
        fds.n_fds = 0;
    discard_descriptors(connection->account, &fds);
    if (!may_follow || connection_be_heard_later(connection) < 0)
        connection_free(connection);
}

/*
 * Serves the connection @fd, which it takes over. Who has too many is hung up on. Returns 0 or a
 * negative errno.
 */
int connection_new(struct connections *connections, int fd) {
    struct connection *connection = calloc(1, sizeof(*connection));
    struct ucred peer = {.pid = 0};
    socklen_t size = sizeof(peer);
    struct ledger_hello hello;
    int r = connection != NULL ? 0 : -ENOMEM;

    if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        r = -errno;
    if (r == 0)
        r = account_take(connections->accounts, peer.uid, &connection->account);
    if (r < 0) {
        free(connection);
        return r; /* without an account @fd is better left open than closed */
    }
    if (connection->account->n_connections >=
        account_limit(connection->account, ACCOUNT_CONNECTIONS_MAX))
        batch_take(connections->batch);
    if (discard_is_barred(connection->account) ||
        connection->account->n_connections >=
            account_limit(connection->account, ACCOUNT_CONNECTIONS_MAX)) {
        discard_connection(connection->account, fd);
        account_give_back(connection->account);
        free(connection);
        return -EUSERS;
    }
    connection->connections = connections;
    connection->loop = connections->loop;
    connection->account->n_connections++;
    list_append(&connections->all, &connection->link, connection);
    connection->source =
        (struct loop_source){.fd = fd, .function = connection_handle, .argument = connection};
    hello_fill(&hello, connections);
    /* Who has sent an event and does not read is heard all the same. */
    (void)send(fd, &hello, sizeof(hello), MSG_DONTWAIT | MSG_NOSIGNAL);
    r = loop_add_source(connections->loop, &connection->source, EPOLLIN);
    if (r < 0)
        connection_free(connection);
    else
        connection_handle(connection, EPOLLIN); /* in direct mode the event is there already */
    return r;
}

/* Tells all that have sent nothing that this ledger ends. */
void connections_announce_end(struct connections *connections) {
    static const struct ledger_reply end = {.status = LEDGER_ENDS};

    for (struct list_link *link = connections->all.first; link != NULL; link = link->next) {
        const struct connection *connection = link->owner;

        if (!connection->has_entered)
            connection_reply(connection, &end);
    }
}
