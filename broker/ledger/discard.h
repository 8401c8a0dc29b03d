#pragma once

/*
 * How the ledger gets rid of what a session has sent that was taken over: close(2) of a descriptor
 * that it did not choose could take for ever.
 */

#include <stdbool.h>

#include "broker/ledger/account.h"
#include "utsbroker/channel.h"

bool discard_is_barred(const struct account *account);
void discard_descriptors(struct account *account, struct channel_fds *fds);
void discard_connection(struct account *account, int fd);
