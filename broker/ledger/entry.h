#pragma once

/*
 * One entry, for a command that lives. An entry is made for each grant, and stays until the end of
 * its command is in the log.
 *
 *    state    event                              next     what is done
 *    RUNS     its process ends                   ENDED    it counts no more for its rule
 *    ENDED    it is reaped, or the service has   gone     "end" is logged, with the status if it is
 *             told its status, and its session            known; not if the grant has failed
 *             says no more; or 5 s are over
 *             (before Linux 6.15 the service reaps
 *             it, and tells the status after that)
 *    ENDED    the log cannot be written          ENDED    it is tried again after 5 s
 */

#include <stdbool.h>
#include <stdint.h>

#include "broker/ledger/account.h"
#include "broker/ledger/batch.h"
#include "broker/ledger/book.h"
#include "broker/ledger/identity.h"
#include "broker/ledger/live-file.h"
#include "broker/list.h"
#include "broker/loop.h"

enum { ENTRY_BUCKETS = 4096 };

struct entries {
    struct loop *loop;
    struct batch *batch; /* watches the pidfds */
    struct accounts *accounts;
    struct book *book;
    struct live_file live;
    struct list all, ended; /* in the order in which they came */
    struct list by_pid[ENTRY_BUCKETS];
    struct loop_timer timer; /* for the first of @ended */
    bool wants_reports;      /* only the service tells how its commands end */
    int64_t rewrite_after;   /* the last try to rewrite the file of what lives has failed */
};

struct entry {
    struct list_link in_all, in_ended, in_bucket;
    struct entries *entries;
    struct account *account;
    struct counter *counter; /* NULL: it counts no more */
    struct loop_source pidfd;
    struct identity identity;
    struct live_place place;
    struct entry **ownerp; /* what points to this entry while its session may say more; or NULL */
    int64_t since, due;
    uint64_t rule_key;
    uint32_t rule_line;
    int wait_status;
    uint8_t mode; /* enum ledger_mode */
    bool has_status, has_failed, is_reaped;
    const char *hostname, *domainname, *user, *rule_file, *command; /* in @strings */
    char strings[];
};

static inline struct list *entries_bucket(struct entries *entries, pid_t pid) {
    return &entries->by_pid[(unsigned)pid % ENTRY_BUCKETS];
}

void entries_init(struct entries *entries, struct loop *loop, struct batch *batch,
                  struct accounts *accounts, struct book *book);
struct entry *entry_make(struct entries *entries, const struct live_command *command);
int entry_start(struct entry *entry, struct account *account, int *pidfdp);
int entry_start_ended(struct entry *entry, struct account *account);
void entry_attend(struct entry *entry, struct entry **ownerp);
void entry_leave(struct entry *entry);
void entry_fail(struct entry *entry, bool may_run);
void entry_drop(struct entry *entry);
void entry_end(struct entry *entry);
void entry_note_status(struct entry *entry, int wait_status);
int entry_log_end(struct entry *entry);
