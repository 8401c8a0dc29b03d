#pragma once

/* The seccomp filter of the ledger: the system calls that it makes when it serves. */

int ledger_filter_load(void);
