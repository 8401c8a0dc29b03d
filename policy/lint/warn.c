#include "policy/lint/warn.h"

#include <stdarg.h>
#include <stdio.h>

/* Reports a warning of @kind, which warning-names.c has. */
void warn(const struct warning_sink *sink, const char *kind, unsigned line, unsigned column,
          const char *format, ...) {
    struct policy_error warning = {.severity = POLICY_WARNING,
                                   .kind = kind,
                                   .file = sink->file,
                                   .line = line,
                                   .column = column};
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(warning.message, sizeof(warning.message), format, arguments);
    va_end(arguments);
    sink->report(sink->context, &warning);
}
