#pragma once

/* What the service itself sends to a launcher, and how it closes a connection on which a stranger
 * may have left something. */

void reply_refuse(int connection, int error);
void reply_notify(int connection, int wait_status);
void reply_close_connection(int *connectionp);
