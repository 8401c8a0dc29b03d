#pragma once

/* What happens to a client of the service: the events of the table in client-state.c. */

#include "broker/service/client-state.h"

int client_new(struct clients *clients, int connection, struct client **clientp);
void client_dispatch(struct client *client);
int64_t client_silence(const struct client *client);
void client_refuse_late(struct client *client);
int client_restore(struct clients *clients, const struct handover_client *record);
int clients_hand_over(struct clients *clients, struct handover *handover);
void clients_end(struct clients *clients, int signal_number);
