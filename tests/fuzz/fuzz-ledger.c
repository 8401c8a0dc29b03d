/*
 * What a broker and the ledger say to each other, of any size and number of descriptors: what is
 * accepted is exactly an event, hello, reply; and what the log says of an event is one line.
 */

#include "broker/log-line.h"
#include "tests/fuzz/fuzz.h"

/* No byte of an event can end the line, or the value that it is in. */
static void line_check(const struct ledger_event *event) {
    char text[LOG_LINE_SIZE];
    struct log_line line;
    size_t length, n_quotes = 0;

    log_line_from_event(&line, event, 1000);
    length = log_line_format(text, sizeof(text), &line);
    MUST(length == strlen(text) && length < sizeof(text) - 1);
    for (size_t i = 0; i < length; i++) {
        MUST(text[i] >= ' ' && text[i] <= '~');
        n_quotes += text[i] == '"';
    }
    MUST(n_quotes % 2 == 0);
    MUST(strstr(text, " uid=1000 ") != NULL);
}

static void event_decode(const void *bytes, size_t size, size_t n_fds) {
    struct ledger_event event, again;

    if (!ledger_decode_event(bytes, size, n_fds, &event))
        return;
    MUST(size == sizeof(event) && memcmp(bytes, &event, size) == 0);
    MUST(n_fds == (event.kind == LEDGER_ENTER ? 1U : 0U));
    MUST(event.kind < LEDGER_KIND_COUNT && event.mode < LEDGER_MODE_COUNT);
    MUST(strlen(event.hostname) < sizeof(event.hostname));
    MUST(strlen(event.domainname) < sizeof(event.domainname));
    MUST(strlen(event.user) < sizeof(event.user));
    MUST(strlen(event.rule_file) < sizeof(event.rule_file));
    MUST(strlen(event.command) < sizeof(event.command));
    MUST(strlen(event.reason) < sizeof(event.reason));
    MUST((event.hostname[0] != '\0') == ((event.names & PROTOCOL_HOSTNAME) != 0));
    MUST((event.domainname[0] != '\0') == ((event.names & PROTOCOL_DOMAINNAME) != 0));
    /* A grant says which rule and which name. */
    if (event.kind == LEDGER_ENTER)
        MUST(event.names != 0 && event.rule_key != 0 && event.rule_line != 0 &&
             event.rule_file[0] != '\0' && event.pid == 0);
    else
        MUST(event.limit == 0);
    MUST((event.pid > 0) == (event.kind == LEDGER_FAILURE || event.kind == LEDGER_END));
    MUST(event.pid >= 0);
    MUST(ledger_decode_event(&event, sizeof(event), n_fds, &again));
    line_check(&event);
}

static void hello_decode(const void *bytes, size_t size, size_t n_fds) {
    struct ledger_hello hello;

    if (!ledger_decode_hello(bytes, size, n_fds, &hello))
        return;
    MUST(size == sizeof(hello) && n_fds == 0 && hello.wants_status <= 1);
    MUST(strlen(hello.hostname) < sizeof(hello.hostname));
    MUST(strlen(hello.domainname) < sizeof(hello.domainname));
}

static void reply_decode(const void *bytes, size_t size, size_t n_fds) {
    struct ledger_reply reply;

    if (!ledger_decode_reply(bytes, size, n_fds, &reply))
        return;
    MUST(size == sizeof(reply) && n_fds == 0 && memcmp(bytes, &reply, size) == 0);
    MUST(reply.status < LEDGER_STATUS_COUNT && reply.error >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct input input = {bytes, bytes + size};
    size_t n_fds = input_byte(&input);

    size = (size_t)(input.end - input.at);
    event_decode(input.at, size, n_fds);
    hello_decode(input.at, size, n_fds);
    reply_decode(input.at, size, n_fds);
    return 0;
}
