#pragma once

/* How the service sets up its process, and closes what its children do not need. */

#include <stddef.h>

int setup_descriptors(void);
int setup_close_all_but(const int *fds, size_t n_fds);
void setup_privilege(void);
