/*
 * Input: a policy. What utspolicy says of it, errors with advice and warnings, is one line of
 * printable ASCII each, in a message's room; and comments that silence warnings change no rule.
 */

#include "policy/lint/advice.h"
#include "policy/lint/comments.h"
#include "policy/lint/warning-names.h"
#include "policy/lint/warnings.h"
#include "policy/parser.h"
#include "tests/fuzz/fuzz.h"

static void check_message(const struct policy_error *error) {
    size_t length = strnlen(error->message, sizeof(error->message));

    MUST(length > 0 && length < sizeof(error->message));
    for (size_t i = 0; i < length; i++)
        MUST(error->message[i] >= ' ' && error->message[i] <= '~');
}

static void note_error(void *context, const struct policy_error *error) {
    struct policy_error advised = *error;

    (void)context;
    check_message(error);
    advice_add(&advised);
    check_message(&advised);
    MUST(strncmp(advised.message, error->message, 8) == 0);
}

static void note_warning(void *context, const struct policy_error *warning) {
    check_message(warning);
    MUST(warning->line > 0 && warning->column > 0);
    (void)comments_silence(context, warning);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    CLEANUP_POLICY struct policy policy = POLICY_NULL;
    CLEANUP_COMMENTS struct comments comments = {.file = "fuzz"}, others = {.file = "fuzz"};
    int r = policy_parse(&policy, "fuzz", (const char *)bytes, size, note_error, NULL);

    MUST(r == 0 || r == POLICY_E_INVALID);
    MUST(comments_read(&comments, (const char *)bytes, size, note_warning, &others) == 0);
    MUST(warnings_find(&policy, false, note_warning, &comments) == 0);
    comments_report_unused(&comments, true, note_warning, &others);
    return 0;
}
