#pragma once

/*
 * The installed ledger, for tests: started as systemd starts it, with a socket that the test holds
 * as the service manager does, in a network namespace pinned in the run folder. It has a run folder
 * of its own, on a tmpfs in a mount namespace of the test's.
 */

#include "tests/integration/harness.h"
#include "utsbroker/live.h"

enum { LEDGER_UID = 54330 };

#define LEDGER_TEST_LOG RUN_FOLDER "/log/log"

struct test_ledger {
    pid_t pid; /* 0: it does not run */
    int listen_fd;
    bool stops_first; /* it stops before it executes the program, until a tracer continues it */
};

int ledger_begin(struct test_ledger *ledger, void **state);
int ledger_end(struct test_ledger *ledger, void **state);
int ledger_set_up(void);
void ledger_enter_namespace(void);
int ledger_connect(void);
int ledger_listen(void);
void ledger_start(struct test_ledger *ledger);
void ledger_kill(struct test_ledger *ledger, int signal_number);
char *ledger_read_log(void);
void ledger_clear_log(void);
size_t ledger_count_lines(const char *word);
bool ledger_wait_for_line(const char *a, const char *b);
size_t ledger_read_live(struct live_command *commands, size_t max);
int ledger_enter(const struct user *user);
