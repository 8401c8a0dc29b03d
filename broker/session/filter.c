/* Step 6. Runs in the session, without any capability. */

#include "broker/session/filter.h"

#include "broker/filter.h"
#include "utsbroker/base.h"

/* Made by broker/filter-table.c, with libseccomp, when the broker is built. */
#include "filter-table-session.inc"

_Static_assert(BASE_ARRAY_SIZE(filter_table) > 1, "the filter table is empty");

/* Puts this process under the allow-list for ever. no_new_privs must be set. Returns 0 or a
 * negative errno, after which the process must end. */
int session_filter_load(void) {
    return filter_load(filter_table, BASE_ARRAY_SIZE(filter_table));
}
