#pragma once

/* Chooses the mode, how utsrun reaches a broker, if the user leaves that to utsrun. */

#include <stdbool.h>

#include "launcher/options.h"

bool mode_is_direct(const struct options *options);
