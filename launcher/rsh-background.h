#pragma once

/* utsrsh -f: utsrsh goes on in the background when the command runs. */

#include "launcher/options.h"

int rsh_background_enter(struct options *options);
