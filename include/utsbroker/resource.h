#pragma once

/* setrlimit(2), whatever the C library. */

#include <sys/resource.h>

/* Without -D_FILE_OFFSET_BITS=64 a 32-bit machine loses limits of 4 GiB and more. */
_Static_assert(sizeof(rlim_t) == 8, "limits are not 64-bit");

/* Which limit, RLIMIT_*: glibc has a type of its own for it. */
#ifdef __GLIBC__
typedef __rlimit_resource_t resource_limit;
#else
typedef int resource_limit;
#endif
