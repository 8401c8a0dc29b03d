/* A line of the file of what lives: what is accepted has one meaning, and no part of it has any. */

#include <inttypes.h>

#include "tests/fuzz/fuzz.h"
#include "utsbroker/live.h"

static char *value_write(char *at, const char *value) {
    *at++ = ' ';
    *at++ = '"';
    for (; *value != '\0'; value++) {
        if (*value >= ' ' && *value <= '~' && *value != '"' && *value != '\\')
            *at++ = *value;
        else
            at += sprintf(at, "\\x%02x", (unsigned char)*value);
    }
    *at++ = '"';
    return at;
}

/* As the comment of live.h says. */
static void line_write(const struct live_command *c, char line[LIVE_LINE_SIZE]) {
    char *at = line;

    at += sprintf(at, "%c %d %c%" PRIu64 " %u %c %" PRId64 " %" PRIx64 " %u", (char)c->state,
                  (int)c->pid, c->start_kind, c->start, (unsigned)c->uid, c->is_service ? 's' : 'd',
                  c->since, c->rule_key, (unsigned)c->rule_line);
    at = value_write(at, c->rule_file);
    at = value_write(at, c->hostname);
    at = value_write(at, c->domainname);
    at = value_write(at, c->user);
    at = value_write(at, c->command);
    memcpy(at, "\n", 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct input input = {bytes, bytes + size};
    CLEANUP_FREE char *text = input_string(&input);
    size_t end = strcspn(text, "\n");
    struct live_command c, again;
    char line[LIVE_LINE_SIZE];

    memset(&c, 0, sizeof(c));
    memset(&again, 0, sizeof(again));
    if (!live_parse(text, &c))
        return 0;
    MUST(text[end] == '\n');
    MUST(c.pid > 0 && c.uid != (uid_t)-1 && c.since >= 0);
    MUST(c.state == LIVE_RUNS || c.state == LIVE_ENDED || c.state == LIVE_GONE);
    line_write(&c, line);
    MUST(strlen(line) < LIVE_LINE_SIZE && live_parse(line, &again));
    MUST(c.state == again.state && c.pid == again.pid && c.start_kind == again.start_kind &&
         c.start == again.start && c.uid == again.uid && c.is_service == again.is_service &&
         c.since == again.since && c.rule_key == again.rule_key && c.rule_line == again.rule_line);
    MUST(memcmp(c.rule_file, again.rule_file, sizeof(c.rule_file)) == 0);
    MUST(memcmp(c.hostname, again.hostname, sizeof(c.hostname)) == 0);
    MUST(memcmp(c.domainname, again.domainname, sizeof(c.domainname)) == 0);
    MUST(memcmp(c.user, again.user, sizeof(c.user)) == 0);
    MUST(memcmp(c.command, again.command, sizeof(c.command)) == 0);
    text[end] = '\0';
    MUST(!live_parse(text, &again));
    return 0;
}
