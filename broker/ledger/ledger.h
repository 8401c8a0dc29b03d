#pragma once

/* The ledger: keeps the log, counts live commands, and knows what lives (utsbroker/ledger.h). */

#include <stdbool.h>

struct ledger_setup {
    int listener; /* a listening SOCK_SEQPACKET socket that no stranger can reach */
    bool is_kept; /* the service manager keeps it for the next ledger */
    const char *log_path;
    const char *live_path;
    const char *notify_socket; /* where the service manager wants READY=1; NULL: nowhere */
};

int ledger_run(const struct ledger_setup *setup);
