#pragma once

/* What the service itself sends to a launcher, in the @version of the launcher's request. */

#include <sys/types.h>

#include "utsbroker/protocol.h"

uint32_t reply_peek_version(int connection);
void reply_refuse(int connection, uint32_t version, enum protocol_status status, int error);
void reply_ask_for_proof(int connection, pid_t witness, int pidfd);
void reply_notify(int connection, uint32_t version, int wait_status);
