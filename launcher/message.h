#pragma once

/* How utsrun speaks to people: one line that says what was asked, why not, and what to do now. */

enum {
    EXIT_UTSRUN_FAILED = 125, /* as env(1), timeout(1) and docker have it */
    EXIT_CANNOT_EXECUTE = 126,
    EXIT_NOT_FOUND = 127,
};

__attribute__((format(printf, 1, 2))) void message(const char *format, ...);
void message_failure(const char *what, int error, const char *otherwise);
const char *message_find_shortage_hint(int error);
const char *message_error_text(int error);
