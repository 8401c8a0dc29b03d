#pragma once

/*
 * Speaks the protocol by hand, as no launcher does, in a process of the user: to a broker that it
 * starts as utsrun does, or to the user's service, by the mode of the test program.
 */

#include "tests/integration/harness.h"
#include "utsbroker/protocol.h"

enum { SPEAKER_KINDS = 12 };

struct speaker {
    int channel;
    pid_t broker; /* direct mode: this process's child, as the gate is */
};

/* What can be passed in place of a launch description; the first one is valid. */
struct speaker_fds {
    struct {
        const char *what;
        int fd;
    } kinds[SPEAKER_KINDS];
};

void speaker_become(const struct user *user, unsigned seconds);
bool speaker_open(struct speaker *speaker, const struct user *user);
bool speaker_open_stopped(struct speaker *speaker, const struct user *user);
enum protocol_status speaker_hear(const struct speaker *speaker);
bool speaker_close(struct speaker *speaker);
struct protocol_request speaker_request(const char *hostname);
size_t speaker_fds_needed(void);
int speaker_describe(char *const *command);
void speaker_fds_init(struct speaker_fds *fds);
