#pragma once

/* What the service makes of its process before it serves anybody. */

int setup_descriptors(void);
int setup_close_all_but(int fd);
void setup_privilege(void);
