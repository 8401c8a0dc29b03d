#pragma once

/* What the service itself says to a launcher; and the end of a connection, on which strangers may
 * have left something. */

void connection_refuse(int connection, int error);
void connection_notify(int connection, int wait_status);
void connection_close(int *connectionp);
