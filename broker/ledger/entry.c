#include "broker/ledger/entry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "utsbroker/base.h"

enum {
    END_MS = 5000,           /* how long the end of a command waits for its status */
    REWRITE_PAUSE_MS = 5000, /* after a failure, such as a full file system */
};

static char *string_copy(char *to, const char *from, const char **stringp) {
    size_t size = strlen(from) + 1;

    memcpy(to, from, size);
    *stringp = to;
    return to + size;
}

/* Makes an entry in no list, with what @command says. free(3) frees it until entry_start(). NULL:
 * no memory. */
struct entry *entry_make(struct entries *entries, const struct live_command *command) {
    size_t size = strlen(command->hostname) + strlen(command->domainname) + strlen(command->user) +
                  strlen(command->rule_file) + strlen(command->command) + 5;
    struct entry *entry = calloc(1, sizeof(*entry) + size);
    char *at;

    if (entry == NULL)
        return NULL;
    entry->entries = entries;
    entry->pidfd.fd = -1;
    entry->identity = (struct identity){
        .pid = command->pid, .start_kind = command->start_kind, .start = command->start};
    entry->since = command->since;
    entry->rule_key = command->rule_key;
    entry->rule_line = command->rule_line;
    entry->mode = command->is_service ? LEDGER_SERVICE : LEDGER_DIRECT;
    at = string_copy(entry->strings, command->hostname, &entry->hostname);
    at = string_copy(at, command->domainname, &entry->domainname);
    at = string_copy(at, command->user, &entry->user);
    at = string_copy(at, command->rule_file, &entry->rule_file);
    (void)string_copy(at, command->command, &entry->command);
    return entry;
}

/* Describes @entry as the file of what lives has it. */
static void entry_describe(const struct entry *entry, struct live_command *command) {
    *command = (struct live_command){.state = entry->counter != NULL ? LIVE_RUNS : LIVE_ENDED,
                                     .pid = entry->identity.pid,
                                     .start_kind = entry->identity.start_kind,
                                     .start = entry->identity.start,
                                     .uid = entry->account->uid,
                                     .is_service = entry->mode == LEDGER_SERVICE,
                                     .since = entry->since,
                                     .rule_key = entry->rule_key,
                                     .rule_line = entry->rule_line};
    (void)snprintf(command->hostname, sizeof(command->hostname), "%s", entry->hostname);
    (void)snprintf(command->domainname, sizeof(command->domainname), "%s", entry->domainname);
    (void)snprintf(command->user, sizeof(command->user), "%s", entry->user);
    (void)snprintf(command->rule_file, sizeof(command->rule_file), "%s", entry->rule_file);
    (void)snprintf(command->command, sizeof(command->command), "%s", entry->command);
}

/* Writes the file anew, without what is gone. If that fails, the old one stays in use. */
static void live_rewrite(struct entries *entries) {
    struct live_file fresh = LIVE_FILE_NULL;
    size_t n = entries->all.n, i = 0;
    struct live_place *places = calloc(n + 1, sizeof(*places));
    int r = places != NULL ? live_file_begin(&fresh, entries->live.path) : -ENOMEM;

    for (struct list_link *link = entries->all.first; link != NULL && r == 0; link = link->next) {
        struct live_command command;

        entry_describe(link->owner, &command);
        r = live_file_add(&fresh, &command, &places[i++]);
    }
    if (r == 0)
        r = live_file_commit(&fresh);
    if (r < 0) {
        entries->rewrite_after = loop_now() + REWRITE_PAUSE_MS;
        live_file_deinit(&fresh);
        free(places);
        return;
    }
    i = 0;
    for (struct list_link *link = entries->all.first; link != NULL; link = link->next)
        ((struct entry *)link->owner)->place = places[i++];
    free(places);
    live_file_deinit(&entries->live);
    entries->live = fresh;
}

static void entry_count_no_more(struct entry *entry) {
    if (entry->counter != NULL)
        counter_give_back(entry->counter);
    entry->counter = NULL;
}

/* Frees @entry; it is gone from the file of what lives. */
static void entry_free(struct entry *entry) {
    struct entries *entries = entry->entries;

    live_file_mark(&entries->live, &entry->place, LIVE_GONE);
    if (entry->ownerp != NULL)
        *entry->ownerp = NULL;
    entry_count_no_more(entry);
    entry->account->n_entries--;
    account_give_back(entry->account);
    loop_remove_source(&entries->batch->loop, &entry->pidfd);
    base_close_fd(&entry->pidfd.fd);
    list_remove(&entry->in_all);
    list_remove(&entry->in_ended);
    list_remove(&entry->in_bucket);
    free(entry);
    if (live_file_wants_rewrite(&entries->live) && loop_now() >= entries->rewrite_after)
        live_rewrite(entries);
}

/* Logs the end of @entry, which may be in no list yet. Returns 0 or a negative errno. */
int entry_log_end(struct entry *entry) {
    struct log_line line = {.kind = LEDGER_END,
                            .user = log_line_value(entry->user),
                            .uid = entry->account->uid,
                            .hostname = log_line_value(entry->hostname),
                            .domainname = log_line_value(entry->domainname),
                            .rule_file = entry->rule_file,
                            .rule_line = entry->rule_line,
                            .pid = entry->identity.pid,
                            .mode = (enum ledger_mode)entry->mode,
                            .command = entry->command,
                            .has_status = entry->has_status,
                            .wait_status = entry->wait_status};
    int r;

    if (!line.has_status && entry->pidfd.fd >= 0)
        line.has_status = identity_read_status(entry->pidfd.fd, &line.wait_status);
    r = book_write(entry->entries->book, &line);
    if (r == 0)
        book_copy(entry->entries->book, &line);
    return r;
}

static void entries_set_timer(struct entries *entries) {
    const struct entry *first = entries->ended.first != NULL ? entries->ended.first->owner : NULL;

    if (first != NULL)
        loop_set_timer(entries->loop, &entries->timer, first->due);
    else
        loop_cancel_timer(&entries->timer);
}

/* Puts @entry at the end of those that wait. All wait equally long, so the first is the next due.
 */
static void entry_wait(struct entry *entry) {
    list_remove(&entry->in_ended);
    entry->due = loop_now() + END_MS;
    list_append(&entry->entries->ended, &entry->in_ended, entry);
    entries_set_timer(entry->entries);
}

/* Logs the end of @entry, whose process has ended, and frees it. */
static void entry_finish(struct entry *entry) {
    struct entries *entries = entry->entries;

    if (!entry->has_failed && entry_log_end(entry) < 0) {
        live_file_mark(&entries->live, &entry->place, LIVE_ENDED);
        entry_wait(entry);
        return;
    }
    entry_free(entry);
    entries_set_timer(entries);
}

/* True if nothing more is to be heard of the process of @entry. */
static bool entry_is_complete(const struct entry *entry) {
    bool awaits_report = entry->entries->wants_reports && entry->mode == LEDGER_SERVICE;

    return entry->has_status || entry->has_failed || (entry->is_reaped && !awaits_report);
}

/* Finishes @entry if nothing more is to be heard of it. */
static void entry_settle(struct entry *entry) {
    if (entry->counter == NULL && entry->ownerp == NULL && entry_is_complete(entry))
        entry_finish(entry);
}

static void entries_handle_timer(void *argument) {
    struct entries *entries = argument;
    int64_t now = loop_now();
    struct entry *entry;

    while (entries->ended.first != NULL) {
        entry = entries->ended.first->owner;
        if (entry->due > now)
            break;
        entry_finish(entry);
    }
    entries_set_timer(entries);
}

/* The process of @entry has ended; more is to be heard of it. */
void entry_end(struct entry *entry) {
    if (entry->counter == NULL)
        return;
    entry_count_no_more(entry);
    live_file_mark(&entry->entries->live, &entry->place, LIVE_ENDED);
    entry_wait(entry);
}

/* Waits until the process of @entry, which has ended, is reaped (POLLHUP, Linux 6.9), or for 5 s.
 */
static void entry_watch_for_reaper(struct entry *entry) {
    if (loop_change_source(&entry->entries->batch->loop, &entry->pidfd, 0) < 0)
        loop_remove_source(&entry->entries->batch->loop, &entry->pidfd);
}

/* POLLIN: the process has ended. Mostly it has been reaped by now, and its status is there. */
static void entry_handle_pidfd(void *argument, uint32_t events) {
    struct entry *entry = argument;

    if (!entry->has_status)
        entry->has_status = identity_read_status(entry->pidfd.fd, &entry->wait_status);
    entry->is_reaped = entry->has_status || (events & EPOLLHUP) != 0;
    if (entry->is_reaped)
        loop_remove_source(&entry->entries->batch->loop, &entry->pidfd);
    else
        entry_watch_for_reaper(entry);
    if (entry->is_reaped && entry->ownerp == NULL && entry_is_complete(entry)) {
        entry_count_no_more(entry);
        entry_finish(entry);
        return;
    }
    entry_end(entry);
    entry_settle(entry);
}

/*
 * The same for an entry whose process has ended before it could be watched: its end is logged as
 * soon as that is possible.
 */
int entry_start_ended(struct entry *entry, struct account *account) {
    struct entries *entries = entry->entries;
    struct live_command command;
    int r;

    entry->account = account;
    entry->is_reaped = true;
    entry_describe(entry, &command);
    r = live_file_add(&entries->live, &command, &entry->place);
    if (r < 0)
        return r;
    account->n_entries++;
    list_append(&entries->all, &entry->in_all, entry);
    list_append(entries_bucket(entries, entry->identity.pid), &entry->in_bucket, entry);
    entry_wait(entry);
    return 0;
}

/* Forgets @entry, whose grant could not be logged. */
void entry_drop(struct entry *entry) {
    entry->has_failed = true;
    entry_free(entry);
}

/* @ownerp points to @entry: a session may say more of it. It is NULL when the entry is gone. */
void entry_attend(struct entry *entry, struct entry **ownerp) {
    entry->ownerp = ownerp;
}

/* The session says no more of @entry, which may be freed. */
void entry_leave(struct entry *entry) {
    *entry->ownerp = NULL;
    entry->ownerp = NULL;
    entry_settle(entry);
}

/* The grant has failed, and that is logged: unless the command may run, no end is logged. */
void entry_fail(struct entry *entry, bool may_run) {
    entry->has_failed = !may_run;
}

/* The service has reaped the process of @entry, if it has ended; @entry may be freed. */
void entry_note_status(struct entry *entry, int wait_status) {
    if (!identity_has_ended(entry->pidfd.fd))
        return;
    entry->wait_status = wait_status;
    entry->has_status = true;
    entry_end(entry);
    entry_settle(entry);
}

/*
 * Puts @entry, which is new, where it belongs in @account, and watches its process, which *@pidfdp
 * means: it is the entry's then, and -1. Returns 0 or a negative errno; @entry stays the caller's
 * then.
 */
int entry_start(struct entry *entry, struct account *account, int *pidfdp) {
    struct entries *entries = entry->entries;
    struct live_command command;
    int r = counter_take(account, entry->rule_key, &entry->counter);

    entry->account = account;
    entry->pidfd =
        (struct loop_source){.fd = *pidfdp, .function = entry_handle_pidfd, .argument = entry};
    if (r < 0)
        return r;
    entry_describe(entry, &command);
    r = loop_add_source(&entries->batch->loop, &entry->pidfd, EPOLLIN);
    if (r == 0)
        r = live_file_add(&entries->live, &command, &entry->place);
    if (r < 0) {
        loop_remove_source(&entries->batch->loop, &entry->pidfd);
        entry_count_no_more(entry);
        return r;
    }
    *pidfdp = -1;
    account->n_entries++;
    list_append(&entries->all, &entry->in_all, entry);
    list_append(entries_bucket(entries, entry->identity.pid), &entry->in_bucket, entry);
    return 0;
}

void entries_init(struct entries *entries, struct loop *loop, struct batch *batch,
                  struct accounts *accounts, struct book *book) {
    *entries = (struct entries){.loop = loop,
                                .batch = batch,
                                .accounts = accounts,
                                .book = book,
                                .live = LIVE_FILE_NULL,
                                .timer = {.function = entries_handle_timer, .argument = entries}};
}
