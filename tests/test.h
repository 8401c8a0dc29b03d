#pragma once

/* What every test program shares: cmocka, and a skip with its reason where root is missing. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "utsbroker/base.h"

/* cmocka 2 deprecates assert_in_range(), and older ones have nothing else. */
#define test_assert_in_range(value, min, max)                                                      \
    do {                                                                                           \
        const uintmax_t test_value = (uintmax_t)(value);                                           \
        if (test_value - (uintmax_t)(min) > (uintmax_t)(max) - (uintmax_t)(min))                   \
            fail_msg("%s is %ju", #value, test_value);                                             \
    } while (0)

enum { TEST_SKIPPED = 77 }; /* ctest's SKIP_RETURN_CODE */

/* In CI a skip is a failure. */
static inline bool test_is_in_ci(void) {
    const char *ci = getenv("CI");

    return ci != NULL && strcmp(ci, "true") == 0;
}

/*
 * Returns true if this process is root. Otherwise prints how many tests are skipped and why, and
 * sets *@statusp to the exit status: TEST_SKIPPED, or 1 (failure) with CI=true.
 */
static inline bool test_has_root(size_t n_tests, int *statusp) {
    if (geteuid() == 0)
        return true;
    printf("skipped %zu tests: they need root, to set file capabilities and to be several users\n",
           n_tests);
    *statusp = test_is_in_ci() ? 1 : TEST_SKIPPED;
    return false;
}

#define TEST_MAIN(tests)                                                                           \
    int main(void) {                                                                               \
        return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);                           \
    }

#define TEST_MAIN_AS_ROOT(tests, setup, teardown)                                                  \
    int main(void) {                                                                               \
        int status;                                                                                \
                                                                                                   \
        if (!test_has_root(BASE_ARRAY_SIZE(tests), &status))                                       \
            return status;                                                                         \
        cmocka_set_test_filter(getenv("UTSBROKER_TEST_FILTER"));                                   \
        return cmocka_run_group_tests_name(__FILE__, tests, setup, teardown);                      \
    }
