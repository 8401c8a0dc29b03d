#pragma once

/* How the service sets up its process, and closes what its children do not need. */

int setup_descriptors(void);
int setup_close_all_but(int fd);
void setup_privilege(void);
