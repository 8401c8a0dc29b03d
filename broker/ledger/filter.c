#include "broker/ledger/filter.h"

#include "broker/filter.h"
#include "utsbroker/base.h"

/* Made by broker/filter-table.c, with libseccomp, when the ledger is built. */
#include "filter-table-ledger.inc"

/* Puts this process under the allow-list for ever. Returns 0 or a negative errno. */
int ledger_filter_load(void) {
    return filter_load(filter_table, BASE_ARRAY_SIZE(filter_table));
}
