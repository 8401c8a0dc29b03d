#pragma once

/* The seccomp filter: the system calls that a session may make after step 6. */

int filter_load(void);
