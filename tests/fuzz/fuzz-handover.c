/* What a service hands over to its next program: what is accepted is written and read as the same.
 */

#include "broker/service/handover.h"
#include "tests/fuzz/fuzz.h"

static void client_compare(const struct handover_client *a, const struct handover_client *b) {
    MUST(a->state == b->state && a->version == b->version);
    MUST(a->connection == b->connection && a->control == b->control);
    MUST(a->session == b->session && a->gate == b->gate);
    MUST(a->has_hung_up == b->has_hung_up && a->signal_at_hangup == b->signal_at_hangup);
    MUST(a->wants_status == b->wants_status && a->has_ended == b->has_ended);
    MUST(a->wait_status == b->wait_status && a->stop_signal == b->stop_signal);
}

static void compare(const struct handover *a, const struct handover *b) {
    MUST(a->idle_exit_seconds == b->idle_exit_seconds && a->listener == b->listener);
    MUST(a->is_managed == b->is_managed && a->n_folders == b->n_folders);
    MUST(a->n_links == b->n_links && a->n_clients == b->n_clients);
    MUST((a->path == NULL) == (b->path == NULL));
    /* Without a path there is no socket to compare. */
    MUST(a->path == NULL || (strcmp(a->path, b->path) == 0 && a->inode == b->inode));
    for (size_t i = 0; i < a->n_folders; i++)
        MUST(strcmp(a->folders[i], b->folders[i]) == 0);
    for (size_t i = 0; i < a->n_links; i++)
        MUST(a->links[i] == b->links[i]);
    for (size_t i = 0; i < a->n_clients; i++)
        client_compare(&a->clients[i], &b->clients[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct input input = {bytes, bytes + size};
    CLEANUP_HANDOVER struct handover handover = HANDOVER_NULL, again = HANDOVER_NULL;
    CLEANUP_FD int memfd = -1;

    if (handover_parse(&handover, input_string(&input)) < 0)
        return 0;
    MUST(handover.listener >= 0 && handover.n_clients <= size);
    MUST(handover.n_folders <= HANDOVER_FOLDERS_MAX && handover.n_links <= HANDOVER_LINKS_MAX);
    for (size_t i = 0; i < handover.n_clients; i++)
        MUST(handover.clients[i].connection >= -1 && handover.clients[i].control >= -1);
    MUST(handover_write(&handover, &memfd) == 0);
    MUST(handover_read(&again, memfd) == 0);
    compare(&handover, &again);
    return 0;
}
