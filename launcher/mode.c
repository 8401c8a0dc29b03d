#include "launcher/mode.h"

#include <unistd.h>

#include "launcher/diagnose.h"

/*
 * True if direct mode is asked for, or is possible and the mode is auto: it changes nothing of the
 * command but the name, while the service cannot pass everything on. Root's broker needs no file
 * capability.
 */
bool mode_is_direct(const struct options *options) {
    if (options->mode != MODE_AUTO)
        return options->mode == MODE_DIRECT;
    return getuid() == 0 || (access(BROKER_PATH, X_OK) == 0 && diagnose_find_obstacle() == NULL);
}
