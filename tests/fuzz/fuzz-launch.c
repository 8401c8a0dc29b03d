/* Launch descriptions: what is accepted has all that it counts, and nothing behind it. */

#include "broker/session/launch.h"
#include "tests/fuzz/fuzz.h"
#include "utsbroker/channel.h"

/* The strings lie one behind the other, from @at on. Returns where the last ends. */
static const char *strings_check(char **strings, size_t n, const char *at) {
    for (size_t i = 0; i < n; i++) {
        MUST(strings[i] == at);
        at += strlen(strings[i]) + 1;
    }
    MUST(strings[n] == NULL);
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char *copy = malloc(size + 1); /* aligned, and as large as it is: a byte more is seen */
    struct launch launch = LAUNCH_NULL;

    MUST(copy != NULL);
    memcpy(copy, bytes, size);
    if (launch_parse(&launch, copy, size) == 0) {
        const struct launch_header *header = &launch.header;
        const char *at = (const char *)(launch.descriptors + header->n_descriptors);

        MUST(header->n_arguments >= 1 && header->n_descriptors <= CHANNEL_FDS_MAX);
        for (size_t i = 1; i < header->n_descriptors; i++)
            MUST(launch.descriptors[i - 1] < launch.descriptors[i]);
        at = strings_check(launch.arguments, header->n_arguments, at);
        at = strings_check(launch.environment, header->n_environment, at);
        MUST(at == copy + size);
    }
    launch_deinit(&launch);
    free(copy);
    return 0;
}
