#pragma once

/* What the service makes of its process before it serves anybody. */

int begin_descriptors(void);
void begin_privilege(void);
