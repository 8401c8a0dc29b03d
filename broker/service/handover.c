#include "broker/service/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/parser.h"
#include "utsbroker/base.h"

static const int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
enum { TEXT_MAX = 64 << 20 };

/* Frees what @handover holds. Its descriptors stay open. */
void handover_deinit(struct handover *handover) {
    free(handover->clients);
    free(handover->text);
    *handover = (struct handover)HANDOVER_NULL;
}

/* Returns 0 or -ENOMEM. */
int handover_add_client(struct handover *handover, const struct handover_client *client) {
    if (handover->n_clients == handover->clients_room) {
        size_t room = handover->clients_room == 0 ? 64 : handover->clients_room * 2;
        struct handover_client *clients =
            reallocarray(handover->clients, room, sizeof(*handover->clients));

        if (clients == NULL)
            return -ENOMEM;
        handover->clients = clients;
        handover->clients_room = room;
    }
    handover->clients[handover->n_clients++] = *client;
    return 0;
}

/* How the members of a section are written; each is optional, and 0 if it is not there. */
enum field_kind { FIELD_NUMBER, FIELD_DESCRIPTOR, FIELD_FLAG };

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset;
};

static const struct field client_fields[] = {
    {"state", FIELD_NUMBER, offsetof(struct handover_client, state)},
    {"version", FIELD_NUMBER, offsetof(struct handover_client, version)},
    {"connection", FIELD_DESCRIPTOR, offsetof(struct handover_client, connection)},
    {"control", FIELD_DESCRIPTOR, offsetof(struct handover_client, control)},
    {"session", FIELD_NUMBER, offsetof(struct handover_client, session)},
    {"gate", FIELD_NUMBER, offsetof(struct handover_client, gate)},
    {"has-hung-up", FIELD_FLAG, offsetof(struct handover_client, has_hung_up)},
    {"signal-at-hangup", FIELD_NUMBER, offsetof(struct handover_client, signal_at_hangup)},
    {"wants-status", FIELD_FLAG, offsetof(struct handover_client, wants_status)},
    {"has-ended", FIELD_FLAG, offsetof(struct handover_client, has_ended)},
    {"wait-status", FIELD_NUMBER, offsetof(struct handover_client, wait_status)},
    {"stop-signal", FIELD_NUMBER, offsetof(struct handover_client, stop_signal)},
};

static const struct field service_fields[] = {
    {"idle-exit", FIELD_NUMBER, offsetof(struct handover, idle_exit_seconds)},
    {"listener", FIELD_DESCRIPTOR, offsetof(struct handover, listener)},
    {"is-managed", FIELD_FLAG, offsetof(struct handover, is_managed)},
};

static void fields_print(FILE *out, const struct field *fields, size_t n, const void *section) {
    for (size_t i = 0; i < n; i++) {
        const char *at = (const char *)section + fields[i].offset;
        uint32_t number = 0;
        bool is_set = false;

        if (fields[i].kind == FIELD_FLAG)
            memcpy(&is_set, at, sizeof(is_set));
        else
            memcpy(&number, at, sizeof(number));
        number = is_set ? 1 : number;
        if (fields[i].kind == FIELD_DESCRIPTOR ? (int32_t)number >= 0 : number != 0)
            (void)fprintf(out, "%s=%u\n", fields[i].key, (unsigned)number);
    }
}

static void handover_print(FILE *out, const struct handover *handover) {
    (void)fprintf(out, "utsbroker=%d\nclients=%zu\n", HANDOVER_VERSION, handover->n_clients);
    fields_print(out, service_fields, BASE_ARRAY_SIZE(service_fields), handover);
    if (handover->path != NULL)
        (void)fprintf(out, "path=%s\ninode=%llu\n", handover->path,
                      (unsigned long long)handover->inode);
    for (size_t i = 0; i < handover->n_folders; i++)
        (void)fprintf(out, "policy-dir=%s\n", handover->folders[i]);
    for (size_t i = 0; i < handover->n_links; i++)
        (void)fprintf(out, "link=%d\n", (int)handover->links[i]);
    (void)fputc('\n', out);
    for (size_t i = 0; i < handover->n_clients; i++) {
        fields_print(out, client_fields, BASE_ARRAY_SIZE(client_fields), &handover->clients[i]);
        (void)fputc('\n', out);
    }
}

/* True if a line can hold @path. */
static bool is_line(const char *path) {
    return path == NULL || strchr(path, '\n') == NULL;
}

/* Writes @handover into a sealed memfd, close-on-exec, which the caller owns. Returns 0 or a
 * negative errno. */
int handover_write(const struct handover *handover, int *memfdp) {
    CLEANUP_FD int memfd = memfd_create("utsbroker-handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int copy = memfd >= 0 ? fcntl(memfd, F_DUPFD_CLOEXEC, 3) : -1;
    FILE *out = copy >= 0 ? fdopen(copy, "w") : NULL;
    bool can_write = is_line(handover->path);

    for (size_t i = 0; i < handover->n_folders; i++)
        can_write = can_write && is_line(handover->folders[i]);
    if (out == NULL) {
        int error = errno;

        base_close_fd(&copy);
        return -error;
    }
    if (can_write)
        handover_print(out, handover);
    if (fclose(out) != 0)
        return -errno;
    if (!can_write)
        return -EINVAL;
    if (fcntl(memfd, F_ADD_SEALS, all_seals) < 0)
        return -errno;
    *memfdp = base_steal_fd(&memfd);
    return 0;
}

/* Reads the value of one of @fields. Unknown keys are skipped. */
static int field_take(const struct field *fields, size_t n, void *section, const char *key,
                      const char *value) {
    for (size_t i = 0; i < n; i++) {
        char *at = (char *)section + fields[i].offset;
        uint32_t number;
        bool is_set = true;

        if (strcmp(fields[i].key, key) != 0)
            continue;
        if (!parser_read_number(value, fields[i].kind == FIELD_FLAG ? 1 : INT32_MAX, &number))
            return -EBADMSG;
        is_set = number == 1;
        if (fields[i].kind == FIELD_FLAG)
            memcpy(at, &is_set, sizeof(is_set));
        else
            memcpy(at, &number, sizeof(number));
        return 0;
    }
    return 0;
}

static int service_take(struct handover *handover, const char *key, const char *value) {
    char *end = NULL;
    uint32_t number;

    if (strcmp(key, "path") == 0) {
        handover->path = value;
    } else if (strcmp(key, "inode") == 0) {
        errno = 0;
        handover->inode = strtoull(value, &end, 10);
        return value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 ? -EBADMSG : 0;
    } else if (strcmp(key, "policy-dir") == 0) {
        if (handover->n_folders == HANDOVER_FOLDERS_MAX)
            return -EBADMSG;
        handover->folders[handover->n_folders++] = value;
    } else if (strcmp(key, "link") == 0) {
        if (handover->n_links == HANDOVER_LINKS_MAX ||
            !parser_read_number(value, INT32_MAX, &number))
            return -EBADMSG;
        handover->links[handover->n_links++] = (int32_t)number;
    } else {
        return field_take(service_fields, BASE_ARRAY_SIZE(service_fields), handover, key, value);
    }
    return 0;
}

/* Splits the first line off *@textp. NULL: it has no newline. */
static char *line_take(char **textp) {
    char *line = *textp, *end = strchr(line, '\n');

    if (end == NULL)
        return NULL;
    *end = '\0';
    *textp = end + 1;
    return line;
}

/*
 * Parses one section; the first one, if @client is NULL. Returns 0, -EBADMSG, or -ENOENT if the
 * text is at its end.
 */
static int section_parse(struct handover *handover, struct handover_client *client, char **textp) {
    if (**textp == '\0')
        return -ENOENT;
    for (;;) {
        char *key = line_take(textp), *value;
        int r;

        if (key == NULL)
            return -EBADMSG;
        if (key[0] == '\0')
            return 0;
        value = strchr(key, '=');
        if (value == NULL)
            return -EBADMSG;
        *value++ = '\0';
        r = client != NULL
                ? field_take(client_fields, BASE_ARRAY_SIZE(client_fields), client, key, value)
                : service_take(handover, key, value);
        if (r < 0)
            return r;
    }
}

/* Parses the first two lines: the version, and the number of clients. */
static int head_parse(char **textp, uint32_t *n_clientsp) {
    static const char *const keys[] = {"utsbroker=", "clients="};
    uint32_t numbers[2];

    for (size_t i = 0; i < BASE_ARRAY_SIZE(keys); i++) {
        char *line = line_take(textp);
        size_t length = strlen(keys[i]);

        if (line == NULL || strncmp(line, keys[i], length) != 0 ||
            !parser_read_number(line + length, INT32_MAX, &numbers[i]))
            return -EBADMSG;
    }
    *n_clientsp = numbers[1];
    return numbers[0] == HANDOVER_VERSION ? 0 : -EBADMSG;
}

/*
 * Parses @text, which @handover takes over. Returns 0; -EBADMSG if it is not a whole text of this
 * version; -ENOMEM.
 */
int handover_parse(struct handover *handover, char *text) {
    CLEANUP_HANDOVER struct handover read = HANDOVER_NULL;
    uint32_t n_clients;
    int r;

    read.text = text;
    r = head_parse(&text, &n_clients);
    if (r == 0)
        r = section_parse(&read, NULL, &text);
    while (r == 0) {
        struct handover_client client = {.connection = -1, .control = -1};

        r = section_parse(&read, &client, &text);
        if (r == 0)
            r = handover_add_client(&read, &client);
    }
    if (r != -ENOENT)
        return r;
    if (read.n_clients != n_clients || read.listener < 0)
        return -EBADMSG;
    *handover = read;
    read = (struct handover)HANDOVER_NULL;
    return 0;
}

/*
 * Reads what handover_write() has written to @memfd, which stays the caller's. Nobody can change
 * it: a memfd that is not sealed is refused (-EPERM). Returns 0 or a negative errno.
 */
int handover_read(struct handover *handover, int memfd) {
    int seals = fcntl(memfd, F_GET_SEALS);
    struct stat status;
    size_t size = 0;
    char *text;

    if (seals < 0 || (seals & all_seals) != all_seals)
        return -EPERM;
    if (fstat(memfd, &status) < 0)
        return -errno;
    if (status.st_size <= 0 || status.st_size > TEXT_MAX)
        return -EBADMSG;
    text = malloc((size_t)status.st_size + 1);
    if (text == NULL)
        return -ENOMEM;
    while (size < (size_t)status.st_size) {
        ssize_t n = pread(memfd, text + size, (size_t)status.st_size - size, (off_t)size);

        if (n <= 0) {
            free(text);
            return n < 0 ? -errno : -EBADMSG;
        }
        size += (size_t)n;
    }
    text[size] = '\0';
    if (strlen(text) != size) {
        free(text);
        return -EBADMSG;
    }
    return handover_parse(handover, text);
}
