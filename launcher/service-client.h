#pragma once

/* Service mode: a broker that listens for this user starts the command for utsrun. */

#include <stdint.h>

#include "launcher/options.h"
#include "launcher/refusal.h"

/* To connect: when thousands of launches are waiting, this takes long. */
enum { SERVICE_CLIENT_TIMEOUT_SECONDS = 60 };

int service_client_connect(int *channelp);
void service_client_run(const struct options *options, uint32_t closed_stdio, int channel,
                        struct refusal *refusalp);
