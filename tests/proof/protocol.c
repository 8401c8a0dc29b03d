/* Records: any bytes, of any size up to twice the largest, with any number of descriptors. */

#include <stddef.h>

#include "tests/proof/proof.h"
#include "utsbroker/protocol.h"

enum { SIZE_MAX_TRIED = 2 * sizeof(struct protocol_request) };

_Static_assert(sizeof(struct protocol_notice) < sizeof(struct protocol_reply) &&
                   sizeof(struct protocol_reply) < sizeof(struct protocol_request),
               "main() tries the sizes in this order");

/* All records of these sizes. They are the buffer's end: a byte behind them is one behind the
 * buffer.
 */
static void records_prove(unsigned smallest, unsigned largest) {
    static char buffer[SIZE_MAX_TRIED];
    size_t size = Frama_C_unsigned_int_interval(smallest, largest);
    size_t n_fds = Frama_C_unsigned_int_interval(0, 254);
    const char *bytes = buffer + sizeof(buffer) - size;
    struct protocol_request request;
    struct protocol_reply reply;
    struct protocol_notice notice;

    Frama_C_make_unknown(buffer, sizeof(buffer));
    (void)protocol_decode_request(bytes, size, n_fds, &request);
    (void)protocol_decode_reply(bytes, size, n_fds, &reply);
    (void)protocol_decode_notice(bytes, size, n_fds, &notice);
}

/* Every size from 0 on; those that are right are looked at by themselves. */
int main(void) {
    records_prove(0, sizeof(uint32_t) - 1);
    records_prove(sizeof(uint32_t), sizeof(struct protocol_notice) - 1);
    records_prove(sizeof(struct protocol_notice), sizeof(struct protocol_notice));
    records_prove(sizeof(struct protocol_notice) + 1, sizeof(struct protocol_reply) - 1);
    records_prove(sizeof(struct protocol_reply), sizeof(struct protocol_reply));
    records_prove(sizeof(struct protocol_reply) + 1, sizeof(struct protocol_request) - 1);
    records_prove(sizeof(struct protocol_request), sizeof(struct protocol_request));
    records_prove(sizeof(struct protocol_request) + 1, SIZE_MAX_TRIED);
    Frama_C_show_each_reached(1);
    return 0;
}
