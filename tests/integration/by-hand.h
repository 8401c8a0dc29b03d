#pragma once

/* A request to the service, record by record, as utsrun sends it. */

#include "utsbroker/protocol.h"

int hand_connect(const char *path);
void hand_send_request(int channel);
struct protocol_reply hand_receive_reply(int channel);
struct protocol_reply hand_ask(int channel);
