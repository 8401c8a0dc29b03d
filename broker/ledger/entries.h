#pragma once

/* All entries: which command has one, a new one, and those that a ledger before had. */

#include "broker/ledger/entry.h"

enum {
    ENTRY_E_IN_USE = 1, /* the process has an entry */
    ENTRY_E_DAMAGED,    /* lines of the file of what lives were malformed */
};

int entries_recover(struct entries *entries, const char *path);
int entries_add(struct entries *entries, struct account *account, const struct identity *identity,
                int *pidfdp, const struct ledger_event *event, struct entry **entryp);
struct entry *entries_find(struct entries *entries, pid_t pid);
