#include "broker/ledger/entries.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "utsbroker/base.h"

/* The entry of the process @pid; NULL: there is none. */
struct entry *entries_find(struct entries *entries, pid_t pid) {
    for (struct list_link *link = entries_bucket(entries, pid)->first; link != NULL;
         link = link->next) {
        struct entry *entry = link->owner;

        if (entry->identity.pid == pid)
            return entry;
    }
    return NULL;
}

/* An entry of this pid is of another process, which is gone: the pid was reused. */
static int pid_make_free(struct entries *entries, const struct identity *identity) {
    struct entry *other = entries_find(entries, identity->pid);

    if (other == NULL)
        return 0;
    /* One that counts no more has ended; after a restart it has no pidfd. */
    if ((other->counter != NULL && !identity_has_ended(other->pidfd.fd)) ||
        (other->identity.start_kind == identity->start_kind &&
         other->identity.start == identity->start))
        return ENTRY_E_IN_USE;
    entry_end(other);
    list_remove(&other->in_bucket);
    return 0;
}

/* Checked by ledger_decode_event(): each string fits. */
static void command_from_event(struct live_command *command, const struct ledger_event *event,
                               const struct identity *identity) {
    *command = (struct live_command){.pid = identity->pid,
                                     .start_kind = identity->start_kind,
                                     .start = identity->start,
                                     .is_service = event->mode == LEDGER_SERVICE,
                                     .since = time(NULL),
                                     .rule_key = event->rule_key,
                                     .rule_line = event->rule_line};
    memcpy(command->hostname, event->hostname, sizeof(command->hostname));
    memcpy(command->domainname, event->domainname, sizeof(command->domainname));
    memcpy(command->user, event->user, sizeof(command->user));
    memcpy(command->rule_file, event->rule_file, sizeof(command->rule_file));
    memcpy(command->command, event->command, sizeof(command->command));
}

/*
 * Makes an entry of @account for the process of @identity, which *@pidfdp means: it is the entry's
 * then, and -1. Returns 0 with *@entryp; ENTRY_E_IN_USE; a negative errno.
 */
int entries_add(struct entries *entries, struct account *account, const struct identity *identity,
                int *pidfdp, const struct ledger_event *event, struct entry **entryp) {
    struct live_command command;
    struct entry *entry;
    int r = pid_make_free(entries, identity);

    if (r != 0)
        return r;
    command_from_event(&command, event, identity);
    entry = entry_make(entries, &command);
    if (entry == NULL)
        return -ENOMEM;
    r = entry_start(entry, account, pidfdp);
    if (r < 0) {
        free(entry);
        return r;
    }
    *entryp = entry;
    return 0;
}

struct recovery {
    struct entries *entries;
    int error;
    bool is_damaged;
};

/* Goes on with @entry, if its process lives; else logs its end, now or when that is possible. */
static int entry_resume(struct entry *entry, struct account *account) {
    CLEANUP_FD int pidfd = -1;
    int r = identity_open(&entry->identity, &pidfd);

    if (r == 0)
        return entry_start(entry, account, &pidfd);
    if (r < 0)
        return r;
    entry->account = account;
    if (entry_log_end(entry) < 0)
        return entry_start_ended(entry, account);
    account_give_back(account);
    free(entry);
    return 0;
}

/* Makes an entry for a command that the ledger before had. */
static void entry_recover(void *context, const struct live_command *command) {
    struct recovery *recovery = context;
    struct entries *entries = recovery->entries;
    struct entry *entry = entry_make(entries, command);
    struct account *account;
    int r = entry != NULL ? account_take(entries->accounts, command->uid, &account) : -ENOMEM;

    if (r == 0)
        r = entry_resume(entry, account);
    if (r < 0) {
        recovery->error = r;
        free(entry);
    }
}

/*
 * Reads the file of what lives at @path, which must live as long as @entries, goes on with what
 * lives, and writes the file anew. Returns 0; ENTRY_E_DAMAGED if a line was malformed and is left
 * out; a negative errno: then the limits cannot be kept.
 */
int entries_recover(struct entries *entries, const char *path) {
    struct recovery recovery = {.entries = entries};
    int r = live_file_begin(&entries->live, path);

    if (r == 0)
        r = live_file_read(path, entry_recover, &recovery);
    if (r == -EBADMSG) {
        recovery.is_damaged = true;
        r = 0;
    }
    if (r == 0)
        r = recovery.error;
    if (r == 0)
        r = live_file_commit(&entries->live);
    return r == 0 && recovery.is_damaged ? ENTRY_E_DAMAGED : r;
}
