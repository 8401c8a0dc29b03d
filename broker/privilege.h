#pragma once

/* What this process may do. Only privilege.c and gate.c make privileged calls. */

#include <stdbool.h>

enum {
    PRIVILEGE_E_MISSING = 1, /* CAP_SYS_ADMIN is not in the permitted set */
};

bool privilege_is_secure_execution(void);
int privilege_keep_sys_admin(void);
int privilege_raise_sys_admin(void);
int privilege_pass_on(void);
int privilege_drop_all(void);
int privilege_forbid_attach(void);
int privilege_forbid_new(void);
int privilege_make_socket_in(int space, int flags, bool comes_back, int *socketp);
