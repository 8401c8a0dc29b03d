#pragma once

/* What the service itself sends to a launcher. */

#include <sys/types.h>

#include "utsbroker/protocol.h"

void reply_refuse(int connection, enum protocol_status status, int error);
void reply_ask_for_proof(int connection, pid_t witness, int pidfd);
void reply_notify(int connection, int wait_status);
