#pragma once

/* Where the warnings about one file go. */

#include "policy/rules.h"

struct warning_sink {
    policy_report report;
    void *context;
    const char *file;
};

__attribute__((format(printf, 5, 6))) void warn(const struct warning_sink *sink, const char *kind,
                                                unsigned line, unsigned column, const char *format,
                                                ...);
