#include "launcher/live-format.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "launcher/json.h"

enum column { PID, USER, NAME, DOMAIN, MODE, RULE, SINCE, COMMAND, COLUMN_COUNT };

static const char *const titles[COLUMN_COUNT] = {"PID",  "USER", "NAME",  "NIS DOMAIN",
                                                 "MODE", "RULE", "SINCE", "COMMAND"};

/* A cell is at most a value of 256 bytes, each as \xHH, and a number. */
enum { CELL_SIZE = 4 * 256 + 16 };

/*
 * A name must not control the terminal: what is not printable ASCII is \xHH, as in the log. Returns
 * the length.
 */
static size_t value_format(const char *value, char cell[CELL_SIZE]) {
    size_t n = 0;

    if (*value == '\0')
        value = "-";
    for (; *value != '\0' && n + 4 < CELL_SIZE; value++) {
        if (*value >= ' ' && *value <= '~' && *value != '\\')
            cell[n++] = *value;
        else
            n += (size_t)snprintf(cell + n, CELL_SIZE - n, "\\x%02x", (unsigned char)*value);
    }
    cell[n] = '\0';
    return n;
}

/* Splits @since, in local time or UTC. False: no calendar has it. */
static bool time_split(int64_t since, bool is_local, struct tm *partsp) {
    time_t seconds = (time_t)since;

    return (int64_t)seconds == since &&
           (is_local ? localtime_r(&seconds, partsp) : gmtime_r(&seconds, partsp)) != NULL;
}

static void cell_format(const struct live_command *command, enum column column,
                        char cell[CELL_SIZE]) {
    struct tm parts;
    size_t n;

    switch (column) {
    case PID:
        (void)snprintf(cell, CELL_SIZE, "%d", (int)command->pid);
        break;
    case USER: /* as ps(1) shows one who has no name */
        (void)snprintf(cell, CELL_SIZE, "%u", (unsigned)command->uid);
        if (command->user[0] != '\0')
            (void)value_format(command->user, cell);
        break;
    case NAME:
        (void)value_format(command->hostname, cell);
        break;
    case DOMAIN:
        (void)value_format(command->domainname, cell);
        break;
    case MODE:
        (void)value_format(command->is_service ? "service" : "direct", cell);
        break;
    case RULE:
        n = value_format(command->rule_file, cell);
        if (command->rule_file[0] != '\0')
            (void)snprintf(cell + n, CELL_SIZE - n, ":%" PRIu32, command->rule_line);
        break;
    case SINCE:
        if (!time_split(command->since, true, &parts) ||
            strftime(cell, CELL_SIZE, "%Y-%m-%d %H:%M:%S", &parts) == 0)
            (void)value_format("", cell);
        break;
    case COMMAND:
    case COLUMN_COUNT:
    default:
        (void)value_format(command->command, cell);
    }
}

/* Columns are as wide as needed, with two blanks between them: a name may have one. */
static void cell_print(const char *cell, enum column column, int width, FILE *out) {
    if (column == COMMAND)
        (void)fprintf(out, "%s\n", cell);
    else
        (void)fprintf(out, column == PID ? "%*s  " : "%-*s  ", width, cell);
}

/* Prints a line for each command below a line of titles; with @has_users, whose it is. */
void live_format_table(const struct live_command *commands, size_t n, bool has_users, FILE *out) {
    char cell[CELL_SIZE];
    int widths[COLUMN_COUNT];

    for (enum column column = PID; column < COLUMN_COUNT; column++) {
        size_t width = strlen(titles[column]);

        for (size_t i = 0; i < n; i++) {
            cell_format(&commands[i], column, cell);
            width = strlen(cell) > width ? strlen(cell) : width;
        }
        widths[column] = (int)width;
    }
    for (size_t i = 0; i <= n; i++) {
        for (enum column column = PID; column < COLUMN_COUNT; column++) {
            if (column == USER && !has_users)
                continue;
            if (i > 0)
                cell_format(&commands[i - 1], column, cell);
            cell_print(i > 0 ? cell : titles[column], column, widths[column], out);
        }
    }
}

static void object_print(const struct live_command *command, FILE *out) {
    char text[JSON_QUOTED_SIZE(256)], since[64];
    struct tm parts;

    (void)fprintf(out, "  {\"pid\":%d,\"uid\":%u", (int)command->pid, (unsigned)command->uid);
    (void)fprintf(out, ",\"user\":%s", json_quote(command->user, text, sizeof(text)));
    (void)fprintf(out, ",\"hostname\":%s", json_quote(command->hostname, text, sizeof(text)));
    (void)fprintf(out, ",\"nis_domain\":%s", json_quote(command->domainname, text, sizeof(text)));
    (void)fprintf(out, ",\"mode\":\"%s\"", command->is_service ? "service" : "direct");
    if (command->rule_file[0] != '\0')
        (void)fprintf(out, ",\"rule\":{\"file\":%s,\"line\":%" PRIu32 "}",
                      json_quote(command->rule_file, text, sizeof(text)), command->rule_line);
    else
        (void)fprintf(out, ",\"rule\":null");
    if (!time_split(command->since, false, &parts) ||
        strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        since[0] = '\0';
    (void)fprintf(out, ",\"since\":%s", json_quote(since, text, sizeof(text)));
    (void)fprintf(out, ",\"command\":%s}", json_quote(command->command, text, sizeof(text)));
}

/* Prints an array with an object for each command. */
void live_format_json(const struct live_command *commands, size_t n, FILE *out) {
    (void)fputs("[", out);
    for (size_t i = 0; i < n; i++) {
        (void)fputs(i == 0 ? "\n" : ",\n", out);
        object_print(&commands[i], out);
    }
    (void)fputs(n > 0 ? "\n]\n" : "]\n", out);
}
