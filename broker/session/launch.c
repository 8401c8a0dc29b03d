/*
 * The gate's last steps: reads the launch description and executes the command.
 *
 * Runs in the gate, as the user and without any capability. The bytes are the user's own and can be
 * malformed, which harms only that user.
 */

#include "broker/session/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "utsbroker/base.h"
#include "utsbroker/channel.h"

/*
 * Returns @n pointers to the strings that begin at *@atp, and a final NULL. Moves *@atp after the
 * strings. Returns NULL with errno set on error. The caller frees the array.
 */
static char **launch_take_strings(char **atp, const char *end, size_t n) {
    char **strings = calloc(n + 1, sizeof(*strings));
    char *at = *atp;

    for (size_t i = 0; i < n && strings != NULL; i++) {
        char *nul = memchr(at, '\0', (size_t)(end - at));

        if (nul == NULL) {
            free(strings);
            errno = EBADMSG;
            return NULL;
        }
        strings[i] = at;
        at = nul + 1;
    }
    *atp = at;
    return strings;
}

/* True if the header's values are valid. The size bounds the counts before anything is allocated.
 */
static bool is_header_valid(const struct launch_header *header, size_t size) {
    return header->version == LAUNCH_VERSION && header->closed_stdio <= 7 &&
           header->n_arguments >= 1 && header->n_arguments <= size &&
           header->n_environment <= size && header->n_descriptors <= CHANNEL_FDS_MAX &&
           header->umask <= 0777 && header->n_processors <= LAUNCH_PROCESSORS_MAX &&
           header->variables < 1U << LAUNCH_VARIABLE_COUNT && header->is_login <= 1;
}

/* True if the numbers are in range and ascend, so that none is there twice. */
static bool are_descriptors_valid(const int32_t *descriptors, size_t n) {
    int32_t last = -1;

    for (size_t i = 0; i < n; i++) {
        if (descriptors[i] <= last || descriptors[i] >= LAUNCH_DESCRIPTOR_MAX)
            return false;
        last = descriptors[i];
    }
    return true;
}

/*
 * Parses the @size bytes at @bytes, which must be aligned as by malloc(3) and live as long as
 * @launch. Accepts exactly a header, the descriptors and the strings that the header counts. At
 * least one string is an argument: a program without argv[0] takes its environment for arguments
 * (CVE-2021-4034).
 *
 * Returns 0; -EBADMSG for anything else; -ENOMEM. launch_deinit() frees what @launch holds.
 */
int launch_parse(struct launch *launch, char *bytes, size_t size) {
    struct launch parsed = LAUNCH_NULL;
    const char *end = bytes + size;
    char *at;

    if (size < sizeof(parsed.header) || size > LAUNCH_SIZE_MAX)
        return -EBADMSG;
    memcpy(&parsed.header, bytes, sizeof(parsed.header));
    at = bytes + sizeof(parsed.header);
    if (!is_header_valid(&parsed.header, size) ||
        parsed.header.n_descriptors > (size_t)(end - at) / sizeof(int32_t))
        return -EBADMSG;
    parsed.descriptors = (const int32_t *)(const void *)at;
    at += parsed.header.n_descriptors * sizeof(int32_t);
    if (!are_descriptors_valid(parsed.descriptors, parsed.header.n_descriptors))
        return -EBADMSG;

    parsed.arguments = launch_take_strings(&at, end, parsed.header.n_arguments);
    if (parsed.arguments == NULL)
        return -errno;
    parsed.environment = launch_take_strings(&at, end, parsed.header.n_environment);
    if (parsed.environment == NULL || at != end) {
        int error = parsed.environment == NULL ? errno : EBADMSG;

        launch_deinit(&parsed);
        return -error;
    }
    *launch = parsed;
    return 0;
}

/*
 * Maps and parses the sealed memfd @fd, which stays the caller's. The mapping stays: the process
 * executes another program or ends. The memfd must be sealed, so that it cannot shrink under the
 * mapping (SIGBUS) or change after it was parsed (memfd_create(2)).
 *
 * Returns 0; -EBADMSG if the descriptor or its content is no launch description; another negative
 * errno if the system failed.
 */
int launch_read(struct launch *launch, int fd) {
    const int needed_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat status;
    char *bytes;

    if (seals < 0 && errno != EINVAL && errno != EBADF)
        return -errno;
    if (seals < 0 || (seals & needed_seals) != needed_seals)
        return -EBADMSG;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (status.st_size < (off_t)sizeof(struct launch_header) || status.st_size > LAUNCH_SIZE_MAX)
        return -EBADMSG;
    bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return -errno;
    return launch_parse(launch, bytes, (size_t)status.st_size);
}

/* Frees what @launch holds, except the bytes that it was parsed from. It is empty after that. */
void launch_deinit(struct launch *launch) {
    free(launch->arguments);
    free(launch->environment);
    *launch = (struct launch)LAUNCH_NULL;
}

/* Returns 0 or a negative errno. */
static int launch_restore_stack_limit(rlim_t soft) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_STACK, &limit) < 0)
        return -errno;
    if (limit.rlim_cur == soft)
        return 0;
    limit.rlim_cur = soft;
    return setrlimit(RLIMIT_STACK, &limit) < 0 ? -errno : 0;
}

/*
 * Restores what the execution of the broker changed (utsbroker/launch.h): closes those of 0, 1 and
 * 2 that were closed, and sets personality(2) and the stack's limit. Needs no privilege. Returns 0
 * or a negative errno.
 */
int launch_restore(const struct launch *launch) {
    for (int fd = 0; fd < 3; fd++)
        if ((launch->header.closed_stdio & (1U << fd)) != 0)
            (void)close(fd);
    if (launch->header.personality != 0 && personality(launch->header.personality) < 0)
        return -errno;
    return launch_restore_stack_limit(launch->header.stack_limit);
}

/* Gives this process's numbers to the variables that name the launcher: they are for the command.
 */
static void launch_set_variables(const struct launch *launch) {
    static char entries[LAUNCH_VARIABLE_COUNT][48];

    for (unsigned i = 0; i < LAUNCH_VARIABLE_COUNT; i++) {
        const char *name = launch_variable_name((enum launch_variable)i);

        if ((launch->header.variables & (1U << i)) == 0)
            continue;
        (void)snprintf(entries[i], sizeof(entries[i]), "%s%" PRIu64, name,
                       launch_variable_number((enum launch_variable)i));
        for (char **entry = launch->environment; *entry != NULL; entry++)
            if (strncmp(*entry, name, strlen(name)) == 0)
                *entry = entries[i];
    }
}

/* argv[0] of a login shell: "-" and the name of its program (login(1)). */
static char *login_name(const char *program) {
    static char name[64];
    const char *slash = strrchr(program, '/');

    (void)snprintf(name, sizeof(name), "-%s", slash != NULL ? slash + 1 : program);
    return name;
}

/*
 * Executes the command. It searches argv[0] in the PATH of the launch description's environment.
 * Returns only on failure, with a negative errno.
 */
int launch_execute(const struct launch *launch) {
    const char *program = launch->arguments[0];

    launch_set_variables(launch);
    if (launch->header.is_login != 0)
        launch->arguments[0] = login_name(program);
    /* execvpe(3) reads PATH from environ, not from its argument. */
    environ = launch->environment;
    (void)execvpe(program, launch->arguments, launch->environment);
    return -errno;
}
