#pragma once

/* Closes a connection on which strangers may have left something. */

void connection_close(int *connectionp);
