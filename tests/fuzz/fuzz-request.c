/* Records of any size and number of descriptors: what is accepted is exactly a request, reply,
 * notice. */

#include "tests/fuzz/fuzz.h"
#include "utsbroker/protocol.h"

static void request_decode(const void *bytes, size_t size, size_t n_fds) {
    struct protocol_request request, again;

    if (protocol_decode_request(bytes, size, n_fds, &request) != 0)
        return;
    MUST(size == sizeof(request) && memcmp(bytes, &request, size) == 0);
    MUST(strlen(request.hostname) < PROTOCOL_NAME_SIZE);
    MUST(strlen(request.domainname) < PROTOCOL_NAME_SIZE);
    MUST((request.hostname[0] != '\0') == ((request.names & PROTOCOL_HOSTNAME) != 0));
    MUST((request.domainname[0] != '\0') == ((request.names & PROTOCOL_DOMAINNAME) != 0));
    MUST(protocol_serves_version(request.version));
    MUST(request.names != 0 && (request.flags & ~(uint32_t)PROTOCOL_FLAGS_ALL) == 0);
    /* The service takes nothing of direct mode, and the other way round. */
    MUST((request.flags & PROTOCOL_TO_SERVICE) != 0 ? n_fds >= 2 : n_fds == 1);
    MUST((request.flags & PROTOCOL_HANGS_UP) == 0 ||
         (request.flags & PROTOCOL_DIES_WITH_LAUNCHER) == 0);
    MUST(protocol_decode_request(&request, sizeof(request), n_fds, &again) == 0);
}

static void reply_decode(const void *bytes, size_t size, size_t n_fds) {
    struct protocol_reply reply;

    if (protocol_decode_reply(bytes, size, n_fds, &reply) != 0)
        return;
    MUST(size == sizeof(reply) && reply.status < PROTOCOL_STATUS_COUNT);
    MUST((reply.status == PROTOCOL_GRANTED || reply.status == PROTOCOL_PROVE) == (reply.pid > 0));
    MUST(n_fds == (reply.status == PROTOCOL_GRANTED ? 1U : 0U));
    MUST(strlen(reply.rule_file) < sizeof(reply.rule_file));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct input input = {bytes, bytes + size};
    size_t n_fds = input_byte(&input);
    struct protocol_notice notice;

    size = (size_t)(input.end - input.at);
    request_decode(input.at, size, n_fds);
    reply_decode(input.at, size, n_fds);
    if (protocol_decode_notice(input.at, size, n_fds, &notice) == 0)
        MUST(size == sizeof(notice) && n_fds == 0);
    return 0;
}
