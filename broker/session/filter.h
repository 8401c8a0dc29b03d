#pragma once

/* The seccomp filter: the system calls that a session may make after step 6. */

int session_filter_load(void);
