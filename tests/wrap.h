#pragma once

/*
 * Names for functions that replace the C library's in a test (ld's --wrap; add_wraps() of
 * unit/CMakeLists.txt). With 64-bit files and times (CMakeLists.txt) its headers rename functions,
 * and the program calls openat64() or, on a 32-bit machine, __clock_gettime64(). So what replaces
 * openat(2) is declared like this:
 *
 *    int __wrap_openat(int folder, const char *path, int flags, ...) WRAP_OF_FILES("openat");
 *    int __real_openat(int folder, const char *path, int flags, ...) REAL_OF_FILES("openat");
 */

#include <time.h>

#ifdef __GLIBC__
#define WRAP_OF_FILES(name) __asm__("__wrap_" name "64")
#define REAL_OF_FILES(name) __asm__("__real_" name "64")
#else
#define WRAP_OF_FILES(name)
#define REAL_OF_FILES(name)
#endif

/* @name is the library's own, where its plain name is for 32-bit times: WRAP_OF_TIMES("__time64").
 */
#if (defined(__GLIBC__) && __TIMESIZE == 32) || defined(_REDIR_TIME64)
#define WRAP_OF_TIMES(name) __asm__("__wrap_" name)
#define REAL_OF_TIMES(name) __asm__("__real_" name)
#else
#define WRAP_OF_TIMES(name)
#define REAL_OF_TIMES(name)
#endif

/* musl has its own name for one, and only one for the other. */
#ifdef __GLIBC__
#define WRAP_NANOSLEEP "__nanosleep64"
#define WRAP_OF_IOCTL WRAP_OF_TIMES("__ioctl_time64")
#define REAL_OF_IOCTL REAL_OF_TIMES("__ioctl_time64")
#else
#define WRAP_NANOSLEEP "__nanosleep_time64"
#define WRAP_OF_IOCTL
#define REAL_OF_IOCTL
#endif
