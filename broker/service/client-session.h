#pragma once

/* What the session of a client says, and what happens to its command. */

#include "broker/service/client-state.h"

int client_start_session(struct client *client);
int client_watch_session(struct client *client, struct pool_session *session);
bool client_hear_session(struct client *client);
void client_handle_session_end(struct client *client);
