#include "launcher/program.h"

struct program program = {.name = "utsrun",
                          .status_failed = EXIT_UTSRUN_FAILED,
                          .status_cannot_execute = EXIT_CANNOT_EXECUTE,
                          .status_not_found = EXIT_NOT_FOUND,
                          .ends_by_signal = true,
                          .via_direct = "--via direct"};
