#include "broker/service/proof.h"

#include <fcntl.h>
#include <unistd.h>

#include "broker/service/reply.h"
#include "utsbroker/base.h"

enum { ANSWER_MS = 5000 }; /* how long the launcher may take, which only attaches and kills */

/*
 * False if Yama lets nobody without CAP_SYS_PTRACE attach (ptrace_scope 2), or nobody at all (3):
 * ptrace(2). Without Yama there is no such file.
 */
static bool proof_is_possible(void) {
    CLEANUP_FD int fd = open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC);
    char scope = '0';

    return fd < 0 || (read(fd, &scope, 1) == 1 && scope < '2');
}

/* If the witness is gone before it was ready, the launcher learns that it cannot attach. */
static void proof_handle_witness(void *argument, enum witness_event event) {
    struct client *client = argument;

    if (event == WITNESS_IS_READY) {
        loop_set_timer(client->clients->loop, &client->deadline, loop_now() + ANSWER_MS);
        reply_ask_for_proof(client->connection.fd, client->witness.child.pid,
                            client->witness.end.fd);
        return;
    }
    client->has_proved = witness_was_attached(&client->witness);
    witness_end(&client->witness);
    client->go_on(client);
}

/*
 * Asks @client for the proof if it lacks only that, by @description, was not asked before, and has
 * a launcher that knows it. Returns PROOF_E_ASKED, and client->go_on() is called when
 * client->has_proved says whether it has; the client's deadline is the caller's. Returns 0
 * otherwise, and @description says what is wrong.
 */
int proof_ask(struct client *client, struct caller_description *description) {
    int r;

    if (description->record.peer != PROTOCOL_UNPROVED || client->was_to_prove ||
        client->version < 5)
        return 0;
    if (!proof_is_possible()) {
        description->record.peer = PROTOCOL_NO_TRACING;
        return 0;
    }
    client->was_to_prove = true;
    r = witness_start(&client->witness, client->clients->loop, client->clients->reaper,
                      description->pid, &description->record.limits, proof_handle_witness, client);
    if (r == 0)
        return PROOF_E_ASKED;
    /* A shortage of the service's says nothing about the caller. */
    description->record.peer = r;
    witness_end(&client->witness);
    return 0;
}

/* For how many milliseconds @client has been proving. */
int64_t proof_duration(const struct client *client) {
    return loop_now() - client->since;
}

/* Refuses @client, which is proving, as too late. @client is gone afterwards. */
void proof_refuse_late(struct client *client) {
    witness_end(&client->witness); /* first: the launcher waits for its end */
    reply_refuse(client->connection.fd, client->version, PROTOCOL_TOO_LATE, 0);
    client_free(client);
}
