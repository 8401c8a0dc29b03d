#pragma once

/* Proves to the service that nothing but no_new_privs confines this process (PROTOCOL_PROVE). */

#include <sys/types.h>

void proof_give(pid_t witness, int pidfd);
void proof_end(pid_t witness);
