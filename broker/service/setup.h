#pragma once

/* What the service makes of its process before it serves anybody. */

int setup_descriptors(void);
void setup_privilege(void);
