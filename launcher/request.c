#include "launcher/request.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <unistd.h>

#include "utsbroker/base.h"
#include "utsbroker/launch.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif

/* personality(2): this value only reads the personality. */
static const unsigned long personality_query = 0xffffffff;

/* Copies argv[0] for the log; of a long one the end, which says more than the first folders. */
static void request_copy_command(struct protocol_request *request, const char *command) {
    size_t length = strlen(command);

    if (length >= sizeof(request->command))
        command += length - (sizeof(request->command) - 1);
    memcpy(request->command, command, strlen(command));
}

/* Fills @request from @options, whose names fit (options_parse()). */
void request_init(struct protocol_request *request, const struct options *options) {
    *request = (struct protocol_request){.version = PROTOCOL_VERSION};
    request_copy_command(request, options->command[0]);
    if (options->dies_with_parent)
        request->flags |= PROTOCOL_DIES_WITH_LAUNCHER;
    if (options->hangs_up)
        request->flags |= PROTOCOL_HANGS_UP;
    if (options->status_fd >= 0)
        request->flags |= PROTOCOL_ASKS_FOR_NAMESPACE;
    if (options->hostname != NULL) {
        request->names |= PROTOCOL_HOSTNAME;
        memcpy(request->hostname, options->hostname, strlen(options->hostname));
    }
    if (options->domainname != NULL) {
        request->names |= PROTOCOL_DOMAINNAME;
        memcpy(request->domainname, options->domainname, strlen(options->domainname));
    }
}

/* Returns "NAME=" if @entry is a variable that has the host name and must change; else NULL. */
static const char *host_variable_find(const char *entry) {
    static const char *const variables[] = {"HOSTNAME=", "HOST="};

    for (size_t i = 0; i < BASE_ARRAY_SIZE(variables); i++)
        if (strncmp(entry, variables[i], strlen(variables[i])) == 0)
            return variables[i];
    return NULL;
}

/* Finds the variables that are for this process: bit N for enum launch_variable N. */
static uint32_t variables_find(char **environment) {
    uint32_t found = 0;

    for (char **entry = environment; *entry != NULL; entry++)
        for (unsigned i = 0; i < LAUNCH_VARIABLE_COUNT; i++) {
            const char *name = launch_variable_name((enum launch_variable)i);
            char own[24];

            if (strncmp(*entry, name, strlen(name)) != 0)
                continue;
            (void)snprintf(own, sizeof(own), "%" PRIu64,
                           launch_variable_number((enum launch_variable)i));
            if (strcmp(*entry + strlen(name), own) == 0)
                found |= 1U << i;
        }
    return found;
}

/* Builds the launch description in two passes: the first measures, the second writes. */
struct writer {
    char *bytes; /* NULL while measuring */
    size_t size;
};

static void writer_add(struct writer *writer, const void *bytes, size_t size) {
    if (writer->bytes != NULL)
        memcpy(writer->bytes + writer->size, bytes, size);
    writer->size += size;
}

static void writer_add_all(struct writer *writer, struct launch_header *header,
                           const struct options *options, char **environment,
                           const struct inheritance *inheritance) {
    header->n_arguments = 0;
    header->n_environment = 0;
    writer_add(writer, header, sizeof(*header));
    if (inheritance != NULL)
        writer_add(writer, inheritance->numbers,
                   inheritance->n_fds * sizeof(inheritance->numbers[0]));
    for (char **argument = options->command; *argument != NULL; argument++) {
        writer_add(writer, *argument, strlen(*argument) + 1);
        header->n_arguments++;
    }
    for (char **entry = environment; *entry != NULL; entry++) {
        const char *variable = options->hostname != NULL ? host_variable_find(*entry) : NULL;

        if (variable != NULL) {
            writer_add(writer, variable, strlen(variable));
            writer_add(writer, options->hostname, strlen(options->hostname) + 1);
        } else {
            writer_add(writer, *entry, strlen(*entry) + 1);
        }
        header->n_environment++;
    }
}

/* Linux before 6.3 does not know MFD_NOEXEC_SEAL. */
static int memfd_open(void) {
    int fd = memfd_create("utsrun-launch", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("utsrun-launch", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd < 0 ? -errno : fd;
}

static int write_all(int fd, const char *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, bytes + done, size - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return 0;
}

static int header_init(struct launch_header *header, char **environment,
                       const struct request_place *place) {
    int persona = personality(personality_query);
    struct rlimit stack;

    if (persona < 0 || getrlimit(RLIMIT_STACK, &stack) < 0)
        return -errno;
    *header = (struct launch_header){.version = LAUNCH_VERSION,
                                     .closed_stdio = place->closed_stdio,
                                     .personality = (uint32_t)persona,
                                     .stack_limit = stack.rlim_cur,
                                     .variables = variables_find(environment)};
    return place->inheritance != NULL ? inherit_describe(place->inheritance, header) : 0;
}

/*
 * Writes the launch description to a new sealed memfd: the command of @options, @environment, and
 * @place. If HOSTNAME or HOST is set in @environment, it gets the new host name. Variables with
 * this process's number are marked, for the gate.
 *
 * Returns 0 with the new descriptor, which the caller owns, in *@launch_fdp. Returns a negative
 * errno: -E2BIG if arguments and environment are more than execve(2) takes, -EFBIG at RLIMIT_FSIZE
 * (SIGXFSZ must be blocked).
 */
int request_write_launch(int *launch_fdp, const struct options *options, char **environment,
                         const struct request_place *place) {
    char small[8192]; /* enough for most; malloc(3) would cost system calls */
    CLEANUP_FREE char *large = NULL;
    CLEANUP_FD int fd = -1;
    struct launch_header header;
    struct writer writer = {.bytes = NULL};
    int r = header_init(&header, environment, place);

    if (r < 0)
        return r;
    header.is_login = options->is_login;
    writer_add_all(&writer, &header, options, environment, place->inheritance);
    if (writer.size > LAUNCH_SIZE_MAX)
        return -E2BIG;
    if (writer.size > sizeof(small))
        large = malloc(writer.size);
    if (writer.size > sizeof(small) && large == NULL)
        return -ENOMEM;
    writer = (struct writer){.bytes = large != NULL ? large : small};
    writer_add_all(&writer, &header, options, environment, place->inheritance);
    memcpy(writer.bytes, &header, sizeof(header)); /* the counts are known now */

    fd = memfd_open();
    if (fd < 0)
        return fd;
    r = write_all(fd, writer.bytes, writer.size);
    if (r < 0)
        return r;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return -errno;
    *launch_fdp = base_steal_fd(&fd);
    return 0;
}
