#pragma once

/*
 * A connection of a session, or of a service, to the ledger (utsbroker/ledger.h). Only a process
 * that had CAP_SYS_ADMIN can have made it; but a session may be taken over afterwards, so nothing
 * that comes here is trusted: not its bytes, not its descriptors, not its number.
 */

#include "broker/ledger/account.h"
#include "broker/ledger/batch.h"
#include "broker/ledger/entries.h"
#include "broker/loop.h"

/* What all connections share. */
struct connections {
    struct loop *loop;
    struct batch *batch; /* of those that have entered: their sessions will hardly say more */
    struct accounts *accounts;
    struct entries *entries;
    struct book *book;
    struct list all;
    bool wants_status;              /* the kernel does not tell how a command ended */
    uint64_t uts_device, uts_inode; /* of the ledger's UTS namespace; 0: not known */
};

struct connection {
    struct connections *connections;
    struct list_link link;
    struct loop *loop; /* of @source */
    struct loop_source source;
    struct account *account;
    struct entry *entry; /* NULL: none, or it is gone */
    bool has_entered;
};

int connection_new(struct connections *connections, int fd);
void connections_announce_end(struct connections *connections);
